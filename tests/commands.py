"""The project's commands, as a person starts them or in this process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from dagster_project.cli import main
from dagster_project.settings import REPOSITORY

Done = subprocess.CompletedProcess[str]


def command(name: str, **settings: object) -> list[str]:
    """The command line of `make name NAME=value …`, without make."""
    return [sys.executable, "-m", "dagster_project.cli", name, *(f"{key}={value}" for key, value in settings.items())]


def start(name: str, **settings: object) -> Done:
    """Run a command as a process of its own."""
    return subprocess.run(command(name, **settings), cwd=REPOSITORY, capture_output=True, text=True, check=False)


def finished(name: str, **settings: object) -> str:
    """What a command says, as a process of its own, that has to end well."""
    done = start(name, **settings)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def start_here(name: str, **settings: object) -> Done:
    """Run a command in this process, which loads the libraries once: half of what a small night costs by itself."""
    arguments = command(name, **settings)[3:]
    said, told = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(told):
        status = main(arguments, os.environ)
    return Done(arguments, status, said.getvalue(), told.getvalue())


def published_marts(exports: Path, data: Path, **settings: object) -> Path:
    """The marts that `make scorecards` publishes of the exports; it has to end well."""
    done = start_here("scorecards", EXPORTS=exports, DATA=data, VIEWER_KEY_SECRET="a secret of the tests", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return data / "published" / "current" / "marts.duckdb"
