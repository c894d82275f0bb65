"""Run hand_written.sql: EXPORTS DATABASE MEMORY_LIMIT → the tables in DATABASE, and seconds per step as JSON on stdout."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import duckdb

SCRIPT = Path(__file__).with_suffix(".sql")


def main(exports: str, database: str, memory_limit: str) -> None:
    """Run the script's statements in order; the last step brings the tables to the disk, as ours are."""
    con = duckdb.connect(database, config={"memory_limit": memory_limit, "preserve_insertion_order": False})
    con.execute("set timezone = 'UTC'")
    con.execute("set variable exports = ?", [exports])
    seconds: dict[str, float] = {}
    for part in re.split(r"^-- step: ", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, statements = part.split("\n", 1)
        began = time.perf_counter()
        con.execute(statements)
        seconds[name] = time.perf_counter() - began
    began = time.perf_counter()
    con.execute("checkpoint")
    con.close()
    seconds["checkpoint"] = time.perf_counter() - began
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:4])
