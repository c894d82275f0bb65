"""Two builds of the same rows held against each other: by content hash, and where it differs by the first rows that do."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

# What tells of the run and not of the rows.
OF_THE_RUN = {"run_id", "loaded_at", "checked_at"}


def differing_tables(left: Path, right: Path, shown: int = 3) -> list[str]:
    """One text per table of two snapshots that is not the same row for row: which rows, on which side."""
    told = []
    tables = [json.loads((snapshot / "manifest.json").read_text())["tables"] for snapshot in (left, right)]
    for name in sorted(set(tables[0]) | set(tables[1])):
        if name not in tables[0] or name not in tables[1]:
            told.append(f"{name} is in {'the second' if name not in tables[0] else 'the first'} only")
            continue
        hashes = [table[name]["content_hash"] for table in tables]
        if hashes[0] is not None and hashes[0] == hashes[1]:
            continue
        file = "appraisal.duckdb" if name.startswith("scorecards.") else "marts.duckdb"
        with duckdb.connect() as con:
            con.execute(f"attach '{left / file}' as one (read_only)")
            con.execute(f"attach '{right / file}' as other (read_only)")
            rows = differing_rows(con, f"one.{name}", f"other.{name}", shown)
        if rows or hashes[0] is not None:
            told.append(f"{name}:\n  " + "\n  ".join(rows))
    return told


def differing_rows(con: duckdb.DuckDBPyConnection, left: str, right: str, shown: int = 3) -> list[str]:
    """The first rows that only one of two relations has (duplicates count), and how many there are."""
    columns = [row[0] for row in con.execute(f"describe {left}").fetchall()]
    others = [row[0] for row in con.execute(f"describe {right}").fetchall()]
    if sorted(columns) != sorted(others):
        return [f"columns {columns} and {others}"]
    compared = ", ".join(f'"{name}"' for name in columns if name not in OF_THE_RUN)
    told = []
    for side, here, there in (("first", left, right), ("second", right, left)):
        only = f"(select {compared} from {here} except all select {compared} from {there})"
        count = con.execute(f"select count(*) from {only}").fetchall()[0][0]
        if count:
            told.append(f"{count} rows only in the {side}")
            told += [f"  {row}" for row in con.execute(f"from {only} order by all limit {shown}").fetchall()]
    return told
