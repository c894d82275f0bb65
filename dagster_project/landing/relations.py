"""What a row is worth among the others: pending, at odds with its parent, duplicate, superseded or current.

The status of every row is a function of the set of landed rows alone, so order and split of delivery do not
matter. Only rows of new files, rows whose parent changed and the other rows of their keys are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from dagster_project.landing.contracts import FILE_OVER_LIMIT, Contract
from dagster_project.landing.ledger import number_list, row_as_json
from dagster_project.landing.typed_rows import literal, quoted
from dagster_project.settings import roll_back

# What children of an export compare themselves with; of a room only the existence counts.
_PARENT_ROWS = {
    "rooms": "SELECT DISTINCT room_id FROM raw.rooms WHERE _status = 'current'",
    "sessions": "SELECT session_id, room_id, started_at, ended_at FROM raw.sessions "
    "WHERE _status = 'current'",
    "orders": "SELECT order_line_id, currency FROM raw.orders WHERE _status = 'current'",
}
_PARENT_ID = {"rooms": "room_id", "sessions": "session_id", "orders": "order_line_id"}
# Beside what DuckDB takes: 8 bytes each, and more than as much again while they are fetched.
HASHES_AT_A_TIME = 16_000_000
_IN_POOL = "_status IN ('current', 'superseded', 'duplicate')"


@dataclass
class Resolution:
    """What settling an export brought: contested keys, and files whose verdict changed (number → verdict)."""

    key_conflicts: int = 0
    verdicts: dict[int, str] = field(default_factory=dict)


def parent_joins(contract: Contract) -> str:
    """LEFT JOINs of row `t` to its parents, each under the parent export's name."""
    return " ".join(
        f"LEFT JOIN ({_PARENT_ROWS[parent.export]}) AS {parent.export} "
        f"ON {parent.export}.{_PARENT_ID[parent.export]} = t.{quoted(parent.column)}"
        for parent in contract.parents
    )


def standing(contract: Contract) -> tuple[str, str]:
    """(status, reason) of row `t` before its key is contested: pending, quarantined or current; in SQL."""
    cases = []
    for parent in contract.parents:
        orphan = (
            f"t.{quoted(parent.column)} IS NOT NULL AND {parent.export}.{_PARENT_ID[parent.export]} IS NULL"
        )
        cases.append((orphan, "pending", "NULL"))
    cases.extend((condition, "quarantined", literal(reason)) for reason, condition in contract.relations)
    if not cases:
        return "'current'", "CAST(NULL AS VARCHAR)"
    status = " ".join(f"WHEN {condition} THEN '{name}'" for condition, name, _ in cases)
    reason = " ".join(f"WHEN {condition} THEN {why}" for condition, _, why in cases)
    return f"CASE {status} ELSE 'current' END", f"CAST(CASE {reason} END AS VARCHAR)"


def quarantine_stored(con: duckdb.DuckDBPyConnection, contract: Contract, condition: str) -> None:
    """List in raw.quarantine the rows `t` of raw.<export> that are quarantined and meet the condition."""
    viewers = "LEFT JOIN raw.viewers AS viewers USING (viewer_no)" if contract.has_viewer else ""
    con.execute(
        f"INSERT INTO raw.quarantine SELECT {literal(contract.export)}, t._file_no, t._row_no, t._reason, "
        f"{row_as_json(contract)} FROM raw.{contract.export} AS t {viewers} "
        f"WHERE t._status = 'quarantined' AND ({condition})"
    )


