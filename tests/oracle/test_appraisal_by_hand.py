"""The appraisal oracle against figures worked out by hand, and its sums on random companies."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest

from tests.oracle.appraisal import (
    OPTIONS,
    compare_appraisal,
    cut_to_cents,
    line_score,
    policy_from_folder,
    random_appraisal,
    score,
    two_proportions,
    welch,
)
from tests.oracle.appraisal_in_warehouse import TABLES, inputs_from_warehouse
from tests.oracle.appraisal_worlds import GRADES, RULES
from tests.oracle.registry import registry_of_the_page

Row = dict[str, Any]
D = Decimal
APRIL = "2026-04"  # 30 days


class Company:
    """One room R1 (growth, one session on the 1st) and no people; a host's weights are 0.5, 0.3 and 0.2."""

    def __init__(self) -> None:
        self.inputs: dict[str, list[Row]] = {
            name: []
            for name in (
                "kpi_month",
                "measure_day",
                "duty",
                "sessions",
                "rooms",
                "staff",
                "leaves",
                "targets",
                "award_nominations",
            )
        }
        self.policy = {
            "kpis": registry_of_the_page(),
            "weights": [],
            "weight_overrides": [],
            "grades": [
                {"grade": g, "min_score": low, "coefficient": c, "valid_from": "2020-01-01"}
                for g, low, c in GRADES
            ],
            "rules": [{"rule": r, "value": v, "valid_from": "2020-01-01"} for r, v in RULES.items()],
        }
        self.weights("host", "growth", engagement_rate="0.5", chats="0.3", order_rate="0.2")
        self.weights("room", "growth", viewers="1")
        self.room("R1")
        self.session("R1", 1)

    def weights(
        self, role: str, stage: str, scope: str = "own", since: str = "2020-01-01", **weights: str
    ) -> None:
        scope = "room" if role == "room" else scope
        for kpi_id, weight in weights.items():
            self.policy["weights"].append(
                {
                    "role": role,
                    "stage": stage,
                    "kpi_id": kpi_id,
                    "scope": scope,
                    "weight": weight,
                    "valid_from": since,
                }
            )

    def rule(self, name: str, value: str, since: str = "2020-01-02") -> None:
        self.policy["rules"].append({"rule": name, "value": value, "valid_from": since})

    def room(self, room: str, stage: str = "growth", since: date = date(2020, 1, 1)) -> None:
        self.inputs["rooms"].append({"room_id": room, "effective_from": since, "stage": stage})

    def session(self, room: str, day: int, month: str = APRIL) -> str:
        when = date.fromisoformat(f"{month}-{day:02d}")
        name = f"{room}/{when}"
        self.inputs["sessions"].append(
            {"session_id": name, "room_id": room, "business_date": when, "month": month}
        )
        return name

    def person(
        self, staff_id: str, role: str = "host", room: str | None = "R1", pay: str | None = "6000"
    ) -> Row:
        row = {
            "staff_id": staff_id,
            "role": role,
            "room_id": room,
            "hired_on": date(2025, 1, 1),
            "left_on": None,
            "performance_pay": pay and D(pay),
        }
        self.inputs["staff"].append(row)
        return row

    def duty(self, staff_id: str, session: str, minutes: int, role: str = "host") -> None:
        on = datetime.fromisoformat(session.split("/")[1])
        self.inputs["duty"].append(
            {
                "staff_id": staff_id,
                "role": role,
                "session_id": session,
                "on_at": on,
                "off_at": on + timedelta(minutes=minutes),
                "source": "shift",
            }
        )

    def value(
        self,
        subject: str,
        kpi_id: str,
        value: str | None,
        month: str = APRIL,
        role: str = "host",
        reason: str | None = None,
    ) -> None:
        is_room = subject.startswith("R")
        self.inputs["kpi_month"].append(
            {
                "subject_type": "room" if is_room else "staff",
                "subject_id": subject,
                "role": None if is_room else role,
                "room_id": subject if is_room else None,
                "month": month,
                "kpi_id": kpi_id,
                "numerator": None,
                "denominator": None,
                "value": value and D(value),
                "reason": reason,
            }
        )

    def target(
        self,
        scope_type: str,
        scope_id: str,
        kpi_id: str,
        *steps: str,
        month: str = APRIL,
        landed: datetime = datetime(2020, 1, 1),
    ) -> None:
        floor, target, stretch = (*map(D, steps), None)[:3]
        self.inputs["targets"].append(
            {
                "month": month,
                "scope_type": scope_type,
                "scope_id": scope_id,
                "kpi_id": kpi_id,
                "floor": floor,
                "target": target,
                "stretch": stretch,
                "landed_at": landed,
            }
        )

    def simple_team(self, score_of_r1: str, room: str = "R1", month: str = APRIL) -> None:
        """The room's one KPI, viewers, from 0 to 100 to 120: the value is the score."""
        self.target("room", room, "viewers", "0", "100", "120", month=month)
        self.value(room, "viewers", score_of_r1, month)

    def simple_person(
        self, staff_id: str, points: str, month: str = APRIL, role: str = "host", **more: Any
    ) -> None:
        """A person whose every own KPI has the value that scores `points`."""
        if not any(row["staff_id"] == staff_id for row in self.inputs["staff"]):
            self.person(staff_id, role, **more)
        kpis = [
            row["kpi_id"] for row in self.policy["weights"] if (row["role"], row["stage"]) == (role, "growth")
        ]
        for kpi_id in kpis:
            self.target("staff", staff_id, kpi_id, "0", "100", "120", month=month)
            self.value(staff_id, kpi_id, points, month, role)

    def measure(self, room: str, measure: str, amounts: dict[int, str], staff: str | None = None) -> None:
        for day, amount in amounts.items():
            self.inputs["measure_day"].append(
                {
                    "subject_type": "staff" if staff else "room",
                    "subject_id": staff or room,
                    "role": "customer_service" if staff else None,
                    "room_id": room,
                    "business_date": date(2026, 4, day),
                    "measure": measure,
                    "amount": D(amount),
                }
            )

    def nominate(self, kpi_id: str, *people: str, name: str = "N1") -> None:
        for staff_id in people:
            self.inputs["award_nominations"].append(
                {
                    "nomination_id": name,
                    "staff_id": staff_id,
                    "month": APRIL,
                    "room_id": "R1",
                    "kpi_id": kpi_id,
                    "before_from": date(2026, 4, 1),
                    "before_to": date(2026, 4, 10),
                    "after_from": date(2026, 4, 11),
                    "after_to": date(2026, 4, 20),
                    "claim": None,
                }
            )

    def score(self) -> dict[str, list[Row]]:
        return score(self.inputs, self.policy)


