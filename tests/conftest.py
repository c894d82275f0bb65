"""The sample, run once through the whole job for all tests that look at its outcome."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def only_settings_of_tests():
    """What the shell that runs the tests has set must not reach a run inside them."""
    for name in ("EXPORTS", "DATA", "POLICY", "MONTH", "DATE", "VIEWER_KEY_SECRET", "REPORTING_CURRENCY"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory) -> Path:
    """A DATA folder in which `scorecards` ran on the embedded sample; one for all processes, only to read."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    data = shared / "sample_run"
    with (shared / "sample_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (data / "published" / "current").exists():
            command = [sys.executable, "-m", "dagster_project.cli", "scorecards", f"DATA={data}"]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr + done.stdout
            (shared / "sample_run.out").write_text(done.stdout, encoding="utf-8")
    return data