def resolve(con: duckdb.DuckDBPyConnection, contract: Contract, quarantine_limit: float) -> Resolution:
    """Settle the rows of one export in one transaction; its parents must be settled before."""
    new_files = _numbers(con, "SELECT file_no FROM raw.unresolved_files WHERE export = ?", contract.export)
    conditions = _concerned(con, contract)
    resolution = Resolution()
    if not new_files and not conditions:
        return resolution
    con.execute("BEGIN")
    try:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE touched (rid BIGINT, old_status VARCHAR);"
            "CREATE OR REPLACE TEMP TABLE contested (key_hash UBIGINT)"
        )
        if conditions:
            _reconsider_children(con, contract, conditions)
        if contract.relations:
            resolution.verdicts = _apply_file_limit(con, contract, quarantine_limit, new_files)
        _find_contested(con, contract, new_files)
        resolution.key_conflicts = _choose_winners(con, contract)
        _carry_over(con, contract, new_files)
        con.execute("DELETE FROM raw.unresolved_files WHERE export = ?", [contract.export])
        con.execute("COMMIT")
    except BaseException:
        roll_back(con)
        raise
    return resolution


def _numbers(con: duckdb.DuckDBPyConnection, query: str, *parameters: str) -> list[int]:
    return [number for (number,) in con.execute(query, list(parameters)).fetchall()]


def _concerned(con: duckdb.DuckDBPyConnection, contract: Contract) -> list[str]:
    """Conditions over row `t` that find the rows whose parent appeared or changed; none = nothing to do."""
    conditions = []
    files = "SELECT file_no FROM raw.files WHERE export = ?"
    for parent in contract.parents:
        new, changed = con.execute(
            "SELECT count(*) FILTER (is_new), count(*) FILTER (NOT is_new) FROM raw.unresolved_parents "
            "WHERE export = ?",
            [parent.export],
        ).fetchall()[0]
        ids = f"SELECT id FROM raw.unresolved_parents WHERE export = {literal(parent.export)}"
        column = f"t.{quoted(parent.column)}"
        if changed:
            conditions.append(f"{column} IN ({ids})")
        elif new and (waiting := _numbers(con, f"{files} AND rows_pending > 0", contract.export)):
            # A parent that was unknown until now can only concern rows that were pending.
            in_waiting = f"t._file_no IN {number_list(waiting)}"
            conditions.append(f"t._status = 'pending' AND {in_waiting} AND {column} IN ({ids})")
        if (new or changed) and contract.relations:
            over = _numbers(con, f"{files} AND verdict = 'rejected'", contract.export)
            if over:
                conditions.append(f"t._file_no IN {number_list(over)}")
    return conditions


def _reconsider_children(con: duckdb.DuckDBPyConnection, contract: Contract, conditions: list[str]) -> None:
    """Give the rows that meet any of the conditions their new standing."""
    table = f"raw.{contract.export}"
    status, reason = standing(contract)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE moved AS SELECT * FROM ("
        f"SELECT t.rowid AS rid, t._status AS old_status, {status} AS new_status, {reason} AS new_reason, "
        f"t._reason AS old_reason FROM {table} AS t {parent_joins(contract)} "
        f"WHERE {' OR '.join(f'({condition})' for condition in conditions)}) "
        f"WHERE new_status <> CASE WHEN old_status IN ('superseded', 'duplicate') THEN 'current' "
        f"ELSE old_status END OR new_reason IS DISTINCT FROM old_reason;"
        f"INSERT INTO touched SELECT rid, old_status FROM moved;"
        f"UPDATE {table} SET _status = new_status, _reason = new_reason FROM moved WHERE {table}.rowid = rid;"
        f"INSERT INTO contested SELECT DISTINCT {_key_hash(contract)} FROM {table} AS t "
        f"WHERE t.rowid IN (SELECT rid FROM moved)"
    )


