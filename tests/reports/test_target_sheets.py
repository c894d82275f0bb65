"""The sheets announced before the month."""

import json

import pytest
import small_company
from page_reader import Page

from dagster_project.reports.targets import write_target_sheets
from dagster_project.settings import UserError

MONTH = "2026-11"


@pytest.fixture(scope="module")
def sheets(policy_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("targets") / MONTH
    write_target_sheets(small_company.target_rows(), MONTH, out, policy_dir=policy_dir)
    return out


def test_every_person_and_room_gets_a_sheet(sheets):
    assert len(list((sheets / "staff").iterdir())) == 6 and len(list((sheets / "rooms").iterdir())) == 2
    manifest = json.loads((sheets / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["files"]) == 9


def test_a_sheet_tells_weight_floor_target_stretch_and_the_points_they_bring(sheets):
    text = Page(sheets / "staff" / "0007.html").text
    for figure in ("¥100,000.00", "¥300,000.00", "¥450,000.00", "12.00%", "20.0%"):
        assert figure in text
    # engagement_rate: 20 % of a part that is 70 % of 100 points; the parts sum to 70 and 30
    assert "14.00" in text and "70.00" in text and "30.00" in text
    assert text.count("目标迟到") == 1
    assert "未设目标" in text


def test_the_rules_stand_in_words_with_the_numbers_of_the_policy(sheets):
    text = Page(sheets / "rooms" / "R-01.html").text
    assert "总分 = 个人得分 × 70% + 团队得分 × 30%" in text
    assert "S ≥ 110 (coefficient 1.30), A ≥ 100 (coefficient 1.15)" in text
    assert "¥2,000" in text and "rank alone never triggers it" in text


def test_the_sheets_do_not_depend_on_the_order_of_the_rows(sheets, policy_dir, tmp_path):
    rows = list(reversed(small_company.target_rows()))
    write_target_sheets(rows, MONTH, tmp_path / "again", policy_dir=policy_dir)
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (sheets / "manifest.json").read_bytes()


def test_nothing_to_announce_is_one_clear_line(policy_dir, tmp_path):
    with pytest.raises(UserError, match="nothing to announce for 2026-11"):
        write_target_sheets([], MONTH, tmp_path / "out", policy_dir=policy_dir)