def card(tables: dict[str, list[Row]], subject: str, month: str = APRIL) -> Row:
    (found,) = [row for row in tables["scorecards"] if (row["subject_id"], row["month"]) == (subject, month)]
    return found


def lines(
    tables: dict[str, list[Row]], subject: str, part: str = "personal", month: str = APRIL
) -> dict[str, Row]:
    return {
        row["kpi_id"]: row
        for row in tables["scorecard_lines"]
        if (row["subject_id"], row["part"], row["month"]) == (subject, part, month)
    }


@pytest.mark.parametrize(
    ("value", "steps", "points"),
    [
        ("0.05", ("0.05", "0.10", "0.12"), "0"),  # at the floor
        ("0.04", ("0.05", "0.10", "0.12"), "0"),  # under it
        ("0.10", ("0.05", "0.10", "0.12"), "100"),
        ("0.11", ("0.05", "0.10", "0.12"), "110"),  # half of the way to the stretch
        ("0.50", ("0.05", "0.10", "0.12"), "120"),
        ("0.50", ("0.05", "0.10", None), "100"),  # no stretch, no more than 100
        ("0.04", ("0.10", "0.05", "0.03"), "110"),  # less is better: half of the way from 0.05 to 0.03
        ("0.09", ("0.10", "0.05", "0.03"), "20"),  # a fifth of the way from 0.10 to 0.05
        ("1", ("0", "3", None), "33.333333"),
        ("2", ("0", "3", None), "66.666667"),
        ("-5", ("-10", "0", "20"), "50"),  # followers may be lost
    ],
)
def test_a_line_scores_linearly_between_floor_target_and_stretch(
    value: str, steps: tuple, points: str
) -> None:
    assert line_score(D(value), *(step and D(step) for step in steps)) == D(points)


def a_full_card() -> Company:
    company = Company()
    company.person("H")
    company.simple_team("90")
    company.target("role", "host", "engagement_rate", "0.05", "0.10", "0.12")
    company.target("role", "host", "chats", "1000", "2000")
    company.target("role", "host", "order_rate", "0.10", "0.40")
    company.value("H", "engagement_rate", "0.09")  # 80
    company.value("H", "chats", "1777")  # 77.7
    company.value("H", "order_rate", "0.2")  # 33.333333
    return company


def test_a_card_adds_up_from_lines_to_pay() -> None:
    tables = a_full_card().score()
    one = card(tables, "H")
    # 80 × 0.5 + 77.7 × 0.3 + 33.333333 × 0.2 = 40 + 23.31 + 6.6666666 = 69.9766666
    assert one["personal_score"] == D("69.98")
    assert one["team_score"] == D("90.00")
    # 0.7 × 69.98 + 0.3 × 90 = 48.986 + 27 = 75.986
    assert one["total_score"] == D("75.99")
    assert (one["grade"], one["coefficient"], one["status"]) == ("C", D("0.80"), "scored")
    assert one["performance_pay"] == D("4800.00")  # 6000 × 30 / 30 × 0.80
    assert (one["eligible_days"], one["rank_in_role"], one["base_warning"]) == (30, 1, False)
    own = lines(tables, "H")
    # Exact: 28 + 16.317 + 4.66666662 + 27. Cents: 28 + 16.31 + 4.66 + 27 = 75.97, so two cents are left,
    # for the remainders 0.7 (chats) and 0.67 (order_rate).
    assert {kpi_id: line["points"] for kpi_id, line in own.items()} == {
        "engagement_rate": D("28.00"),
        "chats": D("16.32"),
        "order_rate": D("4.67"),
    }
    assert lines(tables, "H", "team")["viewers"]["points"] == D("27.00")
    assert lines(tables, "H", "team")["viewers"]["room_id"] == "R1"


def test_a_rooms_total_is_its_team_score_and_people_columns_are_null() -> None:
    one = card(a_full_card().score(), "R1")
    assert (one["team_score"], one["total_score"], one["grade"]) == (D("90.00"), D("90.00"), "B")
    for name in (
        "role",
        "personal_score",
        "performance_pay",
        "overachievement_bonus",
        "awards_amount",
        "eligible_days",
    ):
        assert one[name] is None


def test_weights_follow_the_stage_of_each_day() -> None:
    company = a_full_card()
    company.room("R1", "mature", date(2026, 4, 21))
    company.weights("host", "mature", engagement_rate="0.2", repurchase_rate_7d="0.8")
    company.weights("room", "mature", viewers="1")
    own = lines(company.score(), "H")
    # 20 days growth, 10 days mature
    assert {kpi_id: line["weight"] for kpi_id, line in own.items()} == {
        "engagement_rate": D("0.4"),  # (20 × 0.5 + 10 × 0.2) / 30
        "chats": D("0.2"),  # 20 × 0.3 / 30
        "order_rate": D("0.133333"),  # 20 × 0.2 / 30
        "repurchase_rate_7d": D("0.266667"),  # 10 × 0.8 / 30
    }
    assert own["repurchase_rate_7d"]["reason"] == "no_target"


def test_days_before_a_rooms_first_row_have_its_first_stage() -> None:
    company = a_full_card()
    company.inputs["rooms"] = [{"room_id": "R1", "effective_from": date(2026, 4, 21), "stage": "growth"}]
    assert lines(company.score(), "H")["chats"]["weight"] == D("0.3")


