"""Session pages made by two processes are those made by one, whatever becomes of the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dagster_project.reports.folder import replace_folder
from dagster_project.reports.policy_in_force import policy_in_force
from dagster_project.settings import REPOSITORY
from dagster_project.site import beside
from dagster_project.site.build import weighed_roles
from dagster_project.site.marts import read_scenes, read_site_month
from dagster_project.site.pages import SitePages
from dagster_project.site.raw_rows import RawRows
from dagster_project.warehouse.publish import current_snapshot

MONTH = "2026-10"
POLICY = REPOSITORY / "dbt" / "seeds"
FAILING = {
    "does not start": "raise SystemExit(3)",
    "ends when it is ready": "print('ready', flush=True)",
    "says something else": "print('hello', flush=True); sys.stdin.buffer.read()",
    "breaks off inside a page": "sys.stdout.buffer.write(b'ready\\n\\x80\\x04\\x95'); sys.stdout.flush()",
    "answers with no page": "print('ready\\nready\\nready', flush=True); sys.stdin.buffer.read()",
    "is never ready": "sys.stdin.buffer.read()",
    "falls silent": "import time; print('ready', flush=True); time.sleep(600)",
}


@pytest.fixture(scope="module")
def pages(sample_data: Path) -> SitePages:
    marts = current_snapshot(sample_data / "published") / "marts.duckdb"
    month = read_site_month(marts, MONTH, "CNY")
    month = replace(month, scenes=read_scenes(marts, [session["session_id"] for session in month.sessions]))
    return SitePages(month, policy_in_force(POLICY, MONTH), weighed_roles(POLICY, MONTH), None)


@pytest.fixture(scope="module")
def sessions(pages: SitePages) -> list[str]:
    return [session["session_id"] for session in pages.month.sessions][: beside.WORTH_A_PROCESS + 5]


@pytest.fixture
def few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SitePages, "others", lambda self: iter([("index.html", "")]))


@pytest.fixture(scope="module")
def raw_rows(sessions: list[str]) -> RawRows:
    file = {"export": "orders", "rows": 3, "first_row": 1, "last_row": 9}
    return RawRows({name: [file | {"path": f"orders/{name}.csv"}] for name in sessions}, {})


def made(pages: SitePages, sessions: list[str], raw_rows: RawRows | None) -> dict[str, str]:
    found = list(beside.site_pages(pages, sessions, raw_rows))
    paths = [path for path, _ in found]
    assert len(paths) == len(set(paths)) and "index.html" in paths
    return {path: page for path, page in found if path.startswith("sessions/")}


@pytest.fixture(scope="module")
def alone(pages: SitePages, sessions: list[str], raw_rows: RawRows) -> dict[str, str]:
    """Each page as this process makes it; every one names its own raw rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "WORTH_A_PROCESS", len(sessions) + 1)
        found = made(pages, sessions, raw_rows)
    assert len(found) > beside.WORTH_A_PROCESS
    assert all(f"orders/{name}.csv" in found[f"sessions/{name}.html"] for name in sessions)
    return found


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages this process makes, as they are asked for."""
    seen: list[str] = []
    of_session = SitePages.of_session

    def noted(self: SitePages, session_id: str, *rows: list) -> str:
        seen.append(session_id)
        return of_session(self, session_id, *rows)

    monkeypatch.setattr(SitePages, "of_session", noted)
    return seen


@pytest.mark.skipif(os.cpu_count() == 1, reason="one processor makes all pages itself")
def test_two_processes_make_the_pages_that_one_makes(
    pages: SitePages, sessions: list[str], raw_rows: RawRows, alone: dict[str, str], asked_for: list[str]
) -> None:
    assert made(pages, sessions, raw_rows) == alone
    assert set(asked_for) < set(sessions), "the other process made none"


@pytest.mark.usefixtures("few_others")
@pytest.mark.parametrize("what", FAILING)
def test_pages_that_the_other_process_fails_to_make_are_made_here(
    what: str, pages: SitePages, sessions: list[str], raw_rows: RawRows, alone: dict[str, str], asked_for: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(beside, "COMMAND", [sys.executable, "-c", f"import sys; {FAILING[what]}"])
    monkeypatch.setattr(beside, "PAGE_SECONDS", 1)
    assert made(pages, sessions, raw_rows) == alone
    assert sorted(asked_for) == sorted(sessions)


@pytest.mark.usefixtures("few_others")
def test_where_no_other_process_starts_all_pages_are_made_here(
    pages: SitePages, sessions: list[str], raw_rows: RawRows, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "COMMAND", ["/nowhere/python"])
    assert made(pages, sessions, raw_rows) == alone


def test_the_other_process_is_gone_when_pages_are_wanted_no_more(
    pages: SitePages, sessions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[beside._Helper] = []
    begin: Callable[..., None] = beside._Helper.__init__

    def noted(self: beside._Helper, *arguments: object) -> None:
        started.append(self)
        begin(self, *arguments)

    monkeypatch.setattr(beside._Helper, "__init__", noted)
    made_so_far = beside.site_pages(pages, sessions, None)
    next(made_so_far)
    assert started[0]._process.poll() is None
    made_so_far.close()
    assert started[0]._process.poll() is not None and not started[0]._thread.is_alive()


def test_a_page_that_cannot_be_made_is_no_matter_of_the_disk(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"new"
        raise FileNotFoundError("a template")

    with pytest.raises(FileNotFoundError, match="a template"):
        replace_folder(tmp_path / "site", broken(), private=False)


def test_a_folder_whose_pages_cannot_all_be_made_stays_as_it_was(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"new"
        raise LookupError

    replace_folder(tmp_path / "site", {"index.html": b"old"}, private=False)
    with pytest.raises(LookupError):
        replace_folder(tmp_path / "site", broken(), private=False)
    assert [file.name for file in tmp_path.iterdir()] == ["site"]
    assert (tmp_path / "site" / "index.html").read_bytes() == b"old"
