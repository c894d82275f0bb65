"""`make watch` and the nightly replay say the same; nothing is repeated or lost; no webhook holds it up."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from dagster_project.insights.watch import Webhook, look, start, write_lines, written_ids
from dagster_project.landing import land
from dagster_project.settings import UserError, connect, settings_from_env
from dagster_project.simulator.world import simulate
from dagster_project.warehouse.build import run_dbt
from dagster_project.warehouse.policy import load_policy, read_policy

REPOSITORY = Path(__file__).resolve().parents[2]


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def three_days(tmp_path_factory):
    """Three evenings of two rooms: a regional outage, and in every session six minutes in which nobody says a word."""
    root = tmp_path_factory.mktemp("days")
    simulate(
        root / "exports", seed=11, start=date(2026, 10, 1), end=date(2026, 10, 3), rooms=2, events=60_000,
        plant=frozenset({"regional_outage"}),
    )  # fmt: skip
    with duckdb.connect() as con:
        for file in (root / "exports" / "viewer_events").rglob("*.parquet"):
            con.execute(
                f"copy (select * from '{file}' qualify event_type not in ('chat', 'follow', 'share', 'gift') "
                "or event_at - min(event_at) over (partition by session_id) not between interval 40 minute "
                f"and interval 46 minute) to '{file}.tmp' (format parquet)"
            )
            file.with_name(f"{file.name}.tmp").replace(file)
    return root


@pytest.fixture
def settings(three_days, tmp_path):
    """The exports but the events and playback, which a test lets land."""
    exports = tmp_path / "exports"
    for folder in (three_days / "exports").iterdir():
        if folder.name not in ("viewer_events", "playback_qos", "orders"):
            shutil.copytree(folder, exports / folder.name)
    return settings_from_env(
        {"EXPORTS": str(exports), "DATA": str(tmp_path / "data"), "VIEWER_KEY_SECRET": "tests only"}
    )


def deliver(three_days, settings, number, share):
    """Deliver the rows of events, playback and orders of a share of their span, as one file each; returns where it ends."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    ends = None
    for export, at in (("viewer_events", "event_at"), ("playback_qos", "sampled_at"), ("orders", "created_at")):
        files = [str(file) for file in (three_days / "exports" / export).rglob("*") if file.is_file()]
        folder = settings.exports / export
        folder.mkdir(parents=True, exist_ok=True)
        rows = f"read_parquet({files})" if files[0].endswith(".parquet") else f"read_csv({files}, all_varchar = true)"
        con.execute(
            f"create or replace table rows as select *, {at}::timestamptz as happened_at from {rows}"
        )
        low, high = con.execute("select min(happened_at), max(happened_at) from rows").fetchone()
        con.execute(
            "copy (select * exclude (happened_at) from rows where happened_at > ? and happened_at <= ?) "
            f"to '{folder}/part-{number}.parquet.tmp' (format parquet)",
            [low + (high - low) * share[0] if share[0] else low.replace(year=2020), low + (high - low) * share[1]],
        )
        (folder / f"part-{number}.parquet.tmp").rename(folder / f"part-{number}.parquet")
        ends = ends or low + (high - low) * share[1]
    con.close()
    return ends.replace(tzinfo=None)


@pytest.fixture(scope="module")
def replay(three_days):
    """Alert → its start, of a night that lands everything at once and calls no code of the watcher."""
    settings = settings_from_env(
        {"EXPORTS": str(three_days / "exports"), "DATA": str(three_days / "data"), "VIEWER_KEY_SECRET": "tests only"}
    )
    with connect(settings.warehouse_path, settings) as con:
        land(con, settings, "night")
        load_policy(con, read_policy(settings.policy))
    run_dbt(settings, select="+alerts", exclude="resource_type:test")
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        alerts = dict(con.execute("select alert_id, start_at from insights.alerts").fetchall())
    assert {alert.split("|")[1] for alert in alerts} >= {"region_stalls", "engagement_falls"}
    return alerts


@pytest.mark.slow
def test_micro_batches_and_restarts_give_the_alerts_of_the_nightly_replay_once_each(three_days, settings, replay):
    # Six deliveries, each seen by a watcher of its own, as after a restart; looks without news in between.
    cuts = [0, 0.11, 0.35, 0.52, 0.7, 0.93, 1]
    for number, share in enumerate(pairwise(cuts)):
        watcher = start(settings)
        deliver(three_days, settings, number, share)
        look(watcher)
        assert look(watcher) == []
    told = [alert["alert_id"] for alert in lines(watcher.file)]
    assert len(set(told)) == len(told)
    assert set(told) == set(replay)


