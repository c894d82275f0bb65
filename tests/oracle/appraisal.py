"""Appraisal a second time, in plain Python: lines, totals, pools, awards, reviews as scorecards.* holds them.

`score(inputs, policy)` returns the rows of five scorecards tables for every loaded month (with a session).
Exact fractions throughout; a figure is rounded, half away from zero, where it is stored, and what is worked
out from it uses the stored figure. Only the tests' p-values are floating point.

inputs: lists of dicts under kpi_month, measure_day, duty, sessions, rooms (every effective row), staff,
leaves, targets (with landed_at), award_nominations; dates and instants typed, numbers Decimal, int or text.
policy: kpis, weights, weight_overrides, grades and rules as the CSV files have them (text).

Readings taken where the page leaves room:
- a home room that no rooms row knows is no home room; a person without one takes the room of most duty
  seconds for stage, overrides, room-scope lines and room_role targets alike;
- a person with neither has no lines;
- one KPI may be own in one stage and room in another: these are two lines of that month;
- a KPI with weight 0 keeps its line;
- `no_target` goes before the value's own reason; a missing kpi_month row is `no_base`;
- half of `weight` is half of what the weights stored at six decimals add up to;
- weights move also where too little is scored; personal_score and team_score stand by themselves, each null
  where its own part has too little; without a total a scored line's points are null;
- a room that dropped out of a person's team part has no lines there; duty shares are those of the rest;
- without a total performance_pay is null, overachievement_bonus 0.00, awards_amount what was awarded;
- a room's role is null and its rank is among the rooms;
- points: after one cent each, a rest that is left starts over at the largest remainder;
- a pool has a row for everyone of the room with duty in their own role (customer_service: with answered
  conversations), 0.00 without a total; the shares of the roles that take part are scaled to the whole pool;
  a pool of 0.00 has no rows;
- an award's KPI over a window: the ratio of the sums; for a total the mean of the business-date values, since
  windows differ in length. A business date has a session or a row of the measure; without a row it is 0;
- Welch needs two values on each side; where nothing varies, unequal means differ for certain;
- a nomination is judged by the row of its smallest staff_id, and paid once;
- a verdict is null for best_contributor and best_room;
- a fourth low month in a row is a review of its own (the last three are low again).
"""

from __future__ import annotations

import csv
import math
from calendar import monthrange
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from scipy.stats import norm
from scipy.stats import t as student_t

from .amounts import rounded
from .appraisal_in_warehouse import compare_appraisal, inputs_from_warehouse
from .appraisal_worlds import extreme_appraisal, odd_appraisal, random_appraisal
from .kpis import NEEDS

__all__ = [
    "compare_appraisal",
    "extreme_appraisal",
    "inputs_from_warehouse",
    "odd_appraisal",
    "policy_from_folder",
    "random_appraisal",
    "score",
]

Row = dict[str, Any]
ZERO = Decimal("0.00")
POLICY_FILES = ("kpis", "weights", "weight_overrides", "grades", "rules")
ROLES = ("host", "operations", "floor_control", "customer_service", "technical")
OPTIONS = "transfer, training, negotiated end"


