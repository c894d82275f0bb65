"""The snapshot that readers see: built beside, checked, put in place by one rename and one symlink flip."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.settings import Settings, UserError, connect, roll_back
from dagster_project.warehouse import parts
from dagster_project.warehouse.hashes import NOTHING, Fingerprint, columns_of, content_hash, fingerprint, quoted
from dagster_project.warehouse.parts import PARTS_FOLDER, Base, Parts, place_parts, sync, view_sql

MARTS_SCHEMAS = ("core", "funnel", "kpis", "insights", "audit")
# Whole once the models are built: only models write these, and no model behind the insights does.
MODELS_SCHEMAS = ("core", "funnel", "kpis")
APPRAISAL_SCHEMAS = ("scorecards",)
# Run ids and times of checks stand in audit, so its tables have no content hash.
UNHASHED_SCHEMAS = ("audit",)
# The two DuckDB minor lines before ours must be able to open what is published.
STORAGE_VERSION = "v1.4.0"
# What analysts may never see, whichever model would let it through.
FORBIDDEN_IN_MARTS = frozenset({"viewer_id", "viewer_no", "performance_pay", "total_score", "personal_score"})
SNAPSHOTS_KEPT_AT_LEAST = 3
# Before the name of a snapshot while it is made, or taken away: no reader looks there.
BUILDING = ".building-"


@dataclass(frozen=True)
class Begun:
    """A snapshot to be: its folder, which is its owner's alone, and the tables whose parts are there. No check has passed yet."""

    folder: Path
    base: Base | None
    parts: Mapping[str, Parts]


