"""The tables landing keeps in the private warehouse: file ledger, viewers, quarantine, control, rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.landing.contracts import CONTRACTS, Contract
from dagster_project.landing.typed_rows import literal, quoted


@dataclass
class FileRow:
    """A row of raw.files while its file is being landed; counts are of rows."""

    file_no: int
    export: str
    path: str
    sha256: str | None
    size: int
    verdict: str = "accepted"
    reason: str | None = None
    adapter: str | None = None
    rows_in: int = 0
    accepted: int = 0
    quarantined: int = 0
    pending: int = 0
    loaded_at: datetime = field(default_factory=lambda: now())
    nul_removed: int = 0
    extra_columns: str | None = None


def now() -> datetime:
    """UTC without zone, truncated to milliseconds."""
    instant = datetime.now(UTC).replace(tzinfo=None)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create schema raw and every table of it that is missing."""
    con.execute("CREATE SCHEMA IF NOT EXISTS raw")
    con.execute("""
        CREATE TABLE IF NOT EXISTS raw.files (
            file_no INTEGER, export VARCHAR, path VARCHAR, sha256 VARCHAR, bytes BIGINT, verdict VARCHAR,
            reason VARCHAR, adapter VARCHAR, rows_in BIGINT, rows_accepted BIGINT, rows_quarantined BIGINT,
            rows_duplicate BIGINT, rows_pending BIGINT, loaded_at TIMESTAMP, run_id VARCHAR,
            nul_removed BIGINT, extra_columns VARCHAR);
        CREATE TABLE IF NOT EXISTS raw.viewers (viewer_no INTEGER, viewer_id VARCHAR, viewer_key VARCHAR);
        CREATE TABLE IF NOT EXISTS raw.quarantine (
            export VARCHAR, file_no INTEGER, row_no BIGINT, reason VARCHAR, content VARCHAR);
        -- Columns of a file that the contract does not know, row by row: kept aside, read by nobody yet.
        CREATE TABLE IF NOT EXISTS raw.extra_values (
            export VARCHAR, file_no INTEGER, row_no BIGINT, content VARCHAR);
        -- What became current, or ceased to be, since the last publish.
        CREATE TABLE IF NOT EXISTS raw.changes (
            export VARCHAR, session_id VARCHAR, room_id VARCHAR, order_line_id VARCHAR, order_id VARCHAR,
            product_id VARCHAR, currency VARCHAR, rate_date DATE);
        -- How each file looked when it was last hashed, so that an untouched file is not read again.
        CREATE TABLE IF NOT EXISTS raw.seen_files (
            path VARCHAR, bytes BIGINT, mtime_ns BIGINT, inode BIGINT, checksum VARCHAR);
        -- Folder values that filled columns of a file: the same bytes in another folder may be other rows.
        CREATE TABLE IF NOT EXISTS raw.folder_values (file_no INTEGER, name VARCHAR, value VARCHAR);
        -- What adapters looked up in staff and sessions to read a file, and the hash of the answers they had.
        CREATE TABLE IF NOT EXISTS raw.looked_up (
            file_no INTEGER, staff BOOLEAN, room_id VARCHAR, first TIMESTAMP, last TIMESTAMP, answers VARCHAR);
        -- Unfinished work, so that a run killed between two transactions is completed by the next.
        CREATE TABLE IF NOT EXISTS raw.unresolved_files (file_no INTEGER, export VARCHAR);
        CREATE TABLE IF NOT EXISTS raw.unresolved_parents (export VARCHAR, id VARCHAR, is_new BOOLEAN);
    """)
    for contract in CONTRACTS.values():
        columns = ", ".join(
            # What only happened once has an id that does not repeat (an event, a sample, a message): a dictionary of
            # such ids is all of them, and trying for one costs thrice what zstd does.
            f"{quoted(name)} {kind}{' USING COMPRESSION zstd' if contract.earliest and name == contract.key[-1] else ''}"
            for name, kind in contract.stored_columns
        )
        con.execute(
            f"CREATE TABLE IF NOT EXISTS raw.{contract.export} "
            f"({columns}, _file_no INTEGER, _row_no BIGINT, _status VARCHAR, _reason VARCHAR)"
        )


def clear_changes(con: duckdb.DuckDBPyConnection) -> None:
    """Forget what changed; called once a publish holds it."""
    con.execute("DELETE FROM raw.changes")


