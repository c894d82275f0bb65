"""Dagster's real daemon and page: a dropped file, the schedule and a backfill each end in a published night."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from dagster_project.simulator.world import sample_from_args as simulate
from dagster_project.warehouse.publish import current_manifest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "browser"))

from chromium import Browser, find_chromium  # noqa: E402

pytestmark = pytest.mark.slow
PATIENCE = float(os.environ.get("DAEMON_TEST_SECONDS", "600"))
LAST = date(2026, 11, 1)


@dataclass
class Daemon:
    """`make ui` at work: its address, exports and data folder, and the minute its schedule starts at."""

    root: str
    exports: Path
    held_back: Path
    data: Path
    scheduled: datetime

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.root}/graphql", body, {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request, timeout=60))
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Every run so far, the oldest first, with its tags as a mapping."""
        fields = "runId status jobName creationTime tags { key value }"
        found = self.ask(f"{{ runsOrError(limit: 50) {{ ... on Runs {{ results {{ {fields} }} }} }} }}")
        runs = found["runsOrError"]["results"][::-1]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in runs]

    def run_with(self, tag: str, value: str, status: str = "SUCCESS") -> dict[str, Any] | None:
        """The last run with that tag, once it has the status; fails at once where such a run failed."""
        found = [run for run in self.runs() if run["tags"].get(tag) == value]
        assert not [run for run in found if run["status"] in ("FAILURE", "CANCELED")], found
        return next((run for run in reversed(found) if run["status"] == status), None)

    def summaries(self) -> list[dict[str, Any]]:
        files = sorted((self.data / "runs").glob("*/summary.json"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def eventually(what: Callable[[], Any], saying: str) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if found := what():
                return found
        except OSError:
            pass
        time.sleep(1)
    raise AssertionError(f"not within {PATIENCE:.0f} s: {saying}")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory) -> Iterator[Daemon]:
    root = tmp_path_factory.mktemp("daemon")
    simulate(root / "exports", seed=5, start=LAST - timedelta(days=3), end=LAST, rooms=1, events=1500)
    # One file comes later.
    held_back = root / "reviews"
    shutil.move(root / "exports" / "reviews", held_back)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Far enough away that the page and the first night by the sensor come before it.
    scheduled = (datetime.now(UTC) + timedelta(seconds=PATIENCE / 3 + 60)).replace(second=0, microsecond=0)
    environ = {
        **os.environ,
        "EXPORTS": str(root / "exports"),
        "DATA": str(root / "data"),
        "VIEWER_KEY_SECRET": "test",
        "COMPANY_TIME_ZONE": "UTC",
        "NIGHT_AT": f"{scheduled:%H:%M}",
        "PORT": str(port),
    }
    log = (root / "log").open("w")
    page = subprocess.Popen(
        [sys.executable, "-m", "dagster_project.cli", "ui"], cwd=REPOSITORY, env=environ, stdout=log, stderr=log
    )
    at_work = Daemon(f"http://127.0.0.1:{port}", root / "exports", held_back, root / "data", scheduled)
    try:
        graph = "{ assetNodes { groupName } }"
        eventually(lambda: page.poll() is not None or at_work.ask(graph)["assetNodes"], "the page serves the graph")
        assert page.poll() is None, (root / "log").read_text(encoding="utf-8")[-2000:]
        yield at_work
    finally:
        family = psutil.Process(page.pid).children(recursive=True) if page.poll() is None else []
        page.send_signal(signal.SIGINT)
        try:
            page.wait(30)
        except subprocess.TimeoutExpired:
            page.kill()
        for child in psutil.wait_procs(family, timeout=20)[1]:
            child.kill()


def test_files_that_lie_there_start_a_night_and_its_assets_are_materialised(daemon):
    first = eventually(lambda: daemon.run_with("dagster/sensor_name", "new_exports"), "the sensor's first night ends well")
    assert first["jobName"] == "nightly"
    materialised = daemon.ask(
        '{ assetOrError(assetKey: {path: ["core", "fct_session"]}) '
        "{ ... on Asset { assetMaterializations(limit: 1) { runId } } } }"
    )
    assert materialised["assetOrError"]["assetMaterializations"] == [{"runId": first["runId"]}]
    assert current_manifest(daemon.data / "published")["data_through"] == f"{LAST}"
    told = daemon.summaries()[-1]
    assert (told["status"], told["dagster_run_id"]) == ("ok", first["runId"])


def test_a_dropped_file_is_picked_up_and_an_export_that_brought_nothing_is_reported_late(daemon):
    before = current_manifest(daemon.data / "published")["snapshot_id"]
    known = len(daemon.runs())
    shutil.move(daemon.held_back, daemon.exports / "reviews")
    eventually(
        lambda: (runs := daemon.runs()[known:]) and runs[-1]["status"] == "SUCCESS" and runs, "the dropped file's night ends well"
    )
    assert current_manifest(daemon.data / "published")["snapshot_id"] > before
    with duckdb.connect(str((daemon.data / "published" / "current").resolve() / "marts.duckdb"), read_only=True) as con:
        assert con.execute("select sum(reviews_received) > 0 from core.fct_session").fetchall() == [(True,)]
    # The night of the reviews rebuilds no event of their dates.
    assert daemon.summaries()[-1]["dates_followed_up"] == daemon.summaries()[-1]["dates_rebuilt"] != []
    assert arrived(daemon, "reviews") == ("SUCCEEDED", "WARN")
    assert arrived(daemon, "orders") == ("FAILED", "WARN")


def arrived(daemon: Daemon, export: str) -> tuple[str, str]:
    """(status, severity) of the last look at whether an export arrived."""
    (last,) = daemon.ask(
        "query Last($key: AssetKeyInput!) { assetCheckExecutions(assetKey: $key, checkName: \"arrived\", limit: 1) "
        "{ status evaluation { severity } } }",
        key={"path": ["raw", export]},
    )["assetCheckExecutions"]
    return last["status"], last["evaluation"]["severity"]


def test_a_backfill_over_a_range_of_dates_builds_them_again(daemon):
    before = current_manifest(daemon.data / "published")["snapshot_id"]
    asked = [f"{LAST - timedelta(days=back)}" for back in (2, 1)]
    started = daemon.ask(
        "mutation Backfill($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) "
        "{ __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }",
        p={"assetSelection": [{"path": ["builds", "business_dates"]}], "partitionNames": asked},
    )["launchPartitionBackfill"]
    assert started["__typename"] == "LaunchBackfillSuccess", started

    def ended() -> bool:
        state = daemon.ask(
            "query State($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }",
            id=started["backfillId"],
        )["partitionBackfillOrError"]["status"]
        assert state not in ("FAILED", "COMPLETED_FAILED", "CANCELED"), state
        return state in ("COMPLETED_SUCCESS", "COMPLETED")

    eventually(ended, "the backfill ends well")
    night = eventually(lambda: daemon.run_with("dagster/sensor_name", "asked_dates"), "the night of the dates ends well")
    (told,) = [summary for summary in daemon.summaries() if summary["dagster_run_id"] == night["runId"]]
    assert set(asked) == set(told["dates_rebuilt"])
    assert current_manifest(daemon.data / "published")["snapshot_id"] == told["snapshot"] > before


def test_the_schedule_starts_its_night_at_its_minute(daemon):
    run = eventually(lambda: daemon.run_with("dagster/schedule_name", "every_night"), "the scheduled night ends well")
    assert run["jobName"] == "nightly"
    assert 0 <= run["creationTime"] - daemon.scheduled.timestamp() < 90


def test_the_page_shows_the_graph_and_the_checks_in_a_browser(daemon, tmp_path):
    if find_chromium() is None:
        pytest.skip("chromium is not installed")
    pictures = Path(os.environ.get("DAEMON_TEST_PICTURES") or tmp_path)
    with Browser(width=1500, height=900) as browser:
        shown(browser, f"{daemon.root}/asset-groups", "marts_core", pictures / "graph.png")
        shown(browser, f"{daemon.root}/assets/raw/orders?view=checks", "arrived", pictures / "checks.png")


def shown(browser: Browser, address: str, text: str, picture: Path) -> None:
    """Open a page, put Dagster's greeting aside, wait for a text and take a picture, which is no empty one."""
    browser.open(address)

    def has_come() -> bool:
        browser.run(
            "[...document.querySelectorAll('button')].filter(b => /skip|no thanks|dismiss|close|got it/i"
            ".test(b.innerText + (b.getAttribute('aria-label') || ''))).forEach(b => b.click())"
        )
        return bool(browser.run(f"document.body.innerText.includes({json.dumps(text)})"))

    eventually(has_come, f"{address} shows {text}")
    time.sleep(2)
    browser.picture(picture)
    assert picture.stat().st_size > 20_000
