"""The commands: `make COMMAND NAME=value`, which is `python -m dagster_project.cli COMMAND NAME=value`.

A command is a function of the environment that returns the exit status; it is imported only when called.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from dagster_project.settings import REPOSITORY, UserError, settings_from_env

# command → (module:function, what it does)
COMMANDS = {
    "scorecards": (
        "dagster_project.job:scorecards",
        "land, build, audit, publish, scorecards (EXPORTS DATA POLICY MONTH ENGINE)",
    ),
    "nightly": ("dagster_project.job:nightly", "land what is new, rebuild, audit, publish"),
    "backfill": ("dagster_project.job:backfill", "a night that builds business dates again (FROM TO)"),
    "targets": ("dagster_project.appraisal.targets:targets", "the sheets announced before a month (MONTH)"),
    "close": ("dagster_project.appraisal.close:close", "seal a month (MONTH BY; SIGNING_KEY_FILE signs it)"),
    "verify": (
        "dagster_project.appraisal.verify:verify",
        "check a sealed month and rebuild it from its raw files (MONTH; TRUSTED_KEYS_FILE)",
    ),
    "reopen": ("dagster_project.appraisal.close:reopen", "begin the next revision of a sealed month (MONTH BY REASON)"),
    "explain": (
        "dagster_project.appraisal.explain:explain",
        "a total down to its raw rows (STAFF MONTH; KPI for one line, FORMAT=json)",
    ),
    "whatif": ("dagster_project.appraisal.whatif:whatif", "a month under another policy (MONTH POLICY)"),
    "adapters": ("dagster_project.landing.inspection:adapters_listed", "the platform formats landing reads"),
    "inspect": (
        "dagster_project.landing.inspection:inspect",
        "what landing would make of a file, loading nothing (FILE)",
    ),
    "watch": (
        "dagster_project.insights.watch:watch",
        "alerts while sessions run, from files as they land (EXPORTS DATA; WATCH_WEBHOOK=address posts them)",
    ),
    "query": (
        "dagster_project.warehouse.read:query",
        "read-only SQL prompt on the published marts; SQL=… for one statement",
    ),
    "export": ("dagster_project.warehouse.read:export", "one self-contained file of the marts (OUT=file)"),
    "site": ("dagster_project.web:site", "the review site of a month, opened where there is a screen (MONTH)"),
    "docs": ("dagster_project.site.docs:docs", "the guides, the KPI dictionary and dbt's pages on every table, as static pages"),
    "ui": ("dagster_project.web:ui", "Dagster's page on 127.0.0.1"),
    "sample": (
        "dagster_project.simulator.command:sample",
        "exports of any size from a seed (OUT EVENTS SEED ROOMS START END)",
    ),
    "bench": (
        "benchmarks.bench:bench",
        "a night and a month end against a script by hand, Polars and pandas (SIZES=1000000,5000000)",
    ),
    "test": ("dagster_project.cli:test", "all tests but the slow ones"),
    "test-spark": ("dagster_project.cli:test_spark", "both engines on the same rows (Java 17; minutes)"),
    "screenshots": ("dagster_project.cli:screenshots", "the README's pictures, from the scored sample in DATA"),
    "prove": (
        "dagster_project.cli:prove",
        "the slow tests and the fault harnesses, figures kept (SEED OUT ONLY; KILLS MUTANTS DAMAGES are counts)",
    ),
    "lint": ("dagster_project.cli:lint", "ruff, sqlfluff, mypy, and whether what is installed fits together"),
}


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run one command; a user's mistake is one line on stderr and exit status 1."""
    name, *assignments = arguments or ["help"]
    if name != "help" and name not in COMMANDS:
        print(f"error: there is no command {name!r}; `make help` lists them", file=sys.stderr)
        return 1
    unclear = [text for text in assignments if not text.partition("=")[0].isidentifier() or "=" not in text]
    if unclear:
        print(f"error: {unclear[0]!r} is no NAME=value", file=sys.stderr)
        return 1
    given = dict(text.split("=", 1) for text in assignments)
    module, function = COMMANDS[name][0].split(":") if name != "help" else (__name__, "help_told")
    try:
        status = int(getattr(import_module(module), function)({**environ, **given}) or 0)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read along (`| head`) has seen enough; what Python still flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def help_told(environ: Mapping[str, str]) -> int:
    """`make help`: every command in one line."""
    for command, (_, purpose) in COMMANDS.items():
        print(f"make {command:<12}{purpose}")
    return 0


