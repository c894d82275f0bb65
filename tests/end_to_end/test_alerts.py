"""The hook that tells of a failed run: what it gets, and that it can neither hold up nor change how the run ends."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dagster_project.alerts import alert
from dagster_project.run import conclude, new_run
from dagster_project.settings import UserError, settings_from_env

REPOSITORY = Path(__file__).resolve().parents[2]
SUMMARY = {"run_id": "r1", "status": "audit_failed", "message": "12 行 over '$(touch never)'"}


@pytest.fixture
def server():
    """An http server: `got` holds the bodies posted to /ok; /slow answers a byte now and then, /broken with 500."""
    got: list[dict] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/slow":
                for _ in range(100):
                    time.sleep(0.1)
                    self.wfile.write(b"H")
                    self.wfile.flush()
                return
            got.append(body)
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the screen of a test."""

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    serving.daemon_threads = True
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}", got
    serving.shutdown()
    serving.server_close()


def test_the_command_gets_the_summary_on_its_standard_input_and_nothing_of_it_in_its_line(tmp_path):
    assert alert(SUMMARY, f"cat > '{tmp_path}/told' | true", None) == []
    assert json.loads((tmp_path / "told").read_text(encoding="utf-8")) == SUMMARY
    assert not (tmp_path / "never").exists()


def test_the_webhook_gets_the_summary_as_json(server):
    address, got = server
    assert alert(SUMMARY, None, f"{address}/ok") == []
    assert got == [SUMMARY]


def test_without_a_hook_nobody_is_told():
    assert alert(SUMMARY, None, None) == []


@pytest.mark.parametrize(
    ("command", "path"), [("exit 7", None), ("no-such-program-anywhere", None), (None, "/broken"), (None, "/slow")]
)
def test_a_hook_that_is_broken_or_slow_is_one_line_within_its_time(server, command, path):
    began = time.monotonic()
    (trouble,) = alert(SUMMARY, command, path and server[0] + path, seconds=1)
    assert trouble.startswith("ALERT_COMMAND was not told: " if command else "ALERT_WEBHOOK was not told: ")
    assert server[0] not in trouble
    assert time.monotonic() - began < 4


def test_a_dead_address_is_one_line_and_the_command_is_told_all_the_same(tmp_path, server):
    address, _ = server
    port = int(address.rpartition(":")[2])
    dead = next(f"http://127.0.0.1:{other}/" for other in (port + 1, port + 2) if not _listens(other))
    (trouble,) = alert(SUMMARY, f"cat > '{tmp_path}/told'", dead, seconds=2)
    assert trouble.startswith("ALERT_WEBHOOK was not told")
    assert (tmp_path / "told").exists()


def _listens(port: int) -> bool:
    return any(c.laddr and c.laddr.port == port for c in psutil.net_connections("tcp"))


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path):
    (trouble,) = alert(SUMMARY, f"sleep 60 & echo $! > '{tmp_path}/child'; wait", None, seconds=1)
    assert "TimeoutExpired" in trouble
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 20  # the signal is sent when alert() returns; the kernel ends the child when it comes to it
    while _runs(child):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("status", ["failed", "audit_failed", "published_with_rejects", "locked"])
def test_every_status_but_ok_is_told_and_a_broken_hook_changes_none(tmp_path, capsys, status):
    run = new_run(settings_from_env({"DATA": str(tmp_path), "ALERT_COMMAND": f"cat > '{tmp_path}/told'; exit 1"}))
    run.status, run.message = status, "why"
    conclude(run)
    told = json.loads((tmp_path / "told").read_text(encoding="utf-8"))
    kept = json.loads((tmp_path / "runs" / run.run_id / "summary.json").read_text(encoding="utf-8"))
    assert told["status"] == kept["status"] == run.status == status
    assert told["message"] == "why"
    assert "ALERT_COMMAND was not told: CalledProcessError" in capsys.readouterr().err


def test_a_run_that_ends_ok_tells_nobody(tmp_path):
    run = new_run(settings_from_env({"DATA": str(tmp_path), "ALERT_COMMAND": f"cat > '{tmp_path}/told'"}))
    conclude(run)
    assert not (tmp_path / "told").exists()


def test_a_night_that_cannot_even_begin_is_told_of(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dagster_project.cli", "nightly", f"DATA={tmp_path / 'data'}", "QUARANTINE_LIMIT=much",
         f"ALERT_COMMAND=cat > '{tmp_path}/told'"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    told = json.loads((tmp_path / "told").read_text(encoding="utf-8"))
    assert told["status"] == "failed" and "QUARANTINE_LIMIT" in told["message"]


@pytest.mark.parametrize("address", ["ops@example.com", "ftp://example.com/x", "http://", "file:///etc/passwd", "http://[x"])
def test_an_address_that_is_none_is_found_out_before_the_night(address):
    with pytest.raises(UserError, match="ALERT_WEBHOOK is no http or https address"):
        settings_from_env({"ALERT_WEBHOOK": address})
