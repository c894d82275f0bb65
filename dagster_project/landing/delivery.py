"""A night's landing: each new file in its own transaction, then each export's rows settled, parents first."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from dagster_project.landing import ledger, relations
from dagster_project.landing.adapters import lookup_hash
from dagster_project.landing.ahead import Reader
from dagster_project.landing.contracts import ALWAYS_NEEDED, CONTRACTS, FILE_OVER_LIMIT, Contract
from dagster_project.landing.discovery import Delivery, deliveries
from dagster_project.landing.ledger import FileRow
from dagster_project.landing.readers import BadRow, FileRejected, Sought, Source, plain_text
from dagster_project.landing.typed_rows import literal, quoted, typed_select, typed_value
from dagster_project.settings import Settings, UserError, roll_back

CHECKSUM_MISMATCH = "bytes do not match the .sha256 beside the file"
SETTLED_SECONDS = 5


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file in this run."""

    export: str
    path: str
    verdict: str
    reason: str | None = None


@dataclass
class LandingSummary:
    """What a landing did.

    files: what this run recorded or judged anew. Row counts are of the files this run recorded; `pending` is
    all that waits, by file, with its age; `late_exports` were delivered before and brought nothing tonight.
    """

    files: list[FileOutcome] = field(default_factory=list)
    rows_in: int = 0
    rows_accepted: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    rows_pending: int = 0
    nul_removed: int = 0
    quarantine_reasons: dict[str, int] = field(default_factory=dict)
    pending: list[dict] = field(default_factory=list)
    late_exports: list[str] = field(default_factory=list)
    unknown_folders: list[str] = field(default_factory=list)
    schema_drift: dict[str, list[str]] = field(default_factory=dict)
    key_conflicts: dict[str, int] = field(default_factory=dict)
    still_written: list[str] = field(default_factory=list)
    changed: bool = False

    def with_verdict(self, verdict: str) -> list[FileOutcome]:
        """This run's files with that verdict: accepted, rejected or duplicate."""
        return [file for file in self.files if file.verdict == verdict]

    @property
    def files_new(self) -> int:
        return len(self.files)

    @property
    def rejected(self) -> list[FileOutcome]:
        return self.with_verdict("rejected")


class _StillWritten(Exception):
    """The file changed while it was read; it is left for the next run."""


def land(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    progress: Callable[[str], None] | None = None,
) -> LandingSummary:
    """Land what is new below settings.exports into schema raw of `con`.

    progress gets one line per file. Raises UserError when the folder is missing, or when an export that must
    be there was never delivered; what could be landed stays landed then.
    """
    ledger.create_tables(con)
    # A checkpoint after each of many files would write the tables' directories as often; closing makes one.
    con.execute("SET checkpoint_threshold = '1GB'")
    if not settings.exports.is_dir():
        raise UserError(
            f"EXPORTS is no folder: {settings.exports} (needed in it: {', '.join(ALWAYS_NEEDED)})"
        )
    found, unknown = deliveries(settings.exports)
    _refuse_never_delivered(con, {item.export for item in found})
    summary = LandingSummary(unknown_folders=unknown)
    known = _KnownFiles(con)
    in_order = [delivery for export in CONTRACTS for delivery in found if delivery.export == export]
    new = [delivery for delivery in in_order if _may_be_new(delivery, known, settings)]
    following = {one.path: after for one, after in itertools.pairwise(new)}
    with Reader(settings, lambda delivery: following.get(delivery.path)) as reader:
        _land_exports(con, settings, run_id, in_order, reader, known, summary, progress)
    con.execute("DELETE FROM raw.unresolved_parents")
    _remember_looks(con, known.new_looks)
    _refuse_never_delivered(con, set())
    _summarise(con, run_id, summary)
    return summary


def _land_exports(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    in_order: list[Delivery],
    reader: Reader,
    known: _KnownFiles,
    summary: LandingSummary,
    progress: Callable[[str], None] | None,
) -> None:
    """Each export's files, then the standing of its rows, parents first."""
    for contract in CONTRACTS.values():
        known.reading_otherwise = _reading_otherwise(con, contract)
        for delivery in in_order:
            if delivery.export == contract.export:
                _take(con, settings, run_id, delivery, reader, known, summary, progress)
        resolution = relations.resolve(con, contract, settings.quarantine_limit_of(contract.export))
        if resolution.key_conflicts:
            summary.key_conflicts[contract.export] = resolution.key_conflicts
        _add_rejudged(con, run_id, resolution.verdicts, summary)


