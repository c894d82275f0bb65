"""Tables by business date as Parquet parts, one per date: what a night did not touch is linked, not written again.

A model that is built by affected dates notes in builds.dates_rebuilt which dates it made anew, in the transaction
that makes them. builds.published_parts keeps the fingerprint of every part of the snapshot that builds.published
names, so a night writes and hashes the parts of the noted dates alone and adds up the rest.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dagster_project.warehouse.hashes import Fingerprint, columns_of, fingerprints, quoted

DATE_COLUMN = "business_date"
PARTS_FOLDER = "marts"
PART_NAME = f"coalesce(strftime({DATE_COLUMN}, '%Y-%m-%d'), 'undated')"
PART_MODE = 0o640
Parts = dict[str, Fingerprint]


@dataclass(frozen=True)
class Base:
    """The snapshot that tonight's can share parts with: its folder, and per table the parts it has by date."""

    folder: Path
    parts: Mapping[str, Parts]


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """The bookkeeping of parts in the private warehouse, where it is not there yet."""
    con.execute("create schema if not exists builds")
    # dbt_project.yml makes it the same way: models are also built where nothing is published.
    con.execute(
        "create table if not exists builds.dates_rebuilt (table_name varchar, business_date date, is_whole boolean)"
    )
    con.execute("create table if not exists builds.published (snapshot_id varchar)")
    con.execute(
        "create table if not exists builds.published_parts "
        "(table_name varchar, part varchar, row_count bigint, lower_sum hugeint, upper_sum hugeint)"
    )


def last_published(con: duckdb.DuckDBPyConnection, snapshots: Path) -> Base | None:
    """The snapshot whose parts are on record, where its folder is still there."""
    snapshot = con.execute("select snapshot_id from builds.published").fetchall()
    if not snapshot or not (snapshots / snapshot[0][0] / "manifest.json").is_file():
        return None
    parts: dict[str, Parts] = {}
    for table, part, *sums in con.execute("from builds.published_parts").fetchall():
        parts.setdefault(table, {})[part] = Fingerprint(*map(int, sums))
    return Base(snapshots / snapshot[0][0] / PARTS_FOLDER, parts)


def note_published(con: duckdb.DuckDBPyConnection, snapshot_id: str, parts: Mapping[str, Parts]) -> None:
    """Keep the parts of the snapshot that was just put in place; from now on nothing is rebuilt since."""
    rows = [
        (table, part, found.rows, str(found.lower), str(found.upper))
        for table, of_table in parts.items()
        for part, found in of_table.items()
    ]
    con.execute("begin")
    con.execute("delete from builds.published")
    con.execute("insert into builds.published values (?)", [snapshot_id])
    con.execute("delete from builds.published_parts")
    if rows:
        columns = zip(*rows, strict=True)
        con.execute(
            "insert into builds.published_parts "
            "select unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::bigint[]), unnest(?::hugeint[]), unnest(?::hugeint[])",
            [list(column) for column in columns],
        )
    con.execute("delete from builds.dates_rebuilt")
    con.execute("commit")


def is_by_date(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Whether the table is published as parts: it has a business date and is not empty."""
    return DATE_COLUMN in columns_of(con, schema, table) and bool(
        con.execute(f"select 1 from {quoted(schema)}.{quoted(table)} limit 1").fetchall()
    )


def place_parts(
    con: duckdb.DuckDBPyConnection, schema: str, table: str, folder: Path, base: Base | None
) -> Parts:
    """Fill `folder` with the parts of a table by business date; returns their fingerprints, as read back.

    Parts of dates that were not rebuilt since the base was published are linked from it.
    """
    name, relation = f"{schema}.{table}", f"{quoted(schema)}.{quoted(table)}"
    columns = columns_of(con, schema, table)
    before: Parts = dict(base.parts.get(name, {})) if base else {}
    if base and before:
        dates = _dates_rebuilt(con, name)
        if dates is None:
            # Made anew as a whole: its rows tell which of its dates are other than before.
            now = fingerprints(con, relation, columns, PART_NAME)
            dates = {part for part in {*before, *now} if before.get(part) != now.get(part)}
        kept = {part: found for part, found in before.items() if part not in dates}
        written = _write(con, relation, columns, folder, dates)
        if sum(found.rows for found in (*kept.values(), *written.values())) == _row_count(con, relation):
            _link(base.folder / name, folder, kept)
            sync(folder)
            return kept | written
        shutil.rmtree(folder)
    written = _write(con, relation, columns, folder, None)
    sync(folder)
    return written


def view_sql(folder: Path) -> str:
    """A query of all parts of a folder, whatever characters its path has."""
    return f"select * from {_parquet(folder, '*.parquet')}"


def sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def without_wildcards(path: Path) -> str:
    """A path as DuckDB's file patterns take it literally."""
    return re.sub(r"([\[\]*?])", r"[\1]", str(path))


def _dates_rebuilt(con: duckdb.DuckDBPyConnection, name: str) -> set[str] | None:
    """Dates that the table's model made anew since the last publish; None where it may be any of them."""
    noted = con.execute(
        "select business_date::varchar, is_whole from builds.dates_rebuilt where table_name = ?", [name]
    ).fetchall()
    if not noted or any(is_whole for _, is_whole in noted):
        return None
    return {date for date, _ in noted if date is not None}


def _row_count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    return con.execute(f"select count(*) from {relation}").fetchall()[0][0]


def _parquet(folder: Path, pattern: str) -> str:
    path = f"{without_wildcards(folder)}/{pattern}".replace("'", "''")
    return f"read_parquet('{path}', hive_partitioning = false)"


def _write(
    con: duckdb.DuckDBPyConnection, relation: str, columns: dict[str, str], folder: Path, dates: Iterable[str] | None
) -> Parts:
    """Write the parts of some dates (None: of all) into the new folder; returns their fingerprints."""
    folder.mkdir()
    folder.chmod(0o755)
    beside = folder / ".writing"
    beside.mkdir(mode=0o700)
    chosen = f"where list_contains({sorted(dates)}, {PART_NAME})" if dates is not None else ""
    target = str(beside).replace("'", "''")
    con.execute(
        f"copy (select *, {PART_NAME} as part from {relation} {chosen}) "
        f"to '{target}' (format parquet, partition_by (part), compression zstd, compression_level 1)"
    )
    files = sorted(beside.glob("*/*.parquet"))
    written: Parts = {}
    if files:
        source = _parquet(beside, "*/*.parquet")
        read_back = {name: data_type for name, data_type, *_ in con.execute(f"describe from {source}").fetchall()}
        if read_back != columns:
            raise RuntimeError(f"{relation} comes back from Parquet with other types: {read_back} for {columns}")
        written = fingerprints(con, source, columns, PART_NAME)
    for number, file in enumerate(files):
        part = file.parent.name.removeprefix("part=")
        file.chmod(PART_MODE)
        sync(file)
        os.rename(file, folder / f"{part}.{number}.parquet")
    shutil.rmtree(beside)
    return written


def _link(source: Path, folder: Path, kept: Iterable[str]) -> None:
    """Give the new folder the base's files of these parts, where the file system can without a copy."""
    wanted = set(kept)
    for file in source.iterdir():
        if file.name.partition(".")[0] in wanted:
            try:
                os.link(file, folder / file.name)
            except OSError:
                shutil.copy2(file, folder / file.name)
                sync(folder / file.name)
