"""Session pages from two processes: there are most of them, and Python fills a template on one processor."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dagster_project.settings import REPOSITORY
from dagster_project.site.pages import SitePages, session_page
from dagster_project.site.raw_rows import RawRows

# Starting a process takes as long as about so many pages.
WORTH_A_PROCESS = 20
READY = b"ready\n"
COMMAND = [sys.executable, "-m", "dagster_project.site.beside"]


@contextmanager
def session_pages(pages: SitePages, sessions: Sequence[str], raw_rows: RawRows | None) -> Iterator[Iterator[tuple[str, str]]]:
    """(path, page) of these sessions, in any order, the other process already at work when they are asked for.

    Where it fails or ends early, all that it did not hand over are made here.
    """
    waiting = deque(sessions)
    helper = None
    if len(sessions) >= WORTH_A_PROCESS and (os.cpu_count() or 1) > 1:
        helper = _Helper(pages, waiting, raw_rows)
    try:
        yield _made(pages, waiting, raw_rows, helper)
    finally:
        if helper:
            helper.dismiss()


def _made(
    pages: SitePages, waiting: deque[str], raw_rows: RawRows | None, helper: _Helper | None
) -> Iterator[tuple[str, str]]:
    while waiting or helper:
        if helper:
            yield from helper.made(wait=not waiting)
            helper = helper if helper.goes_on else None
        try:
            session_id = waiting.popleft()
        except IndexError:
            continue
        yield session_page(session_id), pages.of_session(session_id, *_raw(raw_rows, session_id))


def _raw(raw_rows: RawRows | None, session_id: str) -> tuple[list[dict], list[dict]]:
    return (raw_rows.files.get(session_id, []), raw_rows.lines.get(session_id, [])) if raw_rows else ([], [])


class _Helper:
    """The other process, and the thread that hands it sessions from the end of those waiting and keeps what it makes."""

    def __init__(self, pages: SitePages, waiting: deque[str], raw_rows: RawRows | None):
        self.goes_on = True
        self._process = subprocess.Popen(
            COMMAND, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._made: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._hand_out, args=(pages, waiting, raw_rows), daemon=True)
        self._thread.start()

    def made(self, wait: bool) -> Iterator[tuple[str, str]]:
        """(path, page) of what it has made; wait: until it makes no more. goes_on tells whether it may make others."""
        while wait or not self._made.empty():
            one = self._made.get()
            if one is None:
                self.goes_on = False
                return
            yield one

    def dismiss(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    def _hand_out(self, pages: SitePages, waiting: deque[str], raw_rows: RawRows | None) -> None:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None
        session_id = None
        try:
            # Minutes and raw rows go with each session, so that they are not held twice.
            month = replace(pages.month, scenes={})
            pickle.dump((month, pages.policy, pages.weights, pages.scorecards_href), asked)
            asked.flush()
            # A session given to a process that is not ready would wait there instead of being made here.
            while answers.readline() == READY:
                session_id = waiting.pop()
                pickle.dump((session_id, pages.month.scenes.get(session_id, []), *_raw(raw_rows, session_id)), asked)
                asked.flush()
                self._made.put((session_page(session_id), pickle.load(answers)))
                session_id = None
        except IndexError:
            pass
        except Exception:
            # It is gone, or broke off in the middle of a page.
            if session_id is not None:
                waiting.append(session_id)
        finally:
            self._made.put(None)


def main() -> None:
    """The process: a month comes in, then sessions one by one; each time it is ready a line goes out, and each page."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    month, policy, weights, scorecards_href = pickle.load(sys.stdin.buffer)
    pages = SitePages(month, policy, weights, scorecards_href)
    while True:
        answers.write(READY)
        answers.flush()
        try:
            session_id, scenes, files, lines = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        month.scenes.clear()
        month.scenes[session_id] = scenes
        pickle.dump(pages.of_session(session_id, files, lines), answers)


if __name__ == "__main__":
    main()
