"""An innovation nomination is verified by a test that was worked out by hand, and by nothing less."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from dagster_project.appraisal.awards import Window, judge, two_proportion_p_value, welch_p_value
from dagster_project.settings import REPOSITORY
from tests.oracle.appraisal import policy_from_folder


def proportion(numerator: int, denominator: int, *by_date: float) -> Window:
    return Window(Decimal(numerator), Decimal(denominator), by_date)


def test_the_pooled_two_proportion_test_is_the_textbooks() -> None:
    # pooled 0.375, se √(0.375 × 0.625 × 0.02) = 0.0684653, z = 2.190890
    assert two_proportion_p_value(proportion(30, 100), proportion(45, 100)) == pytest.approx(
        0.028460, abs=1e-6
    )


def test_welchs_test_is_the_textbooks() -> None:
    # t = 3 / √2.5 = 1.897367 with 6.25 / 1.0625 = 5.882353 degrees of freedom
    assert welch_p_value((1, 2, 3, 4, 5), (2, 4, 6, 8, 10)) == pytest.approx(0.107531, abs=1e-6)


def test_a_significant_move_the_right_way_is_verified() -> None:
    verdict = judge(proportion(30, 100), proportion(45, 100), "rate", "up", 30)
    assert (verdict.verified, verdict.test) == (True, "two_proportion")


@pytest.mark.parametrize(
    ("before", "after", "direction", "min_base", "reason"),
    [
        (proportion(30, 100), proportion(45, 100), "down", 30, "moved_the_wrong_way"),
        (proportion(30, 100), proportion(35, 100), "up", 30, "not_significant"),
        (proportion(30, 100), proportion(45, 100), "up", 101, "small_sample"),
        (proportion(0, 0), proportion(45, 100), "up", 30, "no_base"),
    ],
)
def test_anything_less_is_not_verified(
    before: Window, after: Window, direction: str, min_base: int, reason: str
) -> None:
    verdict = judge(before, after, "rate", direction, min_base)
    assert (verdict.verified, verdict.reason) == (False, reason)


def test_a_rate_over_one_is_tested_by_its_daily_values() -> None:
    verdict = judge(
        proportion(120, 100, 1.1, 1.2, 1.3), proportion(250, 100, 2.4, 2.5, 2.6), "rate", "up", 30
    )
    assert (verdict.verified, verdict.test) == (True, "welch")


def test_one_date_on_a_side_is_too_few_for_daily_values() -> None:
    verdict = judge(proportion(120, 100, 1.2), proportion(250, 100, 2.4, 2.6), "rate", "up", 30)
    assert (verdict.verified, verdict.reason) == (False, "too_few_dates")


def test_totals_compare_by_their_daily_mean_so_a_longer_window_proves_nothing() -> None:
    before = Window(Decimal(700), None, (100.0, 101.0, 99.0, 100.0, 102.0, 98.0, 100.0))
    after = Window(Decimal(1400), None, (50.0, 51.0, 49.0, 50.0) * 7)
    assert judge(before, after, "count", "up", None).reason == "moved_the_wrong_way"


def test_the_award_is_shared_by_the_people_named_and_the_first_get_the_odd_cents(scored) -> None:
    days = [date(2026, 10, 1) + timedelta(number) for number in range(4)]
    inputs = {
        "rooms": [{"room_id": "r1", "effective_from": date(2026, 1, 1), "stage": "growth"}],
        "sessions": [
            {"session_id": f"s{day}", "room_id": "r1", "business_date": day, "month": "2026-10"}
            for day in days
        ],
        "measure_day": [
            {"subject_type": "room", "subject_id": "r1", "room_id": "r1", "business_date": day,
             "measure": measure, "amount": amount}
            for day, clicks in zip(days, (15, 15, 20, 25), strict=True)
            for measure, amount in (("clicks", clicks), ("exposures", 50))
        ],
        "award_nominations": [
            {"nomination_id": nomination_id, "staff_id": staff_id, "month": "2026-10", "room_id": "r1",
             "kpi_id": "product_click_rate", "before_from": before, "before_to": before + timedelta(1),
             "after_from": after, "after_to": after + timedelta(1)}
            for nomination_id, before, after in (("n1", days[0], days[2]), ("n2", days[2], days[0]))
            for staff_id in ("p3", "p1", "p2")
        ],
    }  # fmt: skip
    with scored(inputs, policy_from_folder(REPOSITORY / "dbt" / "seeds")) as con:
        awards = con.execute(
            "select nomination_id, staff_id, verdict, amount from scorecards.awards"
            " where award = 'innovation' order by 1, 2"
        ).fetchall()
    # 30 of 100 clicks before, 45 of 100 after; 2000 in three parts
    assert awards == [
        ("n1", "p1", "verified", Decimal("666.67")),
        ("n1", "p2", "verified", Decimal("666.67")),
        ("n1", "p3", "verified", Decimal("666.66")),
        ("n2", "p1", "not_verified", 0),
        ("n2", "p2", "not_verified", 0),
        ("n2", "p3", "not_verified", 0),
    ]
