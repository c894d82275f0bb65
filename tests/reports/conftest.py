import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

import small_company  # noqa: E402

from dagster_project.reports.scorecards import write_scorecards  # noqa: E402

MONTH = "2026-10"


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(appraisal.duckdb, marts.duckdb) of the small company."""
    return small_company.build_snapshot(tmp_path_factory.mktemp("snapshot"))


@pytest.fixture(scope="session")
def policy_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_company.build_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def scorecards(snapshot, policy_dir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scorecard folder of October, read by many tests and changed by none."""
    out = tmp_path_factory.mktemp("data") / "scorecards" / MONTH
    write_scorecards(*snapshot, MONTH, out, provisional=True, policy_dir=policy_dir)
    return out
