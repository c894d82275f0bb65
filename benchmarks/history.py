"""Does a night cost what the day costs? The same night after long and after short history.

A simulated company's exports are cut into what each day would deliver: events and samples of the day, orders, refunds and
reviews by their last change, so that a night also brings news of dates two weeks back. One warehouse lands all days
before the last, one only the last few before it; then both run the night of the last day, each in a process of its own.

    DAYS=90 SHORT=3 EVENTS_PER_DAY=20000 NIGHTS=1 python -m benchmarks.history
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.settings import REPOSITORY
from dagster_project.simulator.world import sample_from_args

SECRET = "a secret of the benchmark"
LAST_DAY = date(2026, 9, 29)
# export → when its row was known; exports that are not named are delivered whole on the first day
KNOWN_AT = {
    "viewer_events": "event_at", "playback_qos": "sampled_at", "sessions": "ended_at", "segments": "started_at",
    "shifts": "off_at", "orders": "updated_at", "refunds": "updated_at", "reviews": "reviewed_at",
    "complaints": "filed_at", "service_messages": "sent_at",
}  # fmt: skip
LARGEST_RATIO = 1.2
READERS = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}


@dataclass(frozen=True)
class Night:
    """A run of `nightly` in a process of its own: wall and processor seconds, and its summary.json."""

    seconds: float
    cpu_seconds: float
    summary: dict[str, Any]


def measure(
    work: Path, days: int = 90, short: int = 3, events_per_day: int = 20_000, nights: int = 1
) -> dict[str, Any]:
    """Seconds of the last night after `days` and after `short` days of history, and their ratio.

    `work` is an empty folder to work in. With more nights each is the next day's; the ratio is of their sums.
    """
    first = LAST_DAY - timedelta(days=days + nights - 1)
    deliveries = work / "deliveries"
    sample_from_args(
        work / "exports", events=events_per_day * (days + nights), seed=20261001, rooms=3, start=first, end=LAST_DAY
    )
    cut_into_days(work / "exports", deliveries, first, LAST_DAY)
    shutil.rmtree(work / "exports")
    every_day = [first + timedelta(days=number) for number in range(days + nights)]
    measured = {
        "long": list(_nights(deliveries, work / "long", every_day, history=days, nights=nights)),
        "short": list(_nights(deliveries, work / "short", every_day[days - short :], history=short, nights=nights)),
    }
    sums = {name: sum(night.seconds for night in found) for name, found in measured.items()}
    cpu = {name: sum(night.cpu_seconds for night in found) for name, found in measured.items()}
    return {
        "days": days,
        "short": short,
        "events_per_day": events_per_day,
        "nights": nights,
        **{f"seconds_{name}": round(found, 2) for name, found in sums.items()},
        **{f"cpu_seconds_{name}": round(found, 2) for name, found in cpu.items()},
        "ratio": round(sums["long"] / sums["short"], 3),
        "cpu_ratio": round(cpu["long"] / cpu["short"], 3),
        "steps": {name: _steps(found) for name, found in measured.items()},
        "dates_rebuilt": {name: found[-1].summary["dates_rebuilt"] for name, found in measured.items()},
        "bytes_published_anew": {name: bytes_not_shared(work / name / "data" / "published") for name in measured},
    }


def cut_into_days(exports: Path, out: Path, first: date, last: date) -> None:
    """Write what each day delivers to out/<day>/<export>/; the first day also what was known before, none what is known after."""
    out.mkdir(parents=True)
    con = duckdb.connect(config={"preserve_insertion_order": False})
    con.execute("set TimeZone = 'UTC'")
    for export in sorted(folder.name for folder in exports.iterdir()):
        files = [file for file in (exports / export).rglob("*") if file.is_file()]
        kind = next(suffix for suffix in READERS if f".{suffix}" in files[0].suffixes)
        options = {"csv": ", all_varchar = true", "jsonl": ", format = 'newline_delimited', columns = {}"}
        names = [str(file) for file in files]
        if kind == "jsonl":
            found = con.execute("select distinct unnest(json_keys(json)) from read_json_objects(?)", [names]).fetchall()
            columns = {key: "VARCHAR" for (key,) in sorted(found)}
            options["jsonl"] = f", format = 'newline_delimited', columns = {columns}"
        known_at = KNOWN_AT.get(export)
        instant = f"cast({known_at} as timestamptz) at time zone 'Asia/Shanghai'" if known_at else "null"
        day = f"greatest(coalesce(cast({instant} as date), date '{first}'), date '{first}')"
        con.execute(
            f"copy (select *, strftime({day}, '%Y-%m-%d') as delivered from {READERS[kind]}({names}{options.get(kind, '')}) "
            f"where {day} <= date '{last}') "
            f"to '{out / export}' (format parquet, partition_by (delivered))"
        )
        for number, file in enumerate(sorted((out / export).glob("delivered=*/*.parquet"))):
            target = out / file.parent.name.removeprefix("delivered=") / export / f"{number}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        shutil.rmtree(out / export)
    con.close()


def _nights(deliveries: Path, root: Path, days: Sequence[date], history: int, nights: int) -> Iterator[Night]:
    """Land the first `history` days in one run, then run each further day's night."""
    exports = root / "exports"
    # What was delivered once, on the very first day, is there for a short history too.
    always = min(deliveries.iterdir())
    for export in always.iterdir():
        if export.name not in KNOWN_AT:
            shutil.copytree(export, exports / export.name / "first")
    for day in days[:history]:
        _drop(deliveries / f"{day}", exports)
    run_night(exports, root / "data")
    for day in days[history : history + nights]:
        _drop(deliveries / f"{day}", exports)
        yield run_night(exports, root / "data")