def _apply_file_limit(
    con: duckdb.DuckDBPyConnection, contract: Contract, limit: float, new_files: list[int]
) -> dict[int, str]:
    """Reject, or take back in, files whose share of quarantined rows crosses the limit with their parents."""
    table = f"raw.{contract.export}"
    verdicts: dict[int, str] = {}
    files = con.execute(
        f"SELECT f.file_no, f.verdict, f.rows_in, count(*) FILTER ("
        f"  t._status = 'quarantined' AND t._reason <> {literal(FILE_OVER_LIMIT)}) + f.rows_in - count(*) "
        f"FROM {table} AS t JOIN raw.files AS f ON f.file_no = t._file_no "
        f"WHERE t._file_no IN {number_list(new_files)} OR t._file_no IN ("
        f"  SELECT _file_no FROM {table} AS moved_row JOIN touched ON moved_row.rowid = touched.rid) "
        f"GROUP BY f.file_no, f.verdict, f.rows_in"
    ).fetchall()
    for file_no, verdict, rows_in, quarantined in files:
        if quarantined > limit * rows_in:
            verdicts[file_no] = "rejected"
            whole = f"t._file_no = {file_no} AND t._status <> 'quarantined'"
            con.execute(
                f"INSERT INTO touched SELECT t.rowid, t._status FROM {table} AS t "
                f"WHERE {whole} AND t.rowid NOT IN (SELECT rid FROM touched);"
                f"INSERT INTO contested SELECT DISTINCT {_key_hash(contract)} FROM {table} AS t "
                f"WHERE {whole};"
                f"UPDATE {table} AS t "
                f"SET _status = 'quarantined', _reason = {literal(FILE_OVER_LIMIT)} WHERE {whole}"
            )
            con.execute(
                "UPDATE raw.files SET verdict = 'rejected', reason = ? WHERE file_no = ?",
                [over_limit_reason(quarantined, rows_in, limit), file_no],
            )
        elif verdict == "rejected":
            verdicts[file_no] = "accepted"
            con.execute(
                "UPDATE raw.files SET verdict = 'accepted', reason = NULL WHERE file_no = ?", [file_no]
            )
    return verdicts


def over_limit_reason(quarantined: int, rows_in: int, limit: float) -> str:
    """Why a file past the limit is rejected, for the ledger."""
    return (
        f"{quarantined / rows_in:.1%} of its rows quarantined ({quarantined} of {rows_in}), limit {limit:.1%}"
    )


def _key_hash(contract: Contract) -> str:
    return f"hash({', '.join(f't.{quoted(name)}' for name in contract.key)})"


def _find_contested(con: duckdb.DuckDBPyConnection, contract: Contract, new_files: list[int]) -> None:
    """Add the keys that a row of a new file shares with any other row."""
    if not new_files:
        return
    table, is_new = f"raw.{contract.export}", f"t._file_no IN {number_list(new_files)}"
    key_hash, among = _key_hash(contract), f"t.{_IN_POOL}"
    has_older = bool(con.execute(f"SELECT 1 FROM {table} AS t WHERE NOT {is_new} LIMIT 1").fetchall())
    if has_older:
        shared = "t.session_id" if "session_id" in contract.key else key_hash
        among += f" AND {shared} IN (SELECT DISTINCT {shared} FROM {table} AS t WHERE {is_new})"
    rows = con.execute(f"SELECT count(*) FROM {table} AS t WHERE {among}").fetchall()[0][0]
    slices = rows // HASHES_AT_A_TIME + 1
    for number in range(slices):
        # Sorted numbers tell what stands twice in a third of the time that a table of all of them takes to group.
        found = con.execute(f"SELECT {key_hash} AS h FROM {table} AS t WHERE {among} AND {key_hash} % {slices} = {number}")
        hashes = np.asarray(found.fetchnumpy()["h"], dtype=np.uint64)
        hashes.sort()
        twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        if len(twice):
            con.register("twice", pa.table({"key_hash": twice}))
            con.execute(
                f"INSERT INTO contested SELECT {key_hash} AS key_hash FROM {table} AS t "
                f"WHERE {among} AND {key_hash} IN (SELECT key_hash FROM twice) GROUP BY ALL HAVING bool_or({is_new})"
                if has_older
                else "INSERT INTO contested SELECT key_hash FROM twice"
            )
            con.unregister("twice")


