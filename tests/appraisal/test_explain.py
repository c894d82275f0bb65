"""Explaining: every total, line, session and raw row adds up, and the rows named are there in the files."""

from __future__ import annotations

import csv
import gzip
import json
import random
import shutil
from collections.abc import Iterator
from decimal import Decimal

import duckdb
import pytest

from dagster_project.appraisal.explain import explain, explained
from dagster_project.settings import UserError
from tests.appraisal.conftest import MONTH, Company


@pytest.fixture(scope="module")
def warehouse(
    published: Company, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy, since one process opens a database with one set of settings."""
    copy = tmp_path_factory.mktemp("explained") / "warehouse.duckdb"
    shutil.copyfile(published.data / "private" / "warehouse.duckdb", copy)
    con = duckdb.connect(str(copy), read_only=True)
    con.execute("set timezone = 'UTC'")
    yield con
    con.close()


def test_the_sums_agree_at_every_step_for_a_hundred_people_and_kpis_down_to_file_and_row(
    published: Company, warehouse: duckdb.DuckDBPyConnection
) -> None:
    made, rows = explain_at_random(warehouse, 100)
    assert made > 1500
    landed = dict(warehouse.execute("select path, rows_in from raw.files").fetchall())
    assert len(rows) > 1000
    for file, row in rows:
        assert 1 <= row <= landed[file], (file, row)
        assert (published.exports / file).is_file()


def explain_at_random(con: duckdb.DuckDBPyConnection, pairs: int) -> tuple[int, set[tuple[str, int]]]:
    """Explain so many random (person, month, KPI), each KPI in turn; sums made again, and the raw rows named."""
    people = con.execute(
        "select subject_id, month from scorecards.scorecards where subject_type = 'staff' order by all"
    ).fetchall()
    kpis = [kpi_id for (kpi_id,) in con.execute("select kpi_id from kpis.kpi_registry order by 1").fetchall()]
    rng = random.Random(20261101)
    asked = {(*rng.choice(people), kpis[number % len(kpis)]) for number in range(pairs)}
    while len(asked) < pairs:
        asked.add((*rng.choice(people), rng.choice(kpis)))
    made, rows = 0, set()
    for staff_id, month, kpi_id in sorted(asked):
        told = explained(con, staff_id, month, kpi_id)
        assert told["checks"]["failed"] == [], (staff_id, month, kpi_id)
        made += told["checks"]["made"]
        for measure in (measure for kpi in told["kpis"] for measure in kpi["measures"]):
            items = [item for session in measure["sessions"] for item in session["rows"]]
            rows |= {(ref["file"], ref["row"]) for item in items for ref in item["raw"]}
    return made, rows


def test_a_whole_scorecard_adds_up_to_its_sessions(warehouse: duckdb.DuckDBPyConnection) -> None:
    (staff_id,) = warehouse.execute(
        "select subject_id from scorecards.scorecards where subject_type = 'staff' and month = ? "
        "and total_score is not null order by 1",
        [MONTH],
    ).fetchall()[0]
    told = explained(warehouse, staff_id, MONTH, None)
    assert told["checks"]["failed"] == []
    assert (
        sum(line["points"] for line in told["lines"] if line["points"] is not None)
        == told["card"]["total_score"]
    )


def test_the_raw_rows_of_gmv_are_the_paid_lines_in_the_files(
    published: Company, warehouse: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read back by path and row number, without the warehouse."""
    (staff_id,) = warehouse.execute(
        "select subject_id from kpis.kpi_measure_day where subject_type = 'staff' and role = 'host' "
        "and measure = 'gmv' and room_id = '0071' and business_date >= '2026-10-01' order by 1"
    ).fetchall()[0]
    assert explain(published.environ(STAFF=staff_id, KPI="gmv", FORMAT="json")) == 0
    told = json.loads(capsys.readouterr().out)
    own = next(kpi for kpi in told["kpis"] if kpi["subject_type"] == "staff")
    rows = [row for session in own["measures"][0]["sessions"] for row in session["rows"]]
    assert rows
    files: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        (raw,) = row["raw"]
        if raw["file"] not in files:
            with gzip.open(published.exports / raw["file"], "rt", encoding="utf-8-sig", newline="") as file:
                files[raw["file"]] = list(csv.DictReader(file))
        line = files[raw["file"]][raw["row"] - 1]
        assert row["label"] == f"line {line['order_line_id']}"
        assert line["paid_at"] not in ("", "-")
        if line["currency"] == "CNY":
            assert Decimal(row["amount"]) == Decimal(line["paid_amount"])


def test_a_sum_that_does_not_agree_is_said_and_the_status_is_not_0(
    published: Company, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    company = published.copy(tmp_path_factory.mktemp("wrong") / "company")
    with duckdb.connect(str(company.data / "private" / "warehouse.duckdb")) as con:
        staff_id, session_id = con.execute(
            "select staff_id, session_id from intermediate.int_staff_measures_credited as credited "
            "join core.dim_staff as staff using (staff_id, role) where measure = 'chats' and "
            "business_date >= '2026-10-01' "
            "order by all"
        ).fetchall()[0]
        con.execute(
            "update intermediate.int_staff_measures_credited set amount_whole = amount_whole + 1 "
            "where measure = 'chats' and staff_id = ? and session_id = ?",
            [staff_id, session_id],
        )
    assert explain(company.environ(STAFF=staff_id, KPI="chats")) == 1
    said = capsys.readouterr().out
    assert f"does not agree: whole of chats of {staff_id} in {session_id} from its rows" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"STAFF": "nobody"}, "there is no employee 'nobody'"),
        ({"STAFF": ""}, "STAFF is missing"),
        ({"STAFF": "001001'; drop table x; --", "KPI": "gmv"}, "there is no employee"),
        ({"STAFF": "001001", "KPI": "profit"}, "there is no KPI 'profit' in the registry"),
        ({"STAFF": "001001", "MONTH": "2019-01"}, "has no scorecard of 2019-01"),
        ({"STAFF": "001001", "FORMAT": "xml"}, "FORMAT is 'xml': give text or json"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_clear_line(
    published: Company, given: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError) as mistake:
        explain(published.environ(**given))
    assert said in str(mistake.value)
    assert "\n" not in str(mistake.value)
