"""What if: the same policy shows no difference, another one only what it changes; nothing else is touched."""

from __future__ import annotations

import csv
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.appraisal.whatif import COMPARED, Difference, differences_under, whatif
from dagster_project.settings import REPOSITORY, UserError, settings_from_env
from tests.appraisal.conftest import MONTH, Company
from tests.appraisal.test_close import contents
from tests.oracle.appraisal import inputs_from_warehouse, policy_from_folder, score

SHIPPED = REPOSITORY / "dbt" / "seeds"

# (subject_type, subject_id) → the columns COMPARED of the card before and after
Changes = dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]]


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


def test_one_weight_moved_changes_exactly_what_the_oracle_says(published: Company, tmp_path: Path) -> None:
    """Two hundredths go from the best scored line of a scored person's table to the worst scored one."""
    company = published.copy(tmp_path / "company")
    policy, expected = weight_moved(company, tmp_path)
    found = differences_under(settings_from_env(company.environ(POLICY=str(policy))), MONTH)
    assert expected
    assert compared(found) == expected


def compared(found: list[Difference]) -> Changes:
    """The differences as weight_moved has them."""
    return {
        (one.subject_type, one.subject_id): ({i: one.before[i] for i in COMPARED}, {i: one.after[i] for i in COMPARED})
        for one in found
    }


def weight_moved(company: Company, folder: Path) -> tuple[Path, Changes]:
    """A policy with one weight moved, and whose cards the plain-Python oracle changes under it: before, after."""
    copy = folder / "copy.duckdb"
    shutil.copyfile(company.data / "private" / "warehouse.duckdb", copy)
    with duckdb.connect(str(copy), read_only=True) as con:
        inputs = inputs_from_warehouse(con)
        role, stage, best, worst = con.execute(
            """
            select any_value(lines.role), any_value(stages.stage),
                arg_max(lines.kpi_id, lines.line_score), arg_min(lines.kpi_id, lines.line_score)
            from scorecards.scorecard_lines as lines
            join scorecards.scorecards as cards using (subject_type, subject_id, month)
            join core.dim_staff as staff on staff.staff_id = lines.subject_id
            join intermediate.int_appraisal_stages_spanned as stages
                on stages.room_id = staff.room_id and stages.until_date = date '9999-12-31'
            where lines.month = ? and lines.part = 'personal' and lines.scope = 'own' and cards.status = 'scored'
            group by lines.subject_id
            order by max(lines.line_score) - min(lines.line_score) desc, lines.subject_id
            """,
            [MONTH],
        ).fetchall()[0]
    policy = folder / "moved"
    shutil.copytree(SHIPPED, policy)
    rows = policy_from_folder(SHIPPED)["weights"]
    for row in rows:
        if (row["role"], row["stage"], row["scope"]) == (role, stage, "own") and row["kpi_id"] in (best, worst):
            row["weight"] = str(Decimal(row["weight"]) + Decimal("0.02" if row["kpi_id"] == worst else "-0.02"))
    with (policy / "weights.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    before, after = (_oracles_cards(inputs, one) for one in (SHIPPED, policy))
    return policy, {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def _oracles_cards(inputs: dict[str, list[dict[str, Any]]], policy: Path) -> dict[tuple[str, str], dict[str, Any]]:
    cards = score(inputs, policy_from_folder(policy))["scorecards"]
    return {
        (card["subject_type"], card["subject_id"]): {item: card[item] for item in COMPARED}
        for card in cards
        if card["month"] == MONTH
    }


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
