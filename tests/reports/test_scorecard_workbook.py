"""The workbook: text stays text, and its formulas arrive at our points by themselves."""

import re
import shutil
import subprocess
import zipfile
from decimal import Decimal

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


@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed")
def test_libreoffice_arrives_at_our_line_scores_and_points(scorecards, tmp_path):
    bare = tmp_path / "bare.xlsx"
    with zipfile.ZipFile(scorecards / "scorecards.xlsx") as ours, zipfile.ZipFile(bare, "w") as target:
        for name in ours.namelist():
            # Without the stored values nothing but a calculation can fill the formulas.
            target.writestr(name, re.sub(rb"(</f>)<v>[^<]*</v>", rb"\1", ours.read(name)))
    command = [SOFFICE, "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to"]
    command += ["xlsx:Calc MS Excel 2007 XML", "--outdir", str(tmp_path / "calculated"), str(bare)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    book = openpyxl.load_workbook(tmp_path / "calculated" / "bare.xlsx", data_only=True)
    sheet = book["明细 Lines"]
    column = {cell.value.split("\n")[1]: number for number, cell in enumerate(sheet[1])}
    checked = 0
    for row in sheet.iter_rows(min_row=2, values_only=True):
        assert Decimal(str(row[column["Difference"]])) == 0
        recomputed = row[column["Line score recomputed"]]
        if row[column["Line score"]] is not None:
            assert recomputed == pytest.approx(row[column["Line score"]], abs=1e-9)
            checked += 1
        else:
            assert recomputed in (None, "")
    # 107 lines, of which 3 + 2 + 0 + 2 + 2 + 4 of the people and 2 of the rooms have no value or no target
    assert checked == 107 - 15
    summary = book["汇总 Summary"]
    assert {row[19] for row in summary.iter_rows(min_row=2, max_row=6, values_only=True)} == {0}
