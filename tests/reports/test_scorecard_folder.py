"""The folder as a whole: private, deterministic, put in place at once, and described by its manifest."""

import csv
import hashlib
import json
import os
import stat
from decimal import Decimal

import pytest
import small_company

from dagster_project.reports import folder
from dagster_project.reports.folder import replace_folder
from dagster_project.reports.safe_text import csv_cell, file_stem, sheet_titles
from dagster_project.reports.scorecards import as_json, write_scorecards
from dagster_project.settings import UserError

MONTH = "2026-10"


def contents(path):
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}


def test_the_same_snapshot_gives_the_same_bytes(scorecards, snapshot, policy_dir, tmp_path):
    write_scorecards(*snapshot, MONTH, tmp_path / "again", provisional=True, policy_dir=policy_dir)
    assert contents(tmp_path / "again") == contents(scorecards)


def test_files_are_for_their_owner_only(scorecards):
    for path in [scorecards, scorecards.parent, *scorecards.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_files_are_private_even_under_an_open_umask(snapshot, policy_dir, tmp_path):
    before = os.umask(0)
    try:
        replace_folder(tmp_path / "deep" / "month", {"a/b.txt": b"x"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "deep" / "month" / "a" / "b.txt").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "deep" / "month" / "a").stat().st_mode) == 0o700


def test_the_manifest_names_every_file_with_its_digest(scorecards, policy_dir, snapshot):
    manifest = json.loads((scorecards / "manifest.json").read_text(encoding="utf-8"))
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents(scorecards).items()}
    del files["manifest.json"]
    assert manifest["files"] == files
    assert (manifest["month"], manifest["provisional"]) == (MONTH, True)
    assert manifest["snapshot_id"] == snapshot[1].parent.name
    assert len(manifest["policy_hash"]) == 64


def test_a_second_write_replaces_the_folder_and_leaves_nothing_beside_it(snapshot, policy_dir, tmp_path):
    out = tmp_path / "scorecards" / MONTH
    out.mkdir(parents=True)
    (out / "stale.html").write_text("old")
    write_scorecards(*snapshot, MONTH, out, provisional=False, policy_dir=policy_dir)
    assert not (out / "stale.html").exists() and (out / "index.html").exists()
    assert [path.name for path in out.parent.iterdir()] == [MONTH]


def test_a_failed_write_keeps_the_earlier_folder(tmp_path, monkeypatch):
    out = tmp_path / "month"
    replace_folder(out, {"index.html": b"first"})

    def full(path, content, private):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "_write", full)
    with pytest.raises(UserError, match="No space left on device"):
        replace_folder(out, {"index.html": b"second"})
    assert contents(out) == {"index.html": b"first"}
    assert [path.name for path in tmp_path.iterdir()] == ["month"]


def test_a_sealed_folder_is_refused(tmp_path):
    out = tmp_path / "month"
    replace_folder(out, {"index.html": b"sealed"})
    out.chmod(0o500)
    with pytest.raises(UserError, match="sealed"):
        replace_folder(out, {"index.html": b"other"})
    assert contents(out) == {"index.html": b"sealed"}


def test_a_month_without_scorecards_is_one_clear_line(snapshot, policy_dir, tmp_path):
    with pytest.raises(UserError, match="no scorecards of 2025-01 .* 2026-09 to 2026-10"):
        write_scorecards(*snapshot, "2025-01", tmp_path / "out", provisional=False, policy_dir=policy_dir)
    assert not (tmp_path / "out").exists()


def test_a_missing_policy_file_is_one_clear_line(snapshot, tmp_path):
    with pytest.raises(UserError, match="no rules.csv"):
        write_scorecards(*snapshot, MONTH, tmp_path / "out", provisional=False, policy_dir=tmp_path)


def test_csv_text_is_guarded_and_negative_numbers_stay_numbers(scorecards):
    for start in ("=1", "+1", "-1", "@x", "\tx", "\rx", "＝1"):
        assert csv_cell(start) == "'" + start
    assert csv_cell(Decimal("-1.50")) == "-1.50" and csv_cell("plain") == "plain" and csv_cell(None) == ""
    with (scorecards / "lines.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = {row["subject_id"] for row in rows}
    assert {"'=F1", "'-ops", "0007", "host/2%"} <= ids
    assert {row["name"] for row in rows if row["subject_id"] == "客服_3"} == {
        "'" + small_company.HOSTILE_FORMULA
    }
    # 6 people with their own and their rooms' lines, 2 rooms with 9 lines: 7+18, 7+9, 5+9, 3+9, 2+9, 2+9, 2×9
    assert len(rows) == 25 + 16 + 14 + 12 + 11 + 11 + 18


def test_json_carries_every_digit(scorecards):
    document = json.loads((scorecards / "scorecards.json").read_text(encoding="utf-8"), parse_float=Decimal)
    person = next(one for one in document["people"] if one["subject_id"] == "0007")
    line = next(one for one in person["lines"] if one["kpi_id"] == "gmv")
    assert (line["value"], line["previous"]) == (Decimal("352118.900000"), Decimal("287450.200000"))
    assert person["amount_in_all"] == Decimal("12380.45")
    assert (
        as_json({"x": Decimal("12345678901234567890.123456")}) == '{\n  "x": 12345678901234567890.123456\n}'
    )


def test_ids_become_file_names_that_differ_and_fit():
    assert file_stem("../a b") == "%2E%2E%2Fa%20b"
    assert file_stem("A-z_0") == "A-z_0"
    long_ids = ["长" * 200, "长" * 199 + "短"]
    stems = {file_stem(one) for one in long_ids}
    assert len(stems) == 2 and max(map(len, stems)) <= 200


def test_sheet_titles_are_allowed_short_and_different():
    title_for = sheet_titles(["Lines"])
    titles = [
        title_for(name, "id") for name in ("a/b:c", "A b c", "lines", "长" * 60, "", "🎬" * 40, "'quoted'")
    ]
    assert titles == ["a b c", "A b c (2)", "lines (2)", "长" * 31, "id", "🎬" * 15, "quoted"]
