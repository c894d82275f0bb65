"""The tables that Python adds to schema `insights`: declared once, written deterministically, explained in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from dagster_project.settings import UserError


@dataclass(frozen=True)
class Table:
    """A published table: what a row is, and (column, type, description) in order."""

    name: str
    comment: str
    columns: Sequence[tuple[str, str, str]]

    @property
    def path(self) -> str:
        return f"insights.{self.name}"


def create(con: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Create the table with its comments where it is missing or has other columns; whether it was made anew."""
    found = con.execute(
        "select column_name from duckdb_columns() where database_name = current_database() "
        "and schema_name = 'insights' and table_name = ? order by column_index",
        [table.name],
    ).fetchall()
    if [name for (name,) in found] == [name for name, _, _ in table.columns]:
        return False
    con.execute("create schema if not exists insights")
    con.execute(
        f"create or replace table {table.path} ({', '.join(f'{name} {kind}' for name, kind, _ in table.columns)})"
    )
    con.execute(f"comment on table {table.path} is '{_quoted(table.comment)}'")
    for name, _, description in table.columns:
        con.execute(f"comment on column {table.path}.{name} is '{_quoted(description)}'")
    return True


def append(con: duckdb.DuckDBPyConnection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """Append rows, given in column order; numbers are text or rounded already, so no cast can move them."""
    import pyarrow as pa

    columns: list[list[object]] = [[] for _ in table.columns]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    if not columns[0]:
        return
    batch = pa.table(
        {name: _typed(values) for (name, _, _), values in zip(table.columns, columns, strict=True)}
    )
    con.register("python_rows", batch)
    try:
        casts = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind, _ in table.columns)
        con.execute(f"insert into {table.path} select {casts} from python_rows")
    finally:
        con.unregister("python_rows")


def affected_dates(con: duckdb.DuckDBPyConnection) -> list[object]:
    """Business dates that this build rebuilt, in order; raises UserError before any build."""
    try:
        return [
            day
            for (day,) in con.execute(
                "select distinct business_date from intermediate.int_dates_affected order by 1"
            ).fetchall()
        ]
    except duckdb.CatalogException:
        raise UserError("insights: the marts are not built yet; run `make nightly` first") from None


def fixed(value: float | None, decimals: int = 6) -> str | None:
    """A float as decimal text, so that what is stored is what was rounded; None and non-finite become null."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _typed(values: list[object]) -> Any:
    import pyarrow as pa

    return pa.array(values) if any(value is not None for value in values) else pa.array(values, pa.string())


def _quoted(text: str) -> str:
    return text.replace("'", "''")