def _choose_winners(con: duckdb.DuckDBPyConnection, contract: Contract) -> int:
    """Rank the rows of each contested key; returns the key conflicts that have no updated_at to decide."""
    if not con.execute("SELECT count(*) FROM contested").fetchall()[0][0]:
        return 0
    table = f"raw.{contract.export}"
    names = [quoted(column.name) for column in contract.columns]
    key = ", ".join(map(quoted, contract.key))
    order = [f"{name} DESC NULLS LAST" for name in names]
    if contract.has_updated_at:
        order.insert(0, "updated_at DESC NULLS LAST")
    elif contract.earliest:
        order.insert(0, f"{quoted(contract.earliest)} ASC")
    viewers = "LEFT JOIN raw.viewers AS viewers USING (viewer_no)" if contract.has_viewer else ""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE ranked AS WITH pool AS ("
        f"  SELECT t.rowid AS rid, _status AS old_status, _file_no, _row_no, "
        f"  {_key_hash(contract)} AS key_hash, {', '.join(names)} FROM {table} AS t {viewers} "
        f"  WHERE t.{_IN_POOL} AND {_key_hash(contract)} IN (SELECT key_hash FROM contested)"
        f"), copies AS (SELECT *, row_number() OVER ("
        f"  PARTITION BY {', '.join(names)} ORDER BY _file_no, _row_no) AS copy FROM pool"
        f"), places AS (SELECT *, row_number() OVER ("
        f"  PARTITION BY {key} ORDER BY copy > 1, {', '.join(order)}) AS place FROM copies"
        f") SELECT rid, old_status, key_hash, CASE WHEN copy > 1 THEN 'duplicate' "
        f"WHEN place = 1 THEN 'current' ELSE 'superseded' END AS new_status FROM places;"
        f"INSERT INTO touched SELECT rid, old_status FROM ranked WHERE old_status <> new_status "
        f"AND rid NOT IN (SELECT rid FROM touched);"
        f"UPDATE {table} SET _status = new_status FROM ranked "
        f"WHERE {table}.rowid = rid AND old_status <> new_status"
    )
    if not contract.earliest:
        return 0
    return con.execute(
        "SELECT count(DISTINCT key_hash) FROM ranked "
        "WHERE new_status = 'superseded' AND old_status <> new_status"
    ).fetchall()[0][0]


# What raw.changes says of a changed row, where that is not its session, room and line.
_TOLD_OF_CHANGES = {
    "complaints": ("room_id", "order_id"),
    "products": ("product_id",),
    "fx_rates": ("currency", "rate_date"),
}


def withdraw(con: duckdb.DuckDBPyConnection, contract: Contract, file_no: int) -> None:
    """Take a file's rows out, so that it can be read again; rows that they had beaten are free to win anew.

    To be called in the transaction that stores the rows again.
    """
    export, table = contract.export, f"raw.{contract.export}"
    of_file = f"t._file_no = {file_no}"
    gone = f"FROM {table} AS t WHERE {of_file} AND t._status = 'current'"
    con.execute(f"INSERT INTO raw.changes BY NAME SELECT DISTINCT {literal(export)} AS export{_told(contract)} {gone}")
    if export in _PARENT_ID:
        con.execute(f"INSERT INTO raw.unresolved_parents SELECT DISTINCT {literal(export)}, t.{_PARENT_ID[export]}, false {gone}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE freed AS "
        f"SELECT t.rowid AS rid, t._file_no AS file_no, t._status = 'duplicate' AS was_copy "
        f"FROM {table} AS t WHERE NOT {of_file} AND t._status IN ('superseded', 'duplicate') AND {_key_hash(contract)} IN "
        f"(SELECT {_key_hash(contract)} FROM {table} AS t WHERE {of_file} AND t.{_IN_POOL});"
        f"UPDATE {table} SET _status = 'current' WHERE rowid IN (SELECT rid FROM freed);"
        f"UPDATE raw.files AS f SET rows_accepted = rows_accepted + copies, rows_duplicate = rows_duplicate - copies "
        f"FROM (SELECT file_no, count(*) FILTER (was_copy) AS copies FROM freed GROUP BY file_no) AS g "
        f"WHERE f.file_no = g.file_no;"
        f"INSERT INTO raw.unresolved_files SELECT DISTINCT file_no, {literal(export)} FROM freed;"
        f"DELETE FROM {table} AS t WHERE {of_file}"
    )
    for kept in ("quarantine", "extra_values", "folder_values", "looked_up", "unresolved_files"):
        con.execute(f"DELETE FROM raw.{kept} WHERE file_no = {file_no}")