def test(environ: Mapping[str, str]) -> int:
    """`make test`: pytest with one process per core, a file's tests staying together with their fixtures."""
    # In the order of the folders: by the number of their tests, the longest files would come last and one process idle.
    return _python("pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")


# The seed of the figures in docs/reliability.md. Kills and damages of any other end as well; of its SQL mutants some will be no
# fault, which somebody has to see and explain first.
PROVED_SEED = "20261128"


def prove(environ: Mapping[str, str]) -> int:
    """`make prove`: the slow tests; each harness's figures as JSON in OUT (default: DATA/proofs/<time>), all told at the end."""
    settings = settings_from_env(environ)
    seed = environ.get("SEED") or PROVED_SEED
    counts = {f"PROVE_{name}": environ[name] for name in ("KILLS", "MUTANTS", "DAMAGES") if environ.get(name)}
    if not all(text.isdecimal() and text.isascii() for text in (seed, *counts.values())):
        raise UserError("SEED, KILLS, MUTANTS and DAMAGES are whole numbers, for example SEED=1 KILLS=1000")
    named = environ.get("OUT")
    out = Path(named).expanduser().absolute() if named else settings.data / "proofs" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    out.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}, figures in {out}", flush=True)
    chosen = ["-k", environ["ONLY"]] if environ.get("ONLY") else []
    arguments = ["-m", "pytest", "-m", "slow", "-n", "auto", "--dist", "loadfile", *chosen]
    child = {**environ, **counts, "PROVE_SEED": seed, "PROVE_OUT": str(out)}
    done = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=child, check=False)
    for file in sorted(out.glob("*.json")):
        figures = json.loads(file.read_text(encoding="utf-8"))
        brief = {name: value for name, value in figures.items() if not isinstance(value, (dict, list)) and name != "harness"}
        print(f"{figures['harness']:<16}{', '.join(f'{name} {value}' for name, value in brief.items())}")
    return done.returncode


def test_spark(environ: Mapping[str, str]) -> int:
    """`make test-spark`: the slow tests too that run a cluster and hold its tables against DuckDB's."""
    return _python("pytest", "tests/spark", "-m", "slow or not slow")


def screenshots(environ: Mapping[str, str]) -> int:
    """`make screenshots`: docs/images, by headless Chromium."""
    script = str(REPOSITORY / "tests" / "browser" / "screenshots.py")
    return subprocess.run([sys.executable, script], cwd=REPOSITORY, env=dict(environ), check=False).returncode


def lint(environ: Mapping[str, str]) -> int:
    """`make lint`: every tool runs, the first failure's status is returned."""
    statuses = [
        _python("ruff", "check", "."),
        _python("sqlfluff", "lint", "dbt", "--nocolor"),
        _python("mypy"),
        _python("pip", "check"),
    ]
    return next((status for status in statuses if status), 0)


def _python(module: str, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=REPOSITORY, check=False).returncode


if __name__ == "__main__":
    # No library may phone home, whatever its own default.
    os.environ.update(DO_NOT_TRACK="1", DAGSTER_TELEMETRY_DISABLED="1", GX_ANALYTICS_ENABLED="false")
    status = main(sys.argv[1:], os.environ)
    # What has to be closed is; taking a million objects of dbt and Dagster apart one by one would cost seconds.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(status)
