"""The viewer keys of each audience segment as CSV, to hand to whoever can turn keys into people."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from dagster_project.settings import Settings, UserError, connect

FILE_NAME = re.compile(r"[a-z_]+")


def write_audiences(marts: Path, out: Path, settings: Settings) -> dict[str, int]:
    """One file <segment>.csv (column viewer_key) per segment of a published marts.duckdb; returns rows per segment."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    con = connect(marts, settings, read_only=True)
    try:
        segments = con.execute("select distinct segment from insights.audience_segments order by 1").fetchall()
        rows = {}
        for (segment,) in segments:
            if not FILE_NAME.fullmatch(segment):
                raise UserError(f"audience segment {segment!r} cannot name a file: use a to z and _ only")
            keys = con.execute(
                "select viewer_key from insights.audience_segments where segment = ? order by 1", [segment]
            ).fetchall()
            with (out / f"{segment}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["viewer_key"])
                writer.writerows(keys)
            rows[segment] = len(keys)
    finally:
        con.close()
    return rows
