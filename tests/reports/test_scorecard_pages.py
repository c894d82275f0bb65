"""The pages people read: inert, complete, and adding up."""

import base64
import hashlib
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pytest
import small_company
from page_reader import Page

from dagster_project.reports import charts, wording
from dagster_project.reports.scorecards import write_scorecards

MONTH = "2026-10"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.html"))


def staff_page(folder: Path, name: str) -> Page:
    return Page(folder / "staff" / f"{name}.html")


def rewritten(snapshot, tmp_path: Path, policy_dir: Path, *statements: str) -> Path:
    """The folder made from a copy of the snapshot with its scorecards changed by SQL."""
    for path in snapshot:
        shutil.copy(path, tmp_path / path.name)
    with duckdb.connect(str(tmp_path / "appraisal.duckdb")) as con:
        for statement in statements:
            con.execute(statement)
    out = tmp_path / "out"
    files = (tmp_path / "appraisal.duckdb", tmp_path / "marts.duckdb")
    write_scorecards(*files, MONTH, out, provisional=False, policy_dir=policy_dir)
    return out


def test_every_person_and_room_has_a_page_named_by_the_encoded_id(scorecards):
    found = {path.relative_to(scorecards).as_posix() for path in pages(scorecards)}
    assert found == {
        "index.html",
        "managers.html",
        "staff/0007.html",
        "staff/host%2F2%25.html",
        "staff/-ops.html",
        "staff/%3DF1.html",
        "staff/%E5%AE%A2%E6%9C%8D_3.html",
        "staff/T9.html",
        "rooms/R-01.html",
        "rooms/R-02.html",
    }


def test_every_link_leads_to_a_file_of_the_folder(scorecards):
    for path in pages(scorecards):
        for link in Page(path).values("a", "href"):
            if not link.startswith("#"):
                assert (path.parent / unquote(link)).resolve().is_file(), f"{path.name}: {link}"


def test_hostile_names_are_text_on_every_page_and_nothing_else_runs(scorecards):
    for path in pages(scorecards):
        page = Page(path)
        assert not page.unclosed, path
        assert len(page.scripts) == len(page.styles) == 1
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"img", "iframe", "object", "embed", "form", "foreignobject", "b", "base"} - {"b"}
        for tag, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], (path, tag)
            for name in ("src", "href", "action"):
                assert not re.match(r"(?i)\s*(https?:|javascript:|//)", attributes.get(name) or ""), (
                    path,
                    tag,
                )
    assert small_company.HOSTILE_SCRIPT in staff_page(scorecards, "host%2F2%25").text
    assert small_company.HOSTILE_FORMULA in staff_page(scorecards, "%E5%AE%A2%E6%9C%8D_3").text
    assert small_company.LONG_NAME in staff_page(scorecards, "%3DF1").text
    assert "<b>美妆</b>" in Page(scorecards / "rooms" / "R-02.html").text


def test_text_with_direction_marks_stands_in_an_isolate(scorecards):
    html = (scorecards / "index.html").read_text(encoding="utf-8")
    assert html.count(small_company.HOSTILE_DIRECTION) == html.count(
        f"<bdi>{small_company.HOSTILE_DIRECTION}</bdi>"
    )
    title = re.search(
        "<title>(.*?)</title>", (scorecards / "staff" / "-ops.html").read_text(encoding="utf-8")
    )
    assert title and title.group(1).startswith(f"\u2068{small_company.HOSTILE_DIRECTION}\u2069")


def test_the_content_security_policy_allows_only_the_own_style_and_script_by_digest(scorecards):
    for path in pages(scorecards):
        page = Page(path)
        policy = next(
            attributes["content"]
            for tag, attributes in page.elements
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        )
        for kind, text in (("style", page.styles[0]), ("script", page.scripts[0])):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none';") and "unsafe" not in policy


def test_the_points_shown_add_up_to_the_total_shown(scorecards, snapshot):
    with duckdb.connect(str(snapshot[0]), read_only=True) as con:
        totals = con.execute(
            "select subject_type, subject_id, total_score from scorecards.scorecards "
            "where month = ? and total_score is not null",
            [MONTH],
        ).fetchall()
    assert len(totals) == 7
    names = {"host/2%": "host%2F2%25", "=F1": "%3DF1", "客服_3": "%E5%AE%A2%E6%9C%8D_3"}
    for subject_type, subject_id, total in totals:
        folder = "staff" if subject_type == "staff" else "rooms"
        page = Page(scorecards / folder / f"{names.get(subject_id, subject_id)}.html")
        points = [Decimal(value) for value in page.marked["points"]]
        assert sum(points) == total == Decimal(page.marked["total"][0]) == Decimal(page.marked["big"][0])