def test_an_override_multiplies_on_its_days_and_is_over_by_itself() -> None:
    company = a_full_card()
    override = {
        "room_id": "R1",
        "role": "host",
        "kpi_id": "order_rate",
        "multiplier": "3",
        "reason": "campaign",
    }
    company.policy["weight_overrides"] = [{**override, "valid_from": "2026-04-11", "valid_to": "2026-04-24"}]
    own = lines(company.score(), "H")
    # 14 of 30 days: 0.5 + 0.3 + 0.6 = 1.4
    assert own["order_rate"]["weight"] == D("0.306667")  # (16 × 0.2 + 14 × 0.6 / 1.4) / 30 = 9.2 / 30
    assert own["engagement_rate"]["weight"] == D("0.433333")  # (16 × 0.5 + 14 × 0.5 / 1.4) / 30 = 13 / 30
    assert own["chats"]["weight"] == D("0.26")  # (16 × 0.3 + 14 × 0.3 / 1.4) / 30 = 7.8 / 30
    assert lines(company.score(), "H", "team")["viewers"]["weight"] == D("1")


def test_overrides_that_meet_multiply_and_an_empty_valid_to_is_open() -> None:
    company = a_full_card()
    override = {"room_id": "R1", "role": "host", "kpi_id": "order_rate", "reason": "campaign"}
    company.policy["weight_overrides"] = [
        {**override, "multiplier": "2", "valid_from": "2026-03-01", "valid_to": ""},
        {**override, "multiplier": "0.5", "valid_from": "2026-04-01", "valid_to": "2026-04-30"},
        {**override, "multiplier": "9", "valid_from": "2026-05-01", "valid_to": ""},
    ]
    assert lines(company.score(), "H")["order_rate"]["weight"] == D("0.2")  # 2 × 0.5 = 1 on every day


def test_the_policy_in_force_is_the_latest_on_or_before_the_first_day() -> None:
    company = a_full_card()
    company.weights("host", "growth", since="2026-04-01", engagement_rate="1")
    company.weights("host", "growth", since="2026-04-02", chats="1")
    company.rule("personal_share", "0.5", "2026-04-01")
    company.rule("personal_share", "0.1", "2026-04-02")
    one = card(company.score(), "H")
    assert one["personal_score"] == D("80.00")
    assert one["total_score"] == D("85.00")  # half of 80, half of 90
    assert one["grade"] == "B"  # 85 is enough


def test_unscored_weight_goes_to_the_category_first() -> None:
    company = a_full_card()
    company.inputs["kpi_month"] = [row for row in company.inputs["kpi_month"] if row["kpi_id"] != "chats"]
    company.value("H", "chats", None, reason="no_base")
    tables = company.score()
    own = lines(tables, "H")
    assert own["engagement_rate"]["effective_weight"] == D("0.8")  # 0.5 + 0.3, both engagement
    assert own["order_rate"]["effective_weight"] == D("0.2")
    assert (own["chats"]["effective_weight"], own["chats"]["points"], own["chats"]["reason"]) == (
        0,
        0,
        "no_base",
    )
    assert own["chats"]["line_score"] is None
    # 80 × 0.8 + 33.333333 × 0.2 = 70.6666666
    assert card(tables, "H")["personal_score"] == D("70.67")


def test_unscored_weight_without_a_scored_line_in_its_category_goes_to_all() -> None:
    company = a_full_card()
    company.inputs["targets"] = [row for row in company.inputs["targets"] if row["kpi_id"] != "order_rate"]
    own = lines(company.score(), "H")
    assert own["engagement_rate"]["effective_weight"] == D("0.625")  # 0.5 + 0.2 × 0.5 / 0.8
    assert own["chats"]["effective_weight"] == D("0.375")  # 0.3 + 0.2 × 0.3 / 0.8
    assert (own["order_rate"]["reason"], own["order_rate"]["value"]) == ("no_target", D("0.2"))


def test_weights_move_at_once_and_not_in_steps() -> None:
    company = Company()
    company.policy["weights"] = []
    company.weights("room", "growth", viewers="1")
    # chats is unscored in its category with a scored line; order_rate in one without.
    company.weights("host", "growth", engagement_rate="0.3", chats="0.3", gmv="0.2", net_followers="0.2")
    company.simple_team("90")
    company.simple_person("H", "50")
    company.inputs["targets"] = [
        row for row in company.inputs["targets"] if row["kpi_id"] not in ("chats", "gmv")
    ]
    own = lines(company.score(), "H")
    # gmv's 0.2 is split by weight 0.3 : 0.2 and not by the 0.6 : 0.2 after chats moved.
    assert own["engagement_rate"]["effective_weight"] == D("0.72")  # 0.3 + 0.3 + 0.12
    assert own["net_followers"]["effective_weight"] == D("0.28")  # 0.2 + 0.08


def test_half_of_the_weight_is_enough_and_less_is_insufficient() -> None:
    company = a_full_card()
    company.inputs["kpi_month"] = [
        row for row in company.inputs["kpi_month"] if row["kpi_id"] in ("engagement_rate", "viewers")
    ]
    assert card(company.score(), "H")["personal_score"] == D("80.00")  # 0.5 is scored

    company.inputs["kpi_month"][:] = [
        row for row in company.inputs["kpi_month"] if row["kpi_id"] == "viewers"
    ]
    company.value("H", "chats", "1777")
    tables = company.score()  # 0.3 is scored
    one = card(tables, "H")
    assert one["status"] == "insufficient_data"
    for name in ("personal_score", "total_score", "grade", "coefficient", "performance_pay", "rank_in_role"):
        assert one[name] is None
    assert one["team_score"] == D("90.00")
    assert lines(tables, "H")["chats"]["points"] is None
    assert lines(tables, "H")["order_rate"]["points"] == D("0.00")


