"""The viewer keys of each audience segment as CSV, to hand to whoever can turn keys into people."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from dagster_project.settings import Settings, UserError, connect

FILE_NAME = re.compile(r"[a-z_]+")


def write_audiences(marts: Path, out: Path, settings: Settings) -> dict[str, int]:
    """One file <segment>.csv (column viewer_key) per segment of a published marts.duckdb; returns rows per segment.

    `out` is replaced whole, so no segment of an earlier night stays. Like marts.duckdb it is for analysts: files are
    0640, the folder 0750.
    """
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o750, parents=True)
    con = connect(marts, settings, read_only=True)
    try:
        segments = con.execute("select segment, count(*) from insights.audience_segments group by 1 order by 1").fetchall()
        for segment, _ in segments:
            if not FILE_NAME.fullmatch(segment):
                raise UserError(f"audience segment {segment!r} cannot name a file: use a to z and _ only")
            file = beside / f"{segment}.csv"
            target = str(file).replace("'", "''")
            con.execute(
                "copy (select viewer_key from insights.audience_segments "
                f"where segment = '{segment}' order by 1) to '{target}' (header)"
            )
            file.chmod(0o640)
        shutil.rmtree(out, ignore_errors=True)
        beside.rename(out)
    finally:
        con.close()
        shutil.rmtree(beside, ignore_errors=True)
    return dict(segments)
