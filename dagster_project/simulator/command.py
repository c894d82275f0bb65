"""`make sample`: exports of any size from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dagster_project.settings import REPOSITORY, UserError, parse_date


def sample(environ: Mapping[str, str]) -> int:
    """Write exports into OUT (default DATA/simulated); EVENTS, SEED, ROOMS, START, END are optional. Returns the exit status."""
    from dagster_project.simulator.world import SAMPLE_SEED, sample_from_args

    data = Path(environ.get("DATA") or REPOSITORY / "data")
    out = Path(environ.get("OUT") or data / "simulated").expanduser().absolute()
    world = sample_from_args(
        out,
        events=_whole(environ, "EVENTS"),
        seed=_whole(environ, "SEED") or SAMPLE_SEED,
        rooms=_whole(environ, "ROOMS") or 3,
        start=parse_date(environ["START"]) if environ.get("START") else None,
        end=parse_date(environ["END"]) if environ.get("END") else None,
    )
    for export, rows in world.rows.items():
        print(f"{export:<20}{rows:>12}")
    print(f"exports {out}")
    return 0


def _whole(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise UserError(f"sample: {name} is {text!r}, which is no whole number")
    return int(text) if text else None
