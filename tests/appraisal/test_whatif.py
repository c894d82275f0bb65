"""What if: the same policy shows no difference, another one only what it changes; nothing else is touched."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import duckdb
import pytest

from dagster_project.appraisal.whatif import whatif
from dagster_project.settings import REPOSITORY, UserError
from tests.appraisal.conftest import MONTH, Company
from tests.appraisal.test_close import contents

SHIPPED = REPOSITORY / "dbt" / "seeds"


def test_the_shipped_policy_against_itself_has_no_differences_and_touches_nothing(
    published: Company, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    company = published.copy(tmp_path / "company")
    before = contents(company.data)
    assert whatif(company.environ(POLICY=str(SHIPPED))) == 0
    assert capsys.readouterr().out.startswith("no differences: 2026-10 comes out the same")
    after = contents(company.data)
    changed = {path for path in after.keys() | before.keys() if after.get(path) != before.get(path)}
    assert {path for path in changed if not path.startswith("whatif/")} <= {"private/run.lock"}


def test_other_coefficients_change_the_pay_of_exactly_those_graded_so(
    published: Company, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Halving the coefficient of D halves the performance pay of everyone graded D, and of nobody else."""
    company = published.copy(tmp_path / "company")
    policy = tmp_path / "policy"
    shutil.copytree(SHIPPED, policy)
    with (policy / "grades.csv").open(encoding="utf-8", newline="") as file:
        grades = list(csv.DictReader(file))
    for grade in grades:
        if grade["grade"] == "D":
            assert grade["coefficient"] == "0.50"
            grade["coefficient"] = "0.25"
    with (policy / "grades.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, grades[0].keys())
        writer.writeheader()
        writer.writerows(grades)
    path = (company.data / "published" / "current").resolve() / "appraisal.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        paid = con.execute(
            "select subject_id, performance_pay from scorecards.scorecards "
            "where subject_type = 'staff' and month = ? and grade = 'D' and performance_pay > 0 order by 1",
            [MONTH],
        ).fetchall()
    assert paid
    assert whatif(company.environ(POLICY=str(policy))) == 0
    said = capsys.readouterr().out
    lines = {
        line.split()[0]: line for line in said.splitlines() if "→" in line and not line.startswith("room")
    }
    assert sorted(lines) == [staff_id for staff_id, _ in paid]
    for staff_id, pay in paid:
        assert f"{pay} → {pay / 2:.2f}" in lines[staff_id]
    page = (company.data / "whatif" / MONTH / "index.html").read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert all(staff_id in page for staff_id, _ in paid)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "POLICY is missing"),
        ({"POLICY": "/nowhere"}, "policy folder /nowhere does not exist"),
        ({"POLICY": str(SHIPPED), "MONTH": "2019-01"}, "there are no scorecards of 2019-01"),
    ],
)
def test_a_mistake_is_one_clear_line(published: Company, given: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as mistake:
        whatif(published.environ(**given))
    assert said in str(mistake.value)


def test_a_policy_with_a_gap_is_refused_naming_it(published: Company, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(SHIPPED, policy)
    text = (policy / "weights.csv").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("technical,mature,")]
    (policy / "weights.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"weights.csv: no rows for role technical, stage mature"):
        whatif(published.environ(POLICY=str(policy)))
