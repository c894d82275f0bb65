"""Before a month everybody employed then gets a sheet with the weights and targets in force."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from dagster_project.appraisal.targets import sheet_rows, targets
from dagster_project.settings import REPOSITORY, settings_from_env
from dagster_project.warehouse.policy import read_policy
from tests.appraisal.conftest import Company

COMING = "2026-12"


@dataclass(frozen=True)
class Announced:
    """A company after `make targets`, the host with a target of their own, and the rows of all sheets."""

    company: Company
    favoured: str
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def announced(published: Company, tmp_path_factory: pytest.TempPathFactory) -> Announced:
    company = published.copy(tmp_path_factory.mktemp("announced") / "company")
    with (company.exports / "staff" / "staff.csv").open(encoding="utf-8-sig", newline="") as file:
        favoured = min(
            row["staff_id"]
            for row in csv.DictReader(file)
            if (row["role"], row["room_id"]) == ("host", "0071") and row["left_on"] in ("", "-")
        )
    lines = [
        "month,scope_type,scope_id,kpi_id,floor,target,stretch",
        f"{COMING},role,host,gmv,1,2,3",
        f"{COMING},staff,{favoured},gmv,10,20,",
        f"{COMING},room,0071,gmv,100,200,300",
    ]
    (company.exports / "targets" / "december.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert targets(company.environ(MONTH=COMING)) == 0
    settings = settings_from_env(company.environ())
    rows, _ = sheet_rows(settings, COMING, read_policy(settings.policy))
    return Announced(company, favoured, rows)


def test_every_person_with_a_home_room_and_every_room_gets_a_sheet(announced: Announced) -> None:
    with (announced.company.exports / "staff" / "staff.csv").open(encoding="utf-8-sig", newline="") as file:
        employed = {
            row["staff_id"]
            for row in csv.DictReader(file)
            if row["room_id"] not in ("", "-")
            and (row["left_on"] in ("", "-") or row["left_on"] >= "2026-12-01")
        }
    folder = announced.company.data / "targets" / COMING
    assert {path.stem for path in (folder / "staff").glob("*.html")} == employed
    assert {path.stem for path in (folder / "rooms").glob("*.html")} == {"0071", "0102"}


def test_weights_are_those_of_the_stage_and_add_up_to_one(announced: Announced) -> None:
    sums: dict[tuple[str, str, str], Decimal] = {}
    for row in announced.rows:
        key = (row["subject_type"], row["subject_id"], row["part"])
        sums[key] = sums.get(key, Decimal(0)) + row["weight"]
    assert set(sums.values()) == {Decimal(1)}
    with (REPOSITORY / "dbt" / "seeds" / "weights.csv").open(encoding="utf-8", newline="") as file:
        shipped = {
            (row["role"], row["stage"], row["kpi_id"], row["scope"]): row["weight"]
            for row in csv.DictReader(file)
        }
    personal = [row for row in announced.rows if row["part"] == "personal"]
    assert personal
    for row in personal:
        scope = "own" if row["room_id"] is None else "room"
        assert row["weight"] == Decimal(shipped[row["role"], row["stage"], row["kpi_id"], scope])


def test_the_nearest_target_of_the_month_stands_on_the_sheet(announced: Announced) -> None:
    gmv = {
        (row["subject_id"], row["part"]): (row["floor"], row["target"], row["stretch"])
        for row in announced.rows
        if row["kpi_id"] == "gmv" and row["role"] == "host"
    }
    assert gmv[announced.favoured, "personal"] == (10, 20, None)
    others = {
        figures
        for (subject, part), figures in gmv.items()
        if part == "personal" and subject != announced.favoured
    }
    assert others == {(1, 2, 3)}
