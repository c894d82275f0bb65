"""The process that judges may end at any time; no figure passes because nobody looked at it."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from dagster_project.audit import suites

ONE_CHECK = """
checks:
  - check: nothing_is_wrong
    table: core.fct_session
    severity: error
    why: for the test
    figure: select 0
"""


def judge_that(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("input()", "its process ended"),
        ("import json; input(); print(json.dumps({'error': 'KeyError: x'}))", "KeyError: x"),
    ],
)
def test_a_figure_without_a_verdict_has_not_passed(tmp_path, monkeypatch, program, said):
    (tmp_path / "marts.yml").write_text(ONE_CHECK, encoding="utf-8")
    judge = judge_that(program)
    monkeypatch.setattr(suites, "_judge", judge)
    with duckdb.connect() as con:
        (result,) = suites.run_suite(con, "marts", folder=tmp_path)
    judge.communicate()
    assert (result.passed, result.observed) == (False, f"Great Expectations failed: {said}")
