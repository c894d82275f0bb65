"""The SQL prompt on the published marts: what it completes and what its own commands answer."""

from __future__ import annotations

import io
import sys

import pytest

from dagster_project.settings import settings_from_env
from dagster_project.warehouse.read import completions, published_marts, query


@pytest.fixture
def asked(sample_data, monkeypatch, capsys):
    """Types lines at the prompt as a pipe does; returns (what was answered, what was refused)."""

    def ask(*lines: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(";\n".join(lines) + ";\n"))
        assert query({"DATA": str(sample_data)}) == 0
        told = capsys.readouterr()
        return told.out, told.err

    return ask


def test_tables_and_columns_are_completed_with_what_they_are(sample_data):
    with published_marts(settings_from_env({"DATA": str(sample_data)})) as con:
        words = completions(con)
    assert words["core.fct_session"].startswith("One row per")
    assert {"funnel.product_funnel_month", "viewer_key", "units_per_click", ".help"} <= set(words)


def test_help_shows_examples_that_run(asked):
    shown, _ = asked(".help")
    examples = [line.strip() for line in shown.splitlines() if line.strip().startswith("select ")]
    assert len(examples) == 4
    _, refused = asked(*examples)
    assert refused == ""


def test_tables_lists_a_schema_and_columns_describes_a_table(asked):
    shown, _ = asked(".tables kpis", ".columns core.dim_room")
    assert "kpis.kpi_month" in shown and "core.fct_session" not in shown
    assert "timezone" in shown and "IANA" in shown


def test_a_mistake_is_one_line_and_the_prompt_goes_on(asked):
    shown, refused = asked(".columns nowhere", ".nonsense", "selec 1", "select 40 + 2 as answer")
    assert [line[:6] for line in refused.splitlines()] == ["error:"] * 3
    assert "42" in shown


def test_quit_ends_it(asked):
    shown, _ = asked("select 1 as one", ".quit", "select 2 as two")
    assert "one" in shown and "two" not in shown


def test_the_marts_cannot_be_changed_nor_other_files_read(asked):
    _, refused = asked("create table core.x (a int)", "select * from read_csv('/etc/passwd')")
    assert len(refused.splitlines()) == 2
