"""The review site as people meet it: opened from a folder or a server, read, sorted, searched, printed."""

from __future__ import annotations

import functools
import html
import http.server
import re
import shutil
import threading
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from conftest import MONTH

from dagster_project.definitions import wiring
from dagster_project.settings import settings_from_env
from dagster_project.site.build import build_site

REPOSITORY = Path(__file__).resolve().parents[2]
POLICY = REPOSITORY / "dbt" / "seeds"
MENU = ("index", "sessions", "audience", "products", "scenes", "funnel", "staff", "insights", "checks", "kpis")
HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>=HYPERLINK("x")\u202e反转😀\'"&' + "长" * 200


def one_of_each(site: Path) -> list[Path]:
    """Every page of the menu and one of each kind below it."""
    kinds = [site / kind for kind in ("sessions", "rooms", "products", "staff", "insights") if (site / kind).is_dir()]
    below = [sorted(kind.glob("*.html"))[0] for kind in kinds]
    return [*(site / f"{name}.html" for name in MENU), *below]


def marts_of(sample_data: Path, tmp_path: Path) -> Path:
    """A copy of the sample's marts that a test may change."""
    copy = tmp_path / "marts.duckdb"
    shutil.copyfile(sample_data / "published" / "current" / "marts.duckdb", copy)
    return copy


def built(marts: Path, out: Path, scorecards_href: str | None = None) -> Path:
    build_site(marts, MONTH, out, scorecards_href=scorecards_href, policy_dir=POLICY)
    return out


def test_every_page_opens_from_the_folder_without_a_message_or_a_request_outside_it(site, browser):
    for page in [*one_of_each(site), *sorted((site / "insights").glob("*.html"))]:
        browser.open(page.as_uri())
        assert browser.messages == [], page
    outside = [address for address in browser.requests if not address.startswith((site.as_uri(), "data:"))]
    assert [address for address in outside if address != "about:blank"] == []


