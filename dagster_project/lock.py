"""One run at a time: an advisory lock that dies with its holder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dagster_project.settings import UserError


class Locked(UserError):
    """Another run holds the lock; the text names its pid and start."""


@contextmanager
def run_lock(path: Path) -> Iterator[dict | None]:
    """Hold the lock at `path`; raises Locked at once where a living process holds it.

    Yields what a dead holder left in the file (its `pid` and `since`), or None. The kernel's lock is the
    truth and ends with its process, however it died; the text inside only tells people who holds it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _describe(_holder(descriptor))
            raise Locked(f"another run is at work: {holder}; try again when it is over") from None
        left_behind = _read(descriptor)
        _write(descriptor, json.dumps({"pid": os.getpid(), "since": _now()}))
        try:
            yield left_behind
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _holder(descriptor: int) -> dict | None:
    """What the living holder wrote; it may be a moment behind its lock."""
    for _ in range(20):
        if holder := _read(descriptor):
            return holder
        time.sleep(0.02)
    return None


def _describe(holder: dict | None) -> str:
    return f"pid {holder['pid']}, since {holder['since']}" if holder else "pid unknown, since a moment ago"


def _read(descriptor: int) -> dict | None:
    text = os.pread(descriptor, 4096, 0)
    try:
        holder = json.loads(text)
        return {"pid": int(holder["pid"]), "since": str(holder["since"])}
    except (ValueError, KeyError, TypeError):
        return None


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
