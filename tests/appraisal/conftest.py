"""A small company of two rooms and thirteen days, built once; each test gets a copy of its DATA folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from dagster_project import run as steps
from dagster_project.appraisal.close import close
from dagster_project.appraisal.seals import remove_tree
from dagster_project.job import scorecards
from dagster_project.simulator.world import simulate

MONTH = "2026-10"


@dataclass(frozen=True)
class Company:
    """EXPORTS and DATA of a company; `environ` is what a command of it is given."""

    root: Path

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def sealed(self) -> Path:
        return self.data / "scorecards" / MONTH

    def environ(self, **more: str) -> dict[str, str]:
        given = {"EXPORTS": str(self.exports), "DATA": str(self.data), "VIEWER_KEY_SECRET": "of the tests"}
        return {**given, "MONTH": MONTH, **more}

    def copy(self, root: Path) -> Company:
        shutil.copytree(self.root, root, symlinks=True)
        return Company(root)


@pytest.fixture(scope="session", autouse=True)
def unchanging_code() -> Iterator[None]:
    """The code counts as the same all the while, also when a file is saved during the tests."""
    original = steps.hash_files
    steps.hash_files = lambda root, patterns: "code-of-the-tests"
    yield
    steps.hash_files = original


@pytest.fixture(scope="session")
def published(made_once) -> Company:
    """The company with its scorecards published and every month open; not to be changed."""

    def publish(root: Path) -> None:
        company = Company(root)
        simulate(company.exports, seed=5, start=date(2026, 9, 24), end=date(2026, 10, 6), rooms=2, events=3000)
        assert scorecards(company.environ()) == 0

    return Company(made_once("published", publish))


@pytest.fixture(scope="session")
def sealed_once(published: Company, made_once) -> Company:
    """The company with September and then October sealed; not to be changed."""

    def seal(root: Path) -> None:
        company = published.copy(root)
        assert close(company.environ(MONTH="2026-09", BY="Li Wei")) == 0
        assert close(company.environ(BY="Li Wei")) == 0

    return Company(made_once("sealed", seal))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[Company], Company]]:
    """`fresh(company)` is a copy that the test may change."""
    yield lambda company: company.copy(tmp_path / "company")
    remove_tree(tmp_path / "company")
