"""Suites of `expectations/*.yml`: SQL measures one figure per check, Great Expectations judges the figures.

A check has exactly one of
- `faults`: a query of the keys at fault; the figure is their number, and the first of them are named,
- `figure`: a query of one number,
- `grain`: the columns that make a row of the table unique (those under `nullable` may be null).
`expect` names a Great Expectations expectation and its arguments; without it the figure has to be 0.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import yaml

from dagster_project.settings import REPOSITORY, UserError

if TYPE_CHECKING:
    from dagster_project.warehouse.build import NodeResult

EXPECTATIONS = REPOSITORY / "expectations"
SUITES = ("landing", "marts", "scorecards")
NO_FAULTS = {"expect_column_values_to_be_in_set": {"value_set": [0]}}
NAMED_FAULTS = 10
# Great Expectations' process, once a suite has run or was announced.
_judge: subprocess.Popen[str] | None = None


@dataclass(frozen=True)
class Check:
    """One check of a suite, as its YAML says it; severity is error (nothing is published) or warn."""

    suite: str
    check: str
    table: str
    severity: str
    why: str
    faults: str | None = None
    figure: str | None = None
    grain: tuple[str, ...] = ()
    nullable: tuple[str, ...] = ()
    expect: dict[str, dict[str, Any]] = field(default_factory=lambda: NO_FAULTS)


@dataclass(frozen=True)
class CheckResult:
    """A check's outcome in one run, as audit.check_results keeps it."""

    suite: str
    check: str
    table: str
    severity: str
    passed: bool
    observed: str
    expected: str


def read_suite(name: str, folder: Path = EXPECTATIONS) -> list[Check]:
    """The checks of a suite; raises UserError naming file and check where the YAML is not understood."""
    path = folder / f"{name}.yml"
    checks = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["checks"]:
        arguments: dict[str, Any] = {**entry, "suite": name}
        arguments |= {key: tuple(entry[key]) for key in ("grain", "nullable") if key in entry}
        try:
            check = Check(**arguments)
        except TypeError as error:
            raise UserError(f"{path.name}: check {entry.get('check')!r} is not understood: {error}") from None
        kinds = [kind for kind in (check.faults, check.figure, check.grain) if kind]
        if len(kinds) != 1 or check.severity not in ("error", "warn") or len(check.expect) != 1:
            raise UserError(
                f"{path.name}: check {check.check!r} needs one of faults, figure and grain, "
                "the severity error or warn, and at most one expectation"
            )
        checks.append(check)
    return checks


def run_suite(
    con: duckdb.DuckDBPyConnection, name: str, only: str | None = None, folder: Path = EXPECTATIONS
) -> list[CheckResult]:
    """Measure and judge every check of a suite (or the one named) on the private warehouse."""
    checks = [check for check in read_suite(name, folder) if only in (None, check.check)]
    figures: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for check in checks:
        try:
            figures[check.check] = con.execute(_figure_sql(check)).fetchall()[0][0]
        except (duckdb.Error, IndexError) as error:
            figures[check.check] = None
            errors[check.check] = f"the check could not be measured: {str(error).splitlines()[0]}"
    verdicts = _verdicts(checks, figures)
    results = []
    for check in checks:
        passed, trouble = verdicts[check.check]
        observed = errors.get(check.check) or trouble or _text(figures[check.check])
        if not passed and check.faults and check.check not in errors:
            observed += _named_faults(con, check.faults)
        results.append(
            CheckResult(name, check.check, check.table, check.severity, passed, observed, _expected(check))
        )
    return results


def _figure_sql(check: Check) -> str:
    if check.figure:
        return check.figure
    if check.faults:
        return f"select count(*) from ({check.faults})"
    columns = ", ".join(check.grain)
    never_null = [column for column in check.grain if column not in check.nullable]
    nulls = " or ".join(f"{column} is null" for column in never_null) or "false"
    return (
        f"select (select count(*) from {check.table} where {nulls}) "
        f"+ (select coalesce(sum(rows - 1), 0) "
        f"from (select count(*) as rows from {check.table} group by {columns}))"
    )


