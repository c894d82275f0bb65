"""`make watch`: the alerts of a running session, from its files as they land.

Landing and the models that insights.alerts is made of run over what is new, in a database of their own, so the rules
are those of the nightly replay to the letter. The alerts file is the state: an id that stands in it is never written
again, and one that does not is written at the next look, whatever ended the process in between.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from dagster_project.landing import clear_changes, land
from dagster_project.settings import Settings, UserError, connect, settings_from_env
from dagster_project.warehouse.build import clear_affected_dates, run_dbt
from dagster_project.warehouse.policy import load_policy, read_policy

POLL_SECONDS = 2.0
RETRY_SECONDS = 20.0  # after a look that failed
# The alerts, and the tables of the look before by which the affected dates are told.
MODELS = ("+alerts", "+fct_duty", "+fct_order_line", "+fct_product")
WEBHOOK_TIMEOUT_SECONDS = 5.0
WEBHOOK_TRIES = 3
WEBHOOK_WAITING = 1000  # alerts; a webhook that is dead for longer loses the oldest, the file none


@dataclass
class Watch:
    """One watcher: where it builds, where it writes, what it has written."""

    settings: Settings
    file: Path
    notify: Callable[[dict[str, Any]], None] | None = None
    written: set[str] = field(default_factory=set)


def watch(environ: Mapping[str, str]) -> int:
    """Watch EXPORTS until interrupted; WATCH_WEBHOOK is told of every alert. Returns the exit status."""
    settings = settings_from_env(environ)
    url = environ.get("WATCH_WEBHOOK", "")
    watcher = start(settings, Webhook(url).put if url else None)
    print(f"watching {settings.exports}, writing {watcher.file} (Ctrl-C ends)", file=sys.stderr, flush=True)
    seen: object = None
    failed_at = -RETRY_SECONDS
    try:
        while True:
            now = listing(settings.exports)
            if now != seen or (failed_at > 0 and time.monotonic() - failed_at > RETRY_SECONDS):
                try:
                    for alert in look(watcher):
                        print(json.dumps(alert, ensure_ascii=False), flush=True)
                    failed_at = -RETRY_SECONDS
                except (UserError, duckdb.Error, OSError) as error:
                    print(f"watch: {str(error).splitlines()[0]}; trying again", file=sys.stderr, flush=True)
                    failed_at = time.monotonic()
                # As it was before the look: a file that came during it changes the next listing.
                seen = now
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return 0


def start(settings: Settings, notify: Callable[[dict[str, Any]], None] | None = None) -> Watch:
    """A watcher with its own database under the private folder; what the alerts file holds counts as written."""
    settings.private.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = replace(settings, data=settings.private / "watch")
    file = settings.data / "alerts" / "alerts.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    watcher = Watch(own, file, notify, written_ids(file))
    with connect(own.warehouse_path, own) as con:
        load_policy(con, read_policy(settings.policy))
    return watcher


def look(watcher: Watch) -> list[dict[str, Any]]:
    """Land what is new, apply the rules to the dates it touches, write and return the alerts not yet written."""
    settings = watcher.settings
    with connect(settings.warehouse_path, settings) as con:
        land(con, settings, f"watch-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        # What a killed look had landed is still listed here, so it is built now.
        is_changed = con.execute("select count(*) from raw.changes").fetchall()[0][0] > 0
        is_built = _is_built(con)
    if is_changed or not is_built:
        run_dbt(settings, select=MODELS, exclude="resource_type:test", full_refresh=not is_built)
        with connect(settings.warehouse_path, settings) as con:
            clear_changes(con)
            clear_affected_dates(con)
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        alerts = read_alerts(con)
    new = [alert for alert in alerts if alert["alert_id"] not in watcher.written]
    write_lines(watcher.file, new)
    for alert in new:
        watcher.written.add(alert["alert_id"])
        if watcher.notify is not None:
            watcher.notify(alert)
    return new


def read_alerts(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """All alerts of insights.alerts as JSON-ready mappings, in order of time."""
    cursor = con.execute("select * from insights.alerts order by start_at, alert_id")
    names = [column[0] for column in cursor.description or []]
    return [
        {name: _json(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()
    ]


def written_ids(file: Path) -> set[str]:
    """Ids that the alerts file holds; a line that a kill left unfinished is cut off, so it is written anew."""
    if not file.exists():
        return set()
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with file.open("r+b") as out:
            out.truncate(len(whole))
    return {json.loads(line)["alert_id"] for line in whole.splitlines() if line.strip()}


def write_lines(file: Path, alerts: list[dict[str, Any]]) -> None:
    """Append alerts, one JSON object a line, and bring them to the disk before anybody counts on them."""
    if not alerts:
        return
    with file.open("a", encoding="utf-8") as out:
        for alert in alerts:
            out.write(json.dumps(alert, ensure_ascii=False) + "\n")
        out.flush()
        os.fsync(out.fileno())


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the files below a folder: another listing may mean new files."""
    found = []
    for path in folder.rglob("*"):
        try:
            state = path.lstat()
        except OSError:
            continue
        if path.is_file():
            found.append((str(path), state.st_size, state.st_mtime_ns))
    return sorted(found)


class Webhook:
    """Posts alerts from a thread of its own: what waits there, or fails there, holds nothing else up."""

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise UserError("WATCH_WEBHOOK is no http or https address: give one, or leave it out")
        self.url = url
        self.waiting: queue.Queue[dict[str, Any]] = queue.Queue(WEBHOOK_WAITING)
        threading.Thread(target=self._post_all, daemon=True, name="webhook").start()

    def put(self, alert: dict[str, Any]) -> None:
        """Leave an alert to be posted; returns at once."""
        while True:
            try:
                self.waiting.put_nowait(alert)
                return
            except queue.Full:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self.waiting.get_nowait()
        except queue.Empty:
            return

    def _post_all(self) -> None:
        while True:
            alert = self.waiting.get()
            for attempt in range(WEBHOOK_TRIES):
                try:
                    self._post(alert)
                    break
                except (OSError, ValueError) as error:
                    if attempt == WEBHOOK_TRIES - 1:
                        print(f"watch: the webhook took no alert: {error}", file=sys.stderr, flush=True)
                    time.sleep(attempt)

    def _post(self, alert: dict[str, Any]) -> None:
        request = urllib.request.Request(
            self.url,
            json.dumps(alert, ensure_ascii=False).encode(),
            {"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_SECONDS):
            pass


def _is_built(con: duckdb.DuckDBPyConnection) -> bool:
    return bool(
        con.execute(
            "select count(*) from duckdb_tables() where schema_name = 'insights' and table_name = 'alerts'"
        ).fetchall()[0][0]
    )


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