def _refuse_never_delivered(con: duckdb.DuckDBPyConnection, tonight: set[str]) -> None:
    rows = con.execute("SELECT DISTINCT export FROM raw.files WHERE verdict = 'accepted'").fetchall()
    delivered = tonight | {export for (export,) in rows}
    missing = [export for export in ALWAYS_NEEDED if export not in delivered]
    if not missing:
        return
    rejected = con.execute(
        f"SELECT path, reason FROM raw.files WHERE verdict = 'rejected' "
        f"AND export IN ({', '.join(map(literal, missing))}) ORDER BY file_no DESC LIMIT 1"
    ).fetchall()
    why = f"; {rejected[0][0]} was rejected: {rejected[0][1]}" if rejected else ""
    raise UserError(f"never delivered: {', '.join(missing)}; put their files into EXPORTS/<export>/{why}")


def _may_be_new(delivery: Delivery, known: _KnownFiles, settings: Settings) -> bool:
    """Whether a file may bring rows: it may be opened, and looks otherwise than when it was hashed."""
    return (
        _refusal(delivery, settings) is None
        and known.looks.get(delivery.relative, ())[:3] != (delivery.size, delivery.mtime_ns, delivery.inode)
    )


def _refusal(delivery: Delivery, settings: Settings) -> str | None:
    """Why a file is not opened, None for one that is."""
    if delivery.refused is None and delivery.size > settings.max_file_bytes:
        return f"file is larger than {settings.max_file_bytes} bytes"
    return delivery.refused


# --- one file ----------------------------------------------------------------------------------------------


class _KnownFiles:
    """What earlier runs, and this one so far, know of files."""

    def __init__(self, con: duckdb.DuckDBPyConnection):
        self.by_bytes: dict[tuple[str, str], list[FileRow]] = {}
        self.refused: set[tuple[str, str]] = set()
        self.looks: dict[str, tuple] = {}
        self.new_looks: list[tuple] = []
        self.folder_values: dict[int, dict[str, str]] = {}
        self.reading_otherwise: dict[str, FileRow] = {}
        for row in con.execute(
            "SELECT file_no, export, path, sha256, bytes, verdict, reason, loaded_at FROM raw.files "
            "ORDER BY file_no"
        ).fetchall():
            self.add(replace(FileRow(*row[:7]), loaded_at=row[7]))
        for path, *look in con.execute("SELECT * FROM raw.seen_files").fetchall():
            self.looks[path] = tuple(look)
        for file_no, name, value in con.execute("SELECT * FROM raw.folder_values").fetchall():
            self.folder_values.setdefault(file_no, {})[name] = value

    def add(self, row: FileRow) -> None:
        if row.sha256 is None:
            self.refused.add((row.path, row.reason or ""))
        else:
            self.by_bytes.setdefault((row.export, row.sha256), []).append(row)

    def original(self, rows: list[FileRow], delivery: Delivery) -> FileRow | None:
        """The file these bytes would only repeat: not rejected, its columns filled from like folders."""
        here = dict(delivery.folder_values)
        for row in rows:
            filled = self.folder_values.get(row.file_no, {})
            if row.verdict == "accepted" and all(here.get(name) == value for name, value in filled.items()):
                return row
        return None


