"""What DuckDB takes merely to read the same files: EXPORTS DATABASE MEMORY_LIMIT → a table per export, seconds as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

READERS = {
    "parquet": ("*.parquet", "read_parquet({files}, union_by_name = true)"),
    "csv": ("*.csv*", "read_csv({files}, all_varchar = true, union_by_name = true)"),
    "json": ("*.jsonl*", "read_json({files}, format = 'newline_delimited', union_by_name = true)"),
}


def main(exports: str, database: str, memory_limit: str) -> None:
    """Every file of every export, as it is, into a table; nothing is typed, deduplicated or computed."""
    con = duckdb.connect(database, config={"memory_limit": memory_limit, "preserve_insertion_order": False})
    con.execute("set timezone = 'UTC'")
    began = time.perf_counter()
    for folder in sorted(path for path in Path(exports).iterdir() if path.is_dir()):
        for kind, (pattern, reader) in READERS.items():
            files = sorted(map(str, folder.rglob(pattern)))
            if files:
                con.execute(f"create table {folder.name}_{kind} as from {reader.format(files='?')}", [files])
    con.execute("checkpoint")
    con.close()
    print(json.dumps({"read": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
