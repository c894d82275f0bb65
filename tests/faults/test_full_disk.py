"""A disk that is full, in landing, build, temp and publish: the old snapshot is served, the error is named, room heals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from dagster_project import run as steps
from dagster_project.settings import Settings, connect, settings_from_env
from dagster_project.warehouse.publish import publish
from tests.faults.conftest import Record
from tests.faults.killing import landed_rows, run_a_night, seen_by_a_reader
from tests.faults.test_kills import FACTS, LANDED, Company, company, two_days  # noqa: F401
from tests.marts.nights import settings_for
from tests.worlds import World, random_world

KIB, MIB = 1024, 1024 * 1024
Disk = Callable[[Path, int], None]


@pytest.fixture
def disk() -> Iterator[Disk]:
    """`disk(folder, MiB)` puts a small file system of its own at an (empty) folder."""
    mounted: list[Path] = []

    def mount(folder: Path, mib: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", str(folder)],
            capture_output=True, text=True, check=False,
        ) if shutil.which("mount") else None  # fmt: skip
        if done is None or done.returncode:
            pytest.skip(f"no file system may be mounted here: {done.stderr.strip() if done else 'no mount'}")
        mounted.append(folder)

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """A file that leaves `left` bytes of the file system free."""
    ballast = folder / ".ballast"
    free = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - left))
    return ballast


def land(settings: Settings) -> steps.Run:
    """One landing as the job does it; what ended it stands in the run."""
    run = steps.new_run(settings)
    try:
        with steps.locked(run):
            steps.land_exports(run)
    except Exception as error:
        steps.note_failure(run, error)
    return run


@pytest.mark.parametrize("left", [0, 40 * KIB])
def test_a_disk_that_is_full_while_landing_is_named_and_no_row_is_lost_once_there_is_room(tmp_path, disk, left):
    settings = settings_for(tmp_path)
    world = random_world(4)
    World(4, {name: world.exports[name] for name in LANDED}).write(settings.exports)
    disk(settings.data, 64)
    ballast = fill(settings.data, left)
    failed = land(settings)
    assert failed.status == "failed"
    assert "\n" not in failed.message and "check the room on the disk" in failed.message, failed.message
    ballast.unlink()
    assert land(settings).status == "ok"
    undisturbed = settings_for(tmp_path / "undisturbed")
    shutil.copytree(settings.exports, undisturbed.exports)
    assert land(undisturbed).status == "ok"
    assert landed_rows(settings.warehouse_path) == landed_rows(undisturbed.warehouse_path)


@pytest.mark.parametrize("left", [0, 300 * KIB])
def test_a_disk_that_is_full_while_publishing_leaves_the_old_snapshot(tmp_path, disk, two_days, left):  # noqa: F811
    settings = settings_from_env({"DATA": str(tmp_path / "data"), "VIEWER_KEY_SECRET": "test"})
    disk(settings.published, 32)
    assert two_days(1).published == settings.published
    publish(settings, "one", FACTS)
    old = seen_by_a_reader(settings.published)
    two_days(2)
    ballast = fill(settings.published, left)
    run = steps.new_run(settings)
    with pytest.raises((OSError, duckdb.Error)) as full:
        publish(settings, "two", FACTS)
    steps.note_failure(run, full.value)
    assert "check the room on the disk" in run.message
    assert seen_by_a_reader(settings.published) == old
    ballast.unlink()
    publish(settings, "three", FACTS)
    assert seen_by_a_reader(settings.published) != old


def test_a_disk_that_is_full_while_spilling_is_named(tmp_path, disk):
    settings = settings_from_env(
        {"DATA": str(tmp_path / "data"), "VIEWER_KEY_SECRET": "test", "DUCKDB_MEMORY_LIMIT": "40MB", "DUCKDB_THREADS": "1"}
    )
    disk(settings.tmp, 1)
    run = steps.new_run(settings)
    with connect(settings.warehouse_path, settings) as con, pytest.raises(duckdb.Error) as full:
        con.execute("create table t as select md5(n::varchar) as a, n from range(2000000) as numbers (n) order by a")
    steps.note_failure(run, full.value)
    assert "\n" not in run.message and "check the room on the disk" in run.message, run.message


@pytest.mark.slow
def test_a_night_on_a_full_disk_serves_yesterday_and_heals(company: Company, disk, record: Record):  # noqa: F811
    """The less room is left the earlier the night stops: in landing, in the build, in publish."""
    company.begin_again()
    company.deliver_the_rest()
    old = seen_by_a_reader(company.data / "published")

    assert run_a_night(company.environ()) == "done"
    undisturbed = seen_by_a_reader(company.data / "published")
    assert undisturbed != old
    shutil.rmtree(company.data)
    disk(company.data, 400)
    shutil.copytree(company.root / "kept", company.data, symlinks=True, dirs_exist_ok=True)
    outcomes = []
    for left in (100 * KIB, 2 * MIB, 6 * MIB, 12 * MIB):
        ballast = fill(company.data, left)
        outcome = run_a_night(company.environ())
        seen = seen_by_a_reader(company.data / "published")
        ballast.unlink()
        newest = max((company.data / "runs").iterdir(), key=lambda folder: folder.name) / "summary.json"
        summary = json.loads(newest.read_text(encoding="utf-8")) if newest.is_file() and newest.stat().st_size else {}
        outcomes.append(
            {"left": left, "outcome": outcome, "old_served": seen == old, "message": summary.get("message", "")[:200]}
        )
        assert outcome == "done" or seen == old
    record("full_disk", count=len(outcomes), nights=outcomes)
    assert any(entry["outcome"] == "failed" for entry in outcomes)
    assert run_a_night(company.environ()) == "done"
    assert seen_by_a_reader(company.data / "published") == undisturbed
