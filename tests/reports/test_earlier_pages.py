"""A site whose unchanged session pages are taken over must be, byte for byte, the one written whole."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import duckdb
import pytest

from dagster_project.reports.policy_in_force import policy_in_force
from dagster_project.settings import REPOSITORY
from dagster_project.site import earlier
from dagster_project.site.build import build_site, weighed_roles
from dagster_project.site.earlier import RECORD
from dagster_project.site.marts import SiteMonth, read_scenes, read_site_month
from dagster_project.site.pages import SitePages, session_page
from dagster_project.site.raw_rows import RawRows
from dagster_project.warehouse.read import export

MONTH = "2026-10"
POLICY = REPOSITORY / "dbt" / "seeds"
Folder = dict[str, bytes]
# What a session's page reads of the month, and session_fingerprints hashes: an attribute to be added here has to be hashed first.
HASHED = {
    "month", "currency", "registry", "rooms", "staff", "products", "sessions", "earlier", "online", "scenes", "duty",
    "product_sessions", "sold", "insights", "told",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's marts as one file that may be written to, with half a month of one room: a sixth of the pages."""
    file = tmp_path_factory.mktemp("marts") / "marts.duckdb"
    assert export({"DATA": str(sample_data), "OUT": str(file)}) == 0
    with duckdb.connect(str(file)) as con:
        con.execute("delete from core.fct_session where room_id <> '0102' or started_at < '2026-10-16'")
    return file


