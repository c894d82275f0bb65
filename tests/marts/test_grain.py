"""dbt's test of a table's grain, on planted faults."""

from __future__ import annotations

import re

import duckdb
import jinja2
import pytest

from dagster_project.settings import REPOSITORY

ROWS = "(values (1, 'a', 'x'), (2, 'a', 'x'), (1, 'b', 'y'), (3, null, 'y')) as t (n, may_be_null, other)"


def faults(relation: str, columns: list[str], nullable: list[str]) -> list[tuple]:
    source = (REPOSITORY / "dbt" / "tests" / "generic" / "one_row_per.sql").read_text(encoding="utf-8")
    body = re.search(r"\{% test [^%]*%\}(.*)\{% endtest %\}", source, re.DOTALL)
    assert body is not None
    sql = jinja2.Template(body.group(1)).render(model=relation, columns=columns, nullable=nullable)
    return duckdb.sql(sql).fetchall()


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        (ROWS, []),
        (f"(from {ROWS} union all values (1, 'b', 'z'))", [(1, "b")]),
        (f"(from {ROWS} union all values (3, null, 'z'))", [(3, None)]),
        (f"(from {ROWS} union all values (null, 'a', 'x'))", [(None, "a")]),
    ],
)
def test_a_key_that_occurs_twice_or_is_null_is_at_fault_but_a_nullable_column_may_be_null(planted, expected):
    assert faults(planted, ["n", "may_be_null"], ["may_be_null"]) == expected


def test_without_nullable_columns_no_part_of_the_key_may_be_null():
    assert faults(ROWS, ["n", "may_be_null"], []) == [(3, None)]
