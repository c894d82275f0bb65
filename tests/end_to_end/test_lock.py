"""One run at a time, and never one that is stopped for good by a dead one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dagster_project.lock import Locked, run_lock

HOLDER = """
import sys, time
from pathlib import Path
from dagster_project.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run.lock")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_stops_at_once_naming_the_holders_pid_and_start(tmp_path, holder):
    began = time.monotonic()
    with (
        pytest.raises(Locked, match=rf"pid {holder.pid}, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        run_lock(tmp_path / "run.lock"),
    ):
        pass
    assert time.monotonic() - began < 1


def test_the_lock_of_a_killed_holder_is_taken_over(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with run_lock(tmp_path / "run.lock") as left_behind:
        assert left_behind["pid"] == holder.pid
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


def test_a_finished_run_leaves_nothing_to_take_over(tmp_path):
    with run_lock(tmp_path / "run.lock") as left_behind:
        assert left_behind is None
    with run_lock(tmp_path / "run.lock") as left_behind:
        assert left_behind is None


def test_a_lock_file_with_nonsense_in_it_stops_nobody(tmp_path):
    (tmp_path / "run.lock").write_text("no json")
    with run_lock(tmp_path / "run.lock") as left_behind:
        assert left_behind is None