def begin(settings: Settings, snapshot_id: str) -> Begun:
    """Place the parts of MODELS_SCHEMAS in the folder of a snapshot to be, for publish to complete.

    Nothing may change their tables from here to publish. Raises as publish does, and leaves nothing behind then.
    """
    snapshots = settings.published / "snapshots"
    for folder in (settings.data, settings.published, snapshots):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    remove_unfinished(settings.published)
    building = snapshots / f"{BUILDING}{snapshot_id}"
    building.mkdir(mode=0o700)
    try:
        (building / PARTS_FOLDER).mkdir()
        (building / PARTS_FOLDER).chmod(0o755)
        with _warehouse(settings) as con:
            _refuse_private_columns(con)
            parts.create_tables(con)
            base = parts.last_published(con, snapshots)
            placed = {
                f"{schema}.{table}": place_parts(con, schema, table, building / PARTS_FOLDER / f"{schema}.{table}", base)
                for schema, table in published_tables(con, MODELS_SCHEMAS)
                if parts.is_by_date(con, schema, table)
            }
        return Begun(building, base, placed)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def publish(
    settings: Settings, snapshot_id: str, facts: Mapping[str, Any], keep_hours: float = 48, begun: Begun | None = None
) -> dict[str, Any]:
    """Place the published schemas of the private warehouse in a new snapshot and flip `current` to it.

    What was not rebuilt since the snapshot before is shared with it (parts.py), so a night costs what it changed.

    `facts` go into the manifest as they are (code_version, ledger_hash, …). `begun` is what begin made for this
    very snapshot, if it was called. Returns the manifest. Raises UserError where a mart would show what analysts
    may not see; then, and at any kill, `current` stays.
    """
    begun = begun or begin(settings, snapshot_id)
    snapshots, building = begun.folder.parent, begun.folder
    with _warehouse(settings) as con:
        try:
            _refuse_private_columns(con)
            tables, written = _write_marts(con, begun, snapshots.resolve() / snapshot_id)
            tables |= write_database(con, building / "appraisal.duckdb", APPRAISAL_SCHEMAS, 0o600)
            manifest = {
                "snapshot_id": snapshot_id,
                "data_through": _data_through(con),
                "tables": tables,
                **facts,
                "built_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
            _write_synced(building / "manifest.json", json.dumps(manifest, indent=1) + "\n", 0o644)
            building.chmod(0o755)
            sync(building)
            os.rename(building, snapshots / snapshot_id)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        sync(snapshots)
        _flip(settings.published, snapshot_id)
        # A run killed before this note shares with the snapshot before: what changed since then is still noted too.
        parts.note_published(con, snapshot_id, written)
    sweep(settings.published, keep_hours)
    return manifest


def remove_unfinished(published: Path) -> None:
    """What a failed or killed run began: only the holder of the run lock publishes, so nobody is building it."""
    snapshots = published / "snapshots"
    for folder in snapshots.iterdir() if snapshots.is_dir() else ():
        if folder.is_symlink():
            folder.unlink()
        elif folder.name.startswith(BUILDING):
            shutil.rmtree(folder, ignore_errors=True)


def current_manifest(published: Path) -> dict[str, Any] | None:
    """Manifest of the snapshot that readers see now; None before the first publish."""
    try:
        return json.loads((published / "current" / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None


def current_snapshot(published: Path) -> Path:
    """Folder of the snapshot that `current` names, resolved, so that a flip changes nothing."""
    current = published / "current"
    if not (current / "manifest.json").is_file():
        raise UserError(f"nothing is published under {published} yet: run `make scorecards` first")
    return current.resolve()


def sweep(published: Path, keep_hours: float) -> list[str]:
    """Remove snapshots older than keep_hours, never the current one nor the last three; returns the names."""
    snapshots = published / "snapshots"
    current = (published / "current").resolve().name
    newest_first = sorted(
        (folder for folder in snapshots.iterdir() if folder.is_dir() and not folder.name.startswith(".")),
        key=lambda folder: folder.name,
        reverse=True,
    )
    oldest_kept = time.time() - keep_hours * 3600
    swept = []
    for folder in newest_first[SNAPSHOTS_KEPT_AT_LEAST:]:
        if folder.name != current and folder.stat().st_mtime < oldest_kept:
            # Renamed first: a half-removed folder must never look like a snapshot.
            doomed = snapshots / f"{BUILDING}swept-{folder.name}"
            os.rename(folder, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            swept.append(folder.name)
    return swept


@contextmanager
def _warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    con = connect(settings.warehouse_path, settings)
    try:
        yield con
    finally:
        con.close()


def published_tables(con: duckdb.DuckDBPyConnection, schemas: Sequence[str]) -> list[tuple[str, str]]:
    """(schema, table) of the private warehouse that a snapshot holds; dbt's scratch tables are left out."""
    return con.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_catalog = current_database() and list_contains(?, table_schema) "
        "and not regexp_matches(table_name, '__dbt_(tmp|backup)') order by 1, 2",
        [list(schemas)],
    ).fetchall()


def write_database(
    con: duckdb.DuckDBPyConnection, file: Path, schemas: Sequence[str], mode: int
) -> dict[str, dict[str, Any]]:
    """Copy whole schemas into a new DuckDB file; returns rows and content hash per table, as read back."""
    with _new_database(con, file, schemas, mode):
        tables = published_tables(con, schemas)
        described = {f"{schema}.{table}": _copy_table(con, schema, table) for schema, table in tables}
        _copy_comments(con, [("table", schema, table) for schema, table in tables])
    return described


def _write_marts(
    con: duckdb.DuckDBPyConnection, begun: Begun, final: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, Parts]]:
    """marts.duckdb, with tables by business date as views of Parquet parts beside it.

    Returns rows and content hash per table, and the parts of the tables by date.
    """
    tables: dict[str, dict[str, Any]] = {}
    written: dict[str, Parts] = {}
    copied: list[tuple[str, str, str]] = []
    # A view is checked as it is made, and it has to name the files by the path they will have.
    final.symlink_to(begun.folder.name)
    try:
        with _new_database(con, begun.folder / "marts.duckdb", MARTS_SCHEMAS, 0o640):
            for schema, table in published_tables(con, MARTS_SCHEMAS):
                name = f"{schema}.{table}"
                if not parts.is_by_date(con, schema, table):
                    tables[name] = _copy_table(con, schema, table)
                    copied.append(("table", schema, table))
                    continue
                written[name] = begun.parts.get(name) or place_parts(
                    con, schema, table, begun.folder / PARTS_FOLDER / name, begun.base
                )
                con.execute(
                    f"create view snapshot.{quoted(schema)}.{quoted(table)} as {view_sql(final / PARTS_FOLDER / name)}"
                )
                copied.append(("view", schema, table))
                tables[name] = _described(schema, columns_of(con, schema, table), sum(written[name].values(), NOTHING))
            _copy_comments(con, copied)
    finally:
        final.unlink()
    sync(begun.folder / PARTS_FOLDER)
    return tables, written


@contextmanager
def _new_database(
    con: duckdb.DuckDBPyConnection, file: Path, schemas: Sequence[str], mode: int
) -> Iterator[None]:
    """A new DuckDB file attached as `snapshot` with the schemas in it; afterwards it is whole and on the disk."""
    previous_mask = os.umask(0o077)
    try:
        con.execute(f"attach {_literal(file)} as snapshot (storage_version {_literal(STORAGE_VERSION)})")
    finally:
        os.umask(previous_mask)
    try:
        con.execute("begin")  # one commit for all of it: nobody reads the file before it is whole
        for schema in schemas:
            con.execute(f"create schema if not exists snapshot.{quoted(schema)}")
        yield
        con.execute("commit")
        con.execute("checkpoint snapshot")
    except BaseException:
        roll_back(con)
        raise
    finally:
        con.execute("detach snapshot")
    if file.with_name(file.name + ".wal").exists():
        raise RuntimeError(f"{file.name} was closed with a write-ahead log beside it")
    file.chmod(mode)
    sync(file)


def _copy_table(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> dict[str, Any]:
    """Copy a table into the attached snapshot; returns what the manifest says of it."""
    name = f"{quoted(schema)}.{quoted(table)}"
    con.execute(f"create table snapshot.{name} as from {name}")
    columns = columns_of(con, schema, table, "snapshot")
    if schema in UNHASHED_SCHEMAS:
        return {"rows": con.execute(f"select count(*) from snapshot.{name}").fetchall()[0][0], "content_hash": None}
    return _described(schema, columns, fingerprint(con, f"snapshot.{name}", columns))


def _described(schema: str, columns: dict[str, str], found: Fingerprint) -> dict[str, Any]:
    """A table as the manifest has it."""
    return {"rows": found.rows, "content_hash": None if schema in UNHASHED_SCHEMAS else content_hash(columns, found)}


def _copy_comments(con: duckdb.DuckDBPyConnection, copied: Iterable[tuple[str, str, str]]) -> None:
    """Carry the descriptions over to the attached snapshot, whose (kind, schema, table) are given; kind table or view."""
    of_tables = con.execute(
        "select schema_name, table_name, comment from duckdb_tables() where database_name = current_database() "
        "union all select schema_name, view_name, comment from duckdb_views() where database_name = current_database()"
    ).fetchall()
    about = {(schema, table): comment for schema, table, comment in of_tables if comment}
    of_columns = con.execute(
        "select schema_name, table_name, column_name, comment from duckdb_columns() "
        "where database_name = current_database() and comment is not null"
    ).fetchall()
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, comment in of_columns:
        columns.setdefault((schema, table), []).append((column, comment))
    for kind, schema, table in copied:
        name = f"snapshot.{quoted(schema)}.{quoted(table)}"
        if (schema, table) in about:
            con.execute(f"comment on {kind} {name} is {_literal(about[schema, table])}")
        for column, comment in columns.get((schema, table), []):
            con.execute(f"comment on column {name}.{quoted(column)} is {_literal(comment)}")


def _refuse_private_columns(con: duckdb.DuckDBPyConnection) -> None:
    for schema, table in published_tables(con, MARTS_SCHEMAS):
        if private := FORBIDDEN_IN_MARTS.intersection(columns_of(con, schema, table)):
            raise UserError(
                f"{schema}.{table} has the column {', '.join(sorted(private))}, which analysts may not see: "
                "nothing is published; take it out of the model"
            )


def _data_through(con: duckdb.DuckDBPyConnection) -> str | None:
    """Last business date with a session, as ISO text."""
    last = con.execute("select max(business_date)::varchar from core.fct_session").fetchone()
    return last[0] if last else None


def _flip(published: Path, snapshot_id: str) -> None:
    beside = published / ".current-next"
    beside.unlink(missing_ok=True)
    beside.symlink_to(Path("snapshots") / snapshot_id)
    os.replace(beside, published / "current")
    sync(published)


def _write_synced(file: Path, text: str, mode: int) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    sync(file)


def _literal(value: object) -> str:
    """A Python value as an SQL text literal, for statements that take no parameters."""
    return "'" + str(value).replace("'", "''") + "'"
