"""The review site as people meet it: opened from a folder or a server, read, sorted, searched, printed."""

from __future__ import annotations

import csv
import functools
import gzip
import html
import http.server
import itertools
import json
import re
import shutil
import threading
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from conftest import MONTH

from dagster_project.definitions import wiring
from dagster_project.settings import settings_from_env
from dagster_project.site.build import build_site
from dagster_project.site.words import COLUMNS, LEFT_OUT
from dagster_project.warehouse.read import export

REPOSITORY = Path(__file__).resolve().parents[2]
POLICY = REPOSITORY / "dbt" / "seeds"
SAMPLE = REPOSITORY / "data" / "sample"
MENU = ("index", "sessions", "audience", "products", "scenes", "funnel", "staff", "insights", "checks", "kpis")
HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>=HYPERLINK("x")\u202e反转😀\'"&' + "长" * 200


def one_of_each(site: Path) -> list[Path]:
    """Every page of the menu and one of each kind below it."""
    kinds = [site / kind for kind in ("sessions", "rooms", "products", "staff", "insights") if (site / kind).is_dir()]
    below = [sorted(kind.glob("*.html"))[0] for kind in kinds]
    return [*(site / f"{name}.html" for name in MENU), *below]


def marts_of(sample_data: Path, tmp_path: Path) -> Path:
    """The sample's marts as one file of their own that a test may change."""
    copy = tmp_path / "marts.duckdb"
    export({"DATA": str(sample_data), "OUT": str(copy)})
    return copy


@pytest.fixture(scope="module")
def exported_room(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """marts_of() with the rows of one room only: a third of the pages. Only to copy."""
    marts = marts_of(sample_data, tmp_path_factory.mktemp("one_room"))
    with duckdb.connect(str(marts)) as con:
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_columns() where column_name = 'room_id' and not internal"
        ).fetchall():
            con.execute(f"delete from {schema}.{table} where room_id <> 'US-03'")
    return marts


@pytest.fixture
def one_room(exported_room: Path, tmp_path: Path) -> Path:
    """The marts of one room that a test may change."""
    return Path(shutil.copy(exported_room, tmp_path))


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


def test_axe_finds_no_fault_on_any_kind_of_page_and_no_faint_text_in_the_dark(site, browser, faults):
    for page in one_of_each(site):
        assert faults(browser, page) == [], page.name


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


def test_three_clicks_lead_from_the_overview_to_the_rows_of_the_exports_behind_a_figure(site, browser):
    browser.open((site / "index.html").as_uri())
    for link in ("#rooms-table tbody a", "#session-table tbody a"):
        browser.open(browser.run(f"document.querySelector('{link}').href"))
    browser.run("document.querySelector('a[href=\"#raw\"]').click()")
    assert browser.run("document.querySelector(':target').closest('section').contains(document.querySelector('#raw-lines'))")
    shown = browser.run("[...document.querySelectorAll('#raw-lines tbody tr')].map(r => [...r.cells].map(c => c.innerText))")
    assert shown
    for line, _, _, units, amount, _, path, number in shown:
        with gzip.open(SAMPLE / path, "rt", encoding="utf-8") as lines:
            # The first row of the file is its header, and rows are counted after it.
            row = next(itertools.islice(csv.DictReader(lines), int(number.replace(",", "")) - 1, None))
        assert (row["order_line_id"], row["quantity"]) == (line, units)
        assert row["currency"] != "CNY" or Decimal(row["paid_amount"]) == Decimal(amount.strip("¥").replace(",", ""))


def test_a_sessions_raw_order_lines_add_up_to_its_gmv(site, sample_data):
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        sold = con.execute("select session_id, gmv from core.fct_session where month = ? and gmv > 0", [MONTH]).fetchall()
    assert len(sold) > 60
    for session_id, gmv in sold[::10]:
        page = (site / "sessions" / f"{session_id}.html").read_text(encoding="utf-8")
        body, foot = page.split('id="raw-lines"')[1].split("</table>")[0].split("<tfoot>")
        amounts = [Decimal(re.findall(r"¥([\d,.]+)", row)[0].replace(",", "")) for row in body.split("<tr>")[2:]]
        assert sum(amounts) == gmv and f"¥{gmv:,.2f}" in foot


