"""One small company: October 2026 worked out with pencil and paper, and four low months of a technician.

h1 (host) is eligible on 15 of 31 days and was on duty 3 h in r1 and 1 h in r2; h2 (host) has too little to
score; o1 (operations) was on duty in r1. r1 is 50,000 over its gmv target.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dagster_project.settings import REPOSITORY
from tests.oracle.appraisal import policy_from_folder

Row = dict[str, Any]

WEIGHTS = {
    "host": [
        ("gmv", "own", "0.4"),
        ("engagement_rate", "own", "0.3"),
        ("comment_rate", "own", "0.1"),
        ("refund_rate_15d", "own", "0.2"),
    ],
    "room": [
        ("gmv_target_attainment", "room", "0.5"),
        ("engagement_rate", "room", "0.3"),
        ("return_rate_15d", "room", "0.2"),
    ],
    **{
        role: [("viewers", "own", "1")]
        for role in ("operations", "floor_control", "customer_service", "technical")
    },
}
# In the mature stage a host is weighed on two KPIs only.
MATURE_HOST = [("gmv", "own", "0.5"), ("refund_rate_15d", "own", "0.5")]


def policy() -> dict[str, list[dict[str, str]]]:
    """The shipped registry, grades and rules with few, round weights and one campaign."""
    weights = [
        {
            "role": role,
            "stage": stage,
            "kpi_id": kpi_id,
            "scope": scope,
            "weight": weight,
            "valid_from": "2026-01-01",
        }
        for role, table in WEIGHTS.items()
        for stage in ("startup", "growth", "mature")
        for kpi_id, scope, weight in (MATURE_HOST if (role, stage) == ("host", "mature") else table)
    ]
    campaign = {
        "room_id": "r3",
        "role": "host",
        "kpi_id": "engagement_rate",
        "multiplier": "3",
        "valid_from": "2026-10-01",
        "valid_to": "2026-10-14",
        "reason": "two weeks of new products",
    }
    return {
        **policy_from_folder(REPOSITORY / "dbt" / "seeds"),
        "weights": weights,
        "weight_overrides": [campaign],
    }


def value(
    subject_id: str, kpi_id: str, amount: str | None, month: str = "2026-10", role: str | None = None
) -> Row:
    """A kpi_month row: a room's, or with a role a person's over all rooms; no amount: a small sample."""
    return {
        "subject_type": "room" if role is None else "staff",
        "subject_id": subject_id,
        "role": role,
        "room_id": subject_id if role is None else None,
        "month": month,
        "kpi_id": kpi_id,
        "numerator": amount,
        "denominator": None,
        "value": amount,
        "reason": "small_sample" if amount is None else None,
    }


def target(
    scope: str,
    kpi_id: str,
    floor: str,
    goal: str,
    stretch: str | None = None,
    month: str = "2026-10",
    day: int = 1,
) -> Row:
    """A target of `scope_type scope_id` that landed on that day of its month."""
    scope_type, scope_id = scope.split(" ")
    return {
        "month": month,
        "scope_type": scope_type,
        "scope_id": scope_id,
        "kpi_id": kpi_id,
        "floor": floor,
        "target": goal,
        "stretch": stretch,
        "landed_at": datetime.fromisoformat(f"{month}-{day:02d}T23:59:00"),
    }


def person(staff_id: str, role: str, room_id: str | None, pay: str | None = None) -> Row:
    """Employed since 2025."""
    hired_on = date(2025, 1, 1)
    return {
        "staff_id": staff_id,
        "role": role,
        "room_id": room_id,
        "hired_on": hired_on,
        "performance_pay": pay,
    }


def duty(staff_id: str, role: str, session_id: str, hours: int) -> Row:
    on_at = datetime(2026, 10, 20, 12)
    return {
        "staff_id": staff_id,
        "role": role,
        "session_id": session_id,
        "on_at": on_at,
        "off_at": on_at + timedelta(hours=hours),
        "source": "shift",
    }


def session(session_id: str, room_id: str, day: date) -> Row:
    return {
        "session_id": session_id,
        "room_id": room_id,
        "business_date": day,
        "month": day.strftime("%Y-%m"),
    }


def company() -> dict[str, list[Row]]:
    low_months = ("2026-06", "2026-07", "2026-08", "2026-09")
    return {
        "rooms": [
            {"room_id": room_id, "effective_from": date(2026, 1, 1), "stage": "growth"}
            for room_id in ("r1", "r2", "r3", "r4")
        ]
        + [{"room_id": "r4", "effective_from": date(2026, 10, 16), "stage": "mature"}],
        "sessions": [
            session("s1", "r1", date(2026, 10, 20)),
            session("s2", "r2", date(2026, 10, 20)),
            *(session(f"t{month}", "r1", date.fromisoformat(f"{month}-15")) for month in low_months),
        ],
        "staff": [
            person("h1", "host", "r1", "6200"),
            person("h2", "host", "r1", "5000"),
            person("n1", "host", None),
            person("o1", "operations", "r1", "3000.01"),
            person("t1", "technical", "r1"),
        ],
        "leaves": [
            {"staff_id": "h1", "from_date": date(2026, 10, 1), "to_date": date(2026, 10, 10)},
            {"staff_id": "h1", "from_date": date(2026, 10, 5), "to_date": date(2026, 10, 16)},
        ],
        "duty": [
            duty("h1", "host", "s1", 3),
            duty("h1", "host", "s2", 1),
            duty("h1", "operations", "s2", 9),  # another role's duty counts nowhere in the own score
            duty("h2", "host", "s1", 3),
            duty("o1", "operations", "s1", 1),
        ],
        "targets": [
            target("role host", "gmv", "0", "1"),
            target("room_role r1:host", "gmv", "0", "2"),
            target("staff h1", "gmv", "0", "31000", "62000", day=2),
            target("role host", "engagement_rate", "0.2", "0.4", "0.5"),
            target("role host", "comment_rate", "0.1", "0.2"),
            target("role host", "refund_rate_15d", "0.10", "0.05", "0.02"),
            target("role operations", "viewers", "0", "100"),
            target("room r1", "gmv_target_attainment", "0.5", "1"),
            target("room r1", "engagement_rate", "0.2", "0.4"),
            target("room r1", "gmv", "0", "100000"),
            target("room r2", "gmv_target_attainment", "0.5", "1"),
            target("room r2", "engagement_rate", "0.2", "0.4"),
            target("room r2", "return_rate_15d", "0.2", "0.1"),
            target("room r2", "smoothness_rate", "0.95", "0.99"),
            *(target("room r1", "gmv_target_attainment", "0", "1", month=month) for month in low_months),
            *(target("role technical", "viewers", "0", "100", month=month) for month in low_months),
        ],
        "kpi_month": [
            value("h1", "gmv", "7500", role="host"),
            value("h1", "engagement_rate", "0.6", role="host"),
            value("h1", "comment_rate", None, role="host"),
            value("h1", "refund_rate_15d", "0.06", role="host"),
            value("h2", "comment_rate", "0.2", role="host"),
            value("o1", "viewers", "80", role="operations"),
            value("r1", "gmv_target_attainment", "1.3"),
            value("r1", "engagement_rate", "0.3"),
            value("r1", "return_rate_15d", "0.01"),
            value("r2", "gmv_target_attainment", "0.75"),
            value("r2", "engagement_rate", "0.4"),
            value("r2", "return_rate_15d", "0.15"),
            value("r2", "smoothness_rate", "0.949999"),
            *(value("r1", "gmv_target_attainment", "0.6", month) for month in low_months),
            *(value("t1", "viewers", "60", month, "technical") for month in low_months if month != "2026-07"),
        ],
        "measure_day": [
            {
                "subject_type": "room",
                "subject_id": "r1",
                "room_id": "r1",
                "business_date": day,
                "measure": "net_gmv",
                "amount": amount,
            }
            for day, amount in (
                (date(2026, 9, 30), "1000000"),
                (date(2026, 10, 1), "60000"),
                (date(2026, 10, 31), "90000"),
            )
        ],
    }


@pytest.fixture(scope="module")
def con(scored):
    with scored(company(), policy()) as built:
        yield built


def one(con, query: str) -> tuple:
    (row,) = con.execute(query).fetchall()
    return row


def line(con, subject_id: str, kpi_id: str, columns: str) -> tuple:
    """Of a room's line, or a person's in the personal part."""
    return one(
        con,
        f"select {columns} from scorecards.scorecard_lines"
        f" where month = '2026-10' and subject_id = '{subject_id}' and kpi_id = '{kpi_id}'"
        " and (subject_type = 'room' or part = 'personal')",
    )


def card(con, subject_id: str, columns: str, month: str = "2026-10") -> tuple:
    return one(
        con,
        f"select {columns} from scorecards.scorecards"
        f" where month = '{month}' and subject_id = '{subject_id}'",
    )


def test_a_totals_target_is_scaled_to_the_eligible_days_and_the_persons_own_goes_first(con) -> None:
    # 15 of 31 days of 0, 31000, 62000; 7500 is half way to 15000
    assert line(con, "h1", "gmv", "floor, target, stretch, line_score, target_scope") == (
        0,
        15000,
        30000,
        50,
        "staff",
    )


def test_a_rates_target_is_never_scaled_and_a_score_ends_at_120(con) -> None:
    assert line(con, "h1", "engagement_rate", "target, line_score") == (Decimal("0.4"), 120)


def test_where_less_is_better_the_scale_runs_the_other_way(con) -> None:
    # (0.06 - 0.10) / (0.05 - 0.10)
    assert line(con, "h1", "refund_rate_15d", "line_score") == (80,)


def test_without_a_stretch_a_line_ends_at_100(con) -> None:
    assert line(con, "r1", "gmv_target_attainment", "line_score") == (100,)


def test_an_unscored_lines_weight_moves_inside_its_category(con) -> None:
    assert line(con, "h1", "comment_rate", "effective_weight, points, reason") == (0, 0, "small_sample")
    assert line(con, "h1", "engagement_rate", "weight, effective_weight") == (Decimal("0.3"), Decimal("0.4"))
    assert line(con, "h1", "gmv", "effective_weight") == (Decimal("0.4"),)


def test_an_orphaned_categorys_weight_moves_to_all_scored_lines(con) -> None:
    # 0.2 of returns, which has no target, goes to 0.5 and 0.3 pro rata
    assert line(con, "r1", "return_rate_15d", "effective_weight, reason") == (0, "no_target")
    assert line(con, "r1", "gmv_target_attainment", "effective_weight") == (Decimal("0.625"),)
    assert line(con, "r1", "engagement_rate", "effective_weight") == (Decimal("0.375"),)


def test_a_target_that_landed_after_the_first_day_is_shown_as_late(con) -> None:
    assert line(con, "h1", "gmv", "is_target_late") == (True,)
    assert line(con, "h1", "engagement_rate", "is_target_late") == (False,)


def test_scores_add_up_and_the_team_part_is_the_mean_by_duty_time(con) -> None:
    # personal 0.4×50 + 0.4×120 + 0.2×80; r1 0.625×100 + 0.375×50; r2 0.5×50 + 0.3×100 + 0.2×50;
    # team (3×81.25 + 65) / 4
    assert card(con, "r1", "team_score, total_score, grade") == (Decimal("81.25"), Decimal("81.25"), "C")
    assert card(con, "r2", "total_score, grade") == (65, "D")
    assert card(con, "h1", "personal_score, team_score, total_score, grade, coefficient, eligible_days") == (
        84,
        Decimal("77.19"),
        Decimal("81.96"),
        "C",
        Decimal("0.8"),
        15,
    )


def test_performance_pay_is_base_by_eligible_days_by_coefficient(con) -> None:
    assert card(con, "h1", "performance_pay") == (Decimal("2400.00"),)  # 6200 × 15/31 × 0.8
    # 3000.01 × 0.8 = 2400.008
    assert card(con, "o1", "total_score, performance_pay") == (Decimal("80.38"), Decimal("2400.01"))


def test_points_are_cut_by_largest_remainder_and_add_up_to_the_total(con) -> None:
    # Team lines are exactly 14.0625, 4.21875, 1.875, 2.25 and 0.75: two cents are left, for .875 and .5.
    points = con.execute(
        "select part, room_id, kpi_id, points from scorecards.scorecard_lines"
        " where subject_id = 'h1' and month = '2026-10' and points <> 0 order by part, room_id, kpi_id"
    ).fetchall()
    assert points == [
        ("personal", None, "engagement_rate", Decimal("33.60")),
        ("personal", None, "gmv", Decimal("14.00")),
        ("personal", None, "refund_rate_15d", Decimal("11.20")),
        ("team", "r1", "engagement_rate", Decimal("4.22")),
        ("team", "r1", "gmv_target_attainment", Decimal("14.06")),
        ("team", "r2", "engagement_rate", Decimal("2.25")),
        ("team", "r2", "gmv_target_attainment", Decimal("1.88")),
        ("team", "r2", "return_rate_15d", Decimal("0.75")),
    ]
    assert sum(row[3] for row in points) == Decimal("81.96")


def test_under_half_of_the_weight_there_is_no_total_and_no_pay(con) -> None:
    assert card(con, "h2", "status, personal_score, total_score, grade, performance_pay, rank_in_role") == (
        "insufficient_data", None, None, None, None, None,
    )  # fmt: skip


def test_with_neither_home_room_nor_duty_there_is_insufficient_data_and_no_line(con) -> None:
    assert card(con, "n1", "status, total_score, eligible_days") == ("insufficient_data", None, 31)
    assert con.execute(
        "select count(*) from scorecards.scorecard_lines where subject_id = 'n1'"
    ).fetchone() == (0,)


def test_a_failed_technical_base_warns_the_room_and_everyone_on_duty_there(con) -> None:
    assert [card(con, one, "base_warning") for one in ("r1", "r2", "h1", "o1")] == [
        (False,), (True,), (True,), (False,),
    ]  # fmt: skip


def test_the_pool_is_shared_between_the_roles_that_have_a_total_and_adds_up(con) -> None:
    # 2 % of 150,000 - 100,000; host 0.40 and operations 0.25 share it: 615.3846 and 384.6154,
    # the last cent to the larger rest
    assert con.execute(
        "select room_id, staff_id, net_gmv, gmv_target, pool_amount, amount"
        " from scorecards.bonus_pools order by 2"
    ).fetchall() == [
        ("r1", "h1", 150000, 100000, 1000, Decimal("615.38")),
        ("r1", "h2", 150000, 100000, 1000, Decimal("0.00")),
        ("r1", "o1", 150000, 100000, 1000, Decimal("384.62")),
    ]
    assert card(con, "h1", "overachievement_bonus") == (Decimal("615.38"),)


def test_the_best_room_award_is_shared_among_those_on_duty_there(con) -> None:
    assert con.execute(
        "select staff_id, room_id, amount from scorecards.awards"
        " where award = 'best_room' and month = '2026-10' order by 1"
    ).fetchall() == [("h1", "r1", 1000), ("h2", "r1", 1000), ("o1", "r1", 1000)]


def test_a_campaigns_weight_counts_for_its_days_only(con) -> None:
    # 14 days of 0.25, 0.5625, 0.0625, 0.125 (renormalised by 1.6), 17 days of 0.4, 0.3, 0.1, 0.2
    assert con.execute(
        "select kpi_id, weight from scorecards_work.weights_averaged"
        " where room_id = 'r3' and role = 'host' and month = '2026-10' order by 1"
    ).fetchall() == [
        ("comment_rate", Decimal("0.083065")),
        ("engagement_rate", Decimal("0.418548")),
        ("gmv", Decimal("0.332258")),
        ("refund_rate_15d", Decimal("0.166129")),
    ]


def test_a_stage_that_changes_inside_a_month_weighs_by_its_days(con) -> None:
    # 15 days of growth, 16 of mature: gmv (15×0.4 + 16×0.5) / 31
    assert con.execute(
        "select kpi_id, weight from scorecards_work.weights_averaged"
        " where room_id = 'r4' and role = 'host' and month = '2026-10' order by 1"
    ).fetchall() == [
        ("comment_rate", Decimal("0.048387")),
        ("engagement_rate", Decimal("0.145161")),
        ("gmv", Decimal("0.451613")),
        ("refund_rate_15d", Decimal("0.354839")),
    ]


def test_three_scored_months_in_a_row_under_the_pass_score_prompt_a_review_across_an_unscored_one(
    con,
) -> None:
    # 0.7×60 + 0.3×60 each; July has no value and neither counts nor resets
    assert con.execute("select * from scorecards.reviews_due").fetchall() == [
        ("t1", "2026-09", "2026-06", "2026-08", "2026-09", 60, 60, 60, "transfer, training, negotiated end")
    ]
    assert card(con, "t1", "status", "2026-07") == ("insufficient_data",)


def test_a_kpi_switched_off_for_two_weeks_gives_its_weight_to_the_others_of_those_days(compiled) -> None:
    # gmv: 17 of 31 days of 0.4; the others 14 days of their weight over 0.6 and 17 days of their weight
    rules = policy()
    rules["weight_overrides"][0] |= {"kpi_id": "gmv", "multiplier": "0", "reason": "no goods to sell"}
    with compiled(company(), rules) as con:
        assert con.execute(
            "select kpi_id, weight from scorecards_work.weights_averaged"
            " where room_id = 'r3' and role = 'host' and month = '2026-10' order by 1"
        ).fetchall() == [
            ("comment_rate", Decimal("0.130108")),
            ("engagement_rate", Decimal("0.390323")),
            ("gmv", Decimal("0.219355")),
            ("refund_rate_15d", Decimal("0.260215")),
        ]


def test_where_two_months_are_enough_only_two_are_named(compiled) -> None:
    rules = policy()
    rules["rules"] = [{**row, "value": "2"} if row["rule"] == "strike_months" else row for row in rules["rules"]]
    with compiled(company(), rules) as con:
        assert con.execute(
            "select month, month_1, month_2, month_3, score_1, score_2, score_3 from scorecards.reviews_due order by 1"
        ).fetchall() == [
            ("2026-08", None, "2026-06", "2026-08", None, 60, 60),
            ("2026-09", None, "2026-08", "2026-09", None, 60, 60),
        ]


def test_no_published_figure_is_a_floating_point_number(con) -> None:
    assert (
        con.execute(
            "select table_name, column_name from information_schema.columns"
            " where table_schema = 'scorecards' and data_type in ('DOUBLE', 'FLOAT')"
        ).fetchall()
        == []
    )