def next_file_no(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the next file to be recorded."""
    return con.execute("SELECT coalesce(max(file_no), 0) + 1 FROM raw.files").fetchall()[0][0]


def update_file(con: duckdb.DuckDBPyConnection, row: FileRow) -> None:
    """Record what a file that was read again holds now; the run that first recorded it stays named."""
    con.execute(
        "UPDATE raw.files SET verdict = ?, reason = ?, adapter = ?, rows_in = ?, rows_accepted = ?, rows_quarantined = ?, "
        "rows_duplicate = 0, rows_pending = ?, nul_removed = ?, extra_columns = ? WHERE file_no = ?",
        [
            row.verdict, row.reason, row.adapter, row.rows_in, row.accepted, row.quarantined,
            row.pending, row.nul_removed, row.extra_columns, row.file_no,
        ],
    )  # fmt: skip


def insert_file(con: duckdb.DuckDBPyConnection, row: FileRow, run_id: str) -> None:
    """Record a file; duplicates among its rows are found later, when its export is settled."""
    con.execute(
        "INSERT INTO raw.files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
        [
            row.file_no, row.export, row.path, row.sha256, row.size, row.verdict, row.reason, row.adapter,
            row.rows_in, row.accepted, row.quarantined, row.pending, row.loaded_at, run_id,
            row.nul_removed, row.extra_columns,
        ],
    )  # fmt: skip


def number_viewers(con: duckdb.DuckDBPyConnection, ids: pa.Array, secret: str) -> pa.Array:
    """viewer_no of each of these viewer ids, null where there is no id.

    A viewer_id that has none yet gets a number, and a key that only the secret can recompute.
    """
    numbers = np.zeros(len(ids), dtype=np.int32)
    con.register("viewers_met", pa.table({"viewer_id": ids, "place": np.arange(len(ids))}))
    found = con.execute(
        "SELECT met.place, known.viewer_no FROM viewers_met AS met JOIN raw.viewers AS known ON known.viewer_id = met.viewer_id"
    ).fetchnumpy()
    con.unregister("viewers_met")
    numbers[found["place"]] = found["viewer_no"]
    without = (numbers == 0) & ids.is_valid().to_numpy(zero_copy_only=False)
    if without.any():
        unknown = ids.filter(pa.array(without))
        con.register("unknown_viewers", pa.table({"viewer_id": unknown}))
        # Both pads are a block of the hash, so what is hashed after them is HMAC-SHA256 (RFC 2104).
        new = con.sql(
            "SELECT CAST(known.n + row_number() OVER (ORDER BY viewer_id) AS INTEGER) AS viewer_no, viewer_id, "
            "substr(sha256($outer || unhex(sha256($inner || encode(viewer_id)))), 1, 32) AS viewer_key "
            "FROM (SELECT DISTINCT viewer_id FROM unknown_viewers) "
            "CROSS JOIN (SELECT coalesce(max(viewer_no), 0) AS n FROM raw.viewers) AS known ORDER BY viewer_no",
            params=_padded(secret),
        ).to_arrow_table()
        con.unregister("unknown_viewers")
        con.register("new_viewers", new)
        con.execute("INSERT INTO raw.viewers SELECT * FROM new_viewers")
        con.unregister("new_viewers")
        places = pc.index_in(unknown, new.column("viewer_id").combine_chunks())
        numbers[without] = new.column("viewer_no").combine_chunks().take(places).to_numpy(zero_copy_only=False)
    return pa.array(numbers, mask=numbers == 0)


def _padded(secret: str) -> dict[str, bytes]:
    """The secret as HMAC-SHA256 puts it before what it hashes, first (inner) and then (outer): 64 bytes each."""
    key = secret.encode()
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    return {"inner": bytes(byte ^ 0x36 for byte in key), "outer": bytes(byte ^ 0x5C for byte in key)}


def row_as_json(contract: Contract) -> str:
    """SQL expression giving a row `t` of raw.<export> as JSON text, the viewer by id (needs `viewers`)."""
    values = []
    for column in contract.columns:
        value = "viewers.viewer_id" if column.name == "viewer_id" else f"t.{quoted(column.name)}"
        # Decimals as text keep their digits; instants get their offset back.
        if column.kind in ("decimal", "date"):
            value = f"CAST({value} AS VARCHAR)"
        elif column.kind == "instant":
            value = f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        values.append(f"{literal(column.name)}, {value}")
    return f"CAST(json_object({', '.join(values)}) AS VARCHAR)"


def number_list(values: Iterable[int]) -> str:
    """An SQL list of whole numbers that is never empty."""
    return "(" + ", ".join(map(str, [*values] or [-1])) + ")"