def test_pages_open_from_a_local_server_too(site, browser):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing on the screen of a test."""

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}/"
        for page in one_of_each(site):
            browser.open(root + page.relative_to(site).as_posix())
            assert browser.run("document.querySelector('h1').textContent.length") > 0
        server.shutdown()
    assert browser.messages == []
    assert [address for address in browser.requests if not address.startswith((root, "data:", "about:"))] == []


def test_axe_finds_no_fault_on_any_kind_of_page_and_no_faint_text_in_the_dark(site, browser):
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    for page in one_of_each(site):
        browser.open(page.as_uri())
        # Rows of one table are alike, and axe looks at every cell: twelve of each are enough.
        browser.run("for (const b of document.querySelectorAll('tbody')) [...b.rows].slice(12).forEach(r => r.remove())")
        browser.run(axe + ";1")
        for scheme, rules in (("light", "{}"), ("dark", "{runOnly: ['color-contrast']}")):
            browser.prefer(scheme)
            found = browser.run(f"axe.run({rules}).then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
            assert found == [], (page.name, scheme)


def test_the_language_switch_changes_every_word_and_is_remembered_on_the_next_page(site, browser):
    browser.open((site / "index.html").as_uri())
    assert "指标金字塔" in browser.run("document.body.innerText")
    browser.run("document.querySelector('[data-language=en]').click()")
    shown = browser.run("document.body.innerText")
    assert "The KPI pyramid" in shown and "指标金字塔" not in shown
    browser.open((site / "sessions.html").as_uri())
    assert browser.run("document.documentElement.lang") == "en"


def test_a_table_sorts_by_number_and_back_and_says_so_to_a_screen_reader(site, browser):
    browser.open((site / "products.html").as_uri())
    head = "[...document.querySelectorAll('#product-table thead th')].find(h => h.innerText.includes('曝光'))"
    column = browser.run(f"{head}.cellIndex")
    cells = f"[...document.querySelectorAll('#product-table tbody tr')].map(r => r.cells[{column}].innerText)"
    before = browser.run(cells)

    def clicked() -> list[int]:
        browser.run(f"{head}.querySelector('button').click()")
        return [int(text.replace(",", "")) for text in browser.run(cells)]

    falling = clicked()
    assert falling == sorted(falling, reverse=True)
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "descending"
    assert clicked() == sorted(falling)
    clicked()
    assert browser.run(cells) == before


def test_search_leaves_the_rows_that_hold_the_words_and_says_how_many(site, browser):
    browser.open((site / "sessions.html").as_uri())
    browser.run(
        "const i = document.getElementById('find-session-table'); i.value = 'US-03'; "
        "i.value = 'Harbor'; i.dispatchEvent(new Event('input'))"
    )
    shown = browser.run("[...document.querySelectorAll('#session-table tbody tr')].filter(r => !r.hidden).map(r => r.innerText)")
    assert shown and all("Harbor" in text for text in shown)
    assert browser.run("document.querySelector('output').textContent").startswith(f"{len(shown)} / ")


def test_three_clicks_lead_from_the_overview_to_the_minute_behind_a_curve(site, browser):
    browser.open((site / "index.html").as_uri())
    room = browser.run("document.querySelector('#rooms-table tbody a').href")
    browser.open(room)
    session = browser.run("document.querySelector('#session-table tbody a').href")
    browser.open(session)
    browser.run("document.querySelector('.strip[role=group] a').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert re.fullmatch(r"#m\d+", browser.run("location.hash"))
    assert browser.run("document.querySelector('tr:target').cells.length") == 15


def test_pointing_at_the_curve_reads_the_minute_out(site, browser):
    browser.open(sorted((site / "sessions").glob("*.html"))[0].as_uri())
    browser.run("document.querySelector('.timeline').scrollIntoView({behavior: 'instant'})")
    box = browser.run("(b => [b.left, b.width, b.top])(document.querySelector('.timeline').getBoundingClientRect())")
    browser.mouse(box[0] + box[1] / 2, box[2] + 60)
    assert "在线" in browser.run("document.querySelector('[data-readout]').textContent")


def test_the_keyboard_reaches_the_content_and_sorts_a_table(site, browser):
    browser.open((site / "sessions.html").as_uri())
    browser.key("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.run("document.querySelector('#session-table th button').focus()")
    browser.key("Enter")
    assert browser.run("document.querySelector('#session-table th').getAttribute('aria-sort')") == "ascending"


def test_a_phone_needs_no_sideways_scrolling_of_the_page(site, browser):
    browser.size(390, 844)
    for page in one_of_each(site):
        browser.open(page.as_uri())
        assert browser.run("document.documentElement.scrollWidth") <= 390, page.name


def test_a_page_prints_its_tables_and_curves_without_menu_search_or_switch(site, browser):
    for page in (site / "sessions.html", sorted((site / "sessions").glob("*.html"))[0]):
        browser.open(page.as_uri())
        browser.on_paper()
        shown = "[...document.querySelectorAll('.menu, .filter, .languages, .readout')].filter(e => e.getClientRects().length)"
        assert browser.run(f"{shown}.length") == 0
        assert browser.run("[...document.querySelectorAll('table, svg')].some(e => e.getClientRects().length)")
        assert browser.pdf().startswith(b"%PDF")


def test_links_lead_to_files_of_the_folder_or_to_the_scorecards(site):
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    for page in one_of_each(site):
        for href in re.findall(r'href="([^"#]+)', page.read_text(encoding="utf-8")):
            if href.startswith("data:"):
                continue
            target = (page.parent / href).resolve()
            if "scorecards" in target.parts:
                assert target.is_file(), href
            else:
                assert target.relative_to(site.resolve()).as_posix() in pages, href


def test_the_overview_says_what_the_marts_say(site, sample_data):
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        gmv, target = con.execute(
            "select sum(numerator), sum(denominator) from kpis.kpi_month "
            "where kpi_id = 'gmv_target_attainment' and month = ? and subject_type = 'room'",
            [MONTH],
        ).fetchall()[0]
    overview = (site / "index.html").read_text(encoding="utf-8")
    assert f"¥{gmv:,.2f}" in overview and f"¥{target:,.2f}" in overview


def test_the_minutes_of_a_session_add_up_to_its_curve(site, sample_data):
    page = sorted((site / "sessions").glob("*.html"))[0]
    rows = re.findall(r'<tr id="m\d+">(.*)', page.read_text(encoding="utf-8"))
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        minutes, clicks, gmv = con.execute(
            "select count(*), sum(clicks), sum(gmv) from core.fct_scene where session_id = ?", [page.stem]
        ).fetchall()[0]
    cells = [re.split(r"<td>", row) for row in rows]
    assert len(rows) == minutes
    assert sum(int(row[9].replace(",", "")) for row in cells) == clicks
    assert sum(Decimal(row[13].replace(",", "")) for row in cells) == gmv


def test_no_pay_no_score_and_no_viewer_is_on_any_page(site, sample_data):
    text = "\n".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        keys = [key for (key,) in con.execute("select viewer_key from core.dim_viewer").fetchall()]
    assert not set(keys) & set(re.findall(r"\b[0-9a-f]{32}\b", text))
    with duckdb.connect(str(sample_data / "published/current/appraisal.duckdb"), read_only=True) as con:
        pay = con.execute("select performance_pay from scorecards.scorecards where performance_pay > 0").fetchall()
    assert not [amount for (amount,) in pay if f"{amount:,.2f}" in text]
    assert "total_score" not in text and "performance_pay" not in text


def test_what_insights_say_in_sentences_has_chinese_words(sample_data):
    from dagster_project.site.words import SENTENCES

    said: set[str] = set()
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        columns = con.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'insights' "
            "and column_name in ('reason', 'suggestion', 'evidence', 'suggested_action')"
        ).fetchall()
        for table, column in columns:
            said |= {text for (text,) in con.execute(f"select distinct {column} from insights.{table}").fetchall()}
    assert said - set(SENTENCES) - {None} == set()


def test_hostile_names_are_text_and_nothing_of_them_runs(sample_data, tmp_path, browser):
    marts = marts_of(sample_data, tmp_path)
    with duckdb.connect(str(marts)) as con:
        for table in ("core.dim_room", "core.dim_staff", "core.dim_product"):
            con.execute(f"update {table} set name = ?", [HOSTILE])
        con.execute("update core.fct_person set region = ?", [HOSTILE])
        con.execute("update audit.load_files set path = path || ?", [HOSTILE])
    site = built(marts, tmp_path / "site")
    for page in one_of_each(site):
        browser.open(page.as_uri())
        assert browser.messages == [], page.name
        assert browser.run("document.querySelectorAll('script').length") == 1
        assert browser.run("document.querySelectorAll('img').length") == 0
        assert "<script>alert" not in page.read_text(encoding="utf-8").replace("&lt;script", "")
    assert "<script>alert(1)</script>" in browser.run("document.body.innerText")


def test_only_the_own_style_and_script_may_run_and_nothing_may_load(site):
    overview = (site / "index.html").read_text(encoding="utf-8")
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', overview).group(1))
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'sha256-" in policy


def test_the_same_snapshot_gives_the_same_bytes(sample_data, tmp_path):
    marts = sample_data / "published" / "current" / "marts.duckdb"
    first, second = built(marts, tmp_path / "one"), built(marts, tmp_path / "two")
    listed = sorted(page.relative_to(first) for page in first.rglob("*.html"))
    assert listed == sorted(page.relative_to(second) for page in second.rglob("*.html"))
    assert all((first / page).read_bytes() == (second / page).read_bytes() for page in listed)


def test_a_snapshot_without_insights_gives_the_other_pages(sample_data, tmp_path):
    marts = marts_of(sample_data, tmp_path)
    with duckdb.connect(str(marts)) as con:
        con.execute("drop schema insights cascade")
    site = built(marts, tmp_path / "site")
    assert {page.stem for page in site.glob("*.html")} == set(MENU)


def test_five_hundred_people_stay_usable(sample_data, tmp_path, browser, record_property):
    marts = marts_of(sample_data, tmp_path)
    with duckdb.connect(str(marts)) as con:
        con.execute(
            "insert into core.dim_staff select 'x' || n, name || n, role, room_id, hired_on, left_on "
            "from (select * from core.dim_staff where role = 'host' limit 1), range(482) as t(n)"
        )
        con.execute(
            "insert into kpis.kpi_month select k.* replace ('x' || n as subject_id) from kpis.kpi_month as k, range(482) as t(n) "
            "where k.subject_id = (select min(staff_id) from core.dim_staff where role = 'host') and k.room_id is null"
        )
    site = built(marts, tmp_path / "site")
    assert len(list((site / "staff").glob("*.html"))) == 500
    size = sum(page.stat().st_size for page in site.rglob("*.html"))
    record_property("folder_megabytes", round(size / 1e6, 1))
    assert size < 60e6
    for page in one_of_each(site):
        assert browser.open(page.as_uri()) < 2, page.name


def test_both_jobs_end_with_the_site_of_last_night(tmp_path):
    wired = wiring(settings_from_env({"DATA": str(tmp_path)}))
    for job in ("nightly", "month_end"):
        assert dg.AssetKey(["published", "site"]) in wired.resolve_job_def(job).asset_layer.executable_asset_keys
