"""`make watch`: the alerts of a running session, from its files as they land.

Landing and the models that insights.alerts is made of run over what is new, in a database of their own, so the rules
are those of the nightly replay to the letter. The alerts file is the state: an id that stands in it is never written
again, and one that does not is written at the next look, whatever ended the process in between.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from dagster_project.landing import clear_changes, land
from dagster_project.lock import run_lock
from dagster_project.settings import REPOSITORY, Settings, UserError, connect, settings_from_env
from dagster_project.warehouse.build import clear_affected_dates, run_dbt
from dagster_project.warehouse.hashes import hash_files
from dagster_project.warehouse.policy import load_policy, policy_hash, read_policy

POLL_SECONDS = 2.0
RETRY_SECONDS = 20.0  # after a look that failed
# The alerts, and the tables of the look before by which the affected dates are told.
MODELS = ("+alerts", "+fct_duty", "+fct_order_line", "+fct_product")
MADE_BY = ("dbt/**/*.sql", "dbt/**/*.yml", "dagster_project/landing/*.py")
WEBHOOK_TIMEOUT_SECONDS = 5.0
WEBHOOK_REST_SECONDS = (1.0, 60.0)  # after a failed post: at first, at most


@dataclass
class Watch:
    """One watcher: where it builds, where it writes, what it has written, what its database is made by."""

    settings: Settings
    file: Path
    made_by: str
    written: set[str] = field(default_factory=set)


def watch(environ: Mapping[str, str]) -> int:
    """Watch EXPORTS until interrupted; WATCH_WEBHOOK is told of every alert. Returns the exit status."""
    settings = settings_from_env(environ)
    url = environ.get("WATCH_WEBHOOK", "")
    if url:
        check_address(url)
    with run_lock(settings.private / "watch.lock"), ended_by_signals() as ended:
        watcher = start(settings)
        webhook = Webhook(url, watcher.file) if url else None
        print(f"watching {settings.exports}, writing {watcher.file} (Ctrl-C ends)", file=sys.stderr, flush=True)
        seen: object = None
        try_at = 0.0
        while not ended.is_set():
            now = listing(settings.exports)
            if now != seen or (try_at and time.monotonic() >= try_at):
                try_at = 0.0
                try:
                    for alert in look(watcher):
                        print(json.dumps(alert, ensure_ascii=False), flush=True)
                    if webhook is not None:
                        webhook.tell()
                except (UserError, duckdb.Error, OSError) as error:
                    print(f"watch: {str(error).splitlines()[0]}; trying again", file=sys.stderr, flush=True)
                    try_at = time.monotonic() + RETRY_SECONDS
                # As it was before the look: a file that came during it changes the next listing.
                seen = now
            ended.wait(POLL_SECONDS)
    return 0


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """Set on the first SIGTERM or SIGINT, so that a look is brought to its end; the second one ends at once."""
    ended = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(number: int, _: object) -> None:
        ended.set()
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, end)
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(settings: Settings) -> Watch:
    """A watcher with its own database under the private folder; what the alerts file holds counts as written."""
    settings.private.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.data.chmod(0o755)
    own = replace(settings, data=settings.private / "watch")
    file = settings.data / "alerts" / "alerts.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    policy = read_policy(settings.policy)
    made_by = f"{hash_files(REPOSITORY, MADE_BY)} {policy_hash(policy)} {settings.reporting_currency}"
    with connect(own.warehouse_path, own) as con:
        load_policy(con, policy)
    return Watch(own, file, made_by, written_ids(file))


def look(watcher: Watch) -> list[dict[str, Any]]:
    """Land what is new, apply the rules to the dates it touches, write and return the alerts not yet written."""
    settings = watcher.settings
    note = settings.data / "made_by"
    with connect(settings.warehouse_path, settings) as con:
        land(con, settings, f"watch-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        # What a killed look had landed is still listed here, so it is built now.
        is_changed = con.execute("select count(*) from raw.changes").fetchall()[0][0] > 0
    # Whole builds only are noted: one that a kill cut short, or that older rules made, is made anew.
    is_built = note.is_file() and note.read_text(encoding="utf-8") == watcher.made_by
    if is_changed or not is_built:
        run_dbt(settings, select=MODELS, exclude="resource_type:test", full_refresh=not is_built)
        note.write_text(watcher.made_by, encoding="utf-8")
        with connect(settings.warehouse_path, settings) as con:
            clear_changes(con)
            clear_affected_dates(con)
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        alerts = read_alerts(con)
    new = [alert for alert in alerts if alert["alert_id"] not in watcher.written]
    write_lines(watcher.file, new)
    watcher.written.update(alert["alert_id"] for alert in new)
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


def check_address(url: str) -> None:
    """Raise UserError where a webhook's address is none that can be posted to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("WATCH_WEBHOOK is no http or https address: give one, or leave it out")


class Webhook:
    """Posts the lines of the alerts file from a thread of its own: what fails there holds nothing else up.

    How far it is stands beside the file in `.posted` (bytes), so a restart goes on there; an alert whose answer a kill
    cut off is posted again, under the same alert_id. What cannot be reached is tried until it can, the oldest alert
    first; an alert that the other side refuses (400 to 499, but for 408 and 429) is told of and passed over.
    """

    def __init__(self, url: str, file: Path) -> None:
        check_address(url)
        self.url, self.file, self.mark = url, file, file.with_name(".posted")
        self.news = threading.Event()
        self.news.set()
        threading.Thread(target=self._post_all, daemon=True, name="webhook").start()

    def tell(self) -> None:
        """There may be new lines; returns at once."""
        self.news.set()

    def posted(self) -> int:
        """Bytes of the alerts file that the other side has."""
        try:
            at = int(self.mark.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0
        return at if self.file.is_file() and at <= self.file.stat().st_size else 0

    def _post_all(self) -> None:
        while True:
            self.news.wait()
            self.news.clear()
            if not self.file.is_file():
                continue
            at = self.posted()
            with self.file.open("rb") as lines:
                lines.seek(at)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._post_until_taken(line)
                    at += len(line)
                    beside = self.mark.with_name(".posted-next")
                    beside.write_text(str(at), encoding="ascii")
                    beside.replace(self.mark)

    def _post_until_taken(self, line: bytes) -> None:
        rest, most = WEBHOOK_REST_SECONDS
        while True:
            try:
                self._post(line)
                return
            except urllib.error.HTTPError as error:
                if 400 <= error.code < 500 and error.code not in (408, 429):
                    print(f"watch: the webhook refused an alert: {error}", file=sys.stderr, flush=True)
                    return
                self._say_once(rest, error)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self._say_once(rest, error)
            time.sleep(rest)
            rest = min(rest * 2, most)

    def _say_once(self, rest: float, error: Exception) -> None:
        if rest == WEBHOOK_REST_SECONDS[0]:
            print(f"watch: the webhook takes no alert, trying on: {error}", file=sys.stderr, flush=True)

    def _post(self, line: bytes) -> None:
        request = urllib.request.Request(self.url, line, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_SECONDS):
            pass


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
