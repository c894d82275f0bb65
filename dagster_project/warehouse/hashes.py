"""Content hashes: equal exactly when two tables hold the same rows, in whatever order.

Every row becomes one canonical text, its MD5 two 64-bit integers, and a table the exact sums of those over
its rows. Sums do not depend on row order, threads or partitions, so the parts of a table can be hashed
apart and added up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Fingerprint:
    """Rows of a table (or of a part of it) and the exact sums of the two halves of their MD5."""

    rows: int
    lower: int
    upper: int

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.rows + other.rows, self.lower + other.lower, self.upper + other.upper)


NOTHING = Fingerprint(0, 0, 0)


def quoted(name: str) -> str:
    """A table or column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(
    con: duckdb.DuckDBPyConnection, schema: str, table: str, database: str | None = None
) -> dict[str, str]:
    """Column name → DuckDB type, in table order."""
    # Not from duckdb_columns(): that lists the columns of every table to find those of one.
    name = ".".join(quoted(part) for part in (database, schema, table) if part is not None)
    return {column: data_type for column, data_type, *_ in con.execute(f"describe {name}").fetchall()}


def fingerprint(con: duckdb.DuckDBPyConnection, relation: str, columns: dict[str, str]) -> Fingerprint:
    """Fingerprint of a relation (already quoted SQL) over the given columns (name → type)."""
    return sum(fingerprints(con, relation, columns, "''").values(), NOTHING)


def fingerprints(
    con: duckdb.DuckDBPyConnection, relation: str, columns: dict[str, str], part: str
) -> dict[str, Fingerprint]:
    """Fingerprint of each part of a relation; `part` is the SQL of a row's part, as text."""
    texts = ", ".join(_canonical(name, columns[name]) for name in sorted(columns))
    # md5_number_lower and md5_number_upper are these halves, but each would hash every row anew.
    rows = con.execute(
        f"select part, count(*), sum((digest >> 64)::ubigint)::varchar, sum((digest & {2**64 - 1})::ubigint)::varchar "
        f"from (select {part} as part, md5_number(concat({texts})) as digest from {relation}) group by part"
    ).fetchall()
    return {name: Fingerprint(int(count), int(lower), int(upper)) for name, count, lower, upper in rows}


def content_hash(columns: Iterable[str], parts: Fingerprint) -> str:
    """32 hex digits over the column names and the fingerprint of all rows."""
    text = "\n".join([*sorted(columns), str(parts.rows), str(parts.lower), str(parts.upper)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _canonical(name: str, data_type: str) -> str:
    """SQL of one cell's text: length-prefixed, so that no two rows share a text; null apart from every value.

    The text of a number does not tell its width: DECIMAL(18,2) and DECIMAL(38,2), INTEGER and BIGINT agree.
    """
    column = quoted(name)
    if data_type.startswith("TIMESTAMP"):
        text = f"epoch_us({column})::varchar"
    elif data_type in ("DOUBLE", "FLOAT"):
        # + 0.0 turns -0.0 into 0.0: they are equal values with two texts.
        text = f"format('{{:.17g}}', ({column} + 0.0)::double)"
    else:
        text = f"{column}::varchar"
    return f"coalesce(strlen({text})::varchar || ':' || {text}, 'null;')"


def hash_files(root: Path, patterns: Iterable[str]) -> str:
    """16 hex digits over the names and bytes of the files under root that match any of the glob patterns."""
    digest = hashlib.sha256()
    for path in sorted({file for pattern in patterns for file in root.glob(pattern) if file.is_file()}):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