@pytest.fixture
def marts(exported: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "marts.duckdb"
    copy.write_bytes(exported.read_bytes())
    return copy


@pytest.fixture(scope="module")
def sessions(exported: Path) -> list[str]:
    """The sessions of the month that have minutes, oldest first."""
    with duckdb.connect(str(exported), read_only=True) as con:
        found = con.execute(
            "select session_id from core.fct_session where month = $1 "
            "and session_id in (select session_id from core.fct_scene) order by started_at, session_id",
            [MONTH],
        ).fetchall()
    return [session_id for (session_id,) in found]


@pytest.fixture(scope="module")
def written(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return write(exported, tmp_path_factory.mktemp("written") / "site")


def raw_rows(sessions: list[str], row_no: int = 7) -> RawRows:
    file = {"export": "orders", "path": "orders/a.csv", "rows": 3, "first_row": 1, "last_row": row_no}
    return RawRows({session_id: [file] for session_id in sessions}, {})


def write(marts: Path, out: Path, raw: RawRows | None = None, href: str | None = "../../scorecards/2026-10") -> Folder:
    build_site(marts, MONTH, out, scorecards_href=href, policy_dir=POLICY, raw_rows=raw)
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def of_sessions(folder: Folder) -> Folder:
    """Without the pages that name the snapshot, which is told by the folder the marts lie in."""
    return {path: content for path, content in folder.items() if path == RECORD or path.startswith("sessions/")}


# What a night may change about one session.
CHANGES = {
    "an alert": "delete from insights.alerts where session_id = $1",
    "a minute": "update core.fct_scene set units_sold = units_sold + 1 where session_id = $1 and minute = 3",
    "a measure of the session": "update core.fct_session set likes = likes + 1 where session_id = $1",
    "who was on duty": "update core.fct_duty set off_at = off_at - interval 1 minute where session_id = $1",
    "a product of it": "update funnel.product_funnel set clicks = clicks + 1 where session_id = $1",
    "its review": "update insights.session_review set value = value + 1 where session_id = $1",
    "its mood": "update insights.chat_sentiment set positive_share = 0.123 where session_id = $1",
}  # fmt: skip
EVERYWHERE = {
    "a name of a person": "update core.dim_staff set name = name || '氏'",
    "a name of a product": "update core.dim_product set name = name || '新'",
    "a room": "update core.dim_room set name = name || '室'",
    "a KPI's name": "update kpis.kpi_registry set name_zh = name_zh || '值'",
    "what a column says": "comment on column insights.alerts.rule is 'another comment'",
}


def test_after_changes_to_some_sessions_the_site_is_the_one_written_whole(
    marts: Path, sessions: list[str], tmp_path: Path
) -> None:
    whole = write(marts, tmp_path / "night")
    changed = set()
    with duckdb.connect(str(marts)) as con:
        for name, statement in CHANGES.items():
            pages = ((session_id, session_page(session_id)) for session_id in sessions[::2])
            for session_id, page in pages:
                if page not in changed and con.execute(statement, [session_id]).fetchone() != (0,):
                    changed.add(page)
                    break
            else:
                raise AssertionError(f"{name} changed nothing")
    assert len(changed) == len(CHANGES)
    night = write(marts, tmp_path / "night")
    assert night == write(marts, tmp_path / "whole")
    anew = {page for page in night if page.startswith("sessions/") and night[page] != whole[page]}
    assert anew >= changed, "a change that is not to be seen on its page proves nothing"
    assert len(anew) < len(sessions), "nothing was left as it was"


def test_after_a_change_that_every_page_shows_all_are_written(marts: Path, tmp_path: Path) -> None:
    made_of = json.loads(write(marts, tmp_path / "night")[RECORD])
    night: Folder = {}
    for name, change in EVERYWHERE.items():
        with duckdb.connect(str(marts)) as con:
            con.execute(change)
        night = write(marts, tmp_path / "night")
        now = json.loads(night[RECORD])
        assert made_of.keys() == now.keys() and all(now[page][0] != made_of[page][0] for page in now), name
        made_of = now
    assert night == write(marts, tmp_path / "whole")


def test_raw_rows_and_links_to_scorecards_are_part_of_a_page(marts: Path, sessions: list[str], tmp_path: Path) -> None:
    found = [
        write(marts, tmp_path / "night", raw, href)
        for raw, href in (
            (None, None),
            (raw_rows(sessions), None),
            (raw_rows(sessions, 8), None),
            (raw_rows(sessions, 8), "../s"),
        )
    ]
    page = session_page(sessions[0])
    assert len({night[page] for night in found}) == len(found)
    assert found[-1] == write(marts, tmp_path / "whole", raw_rows(sessions, 8), "../s")


def test_pages_that_nothing_changed_for_are_taken_over(marts: Path, sessions: list[str], tmp_path: Path, monkeypatch) -> None:
    before = write(marts, tmp_path / "night")
    read: list[str] = []

    def reading(file: Path, session_ids: list[str]) -> dict:
        read.extend(session_ids)
        return read_scenes(file, session_ids)

    monkeypatch.setattr("dagster_project.site.build.read_scenes", reading)
    assert write(marts, tmp_path / "night") == before
    assert read == []
    with duckdb.connect(str(marts)) as con:
        con.execute("update core.fct_scene set chats = chats + 1 where session_id = $1 and minute = 5", [sessions[1]])
    write(marts, tmp_path / "night")
    assert read == [sessions[1]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda out, page: (out / page).write_text("someone else's page"),
        lambda out, page: (out / page).unlink(),
        lambda out, _: (out / RECORD).write_text("{"),
        lambda out, _: (out / RECORD).write_text("[1, 2]"),
        lambda out, _: (out / RECORD).write_text(json.dumps({"sessions/a.html": "one"})),
        lambda out, _: (out / RECORD).unlink(),
    ],
    ids=["another page", "no page", "half a record", "a list", "one value", "no record"],
)
def test_what_was_tampered_with_is_written_again(
    marts: Path, written: Folder, sessions: list[str], tmp_path: Path, damage: Callable[[Path, str], None]
) -> None:
    for path, content in written.items():
        (tmp_path / "night" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "night" / path).write_bytes(content)
    damage(tmp_path / "night", session_page(sessions[0]))
    assert of_sessions(write(marts, tmp_path / "night")) == of_sessions(written)


def test_other_code_writes_all_pages(marts: Path, tmp_path: Path, monkeypatch) -> None:
    before = write(marts, tmp_path / "night")
    monkeypatch.setattr("dagster_project.site.earlier.code_digest", lambda: "of another release")
    after = write(marts, tmp_path / "night")
    made_of, now = json.loads(before[RECORD]), json.loads(after[RECORD])
    assert set(now) == set(made_of) == {page for page in before if page.startswith("sessions/")}
    assert all(now[page][0] != made_of[page][0] for page in now)


def test_the_code_digest_is_of_every_template_and_module_of_the_pages(monkeypatch, tmp_path: Path) -> None:
    for folder in ("site", "reports"):
        shutil.copytree(REPOSITORY / "dagster_project" / folder, tmp_path / folder)
    monkeypatch.setattr(earlier, "__file__", str(tmp_path / "site" / "earlier.py"))
    monkeypatch.setattr(earlier.report_pages, "__file__", str(tmp_path / "reports" / "pages.py"))
    seen = {earlier.code_digest.__wrapped__()}
    changed = ("site/templates/session.html.j2", "site/templates/site.css", "site/words.py", "reports/templates/page.html.j2")
    for name in changed:
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        seen.add(earlier.code_digest.__wrapped__())
    assert len(seen) == 1 + len(changed)


def test_a_session_page_reads_nothing_that_its_fingerprint_leaves_out(marts: Path, sessions: list[str]) -> None:
    content = read_site_month(marts, MONTH, "CNY")
    content = replace(content, scenes=read_scenes(marts, sessions))
    policy = policy_in_force(POLICY, MONTH)
    seen: list[Counter[str]] = []
    for asked in ((), sessions[-1:]):
        reads: Counter[str] = Counter()

        class Watched(SiteMonth):
            def __getattribute__(self, name: str, reads: Counter[str] = reads) -> object:
                reads[name] += 1
                return super().__getattribute__(name)

        watched = Watched(**{one.name: getattr(content, one.name) for one in fields(content)})
        written = SitePages(watched, policy, weighed_roles(POLICY, MONTH), None)
        assert dict(written.others())
        for session_id in asked:
            assert written.of_session(session_id, [], [])
        seen.append(reads)
    names = {one.name for one in fields(content)} | {"told", "sold"}
    read = {name for name in names if seen[1][name] > seen[0][name]}
    assert {"scenes", "told", "registry"} <= read
    assert read <= HASHED