def test_a_target_is_looked_up_by_person_then_room_and_role_then_role() -> None:
    company = a_full_card()
    company.target("room_role", "R1:host", "chats", "0", "1777")
    company.target("room_role", "R2:host", "order_rate", "0", "0.2")  # another room's
    company.target("staff", "H", "engagement_rate", "0.08", "0.09")
    company.target("room", "R1", "order_rate", "0", "0.2")  # the team's
    own = lines(company.score(), "H")
    assert (own["engagement_rate"]["target"], own["engagement_rate"]["line_score"]) == (D("0.09"), 100)
    assert (own["chats"]["target"], own["chats"]["line_score"]) == (D("1777"), 100)
    assert own["order_rate"]["line_score"] == D("33.333333")


def test_targets_of_own_totals_follow_the_eligible_days_and_rates_never() -> None:
    company = a_full_card()
    company.policy["weights"] = [row for row in company.policy["weights"] if row["role"] != "host"]
    company.weights("host", "growth", chats="0.4", engagement_rate="0.3", peak_online="0.2")
    company.weights("host", "growth", "room", likes="0.1")
    company.target("role", "host", "peak_online", "100", "200")
    company.target("role", "host", "likes", "100", "200")
    company.inputs["staff"][0]["left_on"] = date(2026, 4, 7)
    own = lines(company.score(), "H")
    assert (own["chats"]["floor"], own["chats"]["target"]) == (D("233.333333"), D("466.666667"))  # 7 / 30
    assert own["chats"]["stretch"] is None
    assert own["engagement_rate"]["target"] == D("0.10")
    assert own["peak_online"]["target"] == D("200")
    assert (own["likes"]["room_id"], own["likes"]["target"]) == ("R1", D("200"))  # scope room


def test_eligible_days_leave_out_the_union_of_leaves_and_days_not_employed() -> None:
    company = a_full_card()
    person = company.inputs["staff"][0]
    person["hired_on"], person["left_on"] = date(2026, 4, 3), date(2026, 4, 28)  # 26 days
    company.inputs["leaves"] = [
        {"staff_id": "H", "from_date": date(2026, 3, 20), "to_date": date(2026, 4, 5)},  # 3, 4, 5
        {"staff_id": "H", "from_date": date(2026, 4, 10), "to_date": date(2026, 4, 12)},
        {"staff_id": "H", "from_date": date(2026, 4, 12), "to_date": date(2026, 4, 13)},  # together 10–13
        {"staff_id": "X", "from_date": date(2026, 4, 1), "to_date": date(2026, 4, 30)},
    ]
    one = card(company.score(), "H")
    assert one["eligible_days"] == 19  # 26 − 3 − 4
    # chats counts against 19/30 of its target now: 1777 is over 1266.67, so 100.
    # 40 + 30 + 6.6666666 = 76.67; 0.7 × 76.67 + 27 = 80.669; C; 6000 × 19 / 30 × 0.8 = 3040
    assert (one["personal_score"], one["total_score"]) == (D("76.67"), D("80.67"))
    assert one["performance_pay"] == D("3040.00")


def test_a_person_without_an_eligible_day_has_no_card() -> None:
    company = a_full_card()
    company.inputs["leaves"] = [
        {"staff_id": "H", "from_date": date(2026, 4, 1), "to_date": date(2026, 4, 30)}
    ]
    assert {row["subject_id"] for row in company.score()["scorecards"]} == {"R1"}


def test_the_team_part_is_the_mean_of_the_rooms_by_duty_seconds() -> None:
    company = a_full_card()
    company.room("R2")
    company.simple_team("60", "R2")
    company.duty("H", "R1/2026-04-01", 60)
    company.duty("H", company.session("R2", 2), 120)
    company.duty("H", company.session("R2", 3), 600, role="operations")  # not the own role
    tables = company.score()
    one = card(tables, "H")
    assert one["team_score"] == D("70.00")  # (90 × 1 h + 60 × 2 h) / 3 h
    # 0.7 × 69.98 + 0.3 × 70 = 69.986; points of the rooms 0.3 × 1/3 × 90 and 0.3 × 2/3 × 60
    assert one["total_score"] == D("69.99")
    points = {
        row["room_id"]: row["points"]
        for row in tables["scorecard_lines"]
        if row["part"] == "team" and row["subject_id"] == "H"
    }
    assert points == {"R1": D("9.00"), "R2": D("12.00")}


def test_a_room_with_too_little_drops_out_of_the_team_part() -> None:
    company = a_full_card()
    company.room("R2")  # no target and no value
    company.duty("H", "R1/2026-04-01", 60)
    company.duty("H", company.session("R2", 2), 120)
    tables = company.score()
    assert card(tables, "R2")["status"] == "insufficient_data"
    assert card(tables, "H")["team_score"] == D("90.00")
    assert {
        row["room_id"]
        for row in tables["scorecard_lines"]
        if row["part"] == "team" and row["subject_id"] == "H"
    } == {"R1"}

    # On duty in R2 only: no scored room left, whatever the home room has.
    company.inputs["duty"] = company.inputs["duty"][1:]
    one = card(company.score(), "H")
    assert (one["status"], one["personal_score"], one["team_score"]) == (
        "insufficient_data",
        D("69.98"),
        None,
    )


def test_without_a_home_room_stage_and_room_lines_are_those_of_most_duty() -> None:
    company = a_full_card()
    company.inputs["staff"][0]["room_id"] = None
    company.room("R0", "mature")
    company.weights("host", "mature", engagement_rate="1")
    company.weights("room", "mature", viewers="1")
    company.duty("H", "R1/2026-04-01", 60)
    company.duty("H", company.session("R0", 2), 60)
    assert set(lines(company.score(), "H")) == {"engagement_rate"}  # equal: the smaller room_id
    company.duty("H", company.session("R1", 3), 1)
    assert len(lines(company.score(), "H")) == 3


def test_a_person_with_neither_home_room_nor_duty_has_insufficient_data() -> None:
    company = a_full_card()
    company.inputs["staff"][0]["room_id"] = None
    tables = company.score()
    assert card(tables, "H")["status"] == "insufficient_data"
    assert lines(tables, "H") == {}