def test_every_column_of_an_insight_has_chinese_words(sample_data):
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        columns = con.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'insights' and table_name not in "
            "(select table_name from duckdb_columns() where schema_name = 'insights' and column_name = 'viewer_key')"
        ).fetchall()
    bounds = re.compile(r"_(low|high)$")
    wordless = [
        (table, column) for table, column in columns
        if column not in COLUMNS and column != "month" and column not in LEFT_OUT.get(table, ()) and not bounds.search(column)
    ]  # fmt: skip
    assert len(columns) > 100 and wordless == []


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
        pay = con.execute("select subject_id, performance_pay from scorecards.scorecards where performance_pay > 0").fetchall()
    # A round sum may be anything's; it must not stand where its owner does. Any other stands nowhere.
    people = (site / "staff.html").read_text(encoding="utf-8")
    for staff_id, amount in pay:
        own = site / "staff" / f"{staff_id}.html"
        where = text if amount % 1 else people + (own.read_text(encoding="utf-8") if own.is_file() else "")
        assert f"{amount:,.2f}" not in where, staff_id
    assert len(pay) > 30 and any(amount % 1 for _, amount in pay)
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


# Columns that hold codes which the pages work with; any other text comes from outside, or will one day.
CODES = {
    "attribution", "category", "check_id", "currency", "denominator", "direction", "dimension", "export", "feature", "kind",
    "kpi_id", "level", "measure", "mode", "month", "month_before", "name_en", "name_zh", "numerator", "phase", "picture_tier",
    "playback_tier", "product_role", "role", "rule", "scale", "segment_type", "severity", "sha256", "source", "spend_tier",
    "spend_tier_before", "subject_type", "table", "timezone", "unit", "viewer_key", "verdict",
}  # fmt: skip
# Ids are text from outside too, and stand in many tables.
IDS = ("room_id", "session_id", "product_id", "staff_id", "subject_id", "host_id", "segment_id", "order_id", "order_line_id")


def test_hostile_text_in_every_column_and_id_is_text_and_nothing_of_it_runs(one_room, tmp_path, browser):
    with duckdb.connect(str(one_room)) as con:
        con.execute("delete from core.fct_scene where session_id not in (select max(session_id) from core.fct_session)")
        columns = con.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns() "
            "where data_type = 'VARCHAR' and not internal group by all"
        ).fetchall()
        changed = 0
        for schema, table, names in columns:
            texts = [name for name in names if name not in CODES and not (table == "kpi_registry" and name not in IDS)]
            if texts:
                values = ", ".join(f'"{name}" = ' + (f'"{name}" || $text' if name in IDS else "$text") for name in texts)
                con.execute(f"update {schema}.{table} set {values}", {"text": HOSTILE})
                changed += len(texts)
    assert changed > 100
    site = built(one_room, tmp_path / "site")
    pages = one_of_each(site)
    assert {page.parent.name for page in pages} >= {"sessions", "rooms", "products", "staff", "insights"}
    for page in [*pages, *sorted((site / "insights").glob("*.html"))]:
        browser.open(page.as_uri())
        assert browser.messages == [], page.name
        assert browser.run("document.querySelectorAll('script').length") == 1
        assert browser.run("document.querySelectorAll('img, iframe, object, embed, form, base').length") == 0
        assert browser.run("document.documentElement.scrollWidth") <= 1360, page.name
    browser.open((site / "products.html").as_uri())
    assert browser.run(f"document.querySelector('#product-table tbody a').textContent === {json.dumps(HOSTILE)}")
    browser.open(browser.run("document.querySelector('#product-table tbody a').href"))
    assert browser.run("document.querySelector('h1').textContent").startswith("<script>alert(1)</script>")


def test_only_the_own_style_and_script_may_run_and_nothing_may_load(site):
    overview = (site / "index.html").read_text(encoding="utf-8")
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', overview).group(1))
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'sha256-" in policy


def test_the_same_snapshot_gives_the_same_bytes(one_room, tmp_path):
    first, second = built(one_room, tmp_path / "one"), built(one_room, tmp_path / "two")
    listed = sorted(page.relative_to(first) for page in first.rglob("*.html"))
    assert listed == sorted(page.relative_to(second) for page in second.rglob("*.html"))
    assert all((first / page).read_bytes() == (second / page).read_bytes() for page in listed)


def test_a_snapshot_without_insights_gives_the_other_pages(one_room, tmp_path):
    with duckdb.connect(str(one_room)) as con:
        con.execute("drop schema insights cascade")
    site = built(one_room, tmp_path / "site")
    assert {page.stem for page in site.glob("*.html")} == set(MENU)


@pytest.mark.slow
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
        # A busy machine may be slow once; a page that is too large is slow every time.
        assert any(browser.open(page.as_uri()) < 2 for _ in range(3)), page.name


def test_both_jobs_end_with_the_site_of_last_night(tmp_path):
    wired = wiring(settings_from_env({"DATA": str(tmp_path)}))
    for job in ("nightly", "month_end"):
        assert dg.AssetKey(["published", "site"]) in wired.resolve_job_def(job).asset_layer.executable_asset_keys
