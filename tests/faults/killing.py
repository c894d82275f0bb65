"""Children that are killed with SIGKILL: after some seconds, or just before their n-th call to the file system.

A child is forked from a process in which everything is imported and dbt's project parsed, so that an attempt costs
what its own work costs. Nothing of the child's can be saved at a kill: no `finally`, no flush, no checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.audit import suites
from dagster_project.settings import REPOSITORY
from dagster_project.warehouse.hashes import columns_of, content_hash, fingerprint
from tests.commands import command

# What Python tells an audit hook of; what DuckDB writes by itself is met by kills after some time.
CALLS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.symlink", "os.link", "os.chmod", "os.truncate", "os.utime")
HUNG_AFTER_SECONDS = 900


def run_and_kill(
    work: Callable[[], Any], seconds: float | None = None, call: int | None = None, below: Path | None = None
) -> str:
    """Do `work` in a child; 'killed', 'done', or 'failed' where it ended by an exception.

    seconds: kill it after so long. call: kill it before its call number `call` (from 1) that names a path below
    `below`, fsyncs among them.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            suites._judge = None  # the parent's would be asked by two at once
            if call is not None:
                assert below is not None
                count_calls(below, lambda number: number == call and os.kill(os.getpid(), signal.SIGKILL))
            work()
            status = 0
        finally:
            os._exit(status)
    until = time.monotonic() + (seconds if seconds is not None else HUNG_AFTER_SECONDS)
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _told(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    assert seconds is not None, f"a child was still at work after {HUNG_AFTER_SECONDS} s"
    return _told(os.waitpid(child, 0)[1])


def run_a_night(environ: Mapping[str, str], seconds: float | None = None) -> str:
    """`nightly` as a user starts it, killed after so many seconds; told as run_and_kill does.

    No fork: a night uses the thread pools of every library it loads, and a forked child has their locks without their threads.
    """
    night = subprocess.Popen(command("nightly", **environ), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return "done" if night.wait(seconds if seconds is not None else HUNG_AFTER_SECONDS) == 0 else "failed"
    except subprocess.TimeoutExpired:
        night.kill()
        night.wait()
        assert seconds is not None, f"a night was still at work after {HUNG_AFTER_SECONDS} s"
        return "killed"


def _told(status: int) -> str:
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"a child died of signal {os.WTERMSIG(status)}"
        return "killed"
    return "done" if os.WEXITSTATUS(status) == 0 else "failed"


def count_calls(below: Path, told: Callable[[int], Any]) -> None:
    """From now on call `told(n)` before the n-th call of this process that names a path below `below`."""
    count = 0
    root = str(below)
    fsync = os.fsync

    def noticed() -> None:
        nonlocal count
        count += 1
        told(count)

    def hook(event: str, arguments: tuple) -> None:
        if event in CALLS and any(
            root in os.fsdecode(given) for given in arguments[:2] if isinstance(given, str | bytes | os.PathLike)
        ):
            noticed()

    def synced(descriptor: Any) -> None:
        noticed()
        fsync(descriptor)

    sys.addaudithook(hook)
    os.fsync = synced


def calls_of(work: Callable[[], Any], below: Path) -> int:
    """How many such calls `work` makes, counted in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            suites._judge = None
            made = [0]
            count_calls(below, lambda number: made.__setitem__(0, number))
            work()
            os.write(writing, str(made[0]).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    assert _told(os.waitpid(child, 0)[1]) == "done"
    return int(text)


def seen_by_a_reader(published: Path) -> dict[str, str]:
    """Content hash by table of what `current` names, each table read whole; {} before the first publish.

    Raises AssertionError where a reader would meet a torn snapshot.
    """
    current = published / "current"
    if not current.is_symlink():
        assert not current.exists()
        return {}
    folder = current.resolve(strict=True)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["snapshot_id"] == folder.name
    assert not list(folder.glob("*.wal"))
    seen = {}
    for file in ("marts.duckdb", "appraisal.duckdb"):
        with duckdb.connect(str(folder / file), read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            for schema, table in con.execute(
                "select table_schema, table_name from information_schema.tables where table_catalog = current_database() "
                "and table_schema not in ('main', 'information_schema')"
            ).fetchall():
                columns = columns_of(con, schema, table)
                parts = fingerprint(con, f'"{schema}"."{table}"', columns)
                told = manifest["tables"].get(f"{schema}.{table}")
                if told is None:
                    continue
                assert parts.rows == told["rows"], f"{schema}.{table}: {parts.rows} rows, the manifest says {told['rows']}"
                if told["content_hash"] is not None:
                    seen[f"{schema}.{table}"] = content_hash(columns, parts)
    stated = {name: table["content_hash"] for name, table in manifest["tables"].items() if table["content_hash"] is not None}
    assert seen == stated, "tables differ from the manifest"
    return seen


def landed_rows(warehouse: Path) -> dict[str, str]:
    """Content hash of each raw table by what was delivered: file by path and bytes, row by its number and status.

    Numbers of files and viewers, run ids and times of landing depend on the runs and are left out.
    """
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(
            "create temp view files as select file_no, export, path, sha256, verdict, reason, rows_in, rows_accepted, "
            "rows_quarantined, rows_duplicate, rows_pending from raw.files"
        )
        wrong = con.execute(
            "select path from files where rows_in <> rows_accepted + rows_quarantined + rows_duplicate + rows_pending"
        ).fetchall()
        assert wrong == [], f"accounts do not add up: {wrong}"
        found = {}
        for (table,) in con.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall():
            names = columns_of(con, "raw", table)
            if "_file_no" not in names:
                continue
            viewer = "viewers.viewer_id, viewers.viewer_key, " if "viewer_no" in names else ""
            join = "left join raw.viewers as viewers using (viewer_no)" if viewer else ""
            kept = ", ".join(f'rows."{name}"' for name in names if name not in ("_file_no", "viewer_no"))
            con.execute(
                f"create or replace temp view seen as select {viewer}{kept}, files.path, files.sha256 "
                f"from raw.{table} as rows join files on rows._file_no = files.file_no {join}"
            )
            columns = columns_of(con, "main", "seen", "temp")
            found[table] = content_hash(columns, fingerprint(con, "seen", columns))
        con.execute("create or replace temp view seen as select * exclude (file_no) from files")
        columns = columns_of(con, "main", "seen", "temp")
        found["files"] = content_hash(columns, fingerprint(con, "seen", columns))
    return found