def start_judge() -> None:
    """Begin to load Great Expectations beside this process, so that the first suite need not wait for it."""
    global _judge
    if _judge is None or _judge.poll() is not None:
        # It ends with its input, so none is left behind however this process ends.
        _judge = subprocess.Popen(
            [sys.executable, "-m", "dagster_project.audit.judge"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        atexit.register(_dismiss, _judge)


def _dismiss(judge: subprocess.Popen[str]) -> None:
    # It holds nothing; by itself it would first finish loading.
    judge.kill()
    judge.communicate()


def _verdicts(checks: Sequence[Check], figures: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """Check name → (passed, what went wrong inside Great Expectations or nothing)."""
    start_judge()
    assert _judge is not None and _judge.stdin is not None and _judge.stdout is not None
    question = {
        "expectations": {check.check: check.expect for check in checks},
        "figures": {name: None if value is None else float(value) for name, value in figures.items()},
    }
    try:
        _judge.stdin.write(json.dumps(question) + "\n")
        _judge.stdin.flush()
        answer = json.loads(_judge.stdout.readline() or '{"error": "its process ended"}')
    except OSError as error:
        answer = {"error": str(error)}
    if "error" in answer:
        return {check.check: (False, f"Great Expectations failed: {answer['error']}") for check in checks}
    return {name: (passed, trouble) for name, (passed, trouble) in answer["verdicts"].items()}


def _named_faults(con: duckdb.DuckDBPyConnection, faults: str) -> str:
    keys = con.execute(f"select * from ({faults}) order by all limit {NAMED_FAULTS}").fetchall()
    return ": " + ", ".join("/".join(_text(part) for part in key) for key in keys)


def _expected(check: Check) -> str:
    ((name, arguments),) = check.expect.items()
    if "value_set" in arguments:
        return " or ".join(map(_text, arguments["value_set"]))
    low, high = arguments.get("min_value"), arguments.get("max_value")
    if low is not None and high is not None:
        return f"between {_text(low)} and {_text(high)}"
    if low is not None:
        return f"at least {_text(low)}"
    return f"at most {_text(high)}" if high is not None else name


def _text(value: object) -> str:
    return "null" if value is None else str(value)


def check_results_of_dbt(results: Iterable[NodeResult]) -> list[CheckResult]:
    """dbt's data tests in the form of ours; a test skipped behind a failed one has not passed either."""
    return [
        CheckResult(
            suite="dbt",
            check=result.name,
            table=result.tested or "",
            severity=result.severity,
            passed=result.status == "pass",
            observed="not run: one before it failed"
            if result.status == "skipped"
            else f"{result.failures} rows",
            expected="0 rows",
        )
        for result in results
        if result.kind == "test"
    ]


def keep_results(con: duckdb.DuckDBPyConnection, run_id: str, results: Sequence[CheckResult]) -> None:
    """Append a run's results to audit.check_results of the private warehouse."""
    con.execute("create schema if not exists audit")
    con.execute(
        'create table if not exists audit.check_results (suite varchar, "check" varchar, "table" varchar, '
        "severity varchar, passed boolean, observed varchar, expected varchar, "
        "run_id varchar, checked_at timestamp)"
    )
    for target, comment in RESULT_COMMENTS.items():
        con.execute(f"comment on {target} is '{comment}'")
    if results:
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [(r.suite, r.check, r.table, r.severity, r.passed, r.observed, r.expected, run_id, now) for r in results]
        types = ("varchar",) * 4 + ("boolean",) + ("varchar",) * 3 + ("timestamp",)
        # One statement: each of many rows would be a transaction of its own.
        con.execute(
            f"insert into audit.check_results select {', '.join(f'unnest(?::{kind}[])' for kind in types)}",
            [list(column) for column in zip(*rows, strict=True)],
        )


RESULT_COMMENTS = {
    "table audit.check_results": "One row per check and run: what was measured, and was it as expected.",
    "column audit.check_results.suite": "landing, marts, scorecards (expectations/*.yml) or dbt.",
    'column audit.check_results."check"': "Name of the check or of the dbt test.",
    'column audit.check_results."table"': "The table it is about.",
    "column audit.check_results.severity": "error (stops publishing) or warn.",
    "column audit.check_results.passed": "Whether the figure was as expected.",
    "column audit.check_results.observed": "The figure measured; where it failed, also the first keys at fault.",
    "column audit.check_results.expected": "The figure expected.",
    "column audit.check_results.run_id": "The run, as in the folder of its summary.",
    "column audit.check_results.checked_at": "When the result was kept (UTC).",
}
