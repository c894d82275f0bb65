"""Small random companies for the appraisal: seven months, a few rooms, a dozen people, odd in every way.

One seed always gives the same inputs and policy. Figures of kpi_month and of measure_day are drawn apart: the
appraisal takes both as given.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

from .amounts import rounded
from .registry import registry_of_the_page

Row = dict[str, Any]
Policy = dict[str, list[dict[str, str]]]

MONTHS = [f"2026-{number:02d}" for number in range(1, 8)]
KPIS = (
    "viewers",
    "peak_online",
    "average_watch_seconds",
    "chats",
    "engagement_rate",
    "product_click_rate",
    "gmv",
    "units_per_click",
    "gmv_per_thousand_views",
    "next_day_return_rate",
    "net_followers",
    "refund_rate_15d",
    "complaint_rate",
    "first_response_seconds",
    "ai_assisted_reply_rate",
    "smoothness_rate",
    "stall_rate",
    "instant_start_rate",
    "gmv_target_attainment",
)
ROLES = ("host", "operations", "floor_control", "customer_service", "technical")
STAGES = ("startup", "growth", "mature")
RULES = {
    "personal_share": "0.70",
    "pass_score": "70",
    "min_scored_weight": "0.5",
    "overachievement_rate": "0.02",
    "pool_share_host": "0.40",
    "pool_share_operations": "0.25",
    "pool_share_floor_control": "0.15",
    "pool_share_customer_service": "0.10",
    "pool_share_technical": "0.10",
    "innovation_award": "2000",
    "best_contributor_award": "1000",
    "best_room_award": "3000",
    "best_contributor_min_days": "5",
    "strike_months": "3",
    "spend_tier_low": "200",
    "spend_tier_high": "1000",
}
GRADES = (
    ("S", "110", "1.30"),
    ("A", "100", "1.15"),
    ("B", "85", "1.00"),
    ("C", "70", "0.80"),
    ("D", "0", "0.50"),
)


def random_appraisal(seed: int) -> tuple[dict[str, list[Row]], Policy]:
    """(inputs, policy) for `score`."""
    rng = Random(seed)
    registry = {row["kpi_id"]: row for row in registry_of_the_page() if row["kpi_id"] in KPIS}
    rooms = ["R1", "R2", "R3", "R4"][: rng.choice([3, 4])]
    policy = _policy(rng, registry, rooms)
    staff = _staff(rng, rooms)
    sessions, duty = _sessions(rng, rooms, staff)
    inputs: dict[str, list[Row]] = {
        "sessions": sessions,
        "duty": duty,
        "rooms": _rooms(rng, rooms),
        "staff": staff,
        "leaves": _leaves(rng, staff),
        "targets": _targets(rng, registry, rooms, staff),
        "kpi_month": _kpi_month(rng, registry, rooms, staff),
        "measure_day": _measure_day(rng, registry, sessions, staff),
        "award_nominations": _nominations(rng, rooms, staff),
    }
    _set_gmv_targets(rng, inputs)
    if rng.random() < 0.25:
        _add_a_negative_rest(inputs, policy)
    for rows in inputs.values():
        rng.shuffle(rows)
    return inputs, policy


def odd_appraisal(seed: int) -> tuple[dict[str, list[Row]], Policy]:
    """The company of a seed in which a person's id is a room's, one is hired on the last day of a month, grades and rules
    begin inside a month, and awards have a third decimal."""
    inputs, policy = random_appraisal(seed)
    person, room = inputs["staff"][0]["staff_id"], "R1"
    for rows in inputs.values():
        for row in rows:
            for name, of_staff in (("staff_id", True), ("subject_id", row.get("subject_type") == "staff"),
                                   ("scope_id", row.get("scope_type") == "staff")):  # fmt: skip
                if of_staff and row.get(name) == person:
                    row[name] = room
    # Hired on the last day of a month: one eligible day in it.
    inputs["staff"][1] |= {"hired_on": date(2026, 4, 30), "left_on": None}
    policy["grades"] += [
        {"grade": grade, "min_score": low, "coefficient": coefficient, "valid_from": "2026-04-15"}
        for grade, low, coefficient in (("H", "90", "1.10"), ("L", "0", "0.90"))
    ]
    policy["rules"] += [
        {"rule": rule, "value": value, "valid_from": "2026-04-15"}
        for rule, value in (("pass_score", "75"), ("best_contributor_award", "1000.005"), ("best_room_award", "3000.005"),
                            ("innovation_award", "2000.005"), ("overachievement_rate", "0.03"))
    ]  # fmt: skip
    return inputs, policy


def extreme_appraisal(seed: int) -> tuple[dict[str, list[Row]], Policy]:
    """A random company pushed to the edges of what policy, roster and figures may say."""
    inputs, policy = random_appraisal(seed)
    rng = Random(f"extreme {seed}")
    if rng.random() < 0.6:
        policy["weights"] = _odd_weights(rng, policy["weights"])
    for row in policy["weight_overrides"]:
        if rng.random() < 0.4:
            row["multiplier"] = rng.choice(["0.333333", "1.000001", "7", "0.000001", "1000"])
    _switch_one_off(rng, policy)
    edges = {
        "personal_share": ["0", "1", "0.333333"],
        "pass_score": ["0", "69.99", "100", "120"],
        "min_scored_weight": ["0", "0.333333", "0.500001", "1"],
        "overachievement_rate": ["0", "0.013579", "1"],
        "strike_months": ["1", "2", "4", "5"],
        "best_contributor_min_days": ["0", "1", "31"],
        "innovation_award": ["0", "0.01", "1000.005"],
        "best_room_award": ["0.02", "1000.01"],
        "pool_share_host": ["0", "0.333333", "1"],
        "pool_share_operations": ["0", "0.111111"],
    }
    for row in policy["rules"]:
        if row["rule"] in edges and rng.random() < 0.25:
            row["value"] = rng.choice(edges[row["rule"]])
    for person in inputs["staff"]:
        person["room_id"] = "R-unknown" if rng.random() < 0.05 else person["room_id"]
        person["left_on"] = rng.choice([person["left_on"]] * 9 + [person["hired_on"]])
        person["performance_pay"] = Decimal("0.01") if rng.random() < 0.1 else person["performance_pay"]
    for row in inputs["targets"]:
        if rng.random() < 0.1 and (row["scope_type"], row["kpi_id"]) != ("room", "gmv"):
            shift = Decimal(rng.randint(1, 10**6)).scaleb(-6)
            row |= {name: row[name] + shift for name in ("floor", "target", "stretch") if row[name] is not None}
    for row in inputs["kpi_month"]:
        if row["value"] is not None and rng.random() < 0.3:
            row["value"] += Decimal(rng.randint(-999, 999)).scaleb(-6)
    if rng.random() < 0.3:
        _leave_out(inputs, rng.choice(MONTHS[1:-1]))
    _answer_in_an_earlier_role(rng, inputs)
    _measure_what_counts_for_nothing(inputs)
    _tie_two_people(inputs)
    if rng.random() < 0.3:
        _leave_rooms_without_figures(inputs, rng.choice(MONTHS))
    if rng.random() < 0.2:
        inputs["undelivered"] = [{"export": "refunds"}]
    return inputs, policy


def _answer_in_an_earlier_role(rng: Random, inputs: dict[str, list[Row]]) -> None:
    """Conversations that somebody answered as customer service, whose role is another one now."""
    people = [person["staff_id"] for person in inputs["staff"] if person["role"] == "operations"]
    days = sorted({(row["room_id"], row["business_date"]) for row in inputs["measure_day"]})
    for person in people[:2]:
        for room, day in rng.sample(days, min(20, len(days))):
            inputs["measure_day"].append(
                {"subject_type": "staff", "subject_id": person, "role": "customer_service", "room_id": room,
                 "business_date": day, "measure": "answered_conversations", "amount": Decimal(rng.randint(1, 9))}
            )  # fmt: skip


def _measure_what_counts_for_nothing(inputs: dict[str, list[Row]]) -> None:
    """Figures of an earlier role of two people, and what customer service did beside answering."""
    others = {"host": "operations", "operations": "host"}
    people = [person["staff_id"] for person in inputs["staff"] if person["role"] in others][:2]
    inputs["kpi_month"] += [
        row | {"role": others[row["role"]], "value": None if row["value"] is None else row["value"] * 2 + 1}
        for row in inputs["kpi_month"]
        if row["subject_type"] == "staff" and row["subject_id"] in people and row["room_id"] is None
    ]
    # Each another amount, so that it would move shares of a pool between any two of them.
    replies = [person["staff_id"] for person in inputs["staff"] if person["role"] == "customer_service"]
    inputs["measure_day"] += [
        row | {"measure": "human_replies", "amount": Decimal(7 * replies.index(row["subject_id"]) + 1)}
        for row in inputs["measure_day"]
        if row["measure"] == "answered_conversations" and row["subject_id"] in replies
    ]


def _tie_two_people(inputs: dict[str, list[Row]]) -> None:
    """Two hosts of one room alike in figures, targets, employment and leave, so that only their duty tells them apart."""
    hosts = [row for row in inputs["staff"] if row["role"] == "host" and row["room_id"] is not None]
    hosts.sort(key=lambda row: (row["room_id"], row["staff_id"]))
    pair = next(((a, b) for a, b in pairwise(hosts) if a["room_id"] == b["room_id"]), None)
    if pair is None:
        return
    one, other = pair
    other |= {name: one[name] for name in ("hired_on", "left_on")}
    inputs["leaves"] = [row for row in inputs["leaves"] if row["staff_id"] not in (one["staff_id"], other["staff_id"])]
    inputs["kpi_month"] = [row for row in inputs["kpi_month"] if row["subject_id"] != other["staff_id"]] + [
        row | {"subject_id": other["staff_id"]} for row in inputs["kpi_month"] if row["subject_id"] == one["staff_id"]
    ]
    ids = (one["staff_id"], other["staff_id"])
    inputs["targets"] = [row for row in inputs["targets"] if row["scope_type"] != "staff" or row["scope_id"] not in ids]


def _leave_rooms_without_figures(inputs: dict[str, list[Row]], month: str) -> None:
    """A month in which no room has a value, and so none a team score."""
    for row in inputs["kpi_month"]:
        if row["subject_type"] == "room" and row["month"] == month:
            row |= {"value": None, "reason": "no_base"}


def _odd_weights(rng: Random, weights: list[dict[str, str]]) -> list[dict[str, str]]:
    """Tables of 6-decimal weights; some weigh one KPI in both scopes, some name a KPI with weight 0."""
    tables: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in weights:
        tables.setdefault((row["role"], row["stage"], row["valid_from"]), []).append({**row})
    for (role, _, _), table in tables.items():
        twice = {**rng.choice(table)}
        twice["scope"] = "room" if twice["scope"] == "own" else "own"
        if role != "room" and rng.random() < 0.3:
            table.append(twice)
        cuts = sorted(rng.sample(range(1, 10**6), len(table) - 1))
        for row, low, high in zip(table, [0, *cuts], [*cuts, 10**6], strict=True):
            row["weight"] = str(Decimal(high - low).scaleb(-6))
        unused = [kpi_id for kpi_id in KPIS if kpi_id not in {row["kpi_id"] for row in table}]
        if rng.random() < 0.2:
            table.append({**table[0], "kpi_id": rng.choice(unused), "weight": "0"})
    return [row for table in tables.values() for row in table]


def _switch_one_off(rng: Random, policy: Policy) -> None:
    """A multiplier of 0 for a KPI that never stands alone in a table."""
    base = rng.choice(policy["weights"])
    others: dict[tuple[str, str], int] = {}
    for row in policy["weights"]:
        if row["role"] == base["role"] and row["kpi_id"] != base["kpi_id"] and Decimal(row["weight"]):
            table = (row["stage"], row["valid_from"])
            others[table] = others.get(table, 0) + 1
    tables = {(row["stage"], row["valid_from"]) for row in policy["weights"] if row["role"] == base["role"]}
    if others.keys() == tables:
        off = {"room_id": "R1", "role": base["role"], "kpi_id": base["kpi_id"], "multiplier": "0"}
        policy["weight_overrides"].append({**off, "valid_from": "2026-02-10", "valid_to": "2026-05-03", "reason": "off"})


def _leave_out(inputs: dict[str, list[Row]], month: str) -> None:
    """A month without any session is no loaded month."""
    gone = {row["session_id"] for row in inputs["sessions"] if row["month"] == month}
    for name in ("sessions", "duty"):
        inputs[name] = [row for row in inputs[name] if row["session_id"] not in gone]


def _days(month: str) -> list[date]:
    year, number = map(int, month.split("-"))
    return [date(year, number, day) for day in range(1, monthrange(year, number)[1] + 1)]


def _policy(rng: Random, registry: dict[str, dict[str, str]], rooms: list[str]) -> Policy:
    weights = []
    for role in (*ROLES, "room"):
        for stage in STAGES:
            for valid_from in ["2020-01-01", *rng.choice([[], [], ["2026-04-01"], ["2026-04-15"]])]:
                kpis = rng.sample(KPIS if rng.random() < 0.2 else KPIS[:-1], rng.randint(3, 6))
                if role == "room" and "gmv_target_attainment" not in kpis:
                    kpis.append("gmv_target_attainment")
                cuts = sorted(rng.sample(range(1, 100), len(kpis) - 1))
                for kpi_id, low, high in zip(kpis, [0, *cuts], [*cuts, 100], strict=True):
                    weights.append(
                        {
                            "role": role,
                            "stage": stage,
                            "kpi_id": kpi_id,
                            "scope": "room" if role == "room" or rng.random() < 0.2 else "own",
                            "weight": str(Decimal(high - low).scaleb(-2)),
                            "valid_from": valid_from,
                        }
                    )
    overrides = []
    for _ in range(rng.randint(2, 6)):
        base = rng.choice(weights)
        first = rng.choice(_days(rng.choice(MONTHS)))
        overrides += [
            {
                "room_id": rng.choice(rooms),
                "role": base["role"],
                "kpi_id": base["kpi_id"],
                "multiplier": rng.choice(["3", "2", "0.5", "1.25"]),
                "valid_from": first.isoformat(),
                "valid_to": rng.choice(["", (first + timedelta(rng.randint(0, 40))).isoformat()]),
                "reason": "campaign",
            }
            for _ in range(rng.choice([1, 1, 2]))
        ]
    rules = [{"rule": rule, "value": value, "valid_from": "2020-01-01"} for rule, value in RULES.items()]
    if rng.random() < 0.3:
        rules.append({"rule": "personal_share", "value": "0.6", "valid_from": "2026-03-01"})
        rules.append({"rule": "pass_score", "value": "60", "valid_from": "2026-05-02"})
    if rng.random() < 0.2:
        rules.append({"rule": "pool_share_technical", "value": "0", "valid_from": "2026-02-01"})
    grades = [
        {"grade": grade, "min_score": low, "coefficient": coefficient, "valid_from": "2020-01-01"}
        for grade, low, coefficient in GRADES
    ]
    if rng.random() < 0.3:
        grades += [
            {"grade": "P", "min_score": "60", "coefficient": "1", "valid_from": "2026-06-01"},
            {"grade": "F", "min_score": "0", "coefficient": "0.4", "valid_from": "2026-06-01"},
        ]
    return {
        "kpis": [{"name_en": kpi_id, "name_zh": kpi_id, **row} for kpi_id, row in registry.items()],
        "weights": weights,
        "weight_overrides": overrides,
        "grades": grades,
        "rules": rules,
    }


def _rooms(rng: Random, rooms: list[str]) -> list[Row]:
    """Stages that change inside a month, and a room whose first row comes after its first sessions."""
    rows = []
    for room in rooms:
        first = rng.choice([date(2025, 1, 1), date(2026, 1, 1), date(2026, 1, 20)])
        starts = {first} | {rng.choice(_days(rng.choice(MONTHS[1:]))) for _ in range(rng.choice([0, 1, 2]))}
        rows += [{"room_id": room, "effective_from": start, "stage": rng.choice(STAGES)} for start in starts]
    return rows


def _staff(rng: Random, rooms: list[str]) -> list[Row]:
    staff = []
    for number in range(rng.randint(8, 12)):
        role = ROLES[number] if number < len(ROLES) else rng.choice(ROLES)
        hired = rng.choice([date(2025, 6, 1)] * 4 + [rng.choice(_days(rng.choice(MONTHS)))])
        left = rng.choice([None] * 5 + [hired + timedelta(rng.randint(20, 300))])
        staff.append(
            {
                "staff_id": f"S{number:02d}",
                "role": role,
                "room_id": None if rng.random() < 0.2 else rng.choice(rooms),
                "hired_on": hired,
                "left_on": left,
                "performance_pay": None
                if rng.random() < 0.1
                else Decimal(rng.choice(["5000", "6000.55", "3333.33"])),
            }
        )
    # A twin: the same role, room and dates, later also the same duty and figures.
    staff.append({**staff[0], "staff_id": "S99"})
    return staff


def _leaves(rng: Random, staff: list[Row]) -> list[Row]:
    """Short, overlapping, and whole months away; never the twins, who stay alike."""
    rows = []
    for person in staff[1:-1]:
        for _ in range(rng.choice([0, 0, 1, 2])):
            first = rng.choice(_days(rng.choice(MONTHS)))
            rows.append((person["staff_id"], first, first + timedelta(rng.choice([0, 3, 10, 45]))))
        if rng.random() < 0.2:
            days = _days(rng.choice(MONTHS))
            rows.append((person["staff_id"], days[0], days[-1]))
    unique = {(staff_id, first): last for staff_id, first, last in rows}
    return [{"staff_id": one, "from_date": first, "to_date": last} for (one, first), last in unique.items()]


def _sessions(rng: Random, rooms: list[str], staff: list[Row]) -> tuple[list[Row], list[Row]]:
    """Sessions of 2 h; duty in one or two rooms, rarely in another role. The last room pauses for months."""
    sessions, duty = [], []
    others = staff[1:-1]
    usual = {}
    for person in others:
        rooms_of = [person["room_id"]] if person["room_id"] else []
        if rng.random() < 0.4 or not rooms_of:
            rooms_of = [*rooms_of, rng.choice(rooms)]
        usual[person["staff_id"]] = set(rooms_of) if rng.random() < 0.85 else set()
    for month in MONTHS:
        for room in rooms:
            if room == rooms[-1] and rng.random() < 0.5:
                continue
            for number, day in enumerate(sorted(rng.sample(_days(month), rng.randint(5, 8)))):
                session_id = f"{room}-{month}-{number}"
                start = datetime.combine(day, time(rng.choice([10, 12, 15])))
                sessions.append(
                    {"session_id": session_id, "room_id": room, "business_date": day, "month": month}
                )
                for person in others:
                    if room in usual[person["staff_id"]] and rng.random() < 0.75:
                        role = person["role"] if rng.random() < 0.95 else rng.choice(ROLES)
                        duty += _stints(rng, person["staff_id"], role, session_id, start)
                if room == rooms[0] and rng.random() < 0.85:
                    stints = _stints(rng, staff[0]["staff_id"], staff[0]["role"], session_id, start)
                    duty += stints + [{**stint, "staff_id": staff[-1]["staff_id"]} for stint in stints]
    return sessions, duty


def _stints(rng: Random, staff_id: str, role: str, session_id: str, start: datetime) -> list[Row]:
    """One stint, or two with a break between."""
    minutes = rng.choice([(0, 120), (0, 60), (30, 90)])
    spans = [minutes] if rng.random() < 0.8 else [(0, 40), (50, 110)]
    odd = timedelta(milliseconds=rng.choice([0, 0, 0, 333]))
    return [
        {
            "staff_id": staff_id,
            "role": role,
            "session_id": session_id,
            "on_at": start + timedelta(minutes=on),
            "off_at": start + timedelta(minutes=off) - odd,
            "source": rng.choice(["shift", "home_room"]),
        }
        for on, off in spans
    ]


def _ladder(kpi: dict[str, str]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """(where a KPI's ladder starts, step): floor, target and stretch are start, one and two steps on."""
    size = {"rate": Decimal("0.1"), "count": Decimal(100), "seconds": Decimal(30), "ms": Decimal(500)}
    step = size.get(kpi["unit"], Decimal(1000))
    start = step * 3 if kpi["direction"] == "down" else step
    step = -step if kpi["direction"] == "down" else step
    return start, start + step, start + step + step / 2, step


def _targets(
    rng: Random, registry: dict[str, dict[str, str]], rooms: list[str], staff: list[Row]
) -> list[Row]:
    scopes = [("role", role, 0.92) for role in ROLES] + [("room", room, 0.85) for room in rooms]
    scopes += [("room_role", f"{room}:{role}", 0.15) for room in rooms for role in ROLES]
    scopes += [("staff", person["staff_id"], 0.08) for person in staff[1:-1]]
    rows = []
    for month in MONTHS:
        for scope_type, scope_id, chance in scopes:
            for kpi_id, kpi in registry.items():
                if rng.random() > chance or (scope_type, kpi_id) == ("room", "gmv"):
                    continue
                floor, target, stretch, step = _ladder(kpi)
                shift = step / 10 * rng.choice([0, 0, 1, 2, -1])
                rows.append(
                    {
                        "month": month,
                        "scope_type": scope_type,
                        "scope_id": scope_id,
                        "kpi_id": kpi_id,
                        "floor": floor + shift,
                        "target": target + shift,
                        "stretch": None if rng.random() < 0.3 else stretch + shift,
                        "landed_at": _landed(rng, month),
                    }
                )
    return rows


def _landed(rng: Random, month: str) -> datetime:
    return datetime.combine(_days(month)[0], time(9)) + timedelta(days=rng.choice([-5, -5, 0, 1, 20]))


def _figures(rng: Random, kpi: dict[str, str], level: float) -> Row:
    """One KPI's figures; level: the usual place on the ladder, 0 is the floor and 1.5 the stretch."""
    if rng.random() < 0.1:
        return {
            "numerator": None,
            "denominator": None,
            "value": None,
            "reason": rng.choice(["no_data", "no_base", "small_sample"]),
        }
    start, _, _, step = _ladder(kpi)
    place = Decimal(str(rng.choice([0, 1, 1.5, level, level, level, round(rng.uniform(-0.3, 1.7), 3)])))
    goal = start + step * place
    if kpi["kpi_id"] == "net_followers" and rng.random() < 0.1:
        goal = Decimal(-17)
    if not kpi["denominator"]:
        return {"numerator": goal, "denominator": None, "value": rounded(goal, 6), "reason": None}
    base = Decimal(rng.choice([40, 300, 700, 1234]))
    numerator = rounded(max(goal, Decimal(0)) * base / Decimal(kpi["factor"]), rng.choice([0, 2]))
    value = rounded(numerator / base * Decimal(kpi["factor"]), 6)
    return {"numerator": numerator, "denominator": base, "value": value, "reason": None}


def _kpi_month(
    rng: Random, registry: dict[str, dict[str, str]], rooms: list[str], staff: list[Row]
) -> list[Row]:
    """Rooms; people over all rooms and in each. A few months of a person or room are nearly all null."""
    rows = []
    levels = {one["staff_id"]: rng.choice([0.2, 0.5, 0.7, 0.95, 1.2]) for one in staff}
    nothing = {"numerator": None, "denominator": None, "value": None}
    for month in MONTHS:
        for room in rooms:
            blank = rng.random() < 0.1
            for kpi_id, kpi in registry.items():
                figures = _figures(rng, kpi, 0.8)
                if blank and rng.random() < 0.9:
                    figures = {**nothing, "reason": "small_sample"}
                rows.append(
                    {
                        "subject_type": "room",
                        "subject_id": room,
                        "role": None,
                        "room_id": room,
                        "month": month,
                        "kpi_id": kpi_id,
                        **figures,
                    }
                )
        of_first: dict[str, Row] = {}
        for person in staff:
            blank = rng.random() < 0.06
            for kpi_id, kpi in registry.items():
                for room in (None, *rooms):
                    figures = _figures(rng, kpi, levels[person["staff_id"]])
                    if kpi_id == "gmv_target_attainment":
                        figures = {**nothing, "reason": "not_applicable"}
                    elif blank:
                        figures = {**nothing, "reason": "no_base"}
                    if person is staff[0] and room is None:
                        of_first[kpi_id] = figures
                    if person is staff[-1] and room is None:
                        figures = of_first[kpi_id]
                    rows.append(
                        {
                            "subject_type": "staff",
                            "subject_id": person["staff_id"],
                            "role": person["role"],
                            "room_id": room,
                            "month": month,
                            "kpi_id": kpi_id,
                            **figures,
                        }
                    )
    return rows


def _measure_day(
    rng: Random, registry: dict[str, dict[str, str]], sessions: list[Row], staff: list[Row]
) -> list[Row]:
    """Rooms' measures by business date, lifted from the 16th in some months; answered conversations."""
    measures = {kpi["numerator"] for kpi in registry.values()} | {
        kpi["denominator"] for kpi in registry.values()
    }
    measures = sorted((measures | {"net_gmv"}) - {"", "gmv_target"})
    wholes = {kpi["denominator"] for kpi in registry.values()}
    days = sorted({(row["room_id"], row["month"], row["business_date"]) for row in sessions})
    lifted = {key: rng.choice([1, 1, 3]) for key in sorted({(room, month) for room, month, _ in days})}
    rows = []
    for room, month, day in days:
        for measure in measures:
            base = 400 if measure in wholes else 60
            if measure in ("gmv", "net_gmv"):
                base = 20000
            amount = base + rng.randint(-15, 15)
            if measure not in wholes and day.day > 15:
                amount *= lifted[room, month]
            if rng.random() < 0.03:
                amount = 0
            rows.append(
                {
                    "subject_type": "room",
                    "subject_id": room,
                    "role": None,
                    "room_id": room,
                    "business_date": day,
                    "measure": measure,
                    "amount": Decimal(amount) + Decimal("0.25") if measure == "net_gmv" else Decimal(amount),
                }
            )
        for person in staff:
            if person["role"] == "customer_service" and rng.random() < 0.5:
                rows.append(
                    {
                        "subject_type": "staff",
                        "subject_id": person["staff_id"],
                        "role": person["role"],
                        "room_id": room,
                        "business_date": day,
                        "measure": "answered_conversations",
                        "amount": Decimal(rng.randint(0, 9)),
                    }
                )
    return rows


def _set_gmv_targets(rng: Random, inputs: dict[str, list[Row]]) -> None:
    """The rooms' own gmv targets: over, just at and under what the month brought, or none."""
    net: dict[tuple[str, str], Decimal] = {}
    for row in inputs["measure_day"]:
        if (row["subject_type"], row["measure"]) == ("room", "net_gmv"):
            key = (row["room_id"], row["business_date"].strftime("%Y-%m"))
            net[key] = net.get(key, Decimal(0)) + row["amount"]
    for (room, month), amount in net.items():
        target = rng.choice(
            [None, amount, amount + 1000, amount - Decimal("0.1"), amount - 7777, amount - 50000]
        )
        if target is not None and target > 0:
            inputs["targets"].append(
                {
                    "month": month,
                    "scope_type": "room",
                    "scope_id": room,
                    "kpi_id": "gmv",
                    "floor": Decimal(0),
                    "target": target,
                    "stretch": None,
                    "landed_at": _landed(rng, month),
                }
            )


def _nominations(rng: Random, rooms: list[str], staff: list[Row]) -> list[Row]:
    rows = []
    for number in range(rng.randint(4, 9)):
        month = rng.choice(MONTHS)
        days = _days(month)
        nomination = {
            "nomination_id": f"N{number}",
            "month": month,
            "room_id": rng.choice(rooms),
            "kpi_id": rng.choice(KPIS),
            "before_from": days[0],
            "before_to": days[14],
            "after_from": days[15],
            "after_to": days[-1],
            "claim": "a new way to explain",
        }
        for person in rng.sample(staff, rng.choice([1, 2, 3])):
            rows.append({**nomination, "staff_id": person["staff_id"]})
    return rows


def _add_a_negative_rest(inputs: dict[str, list[Row]], policy: Policy) -> None:
    """January of a person in two rooms whose roundings all go down, so that a line of score 0 ends at -0.01.

    At share 0.30: personal 57.26 × 0.9 = 51.534, the rooms 31.894 and 108.834 with 2 and 3 hours of duty.
    """
    watch, talk = "average_watch_seconds", "engagement_rate"
    crafted = [
        ("technical", watch, "own", "0.9"),
        ("technical", talk, "own", "0.1"),
        ("room", watch, "room", "0.6"),
        # No room has a figure of it: an unscored line beside each scored one.
        ("room", talk, "room", "0.4"),
    ]
    policy["weights"] = [
        row
        for row in policy["weights"]
        if row["stage"] != "startup" or row["role"] not in ("technical", "room")
    ] + [
        {
            "role": role,
            "stage": "startup",
            "kpi_id": kpi_id,
            "scope": scope,
            "weight": weight,
            "valid_from": "2020-01-01",
        }
        for role, kpi_id, scope, weight in crafted
    ]
    for row in policy["rules"]:
        if row["rule"] == "personal_share":
            row["value"] = "0.30"
    month, day = MONTHS[0], date(2026, 1, 5)
    inputs["staff"].append(
        {
            "staff_id": "S98",
            "role": "technical",
            "room_id": "RA",
            "hired_on": date(2025, 6, 1),
            "left_on": None,
            "performance_pay": Decimal(4000),
        }
    )
    figures = [
        ("staff", "S98", "technical", None, watch, "57.26"),
        ("staff", "S98", "technical", None, talk, "0"),
    ]
    for room, hours, value in (("RA", 2, "31.894"), ("RB", 3, "108.834")):
        session_id, start = f"{room}-{month}-0", datetime.combine(day, time(10))
        inputs["rooms"].append({"room_id": room, "effective_from": date(2025, 1, 1), "stage": "startup"})
        inputs["sessions"].append(
            {"session_id": session_id, "room_id": room, "business_date": day, "month": month}
        )
        inputs["duty"].append(
            {
                "staff_id": "S98",
                "role": "technical",
                "session_id": session_id,
                "on_at": start,
                "off_at": start + timedelta(hours=hours),
                "source": "shift",
            }
        )
        figures.append(("room", room, None, room, watch, value))
    for subject_type, subject_id, role, room_id, kpi_id, value in figures:
        inputs["kpi_month"].append(
            {
                "subject_type": subject_type,
                "subject_id": subject_id,
                "role": role,
                "room_id": room_id,
                "month": month,
                "kpi_id": kpi_id,
                "numerator": Decimal(value) * 100,
                "denominator": Decimal(100),
                "value": Decimal(value),
                "reason": None,
            }
        )
        inputs["targets"].append(
            {
                "month": month,
                "scope_type": subject_type,
                "scope_id": subject_id,
                "kpi_id": kpi_id,
                "floor": Decimal(0),
                "target": Decimal(100),
                "stretch": Decimal(120),
                "landed_at": _landed(Random(0), month),
            }
        )