def _told(contract: Contract) -> str:
    """The columns of row `t` by which raw.changes knows it, each after a comma."""
    names = {column.name for column in contract.columns}
    told = _TOLD_OF_CHANGES.get(contract.export, ("session_id", "room_id", "order_line_id"))
    return "".join(f", t.{name} AS {name}" for name in told if name in names)


def _carry_over(con: duckdb.DuckDBPyConnection, contract: Contract, new_files: list[int]) -> None:
    """Tell quarantine, file counts, raw.changes and the children of the new statuses."""
    export, table = contract.export, f"raw.{contract.export}"
    if con.execute("SELECT 1 FROM touched LIMIT 1").fetchall():
        _recount(con, contract)
    is_new = f"t._file_no IN {number_list(new_files)}"
    changed = (
        f"FROM (SELECT t.*, old_status FROM {table} AS t JOIN touched ON t.rowid = touched.rid "
        f"WHERE NOT ({is_new}) AND (old_status = 'current') <> (_status = 'current') "
        f"UNION ALL SELECT t.*, NULL FROM {table} AS t WHERE {is_new} AND _status = 'current') AS t"
    )
    con.execute(f"INSERT INTO raw.changes BY NAME SELECT DISTINCT {literal(export)} AS export{_told(contract)} {changed}")
    if export in _PARENT_ID:
        # A room only ever comes to exist; a session or line may have had another winner until now.
        was_known = "false" if export == "rooms" else "bool_or(old_status = 'current')"
        con.execute(
            f"INSERT INTO raw.unresolved_parents SELECT {literal(export)}, t.{_PARENT_ID[export]}, "
            f"NOT coalesce({was_known}, false) {changed} GROUP BY ALL"
        )


def _recount(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Bring quarantine and file counts in line with the rows whose status changed."""
    export, table = contract.export, f"raw.{contract.export}"
    con.execute(
        f"DELETE FROM raw.quarantine AS q USING (SELECT t._file_no, t._row_no FROM {table} AS t "
        f"JOIN touched ON t.rowid = touched.rid WHERE old_status = 'quarantined') AS gone "
        f"WHERE q.export = {literal(export)} AND q.file_no = gone._file_no AND q.row_no = gone._row_no"
    )
    quarantine_stored(con, contract, "t.rowid IN (SELECT rid FROM touched)")
    statuses = {
        "accepted": ("current", "superseded"),
        "duplicate": ("duplicate",),
        "pending": ("pending",),
        "quarantined": ("quarantined",),
    }
    gains = ", ".join(
        f"count(*) FILTER (_status IN ({names})) - count(*) FILTER (old_status IN ({names})) AS {verdict}"
        for verdict, names in (
            (verdict, ", ".join(map(literal, names))) for verdict, names in statuses.items()
        )
    )
    sums = ", ".join(f"rows_{verdict} = rows_{verdict} + {verdict}" for verdict in statuses)
    con.execute(
        f"UPDATE raw.files SET {sums} FROM (SELECT t._file_no AS touched_file, {gains} "
        f"FROM {table} AS t JOIN touched ON t.rowid = touched.rid GROUP BY ALL) WHERE file_no = touched_file"
    )