def _drop(delivery: Path, exports: Path) -> None:
    for export in delivery.iterdir():
        if export.name in KNOWN_AT:
            shutil.copytree(export, exports / export.name / delivery.name)


def run_night(exports: Path, data: Path, environ: Mapping[str, str] | None = None) -> Night:
    """`nightly` in a process of its own; raises RuntimeError with its last words where it fails."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dagster_project.cli", "nightly", f"EXPORTS={exports}", f"DATA={data}"],
        cwd=REPOSITORY,
        env={**os.environ, "VIEWER_KEY_SECRET": SECRET, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.monotonic() - began, os.times()
    if done.returncode != 0:
        raise RuntimeError(f"the night ended with status {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    summary = max((data / "runs").iterdir(), key=lambda folder: folder.name) / "summary.json"
    return Night(seconds, cpu, json.loads(summary.read_text(encoding="utf-8")))


def bytes_not_shared(published: Path) -> int:
    """Bytes of the current snapshot that no other snapshot has too."""
    files = (published / "current").resolve().rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file() and file.stat().st_nlink == 1)


def _steps(nights: Sequence[Night]) -> dict[str, float]:
    steps: dict[str, float] = {}
    for night in nights:
        for step, seconds in night.summary["seconds"].items():
            steps[step] = round(steps.get(step, 0) + seconds, 2)
    return steps


def compare_histories(environ: Mapping[str, str]) -> dict[str, Any]:
    """Measure with DAYS, SHORT, EVENTS_PER_DAY and NIGHTS where given; prints the ratio, returns the figures."""
    names = {"DAYS": "days", "SHORT": "short", "EVENTS_PER_DAY": "events_per_day", "NIGHTS": "nights"}
    sizes = {size: int(environ[name]) for name, size in names.items() if environ.get(name)}
    with tempfile.TemporaryDirectory(prefix="history-") as work:
        figures = measure(Path(work), **sizes)
    print(
        f"a night of {figures['events_per_day']} events: {figures['seconds_long']} s after {figures['days']} days of history, "
        f"{figures['seconds_short']} s after {figures['short']}; ratio {figures['ratio']} (processor time {figures['cpu_ratio']})"
    )
    return figures


if __name__ == "__main__":
    found = compare_histories(os.environ)
    print(json.dumps(found, indent=1))
    sys.exit(0 if found["ratio"] <= LARGEST_RATIO else 1)
