"""Mutants judged: by the tests' oracles on small worlds, and by what a night itself expects of its tables.

A bench is a small world whose tables equal the oracle's. A mutant is run inside a transaction; of what is made
from it only those models are made again whose parents came out different. It is killed where a table that the
oracle knows differs from the oracle's, or where the SQL no longer runs or has columns of another type.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from dagster_project.appraisal import awards
from dagster_project.appraisal.adjustments import create_state
from dagster_project.audit.suites import _figure_sql, _verdicts, read_suite
from dagster_project.warehouse.hashes import columns_of, content_hash, fingerprint
from tests.faults.mutants import Mutant
from tests.faults.pipeline import Model, Project, build, landed, memory, types
from tests.marts.nights import SECRET, settings_for
from tests.marts.test_marts_agree_with_the_oracle import SHIPPED, policy_with_small_bases, tier_rules
from tests.oracle import compute
from tests.oracle.appraisal import compare_appraisal, extreme_appraisal, odd_appraisal, random_appraisal, score
from tests.oracle.appraisal_in_warehouse import TABLES as SCORED
from tests.oracle.compare import KEYS, compare_table
from tests.scorecards.conftest import _lay_in, _policy_folder
from tests.worlds import random_world

MARTS = ("staging", "intermediate", "core", "funnel", "kpis", "audit")
SCORES = ("scorecards", "scorecards_work")
ODD, EDGE = 100, 200
TOO_LONG_SECONDS = 60
# They decide only what a night builds again. A bench is built whole; nights are held against whole builds elsewhere
# (test_nights_in_any_order_end_in_the_same_tables_as_one_build).
OF_NIGHTS = {"int_dates_affected", "int_dates_followed_up", "int_measure_dates_affected", "int_lines_reattributed"}
NOMINATIONS = "nomination_tests"


@dataclass
class Bench:
    """A world in memory: its models in order, what they hold unharmed, and who knows what they should hold."""

    name: str
    con: duckdb.DuckDBPyConnection
    models: list[Model]
    differences: Callable[[str], list[str]]
    known: frozenset[str]
    suite: str
    tests: list[Model]
    hashes: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[tuple]] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)
    figures: dict[str, object] = field(default_factory=dict)

    def prepare(self) -> None:
        """Note what the unharmed models hold; they must be what the oracle says."""
        for table in sorted(self.known):
            assert self.differences(table) == [], f"{self.name}: {table} differs before any mutant"
        self.hashes = {model.name: self.hash(model) for model in self.models}
        self.shapes = {model.name: types(self.con, model) for model in self.models}
        self.passing = {test.name for test in self.tests if self.faults(test) == 0}
        self.figures = {check: figure for check, figure in self.measured() if figure is not None}

    def hash(self, model: Model) -> str:
        columns = columns_of(self.con, model.schema, model.name)
        if model.name == "awards":
            columns.pop("evidence")
        return content_hash(columns, fingerprint(self.con, model.relation, columns))

    def faults(self, test: Model) -> int | None:
        try:
            return self.con.execute(f"select count(*) from ({test.sql})").fetchall()[0][0]
        except duckdb.Error:
            return None

    def measured(self) -> Iterator[tuple[str, object]]:
        for check in read_suite(self.suite):
            try:
                yield check.check, self.con.execute(_figure_sql(check)).fetchall()[0][0]
            except (duckdb.Error, IndexError):
                yield check.check, None


@dataclass(frozen=True)
class Verdict:
    """What found the mutant (None: nothing), and whether anything came out different at all."""

    by_tests: str | None
    by_expectations: str | None
    changed: bool


def world_bench(project: Project, seed: int, folder: Path) -> Bench:
    """The world of a seed, as the oracle's tests take it."""
    world = random_world(seed)
    settings = settings_for(folder)
    world.write(settings.exports)
    policy = SHIPPED if seed % 2 else policy_with_small_bases(folder / "policy")
    con = landed(settings, policy)
    models = [model for model in project.models.values() if model.schema in MARTS]
    build(con, models)
    with (policy / "kpis.csv").open(encoding="utf-8") as file:
        expected = compute(world.exports, list(csv.DictReader(file)), viewer_secret=SECRET, rules=tier_rules(policy))
    names = {model.name for model in models}
    tests = [test for test in project.tests.values() if test.parents and test.parents <= names]
    bench = Bench(f"world {seed}", con, models, lambda table: compare_table(con, table, expected[table]),
                  frozenset(KEYS) & frozenset(expected), "marts", tests)  # fmt: skip
    bench.prepare()
    return bench