def _take(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    delivery: Delivery,
    reader: Reader,
    known: _KnownFiles,
    summary: LandingSummary,
    progress: Callable[[str], None] | None,
) -> None:
    """Land one file or record why not; nothing happens for a file that is known under its name."""
    if (refused := _refusal(delivery, settings)) is not None:
        if (delivery.relative, refused) not in known.refused:
            row = FileRow(ledger.next_file_no(con), delivery.export, delivery.relative, None, delivery.size)
            row.verdict, row.reason = "rejected", refused
            _record(con, row, run_id, known, summary)
        return
    try:
        if (earlier := known.reading_otherwise.get(delivery.relative)) is not None:
            _read_again(con, settings, delivery, earlier, reader, known, summary)
        checksum = _expected_checksum(delivery.companion)
        look = (delivery.size, delivery.mtime_ns, delivery.inode, checksum)
        if known.looks.get(delivery.relative) == look:
            return
        with open(delivery.path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if _has_changed(delivery):
            raise _StillWritten
        same = known.by_bytes.get((delivery.export, sha256), [])
        under_this_name = [row for row in same if row.path == delivery.relative]
        mended = (
            under_this_name and under_this_name[-1].reason == CHECKSUM_MISMATCH and checksum in (None, sha256)
        )
        if not under_this_name or mended:
            row = FileRow(ledger.next_file_no(con), delivery.export, delivery.relative, sha256, delivery.size)
            original = known.original(same, delivery)
            if original is not None:
                row.verdict, row.reason = "duplicate", f"same bytes as {original.path}"
                _record(con, row, run_id, known, summary)
            else:
                # Bytes that were rejected under another name are judged again, by the time they first landed.
                row.loaded_at = min([row.loaded_at, *(earlier.loaded_at for earlier in same)])
                if progress:
                    progress(f"landing {delivery.relative}")
                _load(con, settings, run_id, delivery, row, checksum, reader, known, summary)
        # A file as young as this could still change without its time stamp showing it.
        if time.time() - delivery.mtime_ns / 1e9 > SETTLED_SECONDS:
            known.new_looks.append((delivery.relative, *look))
    except _StillWritten:
        summary.still_written.append(delivery.relative)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or type(error).__name__}"
        summary.files.append(FileOutcome(delivery.export, delivery.relative, "rejected", reason))


def _expected_checksum(companion: Path | None) -> str | None:
    """The SHA-256 that the file beside names (sha256sum format), in lower case; None without such a file."""
    if companion is None:
        return None
    with open(companion, "rb") as file:
        words = file.read(4096).decode(errors="replace").split()
    # sha256sum marks an escaped file name with a backslash before the checksum.
    return words[0].lower().removeprefix("\\") if words else ""


def _has_changed(delivery: Delivery) -> bool:
    status = os.stat(delivery.path)
    return (status.st_size, status.st_mtime_ns, status.st_ino) != (
        delivery.size,
        delivery.mtime_ns,
        delivery.inode,
    )


def _remember_looks(con: duckdb.DuckDBPyConnection, looks: list[tuple]) -> None:
    """Spare these files the next hashing. A run killed before this only hashes them once more."""
    if looks:
        con.execute("BEGIN")
        con.executemany("DELETE FROM raw.seen_files WHERE path = ?", [look[:1] for look in looks])
        con.executemany("INSERT INTO raw.seen_files VALUES (?, ?, ?, ?, ?)", looks)
        con.execute("COMMIT")


def _record(
    con: duckdb.DuckDBPyConnection, row: FileRow, run_id: str, known: _KnownFiles, summary: LandingSummary
) -> None:
    """Put the file into the ledger and the summary."""
    ledger.insert_file(con, row, run_id)
    known.add(row)
    summary.files.append(FileOutcome(row.export, row.path, row.verdict, row.reason))


def _load(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    delivery: Delivery,
    row: FileRow,
    checksum: str | None,
    reader: Reader,
    known: _KnownFiles,
    summary: LandingSummary,
) -> None:
    """Store one file together with its ledger row, or only its ledger row where it is rejected."""
    contract = CONTRACTS[delivery.export]
    con.execute("BEGIN")
    try:
        if checksum not in (None, row.sha256):
            raise FileRejected(CHECKSUM_MISMATCH)
        _store_file(con, settings, contract, delivery, row, reader, known)
        if _has_changed(delivery):
            raise _StillWritten
        _record(con, row, run_id, known, summary)
        con.execute("COMMIT")
    except FileRejected as error:
        roll_back(con)
        refusal = FileRow(row.file_no, row.export, row.path, row.sha256, row.size, "rejected", str(error))
        refusal.loaded_at = row.loaded_at
        _record(con, refusal, run_id, known, summary)
    except BaseException:
        roll_back(con)
        raise


def _reading_otherwise(con: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, FileRow]:
    """Files of an export that name staff or sessions which have come or changed since they were read, by path."""
    looked_up = con.execute(
        "SELECT f.file_no, f.path, f.sha256, f.bytes, f.verdict, f.reason, f.loaded_at, l.staff, l.room_id, l.first, l.last, "
        "l.answers FROM raw.looked_up AS l JOIN raw.files AS f USING (file_no) WHERE f.export = ? ORDER BY f.file_no",
        [contract.export],
    ).fetchall()
    found = {}
    for file_no, path, sha256, size, verdict, reason, loaded_at, *sought, answers in looked_up:
        if lookup_hash(con, Sought(*sought)) != answers:
            found[path] = FileRow(file_no, contract.export, path, sha256, size, verdict, reason, loaded_at=loaded_at)
    return found