def test_equal_remainders_are_served_in_key_order_and_a_negative_rest_from_the_other_end() -> None:
    # 0.3333… each: one cent is left, for the first key.
    third = {key: Fraction(1, 3) for key in "bca"}
    assert cut_to_cents(D("1.00"), third) == {"a": D("0.34"), "b": D("0.33"), "c": D("0.33")}
    # whole cents already: one too many, taken from the last key; the one with a remainder is spared
    whole = {"a": Fraction(1), "b": Fraction(1), "c": Fraction(1001, 1000)}
    assert cut_to_cents(D("2.99"), whole) == {"a": D("1.00"), "b": D("0.99"), "c": D("1.00")}


def test_a_line_of_score_0_can_end_at_minus_one_cent() -> None:
    company = Company()
    company.policy["weights"] = []
    company.weights("host", "growth", average_watch_seconds="0.9", engagement_rate="0.1")
    company.weights("room", "growth", viewers="1")
    company.rule("personal_share", "0.30")
    company.room("R2")
    company.simple_team("31.894")
    company.simple_team("108.834", "R2")
    company.simple_person("H", "0")
    for row in company.inputs["kpi_month"]:
        if row["kpi_id"] == "average_watch_seconds":
            row["value"] = D("57.26")
    company.duty("H", "R1/2026-04-01", 40)
    company.duty("H", company.session("R2", 2), 60)
    tables = company.score()
    one = card(tables, "H")
    assert one["personal_score"] == D("51.53")  # 57.26 × 0.9 = 51.534
    assert one["team_score"] == D("78.05")  # 0.4 × 31.89 + 0.6 × 108.83 = 78.054
    assert one["total_score"] == D("70.09")  # 0.3 × 51.53 + 0.7 × 78.05 = 70.094
    # Exact 15.4602, 0, 0.7 × 0.4 × 31.894 = 8.93032, 0.7 × 0.6 × 108.834 = 45.71028: cents add up to 70.10.
    points = {
        (row["room_id"], row["kpi_id"]): row["points"] for row in tables["scorecard_lines"] if row["role"]
    }
    assert points == {
        (None, "average_watch_seconds"): D("15.46"),
        (None, "engagement_rate"): D("-0.01"),
        ("R1", "viewers"): D("8.93"),
        ("R2", "viewers"): D("45.71"),
    }


def test_ranks_skip_after_a_tie_and_leave_out_the_unscored() -> None:
    company = Company()
    company.simple_team("100")
    for staff_id, points in (("A", "80"), ("B", "90"), ("C", "80"), ("E", "70")):
        company.simple_person(staff_id, points)
    company.person("U")
    ranks = {row["subject_id"]: row["rank_in_role"] for row in company.score()["scorecards"]}
    assert ranks == {"B": 1, "A": 2, "C": 2, "E": 4, "U": None, "R1": 1}


def a_pool(net: str = "150000", target: str = "100000") -> Company:
    """Totals all 100 (each KPI and the room at 100), pool 2 % × 50000 = 1000."""
    company = Company()
    for role in ("operations", "customer_service", "technical"):
        company.weights(role, "growth", engagement_rate="1")
    company.simple_team("100")
    company.measure("R1", "net_gmv", {1: net})
    company.target("room", "R1", "gmv", "0", target)
    return company


def pool_of(company: Company) -> dict[str, Decimal]:
    return {row["staff_id"]: row["amount"] for row in company.score()["bonus_pools"]}


def test_a_pool_is_cut_by_role_then_by_total_and_duty_and_absent_roles_pass_theirs_on() -> None:
    company = a_pool()
    company.simple_person("H1", "100")
    company.simple_person("H2", "50")  # total 0.7 × 50 + 30 = 65
    company.simple_person("O1", "100", role="operations")
    company.duty("H1", "R1/2026-04-01", 60)
    company.duty("H2", "R1/2026-04-01", 120)
    company.duty("O1", "R1/2026-04-01", 5, role="operations")
    # host : operations = 0.40 : 0.25, so 1000 × 40/65 = 615.3846 and 384.6153 (nobody else takes part).
    # Hosts 100 × 60 : 65 × 120 = 6000 : 7800 → 267.5585, 347.8260. Cents 267.55 + 347.82 + 384.61 = 999.98;
    # remainders H1 0.85, H2 0.61, O1 0.54: H1 and H2 get the two cents.
    assert pool_of(company) == {"H1": D("267.56"), "H2": D("347.83"), "O1": D("384.61")}
    tables = company.score()
    assert {row["pool_amount"] for row in tables["bonus_pools"]} == {D("1000.00")}
    assert card(tables, "H2")["overachievement_bonus"] == D("347.83")


def test_customer_service_shares_by_answered_conversations_in_the_room() -> None:
    company = a_pool()
    for staff_id in ("C1", "C2", "C3"):
        company.simple_person(staff_id, "100", role="customer_service")
    company.duty("C3", "R1/2026-04-01", 60, role="customer_service")  # no conversation: no part
    company.measure("R1", "answered_conversations", {1: "2", 5: "1"}, "C1")
    company.measure("R1", "answered_conversations", {9: "1"}, "C2")
    company.measure("R9", "answered_conversations", {9: "70"}, "C2")
    assert pool_of(company) == {"C1": D("750.00"), "C2": D("250.00")}


def test_people_without_a_total_get_nothing_from_a_pool() -> None:
    company = a_pool()
    company.simple_person("H1", "100")
    company.person("H2")  # no value: insufficient
    for staff_id in ("H1", "H2"):
        company.duty(staff_id, "R1/2026-04-01", 60)
    assert pool_of(company) == {"H1": D("1000.00"), "H2": D("0.00")}


def test_there_is_no_pool_at_the_target_and_none_that_nobody_shares() -> None:
    company = a_pool("100000", "100000")
    company.simple_person("H1", "100")
    company.duty("H1", "R1/2026-04-01", 60)
    assert pool_of(company) == {}
    company = a_pool()
    company.simple_person("H1", "100")  # never on duty
    assert pool_of(company) == {}


