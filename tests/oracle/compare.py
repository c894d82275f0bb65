"""Tables of a DuckDB connection against the oracle's rows: exactly, number by number."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from .delivered import Row

KEYS = {
    "core.dim_room": "room_id",
    "core.dim_product": "product_id",
    "core.dim_staff": "staff_id",
    "core.dim_viewer": "viewer_key",
    "core.fct_session": "session_id",
    "core.fct_person": "session_id viewer_key",
    "core.fct_product": "session_id product_id",
    "core.fct_scene": "session_id minute",
    "core.fct_order_line": "order_line_id",
    "core.fct_duty": "staff_id role session_id on_at",
    "funnel.product_funnel": "session_id product_id",
    "funnel.product_funnel_month": "product_id room_id month",
    "funnel.session_funnel": "session_id is_new",
    "kpis.kpi_measure_day": "subject_type subject_id role room_id business_date measure",
    "kpis.kpi_month": "subject_type subject_id role room_id month kpi_id",
    "audit.attribution": "session_id role measure",
}
# The page does not say whether these are 0 or null on a line that was never paid.
ZERO_OR_NULL = {"core.fct_order_line": {"gmv", "refunded_amount", "units_returned"}}
# fct_product's columns that the page does not count among the funnel's steps.
MAY_BE_ABSENT = {
    "funnel.product_funnel": {"gmv", "units_returned", "explained_seconds"},
    "funnel.product_funnel_month": {"gmv", "units_returned", "explained_seconds"},
}
SHOWN_PER_TABLE = 20


def compare(con: Any, expected: dict[str, list[Row]], tables: list[str] | None = None) -> list[str]:
    """What differs, one line each, the first of every table; empty when all is the same.

    `con` is a DuckDB connection that sees the tables under `schema.table`; `tables` narrows the comparison.
    Columns that the oracle does not know are left alone.
    """
    found: list[str] = []
    for table in tables or expected:
        found += compare_table(con, table, expected[table])
    return found


def compare_table(con: Any, table: str, expected: list[Row]) -> list[str]:
    """The first differences of one table."""
    try:
        cursor = con.execute(f"select * from {table}")
    except Exception as error:  # a missing table is a difference like any other
        return [f"{table}: cannot be read: {str(error).splitlines()[0]}"]
    names = [column[0] for column in cursor.description]
    actual = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
    if table == "kpis.kpi_measure_day":
        actual = [row for row in actual if row["measure"] != "gmv_target"]
    return differences(table, names, actual, expected)


def differences(table: str, names: list[str], actual: list[Row], expected: list[Row]) -> list[str]:
    """The first differences between the rows of a table and the expected ones."""
    key = KEYS[table].split()
    wanted = [name for name in (expected[0] if expected else {}) if not name.startswith("_")]
    absent = [name for name in wanted if name not in names]
    found = [f"{table}: column {name} is missing" for name in absent
             if name not in MAY_BE_ABSENT.get(table, ())]
    if any(name in absent for name in key):
        return found
    compared = [name for name in wanted if name not in absent and name not in key]

    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in actual:
        groups[tuple(row[name] for name in key)].append(row)
    total = len(found)
    for row in expected:
        place = tuple(row[name] for name in key)
        rows = groups.pop(place, [])
        where = f"{table} [{', '.join(map(str, place))}]"
        if not rows and not row.get("_optional"):
            differing = [f"{where}: missing"]
        elif len(rows) > 1:
            differing = [f"{where}: {len(rows)} rows"]
        else:
            differing = [f"{where}.{name}: expected {row[name]!s}, is {found_row[name]!s}"
                         for found_row in rows for name in compared
                         if not same(table, name, row, found_row[name])]
        total += len(differing)
        found += differing[: max(0, SHOWN_PER_TABLE - len(found))]
    for place, rows in groups.items():
        if table == "kpis.kpi_measure_day" and not any(r["amount"] or r["amount_whole"] for r in rows):
            continue
        total += 1
        if len(found) < SHOWN_PER_TABLE:
            found.append(f"{table} [{', '.join(map(str, place))}]: unexpected")
    if total > len(found):
        found.append(f"{table}: {total - len(found)} further differences")
    return found


def same(table: str, name: str, expected_row: Row, actual: Any) -> bool:
    """Equal as values; a float is never equal, since no table may hold one."""
    expected = expected_row[name]
    if isinstance(actual, float):
        return False
    loose = name in ZERO_OR_NULL.get(table, ()) and expected_row.get("paid_at") is None
    if table == "kpis.kpi_month" and name in ("numerator", "denominator") and expected_row["reason"]:
        # The page fixes value and reason here; what stands beside them only where something was measured.
        if expected_row["reason"] in ("not_applicable", "no_data"):
            return True
        loose = True
    if loose:
        expected, actual = expected or 0, actual or 0
    if expected is None or actual is None:
        return expected is actual
    if isinstance(expected, Decimal | int) and isinstance(actual, Decimal | int):
        return expected == actual
    return type(expected) is type(actual) and expected == actual