def company_bench(project: Project, seed: int, folder: Path) -> Bench:
    """The company of a seed, as the scorecards' tests take it; an odd one from ODD on, one at the edges from EDGE on."""
    company = extreme_appraisal if seed >= EDGE else odd_appraisal if seed >= ODD else random_appraisal
    inputs, policy = company(seed % ODD)
    folder.mkdir(parents=True, exist_ok=True)
    con = memory()
    _lay_in(con, inputs, _policy_folder(folder, policy))
    create_state(con)
    models = [
        model for model in project.models.values()
        if model.schema in SCORES or model.name.startswith("int_appraisal_") or model.name == "int_measures_catalogued"
    ]  # fmt: skip
    build(con, [model for model in models if model.schema not in SCORES])
    awards.test_nominations(con)
    build(con, [model for model in models if model.schema in SCORES])
    expected = score(inputs, policy)

    def differences(table: str) -> list[str]:
        return [line for line in compare_appraisal(con, expected) if table.split(".")[1] in line]

    names = {model.name for model in models}
    tests = [test for test in project.tests.values() if test.parents and test.parents <= names]
    known = frozenset(f"scorecards.{table}" for table in SCORED)
    bench = Bench(f"company {seed}", con, models, differences, known, "scorecards", tests)
    bench.prepare()
    return bench


def judge(bench: Bench, mutant: Mutant, with_expectations: bool = False) -> Verdict:
    """Run one mutant on a bench; the bench is as before afterwards."""
    by_name = {model.name: model for model in bench.models}
    timer = threading.Timer(TOO_LONG_SECONDS, bench.con.interrupt)
    timer.start()
    bench.con.execute("begin")
    changed: list[str] = []
    try:
        by_tests = _spread(bench, by_name[mutant.model], mutant, changed, stop_at_first=not with_expectations)
        found = _expectations(bench, changed) if with_expectations and changed else None
        return Verdict(by_tests, found, bool(changed))
    except duckdb.Error as error:
        return Verdict(f"error: {str(error).splitlines()[0][:100]}", "error" if with_expectations else None, True)
    finally:
        timer.cancel()
        bench.con.execute("rollback")


def _spread(bench: Bench, mutated: Model, mutant: Mutant, changed: list[str], stop_at_first: bool) -> str | None:
    """Make again what differs, the changed models' names being added to `changed`; returns what the oracle found."""
    found = None
    nominations_changed = False
    for model in bench.models:
        if model.name == mutated.name:
            bench.con.execute(model.create(mutant.sql(model)))
            if model.is_contracted and types(bench.con, model) != bench.shapes[model.name]:
                found = found or f"contract of {model.relation}"
        elif model.parents & set(changed) or nominations_changed and model.schema in SCORES:
            bench.con.execute(model.create())
        else:
            continue
        if bench.hash(model) == bench.hashes[model.name]:
            continue
        changed.append(model.name)
        if model.name == "int_appraisal_nominations_grouped":
            awards.test_nominations(bench.con)
            nominations_changed = True
        if model.relation in bench.known and found is None and bench.differences(model.relation):
            found = model.relation
        if found and stop_at_first:
            break
    return found


def _expectations(bench: Bench, changed: list[str]) -> str | None:
    """The first check that a night makes (dbt's data tests, the suite) and that no longer passes."""
    for test in bench.tests:
        if test.parents & set(changed) and test.name in bench.passing and bench.faults(test) != 0:
            return f"dbt {test.name}"
    now = dict(bench.measured())
    moved = [
        check
        for check in read_suite(bench.suite)
        if check.check in bench.figures and now[check.check] != bench.figures[check.check]
    ]
    before = _passed(moved, bench.figures)
    after = _passed(moved, now)
    return next((f"suite {check.check}" for check in moved if before[check.check] and not after[check.check]), None)


def _passed(checks: list, figures: Mapping[str, object]) -> dict[str, bool]:
    if not checks:
        return {}
    return {name: passed for name, (passed, _) in _verdicts(checks, {c.check: figures[c.check] for c in checks}).items()}


def in_scope(project: Project) -> tuple[list[Model], list[Model]]:
    """(models that decide a table the oracle of marts knows, models that decide a scorecard)."""
    scored = [
        model for model in project.models.values()
        if model.name.startswith("int_appraisal_") or model.schema in SCORES and model.name != "adjustments"
    ]  # fmt: skip
    marts = [
        model for model in project.models.values()
        if model not in scored
        and model.name not in OF_NIGHTS
        and any(below.relation in KEYS for below in project.downstream(model.name))
    ]  # fmt: skip
    return marts, scored