def policy_from_folder(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The five policy files of a folder, text as written."""
    policy = {}
    for name in POLICY_FILES:
        with (Path(folder) / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            policy[name] = list(csv.DictReader(file))
    return policy


def score(inputs: dict[str, list[Row]], policy: dict[str, list[dict[str, str]]]) -> dict[str, list[Row]]:
    """Rows by table, without adjustments; ValueError where the run stops."""
    _check_weights(policy["weights"])
    _check_targets(inputs["targets"], {row["kpi_id"]: row for row in policy["kpis"]})
    tables: dict[str, list[Row]] = {
        name: [] for name in ("scorecard_lines", "scorecards", "bonus_pools", "awards", "reviews_due")
    }
    months = [_month(inputs, policy, month) for month in sorted({row["month"] for row in inputs["sessions"]})]
    for month in months:
        for name, rows in _score_month(month).items():
            tables[name] += rows
    tables["reviews_due"] = _reviews(months, tables["scorecards"])
    return tables


# --- one month's view of inputs and policy ----------------------------------------------------------------


@dataclass
class Presence:
    """One person's own-role duty in one room and month."""

    milliseconds: int
    dates: set[date]


@dataclass
class Month:
    month: str
    days: list[date]
    kpis: dict[str, dict[str, str]]
    weights: dict[tuple[str, str], list[dict[str, str]]]  # (role, stage) → rows in force
    overrides: list[dict[str, str]]
    grades: list[dict[str, str]]
    rules: dict[str, Fraction]
    rooms: dict[str, list[Row]]  # room → its rows by effective_from
    open_rooms: list[str]  # rooms with a session
    session_dates: dict[str, set[date]]  # room → all its business dates, of any month
    staff: list[Row]
    eligible: dict[str, int]  # staff → days, 0 where none
    duty: dict[str, dict[str, Presence]]  # staff → room →
    answered: dict[tuple[str, str], Fraction]  # (staff, room) → answered conversations
    measured: dict[tuple[Any, ...], Row]  # kpi_month by (type, subject, role, room, kpi)
    daily: dict[tuple[str, str], dict[date, Fraction]]  # (room, measure) → business date → amount, all dates
    targets: dict[tuple[str, str, str], Row]
    nominations: list[Row]
    undelivered: set[str]  # exports

    def rule(self, name: str) -> Fraction:
        if name not in self.rules:
            raise ValueError(f"rules.csv: no {name} in force on {self.days[0]}")
        return self.rules[name]

    def room_daily(self, room: str, measure: str) -> dict[date, Fraction]:
        return self.daily.get((room, measure), {})


def _month(inputs: dict[str, list[Row]], policy: dict[str, list[dict[str, str]]], month: str) -> Month:
    year, number = map(int, month.split("-"))
    days = [date(year, number, day) for day in range(1, monthrange(year, number)[1] + 1)]
    in_month = set(days)
    sessions = {row["session_id"]: row for row in inputs["sessions"]}
    roles = {row["staff_id"]: row["role"] for row in inputs["staff"]}

    rooms: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(inputs["rooms"], key=lambda one: one["effective_from"]):
        rooms[row["room_id"]].append(row)
    session_dates: dict[str, set[date]] = defaultdict(set)
    for row in inputs["sessions"]:
        session_dates[row["room_id"]].add(row["business_date"])

    duty: dict[str, dict[str, Presence]] = defaultdict(dict)
    for row in inputs["duty"]:
        session = sessions[row["session_id"]]
        if session["month"] != month or roles.get(row["staff_id"]) != row["role"]:
            continue
        presence = duty[row["staff_id"]].setdefault(session["room_id"], Presence(0, set()))
        presence.milliseconds += (row["off_at"] - row["on_at"]) // timedelta(milliseconds=1)
        presence.dates.add(session["business_date"])

    answered: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    daily: dict[tuple[str, str], dict[date, Fraction]] = defaultdict(dict)
    for row in inputs["measure_day"]:
        if row["subject_type"] == "room":
            daily[row["room_id"], row["measure"]][row["business_date"]] = Fraction(row["amount"])
        elif (
            row["measure"] == "answered_conversations"
            and row["business_date"] in in_month
            and roles.get(row["subject_id"]) == row["role"]
        ):
            answered[row["subject_id"], row["room_id"]] += Fraction(row["amount"])

    return Month(
        month=month,
        days=days,
        kpis={row["kpi_id"]: row for row in policy["kpis"]},
        weights=_in_force(policy["weights"], days[0], lambda row: (row["role"], row["stage"])),
        overrides=policy["weight_overrides"],
        grades=_in_force(policy["grades"], days[0], lambda row: "table").get("table", []),
        rules={
            rule: Fraction(rows[0]["value"])
            for rule, rows in _in_force(policy["rules"], days[0], lambda row: row["rule"]).items()
        },
        rooms=dict(rooms),
        open_rooms=sorted({row["room_id"] for row in inputs["sessions"] if row["month"] == month}),
        session_dates=session_dates,
        staff=sorted(inputs["staff"], key=lambda row: row["staff_id"]),
        eligible={row["staff_id"]: _eligible_days(row, inputs["leaves"], days) for row in inputs["staff"]},
        duty=duty,
        answered=answered,
        measured={
            (row["subject_type"], row["subject_id"], row["role"], row["room_id"], row["kpi_id"]): row
            for row in inputs["kpi_month"]
            if row["month"] == month
        },
        daily=daily,
        targets={
            (row["scope_type"], row["scope_id"], row["kpi_id"]): row
            for row in inputs["targets"]
            if row["month"] == month
        },
        nominations=[row for row in inputs["award_nominations"] if row["month"] == month],
        undelivered={row["export"] for row in inputs.get("undelivered", [])},
    )


def _in_force(rows: Iterable[dict[str, str]], first_day: date, group: Any) -> dict[Any, list[dict[str, str]]]:
    """Per group the rows with the latest valid_from on or before the first day."""
    found: dict[Any, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if date.fromisoformat(row["valid_from"]) <= first_day:
            found[group(row)].append(row)
    latest = {}
    for key, group_rows in found.items():
        newest = max(row["valid_from"] for row in group_rows)
        latest[key] = [row for row in group_rows if row["valid_from"] == newest]
    return latest


def _eligible_days(person: Row, leaves: Iterable[Row], days: list[date]) -> int:
    away = [(row["from_date"], row["to_date"]) for row in leaves if row["staff_id"] == person["staff_id"]]
    return sum(
        person["hired_on"] <= day
        and (person["left_on"] is None or day <= person["left_on"])
        and not any(first <= day <= last for first, last in away)
        for day in days
    )


def _check_weights(rows: Iterable[dict[str, str]]) -> None:
    sums: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
    for row in rows:
        sums[row["role"], row["stage"], row["valid_from"]] += Fraction(row["weight"])
    for group, total in sums.items():
        if total != 1:
            raise ValueError(f"weights.csv: {' / '.join(group)} adds up to {float(total)}, not 1")


def _check_targets(targets: Iterable[Row], kpis: dict[str, dict[str, str]]) -> None:
    """Floor, target and stretch go strictly up, or strictly down where less is better."""
    for row in targets:
        if row["kpi_id"] not in kpis:
            continue
        steps = [Fraction(row[name]) for name in ("floor", "target", "stretch") if row[name] is not None]
        if kpis[row["kpi_id"]]["direction"] == "down":
            steps = [-step for step in steps]
        if any(later <= earlier for earlier, later in zip(steps, steps[1:], strict=False)):
            name = f"{row['month']} {row['scope_type']} {row['scope_id']} {row['kpi_id']}"
            raise ValueError(f"target {name} is not strictly monotonic in its KPI's direction")


# --- weights, lines, scores -------------------------------------------------------------------------------


def _stage_on(rows: list[Row], day: date) -> str:
    """The stage of the latest effective_from up to the day; before the first one, the first."""
    reached = [row for row in rows if row["effective_from"] <= day]
    return (reached[-1] if reached else rows[0])["stage"]


def month_weights(month: Month, role: str, room: str) -> dict[tuple[str, str], Decimal]:
    """(kpi_id, scope) → the mean over the calendar days of that day's weights, six decimals."""
    sums: dict[tuple[str, str], Fraction] = {}
    for day in month.days:
        weights: dict[tuple[str, str], Fraction] = {}
        for row in month.weights.get((role, _stage_on(month.rooms[room], day)), []):
            weight = Fraction(row["weight"])
            for override in month.overrides:
                if (
                    (override["room_id"], override["role"], override["kpi_id"]) == (room, role, row["kpi_id"])
                    and date.fromisoformat(override["valid_from"]) <= day
                    and (not override["valid_to"] or day <= date.fromisoformat(override["valid_to"]))
                ):
                    weight *= Fraction(override["multiplier"])
            weights[row["kpi_id"], row["scope"]] = weight
        whole = sum(weights.values())
        if weights and not whole:
            raise ValueError(f"overrides leave {role} in {room} without weight on {day}")
        for key, weight in weights.items():
            sums[key] = sums.get(key, Fraction(0)) + weight / whole
    return {key: rounded(total / len(month.days), 6) for key, total in sums.items()}


def line_score(value: Any, floor: Any, target: Any, stretch: Any) -> Decimal:
    """0 at the floor, 100 at the target, 120 at the stretch (none: capped at 100), linear between."""
    value, floor, target = Fraction(value), Fraction(floor), Fraction(target)
    points = 100 * (value - floor) / (target - floor)
    cap = 100
    if stretch is not None:
        cap = 120
        if points > 100:
            points = 100 + 20 * (value - target) / (Fraction(stretch) - target)
    return rounded(min(max(points, Fraction(0)), Fraction(cap)), 6)


def _line(
    month: Month,
    part: str,
    room: str | None,
    kpi_id: str,
    weight: Decimal,
    measured: Row | None,
    target: Row | None,
    scale: Fraction | None,
) -> Row:
    """A line before weights move and points are cut. scale: the share of eligible days, for totals."""
    line: Row = {
        "part": part,
        "room_id": room,
        "kpi_id": kpi_id,
        "value": measured and measured["value"],
        "numerator": measured and measured["numerator"],
        "denominator": measured and measured["denominator"],
        "floor": None,
        "target": None,
        "stretch": None,
        "line_score": None,
        "weight": weight,
        "reason": None,
        "target_late": False,
    }
    if target is not None:
        for name in ("floor", "target", "stretch"):
            if target[name] is not None:
                line[name] = rounded(Fraction(target[name]) * (1 if scale is None else scale), 6)
        landed = target.get("landed_at")
        line["target_late"] = landed is not None and landed.date() > month.days[0]
    if target is None:
        line["reason"] = "no_target"
    elif line["value"] is None:
        line["reason"] = measured["reason"] if measured else "no_base"
    else:
        line["line_score"] = line_score(line["value"], line["floor"], line["target"], line["stretch"])
    return line


def move_weights(lines: list[Row], kpis: dict[str, dict[str, str]]) -> None:
    """Set effective_weight: unscored weight goes to its category's scored lines, else to all, at once."""
    scored = [line for line in lines if line["line_score"] is not None]

    def weight_of(some: Iterable[Row]) -> Fraction:
        return sum((Fraction(line["weight"]) for line in some), Fraction(0))

    def category(line: Row) -> str:
        return kpis[line["kpi_id"]]["category"]

    carried = {id(line): Fraction(line["weight"]) for line in scored}
    for line in lines:
        if line["line_score"] is not None:
            continue
        takers = [one for one in scored if category(one) == category(line)]
        if not weight_of(takers):
            takers = scored
        whole = weight_of(takers)
        if whole:
            for one in takers:
                carried[id(one)] += Fraction(line["weight"]) * Fraction(one["weight"]) / whole
    for line in lines:
        line["effective_weight"] = rounded(carried.get(id(line), Fraction(0)), 6)


def _part_score(month: Month, lines: list[Row]) -> Decimal | None:
    """Σ line_score × effective_weight at 0.01; None where less than half of the weight is scored."""
    move_weights(lines, month.kpis)
    whole = sum(Fraction(line["weight"]) for line in lines)
    scored = [line for line in lines if line["line_score"] is not None]
    weight = sum(Fraction(line["weight"]) for line in scored)
    if not weight or weight < month.rule("min_scored_weight") * whole:
        return None
    points = sum(Fraction(line["line_score"]) * Fraction(line["effective_weight"]) for line in scored)
    return rounded(Fraction(points), 2)


def cut_to_cents(total: Decimal, exact: dict[Hashable, Fraction]) -> dict[Hashable, Decimal]:
    """The exact amounts at 0.01, adding up to the total: largest remainder, ties by key.

    A negative rest is taken from the smallest remainders, ties in the reverse order.
    """
    cents = {key: math.floor(amount * 100) for key, amount in exact.items()}
    remainder = {key: amount * 100 - cents[key] for key, amount in exact.items()}
    rest = int(total.scaleb(2)) - sum(cents.values())
    order: list[Any] = sorted(exact)
    order.sort(key=lambda key: remainder[key], reverse=True)  # stable: equal remainders stay in key order
    if rest < 0:
        order.reverse()
    for number in range(abs(rest) if order else 0):
        cents[order[number % len(order)]] += 1 if rest > 0 else -1
    return {key: Decimal(amount).scaleb(-2) for key, amount in cents.items()}


def cut_points(
    lines: list[Row], total: Decimal | None, shares: dict[tuple[str, str | None], Fraction]
) -> None:
    """Set points. shares: (part, room) → share of the total; room is None for the personal part."""
    exact: dict[Hashable, Fraction] = {}
    for line in lines:
        if line["line_score"] is None or total is None:
            continue
        share = shares[line["part"], line["room_id"] if line["part"] == "team" else None]
        exact[_line_key(line)] = share * Fraction(line["line_score"]) * Fraction(line["effective_weight"])
    cents = {} if total is None else cut_to_cents(total, exact)
    for line in lines:
        line["points"] = ZERO if line["line_score"] is None else cents.get(_line_key(line))


def _line_key(line: Row) -> tuple[Any, ...]:
    return (line["part"], line["room_id"] is not None, line["room_id"] or "", line["kpi_id"])


# --- a month ----------------------------------------------------------------------------------------------


def _score_month(month: Month) -> dict[str, list[Row]]:
    lines: list[Row] = []
    cards: list[Row] = []
    warned = {room for room in set(month.rooms) | set(month.open_rooms) if _base_fails(month, room)}

    room_lines: dict[str, list[Row]] = {}
    team_scores: dict[str, Decimal] = {}
    for room in month.open_rooms:
        own = _team_lines(month, room)
        total = _part_score(month, own)
        cut_points(own, total, {("team", room): Fraction(1)})
        room_lines[room] = own
        if total is not None:
            team_scores[room] = total
        subject = {"subject_type": "room", "subject_id": room, "role": None, "month": month.month}
        lines += [{**subject, **line} for line in own]
        cards.append(
            {
                **subject,
                "personal_score": None,
                "team_score": total,
                "total_score": total,
                **_graded(month, total),
                "performance_pay": None,
                "overachievement_bonus": None,
                "awards_amount": None,
                "eligible_days": None,
                "base_warning": room in warned,
            }
        )

    for person in month.staff:
        if month.eligible[person["staff_id"]]:
            card, own = _score_person(month, person, room_lines, team_scores, warned)
            cards.append(card)
            lines += own

    _rank(cards)
    people = {card["subject_id"]: card for card in cards if card["subject_type"] == "staff"}
    pools = _pools(month, people)
    awards = _innovations(month) + _best_contributors(month, people) + _best_room(month, team_scores)
    for staff_id, card in people.items():
        card["overachievement_bonus"] = sum(
            (row["amount"] for row in pools if row["staff_id"] == staff_id), ZERO
        )
        card["awards_amount"] = sum((row["amount"] for row in awards if row["staff_id"] == staff_id), ZERO)
    return {"scorecard_lines": lines, "scorecards": cards, "bonus_pools": pools, "awards": awards}


def _team_lines(month: Month, room: str) -> list[Row]:
    return [
        _line(
            month,
            "team",
            room,
            kpi_id,
            weight,
            month.measured.get(("room", room, None, room, kpi_id)),
            month.targets.get(("room", room, kpi_id)),
            None,
        )
        for (kpi_id, _), weight in month_weights(month, "room", room).items()
    ]


def _base_fails(month: Month, room: str) -> bool:
    """Smoothness or instant starts under the room's floor."""
    failing = False
    for kpi_id in ("smoothness_rate", "instant_start_rate"):
        measured = month.measured.get(("room", room, None, room, kpi_id))
        target = month.targets.get(("room", room, kpi_id))
        if measured and target and measured["value"] is not None:
            failing = failing or Fraction(measured["value"]) < Fraction(target["floor"])
    return failing


def _home_room(month: Month, person: Row) -> str | None:
    """The home room, else the room of most duty seconds, the smaller id where equal."""
    if person["room_id"] in month.rooms:
        return person["room_id"]
    on_duty = month.duty.get(person["staff_id"], {})
    return min(on_duty, key=lambda room: (-on_duty[room].milliseconds, room), default=None)


def _score_person(
    month: Month,
    person: Row,
    room_lines: dict[str, list[Row]],
    team_scores: dict[str, Decimal],
    warned: set[str],
) -> tuple[Row, list[Row]]:
    staff_id, role = person["staff_id"], person["role"]
    home = _home_room(month, person)
    days = month.eligible[staff_id]
    subject = {"subject_type": "staff", "subject_id": staff_id, "role": role, "month": month.month}

    personal = _personal_lines(month, person, home) if home else []
    personal_score = _part_score(month, personal)

    on_duty = {
        room: one.milliseconds for room, one in month.duty.get(staff_id, {}).items() if one.milliseconds
    }
    rooms = on_duty or ({home: 1} if home else {})
    seconds = {room: Fraction(amount) for room, amount in rooms.items() if room in team_scores}
    whole = sum(seconds.values())
    team_score = None
    if seconds:
        mean = sum(Fraction(team_scores[room]) * amount for room, amount in seconds.items()) / whole
        team_score = rounded(Fraction(mean), 2)

    share = month.rule("personal_share")
    total = None
    if personal_score is not None and team_score is not None:
        total = rounded(share * Fraction(personal_score) + (1 - share) * Fraction(team_score), 2)

    team = [{**line} for room in sorted(seconds) for line in room_lines[room]]
    shares: dict[tuple[str, str | None], Fraction] = {("personal", None): share}
    shares |= {("team", room): (1 - share) * amount / whole for room, amount in seconds.items()}
    cut_points(personal + team, total, shares)

    graded = _graded(month, total)
    pay = None
    if total is not None and person["performance_pay"] is not None:
        base = Fraction(person["performance_pay"]) * days / len(month.days)
        pay = rounded(base * Fraction(graded["coefficient"]), 2)
    card = {
        **subject,
        "personal_score": personal_score,
        "team_score": team_score,
        "total_score": total,
        **graded,
        "performance_pay": pay,
        "overachievement_bonus": ZERO,
        "awards_amount": ZERO,
        "eligible_days": days,
        "base_warning": bool(warned & set(on_duty or ({home} if home else set()))),
    }
    return card, [{**subject, **line} for line in personal + team]


def _personal_lines(month: Month, person: Row, home: str) -> list[Row]:
    staff_id, role = person["staff_id"], person["role"]
    lines = []
    for (kpi_id, scope), weight in month_weights(month, role, home).items():
        own = scope == "own"
        subject = ("staff", staff_id, role, None, kpi_id) if own else ("room", home, None, home, kpi_id)
        target = (
            month.targets.get(("staff", staff_id, kpi_id))
            or month.targets.get(("room_role", f"{home}:{role}", kpi_id))
            or month.targets.get(("role", role, kpi_id))
        )
        is_total = not month.kpis[kpi_id]["denominator"] and kpi_id != "peak_online"
        scale = Fraction(month.eligible[staff_id], len(month.days)) if own and is_total else None
        lines.append(
            _line(
                month,
                "personal",
                None if own else home,
                kpi_id,
                weight,
                month.measured.get(subject),
                target,
                scale,
            )
        )
    return lines


def _graded(month: Month, total: Decimal | None) -> Row:
    """Status, grade and coefficient of a rounded total."""
    if total is None:
        return {"status": "insufficient_data", "grade": None, "coefficient": None}
    reached = [
        row for row in month.grades if not row["min_score"] or Fraction(row["min_score"]) <= Fraction(total)
    ]
    if not reached:
        raise ValueError(f"grades.csv: no grade in force on {month.days[0]} for {total}")
    best = max(reached, key=lambda row: Fraction(row["min_score"]) if row["min_score"] else Fraction(-1))
    return {"status": "scored", "grade": best["grade"], "coefficient": Decimal(best["coefficient"])}


def _rank(cards: list[Row]) -> None:
    """Competition rank of the total in the role across the company."""
    for card in cards:
        card["rank_in_role"] = None
        if card["total_score"] is not None:
            peers = [
                one["total_score"]
                for one in cards
                if one["role"] == card["role"] and one["subject_type"] == card["subject_type"]
            ]
            card["rank_in_role"] = 1 + sum(one is not None and one > card["total_score"] for one in peers)


# --- pool and awards --------------------------------------------------------------------------------------


def _pools(month: Month, people: dict[str, Row]) -> list[Row]:
    rows: list[Row] = []
    # Without refunds nobody knows net_gmv.
    if "refunds" in month.undelivered:
        return rows
    days = set(month.days)
    targets = {
        scope_id: row
        for (kind, scope_id, kpi_id), row in month.targets.items()
        if (kind, kpi_id) == ("room", "gmv")
    }
    for room in sorted(targets):
        net_by_day = [amount for day, amount in month.room_daily(room, "net_gmv").items() if day in days]
        if not net_by_day:
            continue
        net, target = sum(net_by_day), Fraction(targets[room]["target"])
        pool = rounded(month.rule("overachievement_rate") * max(net - target, Fraction(0)), 2)
        if not pool:
            continue

        effort: dict[str, Fraction] = {}  # duty seconds, or answered conversations
        roles = {person["staff_id"]: person["role"] for person in month.staff}
        for staff_id, role in roles.items():
            if role == "customer_service":
                amount = month.answered.get((staff_id, room), Fraction(0))
            else:
                presence = month.duty.get(staff_id, {}).get(room)
                amount = Fraction(presence.milliseconds, 1000) if presence else Fraction(0)
            if amount:
                effort[staff_id] = amount
        basis = {}
        for staff_id, amount in effort.items():
            total = people[staff_id]["total_score"] if staff_id in people else None
            basis[staff_id] = Fraction(total) * amount if total is not None else Fraction(0)
        by_role = {
            role: sum((basis[one] for one in basis if roles[one] == role), Fraction(0)) for role in ROLES
        }
        role_share = {role: month.rule(f"pool_share_{role}") for role in ROLES if by_role[role]}
        whole = sum(role_share.values())
        if not whole:
            continue
        exact: dict[Hashable, Fraction] = {
            staff_id: Fraction(pool)
            * role_share.get(roles[staff_id], Fraction(0))
            / whole
            * (basis[staff_id] / by_role[roles[staff_id]] if basis[staff_id] else 0)
            for staff_id in basis
        }
        parts = cut_to_cents(pool, exact)
        for staff_id in sorted(basis):
            rows.append(
                {
                    "room_id": room,
                    "month": month.month,
                    "staff_id": staff_id,
                    "role": roles[staff_id],
                    "net_gmv": _decimal(net),
                    "gmv_target": Decimal(targets[room]["target"]),
                    "pool_amount": pool,
                    "amount": parts[staff_id],
                }
            )
    return rows


def _decimal(value: Fraction | int) -> Decimal:
    """Exact: sums of decimals are decimals."""
    return Decimal(Fraction(value).numerator) / Decimal(Fraction(value).denominator)


def _award(month: Month, award: str, room: str, staff_id: str, amount: Decimal, **more: Any) -> Row:
    return {
        "award": award,
        "month": month.month,
        "room_id": room,
        "staff_id": staff_id,
        "nomination_id": None,
        "verdict": None,
        "amount": amount,
        **more,
    }


def _shared_equally(amount: Decimal, people: list[str]) -> dict[Hashable, Decimal]:
    return cut_to_cents(amount, {one: Fraction(amount) / len(people) for one in people})


def _innovations(month: Month) -> list[Row]:
    by_id: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(month.nominations, key=lambda one: one["staff_id"]):
        by_id[row["nomination_id"]].append(row)
    awards = []
    for nomination_id, rows in sorted(by_id.items()):
        verified, figures = judge(month, rows[0])
        prize = rounded(month.rule("innovation_award"), 2) if verified else ZERO
        for staff_id, amount in _shared_equally(prize, [row["staff_id"] for row in rows]).items():
            awards.append(
                _award(
                    month,
                    "innovation",
                    rows[0]["room_id"],
                    str(staff_id),
                    amount,
                    nomination_id=nomination_id,
                    verdict="verified" if verified else "not_verified",
                    evidence=figures,
                )
            )
    return awards


def judge(month: Month, nomination: Row) -> tuple[bool, str]:
    """Whether the room's KPI moved the right way, on enough data, by more than chance; and the figures."""
    kpi = month.kpis.get(nomination["kpi_id"])
    if kpi is None:
        return False, f"no KPI {nomination['kpi_id']}"
    # An average over nothing delivered proves nothing.
    if any(NEEDS.get(kpi[side]) in month.undelivered for side in ("numerator", "denominator")):
        return False, f"{kpi['kpi_id']}: no_data"
    room = nomination["room_id"]
    sides = []
    for side in ("before", "after"):
        first, last = nomination[f"{side}_from"], nomination[f"{side}_to"]
        numerators = month.room_daily(room, kpi["numerator"])
        dates = {
            day for day in set(numerators) | month.session_dates.get(room, set()) if first <= day <= last
        }
        if not kpi["denominator"]:
            values = [numerators.get(day, Fraction(0)) for day in dates]
            sides.append((sum(values, Fraction(0)), Fraction(len(values)), values))
            continue
        denominators = month.room_daily(room, kpi["denominator"])
        values = [
            numerators.get(day, Fraction(0)) / denominators[day] * Fraction(kpi["factor"])
            for day in dates
            if denominators.get(day)
        ]
        numerator = sum((numerators.get(day, Fraction(0)) for day in dates), Fraction(0))
        sides.append(
            (numerator, sum((denominators.get(day, Fraction(0)) for day in dates), Fraction(0)), values)
        )

    (x1, n1, values1), (x2, n2, values2) = sides
    figures = f"{kpi['kpi_id']}: {float(x1):g}/{float(n1):g} → {float(x2):g}/{float(n2):g}"
    if not n1 or not n2:
        return False, figures
    if kpi["denominator"] and kpi["min_base"] and min(n1, n2) < Fraction(kpi["min_base"]):
        return False, figures
    moved = (x2 / n2 > x1 / n1) if kpi["direction"] == "up" else (x2 / n2 < x1 / n1)
    if kpi["denominator"] and kpi["unit"] == "rate" and 0 <= x1 <= n1 and 0 <= x2 <= n2:
        p_value = two_proportions(x1, n1, x2, n2)
    else:
        p_value = welch(values1, values2)
    return moved and p_value is not None and p_value < 0.05, f"{figures}, p = {p_value}"


def two_proportions(x1: Fraction, n1: Fraction, x2: Fraction, n2: Fraction) -> float | None:
    """Two-sided p of the pooled two-proportion z test; None where nothing varies."""
    pooled = (x1 + x2) / (n1 + n2)
    variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2)
    if not variance:
        return None
    return float(2 * norm.sf(abs(float(x2 / n2 - x1 / n1)) / math.sqrt(variance)))


def welch(before: list[Fraction], after: list[Fraction]) -> float | None:
    """Two-sided p of Welch's t test; None with under two values on a side, or nothing to tell apart."""
    if len(before) < 2 or len(after) < 2:
        return None
    mean1, mean2 = sum(before) / Fraction(len(before)), sum(after) / Fraction(len(after))
    part1 = sum((value - mean1) ** 2 for value in before) / Fraction(len(before) - 1) / len(before)
    part2 = sum((value - mean2) ** 2 for value in after) / Fraction(len(after) - 1) / len(after)
    if not part1 + part2:
        return None if mean1 == mean2 else 0.0
    freedom = (part1 + part2) ** 2 / (part1**2 / (len(before) - 1) + part2**2 / (len(after) - 1))
    return float(2 * student_t.sf(abs(float(mean2 - mean1)) / math.sqrt(part1 + part2), float(freedom)))


def _best_contributors(month: Month, people: dict[str, Row]) -> list[Row]:
    awards = []
    for room in sorted({room for rooms in month.duty.values() for room in rooms}):
        candidates = []
        for staff_id, card in people.items():
            presence = month.duty.get(staff_id, {}).get(room)
            if presence is None or card["total_score"] is None:
                continue
            if len(presence.dates) >= month.rule("best_contributor_min_days"):
                candidates.append(
                    (-card["total_score"], -card["personal_score"], -presence.milliseconds, staff_id)
                )
        if candidates:
            amount = rounded(month.rule("best_contributor_award"), 2)
            awards.append(_award(month, "best_contributor", room, min(candidates)[3], amount))
    return awards


def _best_room(month: Month, team_scores: dict[str, Decimal]) -> list[Row]:
    if not team_scores:
        return []
    room = min(team_scores, key=lambda one: (-team_scores[one], one))
    people = sorted(
        person["staff_id"]
        for person in month.staff
        if month.eligible[person["staff_id"]] and room in month.duty.get(person["staff_id"], {})
    )
    if not people:
        return []
    shared = _shared_equally(rounded(month.rule("best_room_award"), 2), people)
    return [_award(month, "best_room", room, str(staff_id), amount) for staff_id, amount in shared.items()]


def _reviews(months: list[Month], cards: list[Row]) -> list[Row]:
    """A row for each scored month that ends a run of strike_months scored months below their pass score."""
    by_month = {month.month: month for month in months}
    history: dict[str, list[Row]] = defaultdict(list)
    for card in sorted(cards, key=lambda one: one["month"]):
        if card["subject_type"] == "staff" and card["total_score"] is not None:
            history[card["subject_id"]].append(card)
    reviews = []
    for staff_id, scored in sorted(history.items()):
        low = [Fraction(card["total_score"]) < by_month[card["month"]].rule("pass_score") for card in scored]
        for index, card in enumerate(scored):
            length = int(by_month[card["month"]].rule("strike_months"))
            if index + 1 < length or not all(low[index + 1 - length : index + 1]):
                continue
            last = [None, None, None, *scored[index + 1 - length : index + 1]][-3:]
            review: Row = {"staff_id": staff_id, "month": card["month"]}
            review |= {f"month_{n}": one and one["month"] for n, one in enumerate(last, 1)}
            review |= {f"score_{n}": one and one["total_score"] for n, one in enumerate(last, 1)}
            reviews.append({**review, "options": OPTIONS})
    return reviews
