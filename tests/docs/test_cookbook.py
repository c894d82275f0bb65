"""The cookbook's queries and the notebook run on the sample as they stand in the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECIPES = re.findall(r"^### (\d+)\. (.+?)\n+```sql\n(.+?)```", (DOCS / "cookbook.md").read_text("utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def marts(sample_data: Path):
    with duckdb.connect(str(sample_data / "published/current/marts.duckdb"), read_only=True) as con:
        yield con


def test_there_are_twenty_in_order():
    assert [int(number) for number, _, _ in RECIPES] == list(range(1, 21))


@pytest.mark.parametrize("sql", [sql for _, _, sql in RECIPES], ids=[f"{number} {title}" for number, title, _ in RECIPES])
def test_a_query_of_the_cookbook_runs_and_finds_something(marts, sql):
    rows = marts.execute(sql).fetchall()
    assert rows and any(value is not None for value in rows[0])


def test_credit_adds_up_in_the_recipe_that_says_so(marts):
    sql = next(sql for number, _, sql in RECIPES if number == "19")
    assert all(row[-1] == 0 for row in marts.execute(sql).fetchall())


def test_the_notebook_runs_from_top_to_bottom(sample_data, monkeypatch):
    monkeypatch.setenv("DATA", str(sample_data))
    monkeypatch.chdir(DOCS)
    notebook = json.loads((DOCS / "cookbook.ipynb").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile(cell, "cookbook.ipynb", "exec"), names)  # noqa: S102
    assert len(names["growth"]) == 3
    assert all(not cell.get("outputs") for cell in notebook["cells"] if cell["cell_type"] == "code")
