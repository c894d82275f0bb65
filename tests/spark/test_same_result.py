"""The same rows through both engines: every published table is the same, row for row, also where a worker dies.

The cluster is a standalone master and two workers of this machine; minutes, so `make test-spark` runs it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from dagster_project.settings import REPOSITORY
from tests.commands import command, finished
from tests.spark.comparing import differing_tables
from tests.spark.conftest import snapshot

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]


def test_every_published_table_of_the_sample_is_the_same(sample_data, tmp_path):
    finished("scorecards", DATA=tmp_path, ENGINE="spark")
    manifest = json.loads((snapshot(tmp_path) / "manifest.json").read_text())
    assert manifest["engine"] == "spark"
    assert manifest["tables"]["core.fct_person"]["rows"] > 10_000
    assert manifest["tables"]["scorecards.scorecard_lines"]["rows"] > 500
    assert differing_tables(snapshot(sample_data), snapshot(tmp_path)) == []
    assert not any((tmp_path / "private" / "spark-runs").iterdir()), "a run that ended well leaves no file behind"


def test_a_world_of_a_million_events_is_the_same_although_a_worker_is_killed_in_the_middle(tmp_path):
    exports = tmp_path / "exports"
    finished("sample", OUT=exports, EVENTS=1000000, SEED=8)
    given = {"EXPORTS": exports, "VIEWER_KEY_SECRET": "of-this-test"}
    finished("nightly", DATA=tmp_path / "duckdb", **given)
    killed = nightly_with_a_worker_killed(tmp_path / "spark", given)
    assert killed
    tables = json.loads((snapshot(tmp_path / "spark") / "manifest.json").read_text())["tables"]
    assert tables["core.fct_person"]["rows"] > 30_000
    assert differing_tables(snapshot(tmp_path / "duckdb"), snapshot(tmp_path / "spark")) == []


def nightly_with_a_worker_killed(data: Path, given: dict[str, object]) -> bool:
    """Run a night on the cluster and kill the second worker, its executor too, once a few models are built."""
    out = data.with_suffix(".out")
    with out.open("wb") as told:
        run = subprocess.Popen(
            command("nightly", DATA=data, ENGINE="spark", **given),
            cwd=REPOSITORY, env=dict(os.environ), stdout=told, stderr=told,
        )  # fmt: skip
    killed = False
    while run.poll() is None:
        worker = worker_at_work(data / "private" / "spark-runs")
        if not killed and worker is not None:
            os.killpg(worker, signal.SIGKILL)
            killed = True
        time.sleep(0.5)
    assert run.returncode == 0, out.read_text()
    return killed


def is_worker(pid: int) -> bool:
    try:
        return "worker.Worker" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def worker_at_work(store: Path) -> int | None:
    """The last worker's pid, once the cluster has placed the events and is in the middle of the models after them."""
    for noted in store.glob("*/processes"):
        built = noted.parent / "warehouse" / "intermediate.db" / "int_events_placed" / "_SUCCESS"
        for pid in reversed([int(line) for line in noted.read_text().split()]):
            if built.exists() and is_worker(pid):
                return pid
    return None
