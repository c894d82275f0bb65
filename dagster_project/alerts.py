"""Telling somebody that a run failed: the command or the webhook that the environment names.

A hook never changes how a run ends. It gets the run's summary as JSON, the command on its standard input, and has
a few seconds for it; what goes wrong with it is one line on the screen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any

HOOK_SECONDS = 10.0


def alert(
    summary: Mapping[str, Any], command: str | None, webhook: str | None, seconds: float = HOOK_SECONDS
) -> list[str]:
    """Tell a shell command and an http address, where given, of a run's summary; returns what went wrong, a line each.

    Returns after at most about `seconds` for each, however slow or dead a hook is.
    """
    text = json.dumps(summary, ensure_ascii=False).encode()
    trouble = []
    for name, target, tell in (("ALERT_COMMAND", command, _run), ("ALERT_WEBHOOK", webhook, _post)):
        if target:
            try:
                tell(target, text, seconds)
            except Exception as error:
                # Its text could repeat an address with a token in it.
                trouble.append(f"{name} was not told: {type(error).__name__}")
    return trouble


def _run(command: str, text: bytes, seconds: float) -> None:
    """Run a shell command line with the summary on its standard input; nothing from outside stands in the line itself."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.communicate(text, timeout=seconds)
    except subprocess.TimeoutExpired:
        # The shell's children would else live on.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "ALERT_COMMAND")


def _post(address: str, text: bytes, seconds: float) -> None:
    """POST the summary as JSON. In a thread, since a server that sends a byte now and then never times out."""
    failures: list[Exception] = []

    def post() -> None:
        try:
            request = urllib.request.Request(address, text, {"Content-Type": "application/json"}, method="POST")
            with urllib.request.urlopen(request, timeout=seconds):
                pass
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if failures:
        raise failures[0]
