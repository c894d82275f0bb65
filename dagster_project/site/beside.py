"""A site's pages from two processes: most are those of sessions, and Python fills a template on one processor."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from dagster_project.settings import REPOSITORY
from dagster_project.site.pages import SitePages, session_page
from dagster_project.site.raw_rows import RawRows

# Starting a process takes as long as about so many pages.
WORTH_A_PROCESS = 20
# How long a page may be waited for when nothing else is left to do; one takes a tenth of a second.
PAGE_SECONDS = 60
READY = b"ready\n"
COMMAND = [sys.executable, "-m", "dagster_project.site.beside"]


def site_pages(pages: SitePages, sessions: Sequence[str], raw_rows: RawRows | None) -> Generator[tuple[str, str]]:
    """(path, page) of every page of a site, of sessions only these, in any order. A generator to be closed.

    Where the other process does not start, fails, ends early or falls silent, this one makes what is missing.
    """
    waiting = deque(sessions)
    helper = None
    if len(sessions) >= WORTH_A_PROCESS and (os.cpu_count() or 1) > 1:
        with suppress(OSError, RuntimeError):
            helper = _Helper(pages, waiting, raw_rows)
    try:
        # What comes from there is passed on after each page made here, so that little is held.
        for other in pages.others():
            yield other
            if helper:
                yield from helper.made()
        while waiting or helper:
            if helper:
                yield from helper.made(wait=not waiting)
                helper = helper if helper.goes_on else None
            try:
                session_id = waiting.popleft()
            except IndexError:
                continue
            yield session_page(session_id), pages.of_session(session_id, *_raw(raw_rows, session_id))
    finally:
        if helper:
            helper.dismiss()


def _raw(raw_rows: RawRows | None, session_id: str) -> tuple[list[dict], list[dict]]:
    return (raw_rows.files.get(session_id, []), raw_rows.lines.get(session_id, [])) if raw_rows else ([], [])


class _Helper:
    """The other process, and the thread that hands it sessions from the end of those waiting and keeps what it makes."""

    def __init__(self, pages: SitePages, waiting: deque[str], raw_rows: RawRows | None):
        self.goes_on = True
        self._owed: str | None = None
        self._made: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            COMMAND, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._thread = threading.Thread(target=self._hand_out, args=(pages, waiting, raw_rows), daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._process.kill()
            self._process.communicate()
            raise

    def made(self, wait: bool = False) -> Iterator[tuple[str, str]]:
        """(path, page) of what it has made; wait: also of what it was given and still owes. goes_on: it may make others."""
        while True:
            owes = wait and self._owed is not None
            try:
                one = self._made.get(timeout=PAGE_SECONDS) if owes else self._made.get_nowait()
            except queue.Empty:
                if owes:
                    # Its thread then gives back what it has not made.
                    self._process.kill()
                    continue
                break
            if one is None:
                wait = True
                break
            yield one
        if wait:
            self.goes_on = False
            self.dismiss()

    def dismiss(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    def _hand_out(self, pages: SitePages, waiting: deque[str], raw_rows: RawRows | None) -> None:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None
        try:
            # Minutes and raw rows go with each session, so that they are not held twice.
            month = replace(pages.month, scenes={})
            pickle.dump((month, pages.policy, pages.weights, pages.scorecards_href), asked)
            asked.flush()
            # A session given to a process that is not ready would wait there instead of being made here.
            while answers.readline() == READY and waiting:
                self._owed = waiting.pop()
                rows = pages.month.scenes.get(self._owed, []), *_raw(raw_rows, self._owed)
                pickle.dump((self._owed, *rows), asked)
                asked.flush()
                self._made.put((session_page(self._owed), pickle.load(answers)))
                self._owed = None
        except Exception:
            # It is gone, or broke off in the middle of a page; or another took the last session just now.
            if self._owed is not None:
                waiting.append(self._owed)
        finally:
            self._owed = None
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
