"""Runs of the whole job on a cluster; each needs Java and the packages of ENGINE=spark, and says so where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_project.settings import UserError
from dagster_project.spark import cluster


@pytest.fixture(scope="session")
def spark() -> None:
    """Skips where a cluster cannot be started here."""
    try:
        cluster.check_java()
        cluster.prepare_environment()
    except UserError as error:
        pytest.skip(str(error))


def snapshot(data: Path) -> Path:
    return (data / "published" / "current").resolve()