def test_the_walk_shows_the_sum_of_each_step(scorecards):
    text = staff_page(scorecards, "0007").text
    # 0.70 × 106.46 + 0.30 × 86.80 = 74.522 + 26.04 = 100.562
    assert "70%×106.46+30%×86.80=100.56" in text
    # 6000 × 31 / 31 × 1.15, worked back from the stored pay
    assert "≈ ¥6,000.00×31÷31×1.15=¥6,900.00" in text


def test_a_base_and_a_late_flag_in_the_snapshot_are_shown_as_they_are(snapshot, policy_dir, tmp_path):
    out = rewritten(
        snapshot,
        tmp_path,
        policy_dir,
        "alter table scorecards.scorecards add column performance_pay_base decimal(18,2)",
        "update scorecards.scorecards set performance_pay_base = 6000.01 where subject_id = '0007'",
        "alter table scorecards.scorecard_lines add column is_target_late boolean",
        "update scorecards.scorecard_lines set is_target_late = (subject_id = '0007' and kpi_id = 'gmv')",
    )
    text = staff_page(out, "0007").text
    assert "¥6,000.01×31÷31" in text and "≈" not in text
    assert text.count("目标迟到") == 1
    assert "目标迟到" not in staff_page(out, "-ops").text


def test_where_every_target_is_late_one_note_says_so(snapshot, policy_dir, tmp_path):
    out = rewritten(
        snapshot,
        tmp_path,
        policy_dir,
        "alter table scorecards.scorecard_lines add column is_target_late boolean",
        "update scorecards.scorecard_lines set is_target_late = true",
    )
    for page in (staff_page(out, "0007"), staff_page(out, "-ops")):
        assert page.text.count("目标迟到") == 1
        assert "本页所有目标都在当月第一天之后才送达" in page.text


def test_a_scored_line_without_points_is_shown_and_adds_nothing(snapshot, policy_dir, tmp_path):
    out = rewritten(
        snapshot,
        tmp_path,
        policy_dir,
        "update scorecards.scorecard_lines set points = null "
        "where subject_id = 'T9' and line_score is not null",
    )
    text = staff_page(out, "T9").text
    assert "数据不足，未评分" in text and "51.81" in text


def test_an_awards_evidence_is_told_in_words_with_units(scorecards):
    text = Page(scorecards / "rooms" / "R-01.html").text
    assert "商品点击率" in text and "5.71% (571 ÷ 10,000)" in text and "6.88% (688 ÷ 10,000)" in text
    assert "0.000674" in text and "58.0\u00a0h" in text
    assert small_company.HOSTILE_SCRIPT in Page(scorecards / "rooms" / "R-02.html").text


def test_only_the_last_run_of_a_suite_counts_as_its_checks(snapshot, policy_dir, tmp_path):
    for path in snapshot:
        shutil.copy(path, tmp_path / path.name)
    with duckdb.connect(str(tmp_path / "marts.duckdb")) as con:
        con.execute("alter table audit.check_results add column checked_at timestamp")
        con.execute("update audit.check_results set checked_at = timestamp '2026-11-01 03:30:00'")
        con.execute(
            "insert into audit.check_results values ('marts', 'failed_before', 'core.fct_session', 'error', "
            "false, '7', '0', timestamp '2026-10-31 03:30:00')"
        )
    files = (tmp_path / "appraisal.duckdb", tmp_path / "marts.duckdb")
    write_scorecards(*files, MONTH, tmp_path / "out", provisional=False, policy_dir=policy_dir)
    text = Page(tmp_path / "out" / "index.html").text
    assert "sessions_have_events" in text and "failed_before" not in text


