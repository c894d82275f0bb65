"""Verifying: an untouched month is identical from its raw files; any one changed byte is found and named."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project.appraisal import seals
from dagster_project.appraisal.figures import differences
from dagster_project.appraisal.verify import changed_inputs, rebuilt_differently, verify
from dagster_project.settings import UserError, settings_from_env
from tests.appraisal.conftest import MONTH, Company
from tests.appraisal.test_close import flip_one_byte

Fresh = Callable[[Company], Company]


@pytest.fixture(scope="module")
def tampered(sealed_once: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """A copy in which each test changes one thing and puts it back."""
    return sealed_once.copy(tmp_path_factory.mktemp("tampered") / "company")


def _found(company: Company, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert verify(company.environ()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{MONTH} differs from what was sealed: {len(lines) - 1} findings"
    return lines[:-1]


def test_a_sealed_month_is_identical_when_rebuilt_from_its_raw_files_without_the_warehouse(
    sealed_once: Company, fresh: Fresh, capsys: pytest.CaptureFixture[str]
) -> None:
    company = fresh(sealed_once)
    # What landed later, also under a new name, is none of the month's business.
    late = company.exports / "refunds" / "late.csv"
    late.write_text("no,refund\n1,2\n", encoding="utf-8")
    (company.data / "private" / "warehouse.duckdb").unlink()
    assert verify(company.environ()) == 0
    said = capsys.readouterr().out
    assert said.startswith("identical: 2026-10 revision 1, sealed by Li Wei at ")
    assert "not signed, 1 sealed months below it" in said
    assert not list((company.data / "tmp").iterdir())


def test_an_open_month_cannot_be_verified(published: Company) -> None:
    with pytest.raises(
        UserError, match="^2026-10 is open: there is nothing sealed to verify; make close seals it$"
    ):
        verify(published.environ())


def test_any_one_changed_byte_of_the_folder_is_found_and_its_file_named(
    tampered: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(3)
    files = sorted(path for path in tampered.sealed.rglob("*") if path.is_file())
    assert len(files) > 20
    for path in files:
        at = rng.randrange(path.stat().st_size)
        flip_one_byte(path, at)
        found = _found(tampered, capsys)
        flip_one_byte(path, at)
        name = path.relative_to(tampered.sealed).as_posix()
        assert any(
            f"2026-10/{name}" in line or (name == "manifest.sha256" and name in line) for line in found
        ), name


@pytest.mark.parametrize("name", ["manifest.json", "figures.json", "policy/weights.csv", "index.html"])
def test_a_changed_byte_of_an_earlier_month_is_found_through_the_chain(
    tampered: Company, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tampered.data / "scorecards" / "2026-09" / name
    flip_one_byte(path, 100)
    found = _found(tampered, capsys)
    flip_one_byte(path, 100)
    assert any(f"2026-09/{name}" in line for line in found), found


def test_an_earlier_month_that_was_sealed_anew_in_secret_breaks_the_chain(
    tampered: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tampered.data / "scorecards" / "2026-09"
    names = ("manifest.json", "manifest.sha256")
    before = {name: (folder / name).read_bytes() for name in names}
    forged = before["manifest.json"].replace(b"Li Wei", b"Li Wie")
    after = {"manifest.json": forged, "manifest.sha256": seals.checksum_line(forged)}
    for name in names:
        (folder / name).chmod(0o600)
        (folder / name).write_bytes(after[name])
    found = _found(tampered, capsys)
    for name in names:
        (folder / name).write_bytes(before[name])
    assert found == ["2026-09/manifest.json: is not the one 2026-10 was sealed on top of"]


def test_a_file_that_is_missing_or_added_is_named(
    tampered: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered.sealed.chmod(0o700)
    added, removed = tampered.sealed / "new.html", tampered.sealed / "lines.csv"
    content = removed.read_bytes()
    added.write_text("<p>hello</p>", encoding="utf-8")
    removed.unlink()
    found = _found(tampered, capsys)
    added.unlink()
    removed.write_bytes(content)
    assert found == [
        "2026-10/lines.csv: missing",
        "2026-10/new.html: was not there when the month was sealed",
    ]


def test_a_raw_file_that_is_missing_or_changed_is_named(
    tampered: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tampered.exports / "orders" / "2026-10.csv.gz"
    missing = tampered.exports / "shifts" / "2026-09.csv"
    aside = missing.with_suffix(".aside")
    flip_one_byte(changed, 50)
    missing.rename(aside)
    found = _found(tampered, capsys)
    flip_one_byte(changed, 50)
    aside.rename(missing)
    assert sorted(found) == [
        "raw file orders/2026-10.csv.gz: has other bytes than when it landed",
        "raw file shifts/2026-09.csv: missing",
    ]


def test_a_raw_file_under_another_known_name_serves_as_well(tampered: Company) -> None:
    settings = settings_from_env(tampered.environ())
    manifest = json.loads((tampered.sealed / "manifest.json").read_text(encoding="utf-8"))
    original = tampered.exports / "staff" / "staff.csv"
    again = {**next(file for file in manifest["inputs"] if file["path"] == "staff/staff.csv")}
    again |= {"path": "staff/again.csv", "verdict": "duplicate"}
    manifest["inputs"].append(again)
    renamed = original.rename(original.with_name("again.csv"))
    found = changed_inputs(settings, manifest)
    renamed.rename(original)
    assert found == []


def test_figures_that_come_out_differently_are_told_one_by_one() -> None:
    sealed = {
        "scorecards": [{"subject_type": "staff", "subject_id": "007", "total_score": "88.10", "grade": "B"}],
        "bonus_pools": [{"room_id": "R1", "staff_id": "007", "role": "host", "amount": "10.00"}],
    }
    rebuilt = {
        "scorecards": [{"subject_type": "staff", "subject_id": "007", "total_score": "88.2", "grade": "B"}],
        "bonus_pools": [],
    }
    assert differences(sealed, rebuilt) == [
        "scorecards staff 007: total_score is 88.10 sealed, 88.2 rebuilt",
        "bonus_pools R1 007 host: sealed, but not in the rebuilt month",
    ]
    assert (
        differences(
            {"scorecards": [{"subject_id": "1", "total_score": "5.00"}]},
            {"scorecards": [{"subject_id": "1", "total_score": "5.000000"}]},
        )
        == []
    )


def test_a_figure_forged_along_with_its_hashes_comes_out_in_the_rebuild(
    sealed_once: Company, fresh: Fresh
) -> None:
    company = fresh(sealed_once)
    settings = settings_from_env(company.environ())
    figures_file, manifest_file = company.sealed / "figures.json", company.sealed / "manifest.json"
    figures = json.loads(figures_file.read_text(encoding="utf-8"))
    card = next(row for row in figures["scorecards"] if row["total_score"] is not None)
    true_total, card["total_score"] = card["total_score"], "119.99"
    _overwrite(figures_file, json.dumps(figures).encode())
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    manifest["outputs"]["figures.json"] = hashlib.sha256(figures_file.read_bytes()).hexdigest()
    _overwrite(manifest_file, json.dumps(manifest).encode())
    _overwrite(company.sealed / "manifest.sha256", seals.checksum_line(manifest_file.read_bytes()))
    sealed = seals.sealed_month(settings, MONTH)
    assert sealed is not None and seals.damage(sealed) == []
    assert rebuilt_differently(settings, sealed, manifest) == [
        f"scorecards {card['subject_type']} {card['subject_id']}: total_score is 119.99 sealed, "
        f"{true_total} rebuilt"
    ]


def _overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)