def _read_again(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    delivery: Delivery,
    earlier: FileRow,
    reader: Reader,
    known: _KnownFiles,
    summary: LandingSummary,
) -> None:
    """Give a file the rows it has now that staff or sessions are others; its number and time of landing stay.

    A file that is no longer there with the same bytes keeps the rows it had.
    """
    with open(delivery.path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != earlier.sha256:
            return
    contract = CONTRACTS[delivery.export]
    row = FileRow(earlier.file_no, earlier.export, earlier.path, earlier.sha256, earlier.size, loaded_at=earlier.loaded_at)
    con.execute("BEGIN")
    try:
        relations.withdraw(con, contract, earlier.file_no)
        _store_file(con, settings, contract, delivery, row, reader, known)
        if _has_changed(delivery):
            raise _StillWritten
        ledger.update_file(con, row)
        con.execute("COMMIT")
    except FileRejected:
        roll_back(con)
    except BaseException:
        roll_back(con)
        raise
    else:
        if row.verdict != earlier.verdict:
            summary.files.append(FileOutcome(row.export, row.path, row.verdict, row.reason))


def _store_file(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    contract: Contract,
    delivery: Delivery,
    row: FileRow,
    reader: Reader,
    known: _KnownFiles,
) -> None:
    """Store the rows of a file and complete its ledger row; raises FileRejected for one not to be taken."""
    file, chunks = reader.open(delivery, con)
    row.adapter, source = file.adapter, file.source
    names = {column.name for column in contract.columns}
    offered = {name: value for name, value in delivery.folder_values if name in names}
    if source.columns_known:
        _refuse_missing_columns(contract, {*source.columns, *offered})
    sound_rows = 0
    for table, bad in chunks:
        sound_rows += table.num_rows
        _store_chunk(con, settings, contract, source, offered, row, table, bad)
    if not source.columns_known and sound_rows:
        _refuse_missing_columns(contract, {*source.columns, *offered})
    row.reason = "; ".join(source.notes) or None
    if (sought := source.sought) is not None:
        con.execute(
            "INSERT INTO raw.looked_up VALUES (?, ?, ?, ?, ?, ?)",
            [row.file_no, sought.staff, sought.room_id, sought.first, sought.last, lookup_hash(con, sought)],
        )
    filled = {name: value for name, value in offered.items() if name not in source.columns}
    filled |= source.folder_used
    for name, value in filled.items():
        con.execute("INSERT INTO raw.folder_values VALUES (?, ?, ?)", [row.file_no, name, value])
    known.folder_values[row.file_no] = filled
    row.nul_removed = source.nul_removed
    row.extra_columns = ",".join(sorted({*source.columns} - names)) or None
    limit = settings.quarantine_limit_of(contract.export)
    if row.quarantined > limit * row.rows_in:
        row.verdict, row.reason = "rejected", relations.over_limit_reason(row.quarantined, row.rows_in, limit)
        _quarantine_whole(con, contract, row)
        return
    con.execute("INSERT INTO raw.unresolved_files VALUES (?, ?)", [row.file_no, contract.export])
    counts = con.execute(
        f"SELECT _status, count(*) FROM raw.{contract.export} WHERE _file_no = {row.file_no} GROUP BY 1"
    )
    standings = dict(counts.fetchall())
    if standings.get("quarantined"):
        relations.quarantine_stored(con, contract, f"t._file_no = {row.file_no}")
    row.accepted, row.pending = standings.get("current", 0), standings.get("pending", 0)
    row.quarantined += standings.get("quarantined", 0)


def judge_file(con: duckdb.DuckDBPyConnection, settings: Settings, delivery: Delivery) -> FileRow:
    """The ledger row a file would get; its rows are stored in `con`, a database of raw.* nobody else reads."""
    row = FileRow(ledger.next_file_no(con), delivery.export, delivery.relative, None, delivery.size)
    with Reader(settings) as reader:
        _store_file(con, settings, CONTRACTS[delivery.export], delivery, row, reader, _KnownFiles(con))
    return row


def _refuse_missing_columns(contract: Contract, present: set[str]) -> None:
    missing = [column.name for column in contract.columns if column.required and column.name not in present]
    if missing:
        raise FileRejected(f"required column {', '.join(missing)} is missing")


def _store_chunk(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    contract: Contract,
    source: Source,
    folder_values: dict[str, str],
    row: FileRow,
    table: pa.Table,
    bad: list[BadRow],
) -> None:
    """Type one chunk: unusable rows go to raw.quarantine whole, the others to raw.<export>."""
    export, file_no = contract.export, row.file_no
    columns = {item.name: plain_text(item.type) for item in table.schema if item.name != "_row_no"}
    if bad:
        _quarantine_bad_rows(con, export, file_no, bad)
    passed_on: tuple[str, ...] = ("_row_no",)
    viewer_no = _unused("_viewer_no", table.column_names)
    if contract.has_viewer:
        numbers = _viewer_numbers(con, settings, contract, source, folder_values, table)
        table = table.append_column(viewer_no, numbers)
        passed_on += (quoted(viewer_no),)
    con.register("chunk", table)
    select = typed_select(contract, columns, folder_values, source.null_tokens, row.loaded_at, passed_on, "chunk")
    # Text is costly to type, so it is typed once into a table; typed columns are as well read twice.
    as_text = any(
        pa.types.is_string(columns[column.name])
        for column in contract.columns
        if column.name in columns and column.sql_type != "VARCHAR"
    )
    typed = "typed_table" if as_text else "typed_view"
    con.execute(f"CREATE OR REPLACE TEMP {'TABLE' if as_text else 'VIEW'} {typed} AS {select}")
    extra = [name for name in columns if all(name != column.name for column in contract.columns)]
    if extra:
        content = '"_extra"' if extra == ["_extra"] else _as_delivered(extra)
        con.execute(
            f"INSERT INTO raw.extra_values SELECT {literal(export)}, {file_no}, _row_no, "
            f"replace({content}, chr(65533), '?') AS content FROM chunk WHERE content IS NOT NULL"
        )
    status, reason = relations.standing(contract)
    values = ", ".join(
        f"t.{quoted(viewer_no)}" if column.name == "viewer_id" else f"t.{quoted(column.name)}" for column in contract.columns
    )
    stored = con.execute(
        f"INSERT INTO raw.{export} SELECT {values}, {file_no}, t._row_no, {status}, {reason} "
        f"FROM {typed} AS t {relations.parent_joins(contract)} WHERE t._reason IS NULL"
    ).fetchall()[0][0]
    unusable = 0
    if stored != table.num_rows:
        # Only then is there anything to look for.
        unusable = con.execute(f"SELECT count(*) FROM {typed} WHERE _reason IS NOT NULL").fetchall()[0][0]
        con.execute(
            f"INSERT INTO raw.quarantine SELECT {literal(export)}, {file_no}, t._row_no, t._reason, "
            f"{_as_delivered(list(columns))} FROM chunk JOIN {typed} AS t USING (_row_no) "
            f"WHERE t._reason IS NOT NULL"
        )
    con.unregister("chunk")
    row.rows_in += table.num_rows + len(bad)
    row.quarantined += unusable + len(bad)


def _unused(name: str, names: list[str]) -> str:
    """The name, or a longer one where a file has it already, in whatever case."""
    while name in map(str.lower, names):
        name += "_"
    return name


def _viewer_numbers(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    contract: Contract,
    source: Source,
    folder_values: dict[str, str],
    table: pa.Table,
) -> pa.Array:
    """The viewer_no of each row: each distinct value of viewer_id is typed and looked up once, not once per row."""
    if "viewer_id" in table.column_names:
        given = table.column("viewer_id").combine_chunks()
    else:
        given = pa.repeat(pa.scalar(folder_values.get("viewer_id"), pa.string()), table.num_rows)
    try:
        encoded = given.dictionary_encode()
        distinct, places = encoded.dictionary, encoded.indices
    except pa.ArrowNotImplementedError:
        # Of lists, records and small decimals Arrow has no dictionary.
        distinct, places = given, pa.array(np.arange(len(given)))
    column = next(column for column in contract.columns if column.name == "viewer_id")
    con.register("given_viewers", pa.table({"viewer_id": distinct, "place": np.arange(len(distinct))}))
    typed = typed_value(column, distinct.type, source.null_tokens)
    ids = con.sql(f"SELECT {typed} AS viewer_id FROM given_viewers ORDER BY place").to_arrow_table().column("viewer_id")
    con.unregister("given_viewers")
    numbers = ledger.number_viewers(con, ids.combine_chunks(), settings.secret)
    return numbers.take(places)


def _as_delivered(names: list[str]) -> str:
    """SQL expression: columns of a chunk's row as delivered, as JSON text."""
    pairs = ", ".join(f"{literal(name)}, chunk.{quoted(name)}" for name in names)
    return f"CAST(json_object({pairs}) AS VARCHAR)"


def _quarantine_bad_rows(
    con: duckdb.DuckDBPyConnection, export: str, file_no: int, bad: list[BadRow]
) -> None:
    rows = {
        "row_no": pa.array([row.row_no for row in bad], pa.int64()),
        "reason": [row.reason for row in bad],
        "content": [row.content for row in bad],
    }
    con.register("bad_rows", pa.table(rows))
    con.execute(
        f"INSERT INTO raw.quarantine SELECT {literal(export)}, {file_no}, row_no, reason, content "
        "FROM bad_rows"
    )
    con.unregister("bad_rows")


def _quarantine_whole(con: duckdb.DuckDBPyConnection, contract: Contract, row: FileRow) -> None:
    """Move the file's good rows to quarantine too: past the limit the file as a whole is not trusted."""
    table, of_file = f"raw.{contract.export}", f"_file_no = {row.file_no}"
    con.execute(
        f"UPDATE {table} SET _status = 'quarantined', _reason = {literal(FILE_OVER_LIMIT)} WHERE {of_file}"
    )
    relations.quarantine_stored(con, contract, f"t.{of_file}")
    con.execute(f"DELETE FROM {table} WHERE {of_file}")
    row.quarantined = row.rows_in


# --- summary -----------------------------------------------------------------------------------------------


def _add_rejudged(
    con: duckdb.DuckDBPyConnection, run_id: str, verdicts: dict[int, str], summary: LandingSummary
) -> None:
    """Replace, or add, the outcome of files whose verdict changed with their parents."""
    for file_no in verdicts:
        outcome = FileOutcome(
            *con.execute(
                "SELECT export, path, verdict, reason FROM raw.files WHERE file_no = ?", [file_no]
            ).fetchall()[0]
        )
        summary.files = [
            file for file in summary.files if (file.export, file.path) != (outcome.export, outcome.path)
        ]
        summary.files.append(outcome)


def _summarise(con: duckdb.DuckDBPyConnection, run_id: str, summary: LandingSummary) -> None:
    names = ("rows_in", "rows_accepted", "rows_quarantined", "rows_duplicate", "rows_pending", "nul_removed")
    sums = ", ".join(f"CAST(coalesce(sum({name}), 0) AS BIGINT)" for name in names)
    counts = con.execute(f"SELECT {sums} FROM raw.files WHERE run_id = ?", [run_id]).fetchall()[0]
    for name, value in zip(names, counts, strict=True):
        setattr(summary, name, value)
    summary.quarantine_reasons = dict(
        con.execute(
            "SELECT reason, count(*) FROM raw.quarantine WHERE file_no IN "
            "(SELECT file_no FROM raw.files WHERE run_id = ?) GROUP BY reason ORDER BY reason",
            [run_id],
        ).fetchall()
    )
    for export, path, rows, loaded_at in con.execute(
        "SELECT export, path, rows_pending, loaded_at FROM raw.files WHERE rows_pending > 0 ORDER BY file_no"
    ).fetchall():
        age = int((ledger.now() - loaded_at).total_seconds())
        summary.pending.append({"export": export, "path": path, "rows": rows, "age_seconds": age})
    for export, extra in con.execute(
        "SELECT export, extra_columns FROM raw.files WHERE run_id = ? AND extra_columns IS NOT NULL", [run_id]
    ).fetchall():
        summary.schema_drift[export] = sorted({*summary.schema_drift.get(export, []), *extra.split(",")})
    late = con.execute(
        "SELECT export FROM raw.files WHERE verdict = 'accepted' GROUP BY export "
        "HAVING NOT bool_or(run_id = ?) ORDER BY export",
        [run_id],
    ).fetchall()
    summary.late_exports = [export for (export,) in late]
    summary.changed = con.execute("SELECT count(*) > 0 FROM raw.changes").fetchall()[0][0]
