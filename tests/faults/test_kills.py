"""Killed at any instant: readers see the old snapshot or the new one, whole, and the next run ends where one undisturbed ends."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from dagster_project import run as steps
from dagster_project.appraisal import close as closing
from dagster_project.appraisal import seals
from dagster_project.appraisal.close import close
from dagster_project.job import scorecards
from dagster_project.settings import Settings, connect, settings_from_env
from dagster_project.simulator.world import simulate
from dagster_project.warehouse.publish import publish
from tests.faults.conftest import Record
from tests.faults.killing import calls_of, landed_rows, run_a_night, run_and_kill, seen_by_a_reader
from tests.marts.nights import SECRET, settings_for
from tests.worlds import World, random_world

FACTS = {"code_version": "c", "ledger_hash": "l"}
IN_A_ROW = 10
# Parents and children, with and without viewers; fewer exports make a kill cheaper, and it may come late or early.
LANDED = ("rooms", "sessions", "viewer_events", "orders", "staff")


Keep = Callable[[str, "Told"], None]


@dataclass
class Told:
    """Figures of the series of one phase."""

    kills: Counter[str]
    series: int = 0

    def add(self, outcome: str) -> None:
        self.kills[outcome] += 1


# --- publish: before each call to the file system ------------------------------------------------------------------


@pytest.fixture
def two_days(tmp_path) -> Callable[[int], Settings]:
    """`two_days(n)` makes the private warehouse hold n days of sessions, as an audited night leaves it."""
    settings = settings_from_env({"DATA": str(tmp_path / "data"), "VIEWER_KEY_SECRET": "test"})

    def make(days: int) -> Settings:
        with connect(settings.warehouse_path, settings) as con:
            for schema in ("core", "funnel", "kpis", "insights", "audit", "scorecards"):
                con.execute(f"create schema if not exists {schema}")
            con.execute(
                "create or replace table core.fct_session as select 's' || day as session_id, "
                f"date '2026-10-30' + day::integer as business_date, day * 1.25::decimal(38, 2) as gmv "
                f"from range({days}) as days (day)"
            )
            con.execute(
                "create or replace table core.fct_person as select 's' || (n % 7) as session_id, md5(n::varchar) as viewer_key, "
                f"date '2026-10-30' + (n % {days})::int as business_date from range({500 * days}) as people (n)"
            )
            con.execute(f"create or replace table kpis.kpi_month as select 'gmv' as kpi_id, {days}::decimal(24, 6) as value")
            con.execute(f"create or replace table scorecards.scorecards as select 'h1' as subject_id, {days}.5 as total_score")
            con.execute("create or replace table audit.check_results as select 'landing' as suite, true as passed")
        return settings

    return make


def publish_kills(
    two_days: Callable[[int], Settings],
    rng: random.Random,
    told: Told,
    at_most: int | None = None,
    keep: Keep = lambda phase, told: None,
) -> None:
    """Kill a publish before each of its calls (or some, drawn), each from the same start, and publish again."""
    settings = two_days(1)
    publish(settings, "one", FACTS)
    old = seen_by_a_reader(settings.published)
    two_days(2)
    start = settings.data.with_name("start")
    shutil.copytree(settings.data, start, symlinks=True)

    def work() -> None:
        publish(settings, "two", FACTS)

    made = calls_of(work, settings.data)
    new = seen_by_a_reader(settings.published)
    assert made > 10 and new != old and new.keys() == old.keys()
    calls = range(1, made + 1)
    for call in calls if at_most is None else rng.sample(calls, at_most):
        shutil.rmtree(settings.data)
        shutil.copytree(start, settings.data, symlinks=True)
        told.add(run_and_kill(work, call=call, below=settings.data))
        assert seen_by_a_reader(settings.published) in (old, new)
        publish(settings, "three", FACTS)
        assert seen_by_a_reader(settings.published) == new
        assert not list((settings.published / "snapshots").glob(".building*"))
        told.series += 1
        keep("publish", told)


def test_a_publish_killed_before_any_call_to_the_file_system_tears_nothing(two_days, seed):
    told = Told(Counter())
    publish_kills(two_days, random.Random(seed), told, at_most=12)
    assert told.kills["killed"] == told.kills.total() == 12


# --- landing --------------------------------------------------------------------------------------------------------


def landing_kills(root: Path, count: int, rng: random.Random, keep: Keep = lambda phase, told: None) -> Told:
    """Kill landings of a small world until `count` kills are reached, some in a row, then land undisturbed."""
    settings = settings_for(root)
    world = random_world(rng.randrange(1000))
    World(world.seed, {name: world.exports[name] for name in LANDED}).write(settings.exports)

    def work() -> None:
        run = steps.new_run(settings)
        with steps.locked(run):
            steps.land_exports(run)

    shutil.rmtree(settings.data, ignore_errors=True)
    began = time.monotonic()
    assert run_and_kill(work) == "done"
    whole = time.monotonic() - began
    undisturbed = landed_rows(settings.warehouse_path)
    assert len(undisturbed) > 5
    shutil.rmtree(settings.data)
    calls = calls_of(work, root)
    told = Told(Counter())
    while told.kills["killed"] < count:
        shutil.rmtree(settings.data)
        told.series += 1
        for _ in range(IN_A_ROW):
            if rng.random() < 0.5:
                outcome = run_and_kill(work, seconds=whole * rng.random())
            else:
                outcome = run_and_kill(work, call=rng.randint(1, calls), below=root)
            assert outcome != "failed"
            told.add(outcome)
            assert _accounts_add_up(settings)
            if outcome == "done" or told.kills["killed"] >= count:
                break
        assert run_and_kill(work) == "done"
        assert landed_rows(settings.warehouse_path) == undisturbed
        keep("landing", told)
    return told


def _accounts_add_up(settings: Settings) -> bool:
    """Whether each file's row counts do, in what a kill left behind; opening it replays the log as the next run does."""
    if not settings.warehouse_path.exists():
        return True
    with connect(settings.warehouse_path, settings) as con:
        if not con.execute("select 1 from duckdb_tables() where schema_name = 'raw' and table_name = 'files'").fetchall():
            return True
        wrong = "rows_in <> rows_accepted + rows_quarantined + rows_duplicate + rows_pending"
        return con.execute(f"select count(*) from raw.files where {wrong}").fetchall() == [(0,)]