def test_pool_cents_go_to_the_smaller_staff_id_where_remainders_are_equal() -> None:
    company = a_pool("100050", "100000")  # 2 % × 50 = 1.00
    for staff_id in ("H3", "H1", "H2"):
        company.simple_person(staff_id, "100")
        company.duty(staff_id, "R1/2026-04-01", 60)
    assert pool_of(company) == {"H1": D("0.34"), "H2": D("0.33"), "H3": D("0.33")}


def test_the_best_contributor_has_five_days_on_duty_there_and_ties_go_by_personal_score_and_seconds() -> None:
    company = Company()
    company.simple_team("90")
    for staff_id, points in (("A", "80"), ("B", "80"), ("C", "80"), ("Z", "120")):
        company.simple_person(staff_id, points)
    sessions = ["R1/2026-04-01", *(company.session("R1", day) for day in (2, 3, 4, 5))]
    for session in sessions:
        for staff_id in "ABC":
            company.duty(staff_id, session, 60)
    company.duty("B", sessions[0], 10)
    company.duty("C", sessions[1], 10)
    for session in sessions[:4]:
        company.duty("Z", session, 240)  # four days only
    best = [row for row in company.score()["awards"] if row["award"] == "best_contributor"]
    # B and C lead A by ten minutes, then the id.
    assert [(row["room_id"], row["staff_id"], row["amount"]) for row in best] == [("R1", "B", D("1000.00"))]


def test_the_best_rooms_award_is_shared_by_its_people_on_duty_in_their_own_role() -> None:
    company = Company()
    company.room("R2")
    company.room("R0")
    company.simple_team("90")
    company.simple_team("95", "R2")
    company.simple_team("95", "R0")
    company.session("R2", 4)
    session = company.session("R0", 4)
    rows = {staff_id: company.person(staff_id) for staff_id in ("A", "B", "C", "X", "Y", "Z", "V")}
    for staff_id in rows:
        company.duty(staff_id, session, 30, role="operations" if staff_id == "X" else "host")
    rows["Y"]["left_on"] = date(2026, 3, 31)  # no eligible day
    best = {
        row["staff_id"]: row["amount"] for row in company.score()["awards"] if row["award"] == "best_room"
    }
    # R0 and R2 tie at 95: R0. 3000 / 5
    assert best == dict.fromkeys(("A", "B", "C", "V", "Z"), D("600.00"))
    company.rule("best_room_award", "100.02")
    tables = company.score()
    best = {row["staff_id"]: row["amount"] for row in tables["awards"] if row["award"] == "best_room"}
    # 20.004 each: 20.00, and two cents for the first two
    assert best == {"A": D("20.01"), "B": D("20.01"), "C": D("20.00"), "V": D("20.00"), "Z": D("20.00")}
    assert card(tables, "A")["awards_amount"] == D("20.01")


def innovation(company: Company) -> list[tuple[str, str, Decimal]]:
    return [
        (row["staff_id"], row["verdict"], row["amount"])
        for row in company.score()["awards"]
        if row["award"] == "innovation"
    ]


def test_an_innovation_is_verified_by_two_proportions() -> None:
    # 50 of 1000 to 70 of 1000: pooled 0.06, variance 0.06 × 0.94 × 0.002 = 0.0001128, z = 0.02 / 0.010621,
    # p = 0.0597. To 75: pooled 0.0625, variance 0.0001171875, z = 0.025 / 0.010825 = 2.309, p = 0.0209.
    assert two_proportions(*map(Fraction, (50, 1000, 70, 1000))) == pytest.approx(0.0597, abs=1e-4)
    assert two_proportions(*map(Fraction, (50, 1000, 75, 1000))) == pytest.approx(0.0209, abs=1e-4)
    for clicks, verdict, each in (("70", "not_verified", D("0.00")), ("75", "verified", D("666.67"))):
        company = Company()
        company.measure("R1", "clicks", {1: "20", 2: "30", 11: clicks})
        company.measure("R1", "exposures", {1: "500", 2: "500", 11: "1000", 21: "99999"})
        company.nominate("product_click_rate", "C", "A", "B")
        # 2000 / 3 = 666.666…: the first two by id get the cents
        assert innovation(company) == [
            ("A", verdict, each),
            ("B", verdict, each),
            ("C", verdict, max(each - D("0.01"), 0)),
        ]


def test_an_innovation_needs_its_base_and_the_right_direction() -> None:
    company = Company()
    company.measure("R1", "clicks", {1: "1", 11: "900"})
    company.measure("R1", "exposures", {1: "29", 11: "1000"})  # min_base is 30
    company.nominate("product_click_rate", "A")
    assert innovation(company) == [("A", "not_verified", D("0.00"))]
    company = Company()
    company.measure("R1", "complained_orders", {1: "10", 11: "100"})  # more complaints
    company.measure("R1", "orders_paid", {1: "1000", 11: "1000"})
    company.nominate("complaint_rate", "A")
    assert innovation(company) == [("A", "not_verified", D("0.00"))]


def test_an_innovation_of_a_total_is_tested_by_welch_over_business_dates() -> None:
    # 10, 12, 14 to 20, 22, 24: variances 4 and 4, t = 10 / √(8/3) = 6.12 with 4 degrees: p = 0.0036
    values = [Fraction(value) for value in (10, 12, 14, 20, 22, 24)]
    assert welch(values[:3], values[3:]) == pytest.approx(0.0036, abs=1e-4)
    assert welch(values[:1], values[3:]) is None
    company = Company()
    company.measure("R1", "chats", {1: "10", 2: "12", 3: "14", 11: "20", 12: "22", 13: "24"})
    company.nominate("chats", "A")
    assert innovation(company) == [("A", "verified", D("2000.00"))]


def low_months(*scores: str | None) -> list[tuple[str, str, str, str]]:
    """Reviews of a person with these scores from January on; None: no value, "away": on leave."""
    company = Company()
    company.person("H")
    for number, points in enumerate(scores, 1):
        month = f"2026-{number:02d}"
        company.session("R1", 1, month) if month != APRIL else None
        company.simple_team(points if points not in (None, "away") else "50", month=month)
        if points == "away":
            first = date(2026, number, 1)
            leave = {"staff_id": "H", "from_date": first, "to_date": date(2026, number + 1, 1) - timedelta(1)}
            company.inputs["leaves"].append(leave)
        elif points is not None:
            company.simple_person("H", points, month)
    rows = company.score()["reviews_due"]
    assert all(row["options"] == OPTIONS and row["staff_id"] == "H" for row in rows)
    return [
        (row["month"][-2:], row["month_1"][-2:], row["month_2"][-2:], row["month_3"][-2:]) for row in rows
    ]


