"""Does another program's result equal ours, row for row and column for column? A comparison is worth nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from dagster_project.warehouse.hashes import columns_of, quoted

# Every table the others compute.
TABLES = (
    "core.fct_session",
    "core.fct_person",
    "core.fct_product",
    "core.fct_scene",
    "core.fct_order_line",
    "funnel.product_funnel",
)


@dataclass(frozen=True)
class Agreement:
    """Of one table: our rows compared, our columns the other one has too, those it lacks, and rows found on one side only."""

    rows: int
    columns: int
    missing: tuple[str, ...]
    apart: int


def agreements(warehouse: Path, theirs: Path) -> dict[str, Agreement]:
    """Table → how another program's result compares with ours, as multisets of rows.

    `theirs` is a DuckDB file, or a folder of Parquet files. Ours is read from the private warehouse, since the others know
    viewers by their id.
    """
    con = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    try:
        con.execute("set timezone = 'UTC'")
        con.execute(f"attach {_literal(warehouse)} as ours (read_only)")
        if theirs.is_file():
            con.execute(f"attach {_literal(theirs)} as theirs (read_only)")
            return {table: _compared(con, table, f"theirs.{table.split('.')[1]}") for table in TABLES}
        return {
            table: _compared(con, table, f"read_parquet({_literal(theirs / (table.split('.')[1] + '.parquet'))})")
            for table in TABLES
        }
    finally:
        con.close()


def _compared(con: duckdb.DuckDBPyConnection, table: str, theirs: str) -> Agreement:
    schema, name = table.split(".")
    types = columns_of(con, schema, name, "ours")
    has = {column for column, *_ in con.execute(f"describe from {theirs}").fetchall()}
    if "viewer_id" in has:
        has = has - {"viewer_id"} | {"viewer_key"}
        theirs = f"(select * exclude (viewer_id) from {theirs} left join ours.raw.viewers using (viewer_id))"
    shared = [column for column in types if column in has]
    columns = ", ".join(f"cast({quoted(column)} as {types[column]}) as {quoted(column)}" for column in shared)
    one, other = f"(select {columns} from ours.{table})", f"(select {columns} from {theirs})"
    apart, compared = con.execute(
        f"select (select count(*) from ({one} except all {other})) + (select count(*) from ({other} except all {one})), "
        f"(select count(*) from {one})"
    ).fetchall()[0]
    return Agreement(compared, len(shared), tuple(column for column in types if column not in has), apart)


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