def test_a_file_that_lands_is_told_of_within_a_minute_and_kills_and_a_hanging_webhook_change_nothing(
    three_days, settings, replay
):
    file = settings.data / "alerts" / "alerts.jsonl"

    def told():
        whole = [line for line in (file.read_bytes() if file.exists() else b"").splitlines(True) if line.endswith(b"\n")]
        return [json.loads(line)["alert_id"] for line in whole]

    def wait_for(instant, seconds):
        # Levels wait five minutes and a stretch may still begin: what began twenty minutes earlier must be told.
        due = {alert for alert, begun in replay.items() if begun < instant - timedelta(minutes=20)}
        assert len(due) > len(told()), "nothing to wait for"
        until(lambda: due <= set(told()), seconds)

    # It takes connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as hanging, watching(settings, hanging) as watcher:
        wait_for(deliver(three_days, settings, 1, (0, 0.4)), 300)
        second = deliver(three_days, settings, 2, (0.4, 0.7))
        # Somewhere in the look at it.
        time.sleep(4)
        watcher.kill()
        watcher.wait(30)
        with watching(settings, hanging) as watcher:
            wait_for(second, 300)
            wait_for(deliver(three_days, settings, 3, (0.7, 1)), 60)
            until(lambda: set(told()) == set(replay), 60)
            watcher.send_signal(signal.SIGTERM)
            assert watcher.wait(60) == 0
    assert sorted(told()) == sorted(replay)


@contextmanager
def watching(settings, webhook):
    """`make watch` as a process of its own."""
    address = f"http://127.0.0.1:{webhook.getsockname()[1]}/"
    given = {"EXPORTS": settings.exports, "DATA": settings.data, "WATCH_WEBHOOK": address}
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_project.cli", "watch", *(f"{name}={value}" for name, value in given.items())],
        cwd=REPOSITORY, env={**os.environ, "VIEWER_KEY_SECRET": "tests only"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_a_line_that_a_kill_left_unfinished_is_written_anew(tmp_path):
    file = tmp_path / "alerts.jsonl"
    write_lines(file, [{"alert_id": "a"}, {"alert_id": "b"}])
    with file.open("ab") as out:
        out.write(b'{"alert_id": "c"')
    assert written_ids(file) == {"a", "b"}
    write_lines(file, [{"alert_id": "c"}])
    assert [alert["alert_id"] for alert in lines(file)] == ["a", "b", "c"]


@pytest.fixture
def hearer():
    """A web server of one's own: `heard` holds what was posted to it, `answers` the statuses it gives first."""

    class Hearer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = server.answers.pop(0) if server.answers else 204
            if status == 204:
                server.heard.append(body["alert_id"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hearer)
    server.heard, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def until(said, seconds=10):
    ends = time.monotonic() + seconds
    while not said() and time.monotonic() < ends:
        time.sleep(0.02)
    assert said()


def alerts_named(*names):
    return [{"alert_id": name} for name in names]


def test_a_webhook_is_told_of_every_alert_in_order_and_goes_on_there_after_a_restart(hearer, tmp_path):
    file = tmp_path / "alerts.jsonl"
    write_lines(file, alerts_named("a", "b"))
    hook = Webhook(hearer.url, file)
    until(lambda: hearer.heard == ["a", "b"] and hook.posted() == file.stat().st_size)
    write_lines(file, alerts_named("c"))
    restarted = Webhook(hearer.url, file)
    until(lambda: hearer.heard == ["a", "b", "c"] and restarted.posted() == file.stat().st_size)


def test_an_alert_is_posted_until_it_is_taken_and_one_that_is_refused_is_passed_over(hearer, tmp_path, capfd):
    file = tmp_path / "alerts.jsonl"
    write_lines(file, alerts_named("a", "b", "c"))
    hearer.answers = [503, 204, 400]
    hook = Webhook(hearer.url, file)
    until(lambda: hook.posted() == file.stat().st_size)
    assert hearer.heard == ["a", "c"]
    assert "refused" in capfd.readouterr().err


def test_a_dead_webhook_holds_nobody_up_and_loses_nothing(tmp_path, hearer):
    file = tmp_path / "alerts.jsonl"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = Webhook(f"http://127.0.0.1:{free.getsockname()[1]}/", file)
    began = time.monotonic()
    for number in range(500):
        write_lines(file, alerts_named(str(number)))
        dead.tell()
    assert time.monotonic() - began < 10
    assert dead.posted() == 0
    Webhook(hearer.url, file)
    until(lambda: hearer.heard == [str(number) for number in range(500)])


@pytest.mark.parametrize("address", ["file:///etc/passwd", "http://", "example.org/hook"])
def test_a_webhook_that_is_no_web_address_is_refused(address, tmp_path):
    with pytest.raises(UserError, match="WATCH_WEBHOOK"):
        Webhook(address, tmp_path / "alerts.jsonl")