def test_three_low_months_are_a_review_and_unscored_or_absent_ones_neither_count_nor_reset() -> None:
    assert low_months("60", "69.99", "65") == [("03", "01", "02", "03")]
    assert low_months("60", "70", "65", "60") == []  # 70 is a pass, and the row starts again
    assert low_months("60", None, "65", "away", "50") == [("05", "01", "03", "05")]
    assert low_months("60", "60", "60", "60") == [("03", "01", "02", "03"), ("04", "02", "03", "04")]


def test_a_base_under_its_floor_warns_the_room_and_its_people_also_where_the_room_is_unscored() -> None:
    company = Company()
    company.room("R2")
    company.simple_team("90")
    company.target("room", "R2", "smoothness_rate", "0.95", "0.98")
    company.target("room", "R1", "instant_start_rate", "0.8", "0.9")
    company.value("R2", "smoothness_rate", "0.949999")
    company.value("R1", "instant_start_rate", "0.8")  # at the floor is not under it
    session = company.session("R2", 2)
    company.person("home", room="R2")
    company.person("guest", room="R1")
    company.person("away", room="R2")
    company.person("other role", room="R1")
    company.duty("guest", session, 10)
    company.duty("away", "R1/2026-04-01", 10)
    company.duty("other role", session, 10, role="operations")
    tables = company.score()
    assert {row["subject_id"]: row["base_warning"] for row in tables["scorecards"]} == {
        "R1": False,
        "R2": True,
        "home": True,
        "guest": True,
        "away": False,
        "other role": False,
    }
    assert card(tables, "R2")["status"] == "insufficient_data"


def test_weights_that_do_not_add_up_stop_the_run_with_the_groups_name() -> None:
    company = a_full_card()
    company.weights("technical", "mature", smoothness_rate="0.99")
    with pytest.raises(ValueError, match="technical / mature"):
        company.score()


@pytest.mark.parametrize(
    ("kpi_id", "steps"),
    [
        ("chats", ("1", "1")),
        ("chats", ("1", "2", "2")),
        ("chats", ("3", "2", "1")),  # more is better
        ("stall_rate", ("0.1", "0.2")),  # less is better
    ],
)
def test_a_target_against_its_kpis_direction_stops_the_run(kpi_id: str, steps: tuple[str, ...]) -> None:
    company = a_full_card()
    company.target("room", "R7", kpi_id, *steps)
    with pytest.raises(ValueError, match=f"room R7 {kpi_id}"):
        company.score()


def test_a_target_that_landed_after_the_first_day_is_late() -> None:
    company = a_full_card()
    company.target("staff", "H", "chats", "1000", "2000", landed=datetime(2026, 4, 1, 23, 59))
    company.target("staff", "H", "order_rate", "0.1", "0.4", landed=datetime(2026, 4, 2))
    own = lines(company.score(), "H")
    assert (own["chats"]["target_late"], own["order_rate"]["target_late"]) == (False, True)


@pytest.mark.parametrize("seed", range(8))
def test_random_companies_add_up(seed: int) -> None:
    inputs, policy = random_appraisal(seed)
    tables = score(inputs, policy)
    pools: dict[tuple[str, str], list[Row]] = {}
    for row in tables["bonus_pools"]:
        pools.setdefault((row["room_id"], row["month"]), []).append(row)
    for rows in pools.values():
        assert sum(row["amount"] for row in rows) == rows[0]["pool_amount"]
    for one in tables["scorecards"]:
        own = [
            row
            for row in tables["scorecard_lines"]
            if all(row[name] == one[name] for name in ("subject_type", "subject_id", "month"))
        ]
        if one["total_score"] is not None:
            assert sum(row["points"] for row in own) == one["total_score"]
            for part in {(row["part"], row["part"] == "team" and row["room_id"]) for row in own}:
                of_part = [
                    row for row in own if (row["part"], row["part"] == "team" and row["room_id"]) == part
                ]
                # each weight is rounded to a millionth
                assert abs(sum(row["effective_weight"] for row in of_part) - 1) < D("0.00002")
    reason_or_score = {
        (row["line_score"] is None) == (row["reason"] is not None) for row in tables["scorecard_lines"]
    }
    assert reason_or_score == {True}


def test_random_companies_hold_what_is_odd() -> None:
    seen: set[str] = set()
    for seed in range(8):
        inputs, policy = random_appraisal(seed)
        tables = score(inputs, policy)
        cards = tables["scorecards"]
        seen |= {f"reason {row['reason']}" for row in tables["scorecard_lines"]}
        seen |= {f"{row['subject_type']} {row['status']}" for row in cards}
        seen |= {f"innovation {row['verdict']}" for row in tables["awards"] if row["award"] == "innovation"}
        seen |= {
            "negative points" for row in tables["scorecard_lines"] if row["points"] and row["points"] < 0
        }
        seen |= {
            "tie"
            for row in cards
            if row["rank_in_role"]
            and any(
                (other["role"], other["month"], other["rank_in_role"])
                == (row["role"], row["month"], row["rank_in_role"])
                and other["subject_id"] != row["subject_id"]
                for other in cards
            )
        }
        seen |= {"review" for _ in tables["reviews_due"]}
        seen |= {
            "review over a gap"
            for row in tables["reviews_due"]
            if int(row["month_3"][-2:]) - int(row["month_1"][-2:]) > 2
        }
        seen |= {
            "customer service in a pool"
            for row in tables["bonus_pools"]
            if row["role"] == "customer_service" and row["amount"]
        }
        seen |= {"nothing from a pool" for row in tables["bonus_pools"] if not row["amount"]}
        seen |= {"warned" for row in cards if row["base_warning"]}
        seen |= {"part of a month" for row in cards if row["eligible_days"] not in (None, 28, 30, 31)}
        seen |= {"late" for row in tables["scorecard_lines"] if row["target_late"]}
    assert seen >= {
        "reason no_target",
        "reason no_base",
        "reason no_data",
        "reason small_sample",
        "reason not_applicable",
        "staff scored",
        "staff insufficient_data",
        "room scored",
        "room insufficient_data",
        "innovation verified",
        "innovation not_verified",
        "negative points",
        "tie",
        "review",
        "review over a gap",
        "customer service in a pool",
        "nothing from a pool",
        "warned",
        "part of a month",
        "late",
    }


