"""The sample, run once through the whole job for all tests that look at its outcome."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import finished


def pytest_configure() -> None:
    """Test modules and the libraries they import stay to the end, so none is looked through for garbage."""
    gc.disable()


# In whose first seconds the sample, and then the small company, are made once for all: side by side with what needs neither.
BEGIN_WITH = ("audit/test_suites", "adapters/test_through_the_main_job", "end_to_end/test_main_job", "appraisal/test_adjustments")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files go to the processes in this order; a process that waits for what another makes does nothing meanwhile."""
    paths = [str(Path(__file__).parent / f"{name}.py") for name in BEGIN_WITH]
    items.sort(key=lambda item: paths.index(str(item.path)) if str(item.path) in paths else len(paths))


def pytest_collection_finish() -> None:
    """From here on what tests make is."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def only_settings_of_tests():
    """What the shell that runs the tests has set must not reach a run inside them."""
    for name in ("EXPORTS", "DATA", "POLICY", "MONTH", "DATE", "VIEWER_KEY_SECRET", "REPORTING_CURRENCY"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`made_once(name, make)` is a folder that one of all processes filled by make(folder); the others wait. Only to read."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = shared / name, shared / f"{name}.whole"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                # What a process left that failed at it is told by the next one too, from the start.
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def sample_data(made_once) -> Path:
    """A DATA folder in which `scorecards` ran on the embedded sample; what it said is beside it."""

    def run(data: Path) -> None:
        data.with_suffix(".out").write_text(finished("scorecards", DATA=data), encoding="utf-8")

    return made_once("sample_run", run)
