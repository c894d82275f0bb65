"""The workbook: text stays text, and its formulas arrive at our points by themselves."""

import re
import shutil
import subprocess
import zipfile
from decimal import Decimal

import duckdb
import openpyxl
import pytest
import small_company

SOFFICE = shutil.which("soffice")


@pytest.fixture(scope="module")
def book(scorecards):
    return openpyxl.load_workbook(scorecards / "scorecards.xlsx")


def test_it_has_a_summary_lines_each_room_and_the_money(book):
    assert book.sheetnames[:2] == ["汇总 Summary", "明细 Lines"]
    assert book.sheetnames[2:4] == ["杭州女装一号直播间", "@SUM(1+1) cmd|' C calc'!A0 <b>美"]
    assert book.sheetnames[4:] == [
        "奖池 Pools",
        "奖项 Awards",
        "面谈 Reviews",
        "调整 Adjustments",
        "规则 Rules",
    ]
    assert all(sheet.freeze_panes for sheet in book)


def test_text_that_looks_like_a_formula_is_text(book):
    hostile = {small_company.HOSTILE_FORMULA, "=F1", "-ops"}
    seen = set()
    for sheet in book:
        for cell in (cell for row in sheet.iter_rows() for cell in row):
            if cell.value in hostile:
                seen.add(cell.value)
                assert cell.data_type == "s" and cell.quotePrefix, (sheet.title, cell.coordinate)
            if cell.data_type == "f":
                assert not re.search("HYPERLINK|WEBSERVICE|cmd|DDE", cell.value)
    assert seen == hostile


def test_the_formulas_read_value_floor_target_stretch_and_weight(book):
    sheet = book["明细 Lines"]
    header = [cell.value.split("\n")[1] for cell in sheet[1]]
    row = sheet[2]
    score = row[header.index("Line score recomputed")].value
    for name in ("Value", "Floor", "Target", "Stretch"):
        assert row[header.index(name)].coordinate in score.replace("$", "")
    assert (
        row[header.index("Effective weight")].coordinate in row[header.index("Exact points recomputed")].value
    )


def test_headers_carry_both_languages_and_money_its_unit(book):
    sheet = book["汇总 Summary"]
    assert all("\n" in cell.value for cell in sheet[1])
    header = [cell.value.split("\n")[1] for cell in sheet[1]]
    assert sheet.cell(2, header.index("Performance pay") + 1).number_format.startswith('"¥"#,##0.00')


def test_viewers_that_do_not_calculate_still_see_the_totals(scorecards):
    sheet = openpyxl.load_workbook(scorecards / "scorecards.xlsx", data_only=True)["汇总 Summary"]
    total = next(row for row in sheet.iter_rows() if row[1].value == "合计 Total")
    # 6900.00 + 1774.37 + 5750.00 + 2100.00 + 3200.00, and with pools and awards
    assert (total[12].value, total[15].value) == (19724.37, 29675.37)


@pytest.fixture(scope="module")
def calculated(scorecards, sample_data, tmp_path_factory):
    """Both workbooks as LibreOffice calculates them: of the small company and of the sample."""
    if SOFFICE is None:
        pytest.skip("LibreOffice (Debian: libreoffice-calc-nogui) is not installed")
    folder = tmp_path_factory.mktemp("workbooks")
    books = {"small": scorecards, "sample": sample_data / "scorecards" / "2026-10"}
    for name, made in books.items():
        with zipfile.ZipFile(made / "scorecards.xlsx") as ours, zipfile.ZipFile(folder / f"{name}.xlsx", "w") as bare:
            for part in ours.namelist():
                # Without the stored values nothing but a calculation can fill the formulas.
                bare.writestr(part, re.sub(rb"(</f>)<v>[^<]*</v>", rb"\1", ours.read(part)))
    command = [SOFFICE, "--headless", f"-env:UserInstallation=file://{folder}/profile", "--convert-to"]
    command += ["xlsx:Calc MS Excel 2007 XML", "--outdir", str(folder / "calculated")]
    subprocess.run([*command, *(str(folder / f"{name}.xlsx") for name in books)], check=True, capture_output=True, timeout=300)
    return {name: openpyxl.load_workbook(folder / "calculated" / f"{name}.xlsx", data_only=True) for name in books}


def lines_of(book) -> list[dict[str, object]]:
    rows = book["明细 Lines"].iter_rows(values_only=True)
    header = [text.split("\n")[1] for text in next(rows)]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_libreoffice_arrives_at_our_line_scores_and_points(calculated):
    checked = 0
    for row in lines_of(calculated["small"]):
        assert Decimal(str(row["Difference"])) == 0
        if row["Line score"] is not None:
            assert row["Line score recomputed"] == pytest.approx(row["Line score"], abs=1e-9)
            checked += 1
        else:
            assert row["Line score recomputed"] in (None, "")
    # 107 lines, of which 3 + 2 + 0 + 2 + 2 + 4 of the people and 2 of the rooms have no value or no target
    assert checked == 107 - 15
    summary = calculated["small"]["汇总 Summary"]
    assert {row[19] for row in summary.iter_rows(min_row=2, max_row=6, values_only=True)} == {0}


def test_libreoffice_arrives_at_the_published_points_of_every_line_of_the_sample(calculated, sample_data):
    with duckdb.connect(str(sample_data / "published/current/appraisal.duckdb"), read_only=True) as con:
        published = con.execute(
            "select subject_id, part, kpi_id, room_id, line_score, points from scorecards.scorecard_lines "
            "where month = '2026-10'"
        ).fetchall()
    parts = {"个人部分 Personal part": "personal", "团队部分 Team part": "team"}
    recomputed = {
        (row["Id"], parts[row["Part"]], row["KPI id"], row["Room"]): (row["Line score recomputed"], row["Points recomputed"])
        for row in lines_of(calculated["sample"])
    }
    assert len(published) == len(recomputed) > 500
    for subject_id, part, kpi_id, room_id, line_score, points in published:
        score_again, points_again = recomputed[subject_id, part, kpi_id, room_id]
        assert round(Decimal(str(points_again)), 2) == (points or 0), (subject_id, kpi_id)
        if line_score is not None:
            assert round(Decimal(str(score_again)), 6) == line_score, (subject_id, kpi_id)


def test_ids_are_text_to_the_last_leading_zero(sample_data):
    book = openpyxl.load_workbook(sample_data / "scorecards" / "2026-10" / "scorecards.xlsx")
    column = [cell for (cell,) in book["明细 Lines"].iter_rows(min_row=2, min_col=2, max_col=2)]
    assert {cell.value for cell in column} >= {"0071", "0102", "001001"}
    assert all(cell.data_type == "s" and (cell.number_format == "@" or not cell.value.isdigit()) for cell in column)
