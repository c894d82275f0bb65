"""Work begun beside landing: waited for, done without where it fails, and never left behind."""

from __future__ import annotations

import json
import os
import shutil
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
from dagster_project.warehouse import build
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
    monkeypatch.setattr(beforehand, "_works", set())
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


def test_a_work_that_this_process_does_not_make_is_not_waited_for(settings: Settings) -> None:
    beforehand.begin(settings, {"slow": f"{WORKS}:slow"})
    beforehand.wait_for("first")


def test_secrets_are_on_no_command_line(settings: Settings) -> None:
    beforehand.begin(settings, {"slow": f"{WORKS}:slow"})
    assert beforehand._helper is not None
    assert "told through" not in " ".join(psutil.Process(beforehand._helper.pid).cmdline())


@pytest.mark.slow
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


def files_parsed(settings: Settings) -> int:
    """How many files dbt read anew for the parse that lies in the target folder."""
    return json.loads((target_folder(settings) / "perf_info.json").read_text())["parsed_path_count"]


def test_a_new_warehouse_begins_from_the_latest_parse_and_reads_what_has_changed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "checkout" / "dbt"
    shutil.copytree(build.PROJECT, project, ignore=shutil.ignore_patterns("target"))
    monkeypatch.setattr(build, "PROJECT", project)
    monkeypatch.setattr(build, "LATEST_PARSE", project / "target" / "partial_parse.msgpack")
    first, second, third = (
        settings_from_env({"DATA": str(tmp_path / name), "DUCKDB_MEMORY_LIMIT": limit})
        for name, limit in (("first", "1GB"), ("second", "2GB"), ("third", "1GB"))
    )
    whole = parse_project(first)
    assert files_parsed(first) > 100
    again = parse_project(second)
    assert files_parsed(second) == 0
    first_sums, second_sums = ({name: node.checksum.checksum for name, node in one.nodes.items()} for one in (whole, again))
    assert first_sums == second_sums
    model = project / "models" / "staging" / "stg_rooms.sql"
    model.write_text(model.read_text() + "\n-- of today\n")
    changed = parse_project(third)
    assert 0 < files_parsed(third) < 20
    assert changed.nodes["model.live_commerce.stg_rooms"].raw_code.endswith("-- of today")


@pytest.mark.parametrize("latest", ["torn", "in no folder"])
def test_a_parse_that_cannot_be_begun_from_or_kept_is_made_whole(
    latest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "latest" / "partial_parse.msgpack"
    if latest == "torn":
        where.parent.mkdir()
        where.write_bytes(b"\x81\xa5nodes")
    else:
        where.parent.write_text("a file")
    monkeypatch.setattr(build, "LATEST_PARSE", where)
    settings = settings_from_env({"DATA": str(tmp_path / "data")})
    assert len(parse_project(settings).nodes) > 100
    assert files_parsed(settings) > 100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "latest"]
    assert not list(target_folder(settings).glob(".partial*"))
