"""The appraisal oracle at a built warehouse: inputs read from it, rows compared with scorecards.*"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

# table → (key columns, the other columns); awards.evidence is words and not compared
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "scorecard_lines": (
        ("subject_type", "subject_id", "month", "part", "room_id", "kpi_id"),
        (
            "role",
            "value",
            "numerator",
            "denominator",
            "floor",
            "target",
            "stretch",
            "line_score",
            "weight",
            "effective_weight",
            "points",
            "reason",
        ),
    ),
    "scorecards": (
        ("subject_type", "subject_id", "month"),
        (
            "role",
            "personal_score",
            "team_score",
            "total_score",
            "grade",
            "coefficient",
            "performance_pay",
            "overachievement_bonus",
            "awards_amount",
            "eligible_days",
            "status",
            "rank_in_role",
            "base_warning",
        ),
    ),
    "bonus_pools": (
        ("room_id", "month", "staff_id"),
        ("role", "net_gmv", "gmv_target", "pool_amount", "amount"),
    ),
    "awards": (("award", "month", "room_id", "staff_id", "nomination_id"), ("verdict", "amount")),
    "reviews_due": (
        ("staff_id", "month"),
        ("month_1", "month_2", "month_3", "score_1", "score_2", "score_3", "options"),
    ),
}

QUERIES = {
    "kpi_month": "select subject_type, subject_id, role, room_id, month, kpi_id, numerator, denominator,"
    " value, reason from kpis.kpi_month where subject_type = 'room' or room_id is null",
    "measure_day": "select subject_type, subject_id, role, room_id, business_date, measure, amount"
    " from kpis.kpi_measure_day where subject_type = 'room' or measure = 'answered_conversations'",
    "duty": "select staff_id, role, session_id, on_at, off_at, source from core.fct_duty",
    "sessions": "select session_id, room_id, business_date, month from core.fct_session",
    "rooms": "select room_id, effective_from, stage from raw.rooms where _status = 'current'",
    "staff": "select staff_id, role, room_id, hired_on, left_on, performance_pay"
    " from raw.staff where _status = 'current'",
    "leaves": "select staff_id, from_date, to_date from raw.leaves where _status = 'current'",
    "targets": 'select t.month, t.scope_type, t.scope_id, t.kpi_id, t."floor", t.target, t.stretch,'
    " f.loaded_at as landed_at from raw.targets t join raw.files f on f.file_no = t._file_no"
    " where t._status = 'current'",
    "award_nominations": "select nomination_id, staff_id, month, room_id, kpi_id, before_from, before_to,"
    " after_from, after_to, claim from raw.award_nominations where _status = 'current'",
}


def inputs_from_warehouse(con: Any) -> dict[str, list[Row]]:
    """What `score` needs, from a built private warehouse (a DuckDB connection)."""
    return {name: _rows(con, query) for name, query in QUERIES.items()}


def compare_appraisal(con: Any, expected: dict[str, list[Row]]) -> list[str]:
    """One line for each difference between the connection's scorecards.* and the expected rows."""
    differences = []
    for table, (keys, columns) in TABLES.items():
        names = ", ".join(f'"{name}"' for name in keys + columns)
        actual = _rows(con, f"select {names} from scorecards.{table}")
        differences += _differences(table, keys, columns, actual, expected[table])
    return differences


Names = tuple[str, ...]


def _differences(
    table: str, keys: Names, columns: Names, actual: list[Row], expected: list[Row]
) -> list[str]:
    found: list[str] = []
    sides: list[dict[tuple[Any, ...], Row]] = []
    for side, rows in (("built", actual), ("expected", expected)):
        by_key: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            key = tuple(row[name] for name in keys)
            if key in by_key:
                found.append(f"{table} {_named(keys, key)}: twice in {side}")
            by_key[key] = row
        sides.append(by_key)
    built, wanted = sides
    for key in sorted(set(built) | set(wanted), key=str):
        if key not in built:
            found.append(f"{table} {_named(keys, key)}: missing, expected {_shown(wanted[key], columns)}")
        elif key not in wanted:
            found.append(f"{table} {_named(keys, key)}: unexpected, built {_shown(built[key], columns)}")
        else:
            for name in columns:
                one, two = _plain(name, built[key][name]), _plain(name, wanted[key][name])
                if one != two:
                    found.append(f"{table} {_named(keys, key)}: {name} is {one}, expected {two}")
    return found


def _plain(name: str, value: Any) -> Any:
    """Comparable: numbers as Decimal (no tolerance); options as the list of their words, however joined."""
    if isinstance(value, bool) or value is None:
        return value
    if name == "options":
        words = value if isinstance(value, list) else re.split(r"[,;|/]", value)
        return [word.strip().replace("_", " ") for word in words]
    if isinstance(value, (int, float)):
        return Decimal(repr(value))
    return value


def _named(keys: tuple[str, ...], key: tuple[Any, ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(keys, key, strict=True))


def _shown(row: Row, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={row[name]}" for name in columns)


def _rows(con: Any, query: str) -> list[Row]:
    cursor = con.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