def test_a_killed_landing_loses_no_row_and_doubles_none(tmp_path, seed):
    told = landing_kills(tmp_path, 4, random.Random(seed))
    assert told.kills["killed"] == 4


# --- the whole night, and the close of a month ------------------------------------------------------------------------


@dataclass(frozen=True)
class Company:
    """A company after its first night and scorecards; `later` holds the files of its second night."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def month(self) -> Path:
        return self.data / "scorecards" / "2026-10"

    def environ(self, **more: str) -> dict[str, str]:
        return {"EXPORTS": str(self.root / "exports"), "DATA": str(self.data), "VIEWER_KEY_SECRET": SECRET, **more}

    def deliver_the_rest(self) -> None:
        shutil.copytree(self.root / "later", self.root / "exports", dirs_exist_ok=True)

    def begin_again(self) -> None:
        """DATA as it was after the first night."""
        seals.remove_tree(self.data)
        shutil.copytree(self.root / "kept", self.data, symlinks=True)


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Iterator[Company]:
    patched = pytest.MonkeyPatch()
    patched.setattr(steps, "hash_files", lambda root, patterns: "code-of-the-tests")
    company = Company(tmp_path_factory.mktemp("killed"))
    exports = company.root / "exports"
    simulate(exports, seed=5, start=date(2026, 9, 28), end=date(2026, 10, 4), rooms=2, events=1200)
    for name in ("viewer_events", "orders", "sessions", "reviews"):
        for file in sorted((exports / name).rglob("*2026-10*")) or sorted((exports / name).rglob("*.*")):
            moved = company.root / "later" / file.relative_to(exports)
            moved.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, moved)
    assert scorecards(company.environ()) == 0
    shutil.copytree(company.data, company.root / "kept", symlinks=True)
    yield company
    patched.undo()
    seals.remove_tree(company.root)


def night_kills(company: Company, count: int, rng: random.Random, keep: Keep) -> Told:
    """Kill second nights, some in a row, each series ended by one that nothing disturbs."""
    company.begin_again()
    old = seen_by_a_reader(company.data / "published")
    company.deliver_the_rest()

    began = time.monotonic()
    assert run_a_night(company.environ()) == "done"
    whole = time.monotonic() - began
    new = seen_by_a_reader(company.data / "published")
    rows = landed_rows(company.data / "private" / "warehouse.duckdb")
    assert old and new != old
    told = Told(Counter())
    while told.kills["killed"] < count:
        company.begin_again()
        told.series += 1
        for _ in range(IN_A_ROW):
            outcome = run_a_night(company.environ(), seconds=whole * rng.random())
            assert outcome != "failed"
            told.add(outcome)
            assert seen_by_a_reader(company.data / "published") in (old, new)
            if outcome == "done" or told.kills["killed"] >= count:
                break
        assert run_a_night(company.environ()) == "done"
        assert seen_by_a_reader(company.data / "published") == new
        assert landed_rows(company.data / "private" / "warehouse.duckdb") == rows
        keep("night", told)
    return told


def close_kills(company: Company, count: int, rng: random.Random, keep: Keep) -> Told:
    """Kill closes of a month; it must be open with its whole draft, or sealed whole, and close to the same figures."""
    company.begin_again()
    environ = company.environ(MONTH="2026-09", BY="Li Wei")
    folder = company.data / "scorecards" / "2026-09"
    if not folder.exists():
        assert scorecards(company.environ(MONTH="2026-09")) == 0
    start = company.root / "before-close"
    shutil.copytree(company.data, start, symlinks=True)
    settings = settings_from_env(environ)
    draft = contents(folder)
    patched = pytest.MonkeyPatch()
    # The checks write nothing and take most of the time: without them more kills fall where it matters.
    patched.setattr(closing, "_refuse_failed_checks", lambda run: None)

    def work() -> None:
        close(environ)

    def again() -> None:
        seals.remove_tree(company.data)
        shutil.copytree(start, company.data, symlinks=True)

    began = time.monotonic()
    assert run_and_kill(work) == "done"
    whole = time.monotonic() - began
    figures = (folder / "figures.json").read_bytes()
    again()
    calls = calls_of(work, company.data)
    told = Told(Counter())
    while told.kills["killed"] < count:
        again()
        told.series += 1
        for _ in range(IN_A_ROW):
            if rng.random() < 0.5:
                outcome = run_and_kill(work, seconds=whole * rng.random())
            else:
                outcome = run_and_kill(work, call=rng.randint(1, calls), below=company.data)
            assert outcome != "failed"
            told.add(outcome)
            seen_by_a_reader(company.data / "published")
            sealed = seals.sealed_month(settings, "2026-09")
            assert seals.damage(sealed) == [] if sealed else contents(folder) == draft
            if sealed or told.kills["killed"] >= count:
                break
        if seals.sealed_month(settings, "2026-09") is None:
            assert run_and_kill(work) == "done"
        assert (folder / "figures.json").read_bytes() == figures
        keep("close", told)
        seen_by_a_reader(company.data / "published")
    patched.undo()
    return told


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- a thousand of them: KILLS are shared out between the phases -------------------------------------------------------


@pytest.fixture
def keep(record: Record) -> Callable[[str, Told], None]:
    """`keep(phase, told)` writes the figures of a phase so far; a torn snapshot or a lost row would have failed by then."""
    return lambda phase, told: record(f"kills_{phase}", count=told.kills["killed"], series=told.series, outcomes=dict(told.kills))


@pytest.mark.slow
def test_publish_is_killed_before_each_of_its_calls_again_and_again(tmp_path, two_days, seed, asked_for, keep):
    wanted, rng, told = asked_for("KILLS", 1000) * 0.45, random.Random(seed), Told(Counter())
    while told.kills["killed"] < wanted:
        for folder in ("data", "start"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
        publish_kills(two_days, rng, told, keep=keep)
    assert told.kills["killed"] == told.kills.total()


@pytest.mark.slow
def test_landing_is_killed_at_any_instant_again_and_again(tmp_path, seed, asked_for, keep):
    told = landing_kills(tmp_path, int(asked_for("KILLS", 1000) * 0.3), random.Random(seed), keep)
    assert told.kills["killed"] > 0


@pytest.mark.slow
def test_the_close_of_a_month_is_killed_at_any_instant_again_and_again(company, seed, asked_for, keep):
    told = close_kills(company, int(asked_for("KILLS", 1000) * 0.2), random.Random(seed), keep)
    assert told.kills["killed"] > 0


@pytest.mark.slow
def test_whole_nights_are_killed_at_any_instant_again_and_again(company, seed, asked_for, keep):
    told = night_kills(company, int(asked_for("KILLS", 1000) * 0.05), random.Random(seed), keep)
    assert told.kills["killed"] > 0
