"""The figures of one month as they are sealed: the rows of every scorecard table, as exact text, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import duckdb

Row = dict[str, Any]
Figures = dict[str, list[Row]]

# table → (column that names the month, key of a row)
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "scorecards": ("month", ("subject_type", "subject_id")),
    "scorecard_lines": ("month", ("subject_type", "subject_id", "part", "room_id", "kpi_id")),
    "bonus_pools": ("month", ("room_id", "staff_id", "role")),
    "awards": ("month", ("award", "room_id", "nomination_id", "staff_id")),
    "reviews_due": ("month", ("staff_id",)),
}
ADJUSTMENT_KEY = ("subject_type", "subject_id", "sealed_month", "part", "room_id", "item")
KEYS = {table: key for table, (_, key) in TABLES.items()} | {"adjustments": ADJUSTMENT_KEY}
# On which day a difference was first noticed is a fact about us, not about the month.
NOT_COMPARED = frozenset({"adjusted_on"})


def read_figures(con: duckdb.DuckDBPyConnection, month: str, adjustments: Sequence[Row] = ()) -> Figures:
    """The month's rows of schema scorecards; numbers as decimal text, so nothing is rounded on the way."""
    figures: Figures = {}
    for table, (month_column, key) in TABLES.items():
        cursor = con.execute(f"select * from scorecards.{table} where {month_column} = ?", [month])
        names = [column[0] for column in cursor.description or []]
        rows = [dict(zip(names, map(as_text, values), strict=True)) for values in cursor.fetchall()]
        figures[table] = sorted(rows, key=partial(row_key, key=key))
    figures["adjustments"] = sorted(
        ({name: as_text(value) for name, value in row.items()} for row in adjustments),
        key=lambda row: row_key(row, ADJUSTMENT_KEY),
    )
    return figures


def figures_bytes(figures: Figures) -> bytes:
    """JSON, one row per line, the same bytes for the same figures."""
    tables = []
    for table, rows in figures.items():
        lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)
        tables.append(f" {json.dumps(table)}: [\n{lines}\n ]" if rows else f" {json.dumps(table)}: []")
    return ("{\n" + ",\n".join(tables) + "\n}\n").encode()


def differences(sealed: Figures, rebuilt: Figures) -> list[str]:
    """One line per figure that differs, naming table, row, column and both values; empty where identical."""
    found = []
    for table, key in KEYS.items():
        before = {row_key(row, key): row for row in sealed.get(table, [])}
        after = {row_key(row, key): row for row in rebuilt.get(table, [])}
        for one in sorted(before.keys() | after.keys()):
            where = f"{table} {' '.join(part for part in one if part)}"
            if one not in after:
                found.append(f"{where}: sealed, but not in the rebuilt month")
            elif one not in before:
                found.append(f"{where}: in the rebuilt month, but not sealed")
            else:
                found += [
                    f"{where}: {name} is {_shown(before[one][name])} sealed, "
                    f"{_shown(after[one].get(name))} rebuilt"
                    for name in before[one]
                    if name not in NOT_COMPARED and not _same(before[one][name], after[one].get(name))
                ]
    return found


def row_key(row: Row, key: Sequence[str]) -> tuple[str, ...]:
    """The key's values as text, null as empty."""
    return tuple(row.get(name) or "" for name in key)


def as_text(value: Any) -> Any:
    """A DuckDB value for JSON: decimals and dates as text, everything else as it is."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def decimal_of(value: Any) -> Decimal | None:
    """A sealed figure as a number, None where it is null."""
    return None if value is None else Decimal(str(value))


def _same(left: Any, right: Any) -> bool:
    if left == right:
        return True
    try:
        # A wider decimal writes more zeros; the figure is the same.
        return left is not None and right is not None and Decimal(left) == Decimal(right)
    except (ArithmeticError, TypeError, ValueError):
        return False


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
