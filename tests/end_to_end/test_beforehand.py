"""Work begun beside landing: waited for, done without where it fails, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dagster_project import beforehand
from dagster_project.settings import REPOSITORY, Settings, settings_from_env
from dagster_project.warehouse.build import _parsed, parse_project, target_folder

WORKS = f"{Path(__file__).stem}_works"
SOURCE = """
import time
def first(settings):
    print("what a library prints")
    settings.data.joinpath("first").write_text(settings.secret)
def slow(settings):
    time.sleep(600)
def fails(settings):
    raise ValueError("no")
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    (tmp_path / f"{WORKS}.py").write_text(SOURCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(beforehand, "_helper", None)
    monkeypatch.setattr(beforehand, "_made", set())
    yield replace(settings_from_env({"DATA": str(tmp_path)}), secret="told through the pipe")
    if beforehand._helper is not None:
        beforehand._helper.kill()
        beforehand._helper.communicate()


def test_a_work_is_waited_for_and_done_with_the_settings(settings: Settings) -> None:
    beforehand.begin(settings, {"first": f"{WORKS}:first", "slow": f"{WORKS}:slow"})
    beforehand.wait_for("first")
    assert (settings.data / "first").read_text() == "told through the pipe"
    beforehand.wait_for("first")


def test_nothing_is_waited_for_where_none_was_begun(settings: Settings) -> None:
    beforehand.wait_for("first")


@pytest.mark.parametrize("work", ["fails", "missing"])
def test_a_work_that_fails_is_waited_for_no_longer(settings: Settings, work: str) -> None:
    beforehand.begin(settings, {"first": f"{WORKS}:first", "work": f"{WORKS}:{work}", "after": f"{WORKS}:first"})
    beforehand.wait_for("work")
    beforehand.wait_for("after")
    assert (settings.data / "first").exists()


def test_it_is_begun_once(settings: Settings) -> None:
    beforehand.begin(settings, {"slow": f"{WORKS}:slow"})
    helper = beforehand._helper
    beforehand.begin(settings, {"first": f"{WORKS}:first"})
    assert beforehand._helper is helper


def test_secrets_are_on_no_command_line(settings: Settings) -> None:
    beforehand.begin(settings, {"slow": f"{WORKS}:slow"})
    assert beforehand._helper is not None
    assert "told through" not in " ".join(psutil.Process(beforehand._helper.pid).cmdline())


@pytest.mark.parametrize("kept", [0, 1, 1000])
def test_a_parse_that_was_cut_off_while_it_was_written_is_made_again(settings: Settings, kept: int) -> None:
    """The process ends with the run at any instant; what dbt had begun to write must not hold up the next one."""
    file = target_folder(settings) / "partial_parse.msgpack"
    models = set(parse_project(settings).nodes)
    file.write_bytes(file.read_bytes()[:kept])
    _parsed.cache_clear()
    assert set(parse_project(settings).nodes) == models
    assert file.stat().st_size > 100_000


def test_it_ends_when_the_run_is_killed(settings: Settings, tmp_path: Path) -> None:
    works = {"first": f"{WORKS}:first", "slow": f"{WORKS}:slow"}
    program = f"""
import time
from dagster_project import beforehand
from dagster_project.settings import settings_from_env
beforehand.begin(settings_from_env({{"DATA": {str(tmp_path)!r}}}), {works!r})
beforehand.wait_for("first")
print(beforehand._helper.pid, flush=True)
time.sleep(600)
"""
    run = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    helper = int(run.stdout.readline())
    assert psutil.pid_exists(helper)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(helper) and psutil.Process(helper).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the process is left behind"
        time.sleep(0.05)
