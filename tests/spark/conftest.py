"""Runs of the whole job on a cluster; each needs Java and the packages of ENGINE=spark, and says so where they are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dagster_project.settings import UserError
from dagster_project.spark import cluster

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def spark() -> None:
    """Skips where a cluster cannot be started here."""
    try:
        cluster.check_java()
        cluster.prepare_environment()
    except UserError as error:
        pytest.skip(str(error))


def command(name: str, *settings: str) -> list[str]:
    return [sys.executable, "-m", "dagster_project.cli", name, *settings]


def finished(name: str, *settings: str) -> str:
    """What a command says that has to end well."""
    done = subprocess.run(command(name, *settings), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def snapshot(data: Path) -> Path:
    return (data / "published" / "current").resolve()
