"""`make bench`: a whole night and a month end, against a script by hand, Polars, pandas and merely reading the same files.

Each contender is a process of its own, one after the other in the same run, so that a busy machine slows all of them
alike; what counts are the ratios. Processor seconds are given beside those of the clock: they are what a busy machine
hardly moves. A contender whose result differs from ours in one row ends the run with an error.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.agreement import agreements
from benchmarks.picture import picture_of
from dagster_project.settings import MIB, REPOSITORY, UserError

HERE = Path(__file__).resolve().parent
DEFAULT_EVENTS = "1000000"
# What pandas took per event here; it would be killed rather than slow on a machine that has less.
PANDAS_BYTES_PER_EVENT = 700
SECRET = "of no real viewer"


@dataclass(frozen=True)
class Measurement:
    """One process: seconds of the clock and of the processors, largest resident set and disk in bytes, seconds per step."""

    contender: str
    events: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: int
    steps: dict[str, float]


def bench(environ: Mapping[str, str]) -> int:
    """Measure SIZES (or EVENTS; several with commas) and write table, picture and figures into OUT. Returns the exit status.

    HISTORY=90 also holds a night after so many days against one after three.
    """
    sizes = _sizes(environ.get("SIZES") or environ.get("EVENTS") or DEFAULT_EVENTS)
    data = Path(environ.get("DATA") or REPOSITORY / "data").expanduser().absolute()
    out = Path(environ.get("OUT") or data / "bench").expanduser().absolute()
    out.mkdir(parents=True, exist_ok=True)
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory(dir=out, prefix=".running-") as folder:
        polars = polars_python(out / "polars")
        for events in sizes:
            work = Path(folder) / str(events)
            work.mkdir()
            measured += contest(events, work, polars, memory_limit=environ.get("DUCKDB_MEMORY_LIMIT") or "3GB")
            shutil.rmtree(work)
        histories = [history_of(int(days), Path(folder)) for days in environ.get("HISTORY", "").split(",") if days.isdigit()]
    results = {"contest": [asdict(one) for one in measured], "history": histories}
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "performance.svg").write_text(picture_of(measured), encoding="utf-8")
    text = f"{machine()}\n\n{tables_of(measured)}"
    for history in histories:
        text += (
            f"\nA night after {history['days']} days costs {history['ratio']} × the same night after {history['short']} days.\n"
        )
    (out / "performance.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten    {out}")
    return 0


def contest(events: int, work: Path, polars: Path | None, memory_limit: str, exports: Path | None = None) -> list[Measurement]:
    """Every contender on the same exports, made here unless given; raises UserError where a result differs from ours."""
    if exports is None:
        exports = work / "exports"
        _say(f"making {events} events")
        _run([sys.executable, "-m", "dagster_project.cli", "sample", f"EVENTS={events}", f"OUT={exports}"], {})
    data, theirs = work / "data", work / "theirs"
    theirs.mkdir()
    ours = {"EXPORTS": str(exports), "DATA": str(data), "VIEWER_KEY_SECRET": SECRET, "DUCKDB_MEMORY_LIMIT": memory_limit}
    command = [sys.executable, "-m", "dagster_project.cli"]
    by_hand = [sys.executable, str(HERE / "hand_written.py"), str(exports), str(theirs / "hand_written.duckdb"), memory_limit]
    reading = [sys.executable, str(HERE / "reading.py"), str(exports), str(theirs / "reading.duckdb"), memory_limit]
    found = [
        _measured("reading", events, reading, {}, [theirs / "reading.duckdb"]),
        _measured("hand-written DuckDB", events, by_hand, {}, [theirs / "hand_written.duckdb"]),
        _measured("a night", events, [*command, "nightly"], ours, [data]),
        _measured("the month end", events, [*command, "scorecards"], ours, [data / "scorecards"]),
        _measured("a night without files", events, [*command, "nightly"], ours, [data]),
    ]
    warehouse = data / "private" / "warehouse.duckdb"
    _check("hand-written DuckDB", warehouse, theirs / "hand_written.duckdb")
    (theirs / "reading.duckdb").unlink()
    (theirs / "hand_written.duckdb").unlink()
    libraries = {"Polars": [str(polars), str(HERE / "polars_version.py")]} if polars else {}
    if psutil.virtual_memory().available > events * PANDAS_BYTES_PER_EVENT:
        libraries["pandas"] = [sys.executable, str(HERE / "pandas_version.py")]
    else:
        _say(f"pandas is left out: it would need about {events * PANDAS_BYTES_PER_EVENT // MIB} MiB")
    for name, program in libraries.items():
        folder = theirs / name
        folder.mkdir()
        found.append(_measured(name, events, [*program, str(exports), str(folder)], {}, [folder]))
        _check(name, warehouse, folder)
    return found


def history_of(days: int, work: Path) -> dict[str, Any]:
    """The last night after so many days of history against the same night after three, as benchmarks.history gives it."""
    from benchmarks.history import measure

    folder = work / f"history-{days}"
    folder.mkdir()
    return measure(folder, days=days)


def polars_python(environment: Path) -> Path | None:
    """The interpreter of an environment with Polars as pyproject.toml pins it, made once; None where it cannot be had."""
    import tomllib

    python = environment / "bin" / "python"
    if python.exists():
        return python
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *extras["bench"]], check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError):
        shutil.rmtree(environment, ignore_errors=True)
        _say("Polars is left out: its package cannot be installed here")
        return None
    return python


def tables_of(measured: Sequence[Measurement]) -> str:
    """Markdown: a table of contenders with their ratios to the script by hand, and one of the night's steps."""
    lines = []
    for events in sorted({one.events for one in measured}):
        runs = {one.contender: one for one in measured if one.events == events}
        yardstick = runs["hand-written DuckDB"]
        lines += [
            f"### {events:,} events",
            "",
            "| | seconds | × by hand | processor seconds | × by hand | peak memory | disk |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for one in runs.values():
            lines.append(
                f"| {one.contender} | {one.seconds:.1f} | {one.seconds / yardstick.seconds:.2f} | {one.cpu_seconds:.1f} "
                f"| {one.cpu_seconds / yardstick.cpu_seconds:.2f} | {one.peak_bytes // MIB:,} MiB "
                f"| {one.disk_bytes // MIB:,} MiB |"
            )
        steps = {**runs["a night"].steps, **{k: v for k, v in runs["the month end"].steps.items() if k == "scorecards"}}
        lines += ["", "Seconds per step: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items()) + ".", ""]
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on, without its name."""
    memory = psutil.virtual_memory().total / 2**30
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GiB, {platform.system()}, {python}"


def _measured(
    contender: str, events: int, command: Sequence[str], environ: Mapping[str, str], kept: Sequence[Path]
) -> Measurement:
    _say(f"{events} events: {contender}")
    began = time.perf_counter()
    output, usage = _run(command, environ)
    seconds = time.perf_counter() - began
    steps = _summary_steps(Path(environ["DATA"])) if environ else json.loads(output.splitlines()[-1])
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measurement(contender, events, seconds, usage.ru_utime + usage.ru_stime, peak, sum(map(_size, kept)), steps)


def _run(command: Sequence[str], environ: Mapping[str, str]) -> tuple[str, resource.struct_rusage]:
    """(what it printed, its resource usage); raises UserError with its last line where it fails."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, **environ}, stdout=printed, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (printed, said):
            file.seek(0)
        if process.returncode:
            last = ([""] + said.read().strip().splitlines())[-1]
            raise UserError(f"bench: {' '.join(command[-3:])} ended with status {process.returncode}: {last}")
        return printed.read(), usage


def _summary_steps(data: Path) -> dict[str, float]:
    """Seconds per step of the last run."""
    latest = max((data / "runs").iterdir(), key=lambda folder: folder.name)
    seconds = json.loads((latest / "summary.json").read_text(encoding="utf-8"))["seconds"]
    return {name: value for name, value in seconds.items() if name != "total"}


def _check(contender: str, warehouse: Path, theirs: Path) -> None:
    for table, agreement in agreements(warehouse, theirs).items():
        if agreement.apart or not agreement.rows or agreement.missing:
            raise UserError(
                f"bench: {contender} and our {table} do not agree: {agreement.apart} rows of {agreement.rows} are on one "
                f"side only, missing columns: {', '.join(agreement.missing) or 'none'}"
            )


def _size(path: Path) -> int:
    """Bytes of a file or a folder on the disk; a file linked twice counts once."""
    if path.is_file():
        return path.stat().st_size
    files = [file.stat() for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum({status.st_ino: status.st_size for status in files}.values())


def _sizes(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"SIZES is {text!r}: give numbers of events, for example SIZES=1000000,5000000,20000000")
    return [int(part) for part in parts]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