def test_what_was_not_measured_is_told_with_its_reason_in_both_languages(scorecards):
    text = staff_page(scorecards, "T9").text
    assert all(words in text for words in wording.REASONS["no_data"])
    assert "数据不足，未评分" in text
    text = staff_page(scorecards, "host%2F2%25").text
    assert wording.REASONS["not_applicable"][0] in text and wording.REASONS["small_sample"][1] in text
    assert wording.REASONS["no_target"][0] in staff_page(scorecards, "0007").text
    assert wording.REASONS["no_base"][1] in Page(scorecards / "rooms" / "R-02.html").text


def test_a_person_sees_the_own_money_and_nobody_elses(scorecards):
    text = staff_page(scorecards, "0007").text
    # 6900.00 + 1980.45 + 1000.00 + 1000.00 + 1500.00
    assert "¥12,380.45" in text
    assert "¥5,750.00" not in text and "¥1,237.78" not in text
    assert small_company.HOSTILE_SCRIPT not in text


def test_a_room_page_shows_its_pool_cut_to_the_cent(scorecards):
    text = Page(scorecards / "rooms" / "R-01.html").text
    # 2 % × (1,187,550 − 990,000)
    assert "2.0%×(¥1,187,550.00−¥990,000.00)=¥3,951.00" in text
    for amount in ("¥1,980.45", "¥732.77", "¥1,237.78", "¥2,713.22"):
        assert amount in text
    # 100.56 × 58 h of 100.56 × 58 h + 57.81 × 30 h
    assert "77.08%" in text


def test_review_prompts_stand_on_the_managers_page_only(scorecards):
    assert "2026-08" in Page(scorecards / "managers.html").text
    for path in pages(scorecards):
        if path.name != "managers.html":
            assert "2026-08" not in Page(path).text


def test_the_overview_adds_the_pay_of_everybody(scorecards):
    text = Page(scorecards / "index.html").text
    # 6900.00 + 1774.37 + 5750.00 + 2100.00 + 3200.00
    assert "¥19,724.37" in text
    # … + pool 3951.00 + awards 6000.00
    assert "¥29,675.37" in text


def test_tables_have_captions_charts_have_names_and_headings_do_not_jump(scorecards):
    for path in pages(scorecards):
        page = Page(path)
        assert page.captionless_tables == 0
        for tag, attributes in page.elements:
            if tag == "svg" and attributes.get("role") == "img":
                assert attributes["aria-label"] and attributes["data-label-en"]
            if tag == "th":
                assert attributes.get("scope") in ("row", "col", "rowgroup")
        levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_a_final_month_says_nothing_about_being_provisional(snapshot, policy_dir, tmp_path, scorecards):
    out = tmp_path / "final"
    write_scorecards(*snapshot, MONTH, out, provisional=False, policy_dir=policy_dir)
    assert "暂定" in Page(scorecards / "index.html").text
    assert "暂定" not in Page(out / "index.html").text


def test_a_bullet_chart_turns_round_where_less_is_better():
    # floor 0.30, target 0.15, stretch 0.08: the scale runs from 0.375 to 0.005
    marks = charts.bullet(Decimal("0.15"), Decimal("0.30"), Decimal("0.30"), Decimal("0.15"), Decimal("0.08"))
    assert marks is not None and marks.beyond == ""
    assert marks.value == marks.target == 60.81
    assert marks.previous == marks.floor == 20.27
    assert marks.stretch == 79.73


def test_a_value_off_the_scale_stands_at_its_edge_and_is_marked():
    marks = charts.bullet(Decimal(1000), None, Decimal(0), Decimal(10), None)
    assert marks is not None and (marks.value, marks.beyond, marks.stretch) == (100, "right", None)
    assert charts.bullet(Decimal(5), None, None, None, None) is None


def chromium(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM
    fixed = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    )
    quiet = "--disable-component-update --disable-sync --enable-logging=stderr"
    command = [CHROMIUM, *fixed.split(), *quiet.split(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@browser
@pytest.mark.parametrize(
    "page", ["index.html", "staff/host%252F2%2525.html", "rooms/R-02.html", "managers.html"]
)
def test_a_browser_opens_the_page_in_english_without_a_console_message(scorecards, tmp_path, page):
    done = chromium(f"--user-data-dir={tmp_path}", "--dump-dom", f"file://{scorecards}/{page}#en")
    assert '<html lang="en">' in done.stdout
    assert re.search(r'data-language="en"[^>]*aria-pressed="true"', done.stdout)
    assert "CONSOLE" not in done.stderr, done.stderr
