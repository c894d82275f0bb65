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


def test_several_statements_are_all_answered_and_none_runs_where_one_is_refused(asked):
    shown, _ = asked("select 40 + 2 as first; select 7 * 3 as second")
    assert "42" in shown and "21" in shown
    shown, refused = asked("select 40 + 2 as first; drop table core.dim_room")
    assert shown == "" and refused.startswith("error: DROP is refused")


def test_pivot_describe_summarize_and_explain_are_reading_too(asked):
    shown, refused = asked(
        "pivot core.fct_session on mode using count(*) group by room_id", "describe core.dim_room", "summarize core.dim_room",
        "explain analyze select 1",
    )  # fmt: skip
    assert refused == "" and "pk" in shown and "timezone" in shown


@pytest.mark.parametrize(
    "statement",
    [
        "from read_csv('/etc/passwd')",
        "select content from read_text('/etc/passwd')",
        "from read_blob('{snapshot}/appraisal.duckdb')",
        "from glob('{snapshot}/*')",
        "from '{snapshot}/appraisal.duckdb'",
        "attach '{snapshot}/appraisal.duckdb' as pay (read_only)",
        "attach '{private}/warehouse.duckdb' as raw (read_only)",
        "attach '{snapshot}/new.duckdb'",
        "copy (select 1) to '{snapshot}/new.csv'",
        "copy (select 1) to '{parent}/new.csv'",
        "explain analyze copy (select 1) to '{snapshot}/new.csv'",
        "explain /* x */ analyze copy (select 1) to '{snapshot}/new.csv'",
        "export database '{snapshot}/new'",
        "create table core.x (a int)",
        "create temp table x as select 1",
        "insert into core.dim_room (room_id) values ('x')",
        "update core.dim_room set name = 'x'",
        "drop table core.fct_session",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "install httpfs",
        "load httpfs",
        "call duckdb_secrets()",
        "prepare p as copy (select 1) to '{snapshot}/new.csv'",
    ],
)
def test_nothing_is_written_attached_or_read_beside_the_marts(asked, sample_data, tmp_path, statement):
    snapshot = (sample_data / "published" / "current").resolve()
    before = sorted(snapshot.rglob("*"))
    places = {"snapshot": snapshot, "private": sample_data / "private", "parent": tmp_path}
    _, refused = asked(statement.format(**places))
    assert refused.startswith("error: ") and len(refused.splitlines()) == 1
    assert sorted(snapshot.rglob("*")) == before and list(tmp_path.iterdir()) == []
