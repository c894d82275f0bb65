"""The policy files as the pages quote them: the grade table and the rules in force for a month."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from dagster_project.settings import UserError


@dataclass(frozen=True)
class Grade:
    """One step of the grade table; min_score None is the lowest grade, open below."""

    grade: str
    min_score: Decimal | None
    coefficient: Decimal


@dataclass(frozen=True)
class PolicyInForce:
    """rules: name → value; grades: best first; policy_hash: over every CSV of the folder."""

    rules: dict[str, Decimal]
    grades: tuple[Grade, ...]
    policy_hash: str

    def rule(self, name: str) -> Decimal:
        if name not in self.rules:
            raise UserError(f"rules.csv has no rule {name} in force for the month: add a row for it")
        return self.rules[name]


def policy_in_force(policy_dir: Path, month: str) -> PolicyInForce:
    """Rules and grades with the latest valid_from on or before the month's first day."""
    first_day = f"{month}-01"
    newest: dict[str, tuple[str, Decimal]] = {}
    for row in _rows(policy_dir / "rules.csv"):
        if (
            row["valid_from"] <= first_day
            and row["valid_from"] >= newest.get(row["rule"], ("", Decimal(0)))[0]
        ):
            newest[row["rule"]] = (row["valid_from"], Decimal(row["value"]))
    grade_rows = [row for row in _rows(policy_dir / "grades.csv") if row["valid_from"] <= first_day]
    if not grade_rows:
        raise UserError(
            f"grades.csv has no grade table in force on {first_day}: add rows with an earlier valid_from"
        )
    latest = max(row["valid_from"] for row in grade_rows)
    grades = [
        Grade(
            row["grade"], Decimal(row["min_score"]) if row["min_score"] else None, Decimal(row["coefficient"])
        )
        for row in grade_rows
        if row["valid_from"] == latest
    ]
    lowest = Decimal("-Infinity")
    grades.sort(key=lambda grade: lowest if grade.min_score is None else grade.min_score, reverse=True)
    return PolicyInForce(
        rules={rule: value for rule, (_, value) in newest.items()},
        grades=tuple(grades),
        policy_hash=policy_hash(policy_dir),
    )


def policy_hash(policy_dir: Path) -> str:
    """SHA-256 over the names and digests of the folder's CSV files, in name order."""
    digest = hashlib.sha256()
    for path in sorted(policy_dir.glob("*.csv")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise UserError(f"the policy folder has no {path.name}: give POLICY= a folder with all policy files")
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return [
            {key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(lines)
        ]