def test_a_comparison_names_each_difference_and_none_where_there_is_none() -> None:
    company = a_full_card()
    expected = company.score()
    con = duckdb.connect()
    con.execute("create schema scorecards")
    numbers = {"eligible_days": "bigint", "rank_in_role": "bigint", "base_warning": "boolean"}
    for table, (keys, columns) in TABLES.items():
        text = {
            *keys,
            "role",
            "grade",
            "status",
            "reason",
            "verdict",
            "options",
            "month_1",
            "month_2",
            "month_3",
        }
        types = {
            name: "varchar" if name in text else numbers.get(name, "decimal(24, 6)")
            for name in keys + columns
        }
        con.execute(f"create table scorecards.{table} ({', '.join(f'{n} {t}' for n, t in types.items())})")
        for row in expected[table]:
            con.execute(
                f"insert into scorecards.{table} values ({', '.join('?' * len(types))})",
                [row[name] for name in types],
            )
    assert compare_appraisal(con, expected) == []
    con.execute("update scorecards.scorecards set total_score = 76 where subject_id = 'H'")
    con.execute("delete from scorecards.scorecard_lines where kpi_id = 'chats'")
    con.execute("insert into scorecards.bonus_pools (room_id, month, staff_id) values ('R1', '2026-04', 'H')")
    missing, total, unexpected = compare_appraisal(con, expected)
    assert "kpi_id=chats: missing" in missing
    assert total.startswith("scorecards subject_type=staff subject_id=H month=2026-04: ")
    assert total.endswith("total_score is 76.000000, expected 75.99")
    assert "bonus_pools room_id=R1 month=2026-04 staff_id=H: unexpected" in unexpected


def test_a_policy_folder_is_read_as_text(tmp_path: Any) -> None:
    for name in ("kpis", "weights", "weight_overrides", "grades"):
        (tmp_path / f"{name}.csv").write_text("a\n")
    (tmp_path / "rules.csv").write_text("rule,value,valid_from\npersonal_share,0.70,2020-01-01\n")
    policy = policy_from_folder(tmp_path)
    assert policy["rules"] == [{"rule": "personal_share", "value": "0.70", "valid_from": "2020-01-01"}]
    assert policy["weights"] == []


def test_inputs_are_a_warehouses_current_rows_with_the_landing_time_of_targets() -> None:
    con = duckdb.connect()
    for statement in (
        "create schema raw; create schema core; create schema kpis",
        "create table raw.files as select 3 as file_no, timestamp '2026-04-02 08:00:00' as loaded_at",
        "create table raw.rooms as select 'R1' as room_id, date '2026-01-01' as effective_from,"
        " 'growth' as stage,"
        " status as _status from (values ('current'), ('superseded')) as s(status)",
        "create table raw.staff as select 'H' as staff_id, 'host' as role, 'R1' as room_id,"
        " date '2025-01-01' as hired_on, null::date as left_on, 6000.5::decimal(18, 6) as performance_pay,"
        " 'current' as _status",
        "create table raw.leaves as select 'H' as staff_id, date '2026-04-01' as from_date,"
        " date '2026-04-02' as to_date, 'superseded' as _status",
        "create table raw.targets as select '2026-04' as month, 'room' as scope_type, 'R1' as scope_id,"
        " 'gmv' as kpi_id, 0::decimal(18, 6) as \"floor\", 5::decimal(18, 6) as target,"
        " null::decimal(18, 6) as stretch, 3 as _file_no, 'current' as _status",
        "create table raw.award_nominations (nomination_id text, staff_id text, month text, room_id text,"
        " kpi_id text, before_from date, before_to date, after_from date, after_to date,"
        " claim text, _status text)",
        "create table core.fct_session as select 'S' as session_id, 'R1' as room_id,"
        " date '2026-04-01' as business_date, '2026-04' as month",
        "create table core.fct_duty as select 'H' as staff_id, 'host' as role, 'S' as session_id,"
        " timestamp '2026-04-01 10:00:00' as on_at, timestamp '2026-04-01 12:00:00' as off_at,"
        " 'shift' as source",
        "create table kpis.kpi_month (subject_type text, subject_id text, role text, room_id text,"
        " month text, kpi_id text, numerator decimal(38, 6), denominator decimal(38, 6),"
        " value decimal(24, 6),"
        " reason text)",
        "create table kpis.kpi_measure_day as select 'room' as subject_type, 'R1' as subject_id,"
        " null::varchar as role,"
        " 'R1' as room_id, date '2026-04-01' as business_date, 'net_gmv' as measure,"
        " 1005::decimal(38, 6) as amount",
    ):
        con.execute(statement)
    inputs = inputs_from_warehouse(con)
    assert inputs["rooms"] == [{"room_id": "R1", "effective_from": date(2026, 1, 1), "stage": "growth"}]
    assert inputs["leaves"] == []
    assert inputs["targets"][0]["landed_at"] == datetime(2026, 4, 2, 8)
    assert inputs["staff"][0]["performance_pay"] == D("6000.5")
    # 2 % × (1005 − 5) = 20 is the pool, but the host has no total and nobody shares it.
    tables = score(inputs, Company().policy)
    assert tables["bonus_pools"] == []
    assert (card(tables, "H")["eligible_days"], card(tables, "H")["status"]) == (30, "insufficient_data")
