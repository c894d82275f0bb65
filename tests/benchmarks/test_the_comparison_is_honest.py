"""A benchmark against programs that compute something else would be worth nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from benchmarks.agreement import TABLES, agreements
from benchmarks.bench import Measurement, tables_of
from benchmarks.picture import picture_of
from dagster_project.settings import REPOSITORY, SAMPLE_EXPORTS, UserError


def run(script: str, *arguments: object) -> dict[str, float]:
    """Seconds per step of a contender on the sample."""
    command = [sys.executable, f"benchmarks/{script}", str(SAMPLE_EXPORTS), *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory) -> Path:
    database = tmp_path_factory.mktemp("by_hand") / "result.duckdb"
    run("hand_written.py", database, "1GB")
    return database


def test_the_script_by_hand_finds_every_row_and_column_of_the_core_facts(sample_data, by_hand):
    found = agreements(sample_data / "private" / "warehouse.duckdb", by_hand)
    assert set(found) == set(TABLES)
    for table, agreement in found.items():
        assert (table, agreement.apart, agreement.missing) == (table, 0, ())
        assert agreement.rows > 100, table


def test_pandas_finds_every_row_and_column_too(sample_data, tmp_path):
    run("pandas_version.py", tmp_path)
    found = agreements(sample_data / "private" / "warehouse.duckdb", tmp_path)
    assert set(found) == set(TABLES)
    assert {table: (agreement.apart, agreement.missing) for table, agreement in found.items()} == dict.fromkeys(found, (0, ()))


def test_one_wrong_figure_is_two_rows_apart(sample_data, by_hand, tmp_path):
    wrong = tmp_path / "wrong.duckdb"
    wrong.write_bytes(by_hand.read_bytes())
    with duckdb.connect(str(wrong)) as con:
        con.execute("update fct_scene set chats = chats + 1 where rowid = 0")
    found = agreements(sample_data / "private" / "warehouse.duckdb", wrong)
    assert {table: agreement.apart for table, agreement in found.items() if agreement.apart} == {"core.fct_scene": 2}


def test_the_table_gives_each_contender_as_a_ratio_to_the_script_by_hand():
    def measured(contender: str, seconds: float) -> Measurement:
        return Measurement(contender, 1_000_000, seconds, 2 * seconds, 300 * 2**20, 2**20, {"land": 1.0})

    runs = [measured("reading", 1), measured("hand-written DuckDB", 10), measured("a night", 15), measured("the month end", 2)]
    text = tables_of(runs)
    assert "| a night | 15.0 | 1.50 | 30.0 | 1.50 | 300 MiB | 1 MiB |" in text
    assert "| reading | 1.0 | 0.10 |" in text
    picture = picture_of(runs)
    assert "a night" in picture and ">30.0<" in picture and "month end" not in picture


@pytest.mark.parametrize("sizes", ["many", "0", "1000,-5", "1e6"])
def test_a_size_that_is_no_number_of_events_is_one_clear_line(sizes):
    from benchmarks.bench import bench

    with pytest.raises(UserError, match="SIZES is"):
        bench({"SIZES": sizes})
