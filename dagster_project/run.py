"""The steps of the main job, and the record of a run: land, build, audit, publish, scorecards."""

from __future__ import annotations

import calendar
import errno
import functools
import hashlib
import json
import os
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from dagster_project import beforehand
from dagster_project.alerts import alert
from dagster_project.appraisal.seals import is_sealed
from dagster_project.lock import Locked, run_lock
from dagster_project.settings import REPOSITORY, Settings, UserError, connect
from dagster_project.warehouse.hashes import hash_files
from dagster_project.warehouse.publish import Begun, begin, current_manifest, current_snapshot, publish, remove_unfinished

if TYPE_CHECKING:
    from dagster_project.audit.suites import CheckResult
    from dagster_project.landing import LandingSummary
    from dagster_project.spark.build import SparkBuild
    from dagster_project.warehouse.build import NodeResult
    from dagster_project.warehouse.policy import Policy

SCORE_MODELS = "fqn:live_commerce.scorecards"
EXIT_STATUS = {"ok": 0, "failed": 1, "published_with_rejects": 2, "audit_failed": 3, "locked": 4}
# How the system says it in whatever error DuckDB wraps it: a commit that cannot be written is no IOException.
NO_ROOM = os.strerror(errno.ENOSPC)
# What decides how numbers come about, besides rows and policy.
CODE = (
    "dbt/**/*.sql", "dbt/**/*.yml", "dagster_project/**/*.py", "dagster_project/landing/platforms/*.yml",
    "expectations/*.yml", "requirements*.lock",
)  # fmt: skip


class Progress(Protocol):
    """Takes what a step is doing, one call per unit of work, with the number of units where it is known."""

    def __call__(self, doing: str, total: int | None = None) -> None: ...


class AuditFailed(UserError):
    """A check at error severity failed: nothing is published."""


@dataclass
class Run:
    """One run and what its summary will say. Instants in UTC, seconds as floats."""

    settings: Settings
    run_id: str
    started_at: datetime
    policy: Policy | None = None
    on_spark: SparkBuild | None = None
    begun: Begun | None = None
    status: str = "ok"
    message: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    landed: LandingSummary | None = None
    dates_rebuilt: list[str] = field(default_factory=list)
    dates_followed_up: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    snapshot: str | None = None
    scorecards: str | None = None
    site: str | None = None
    dagster_run_id: str | None = None


# --- the steps, in order ---------------------------------------------------------------------------------


def check_policy(run: Run) -> None:
    """Read and check the policy files, before the first byte of an export."""
    from dagster_project.warehouse.policy import read_policy

    run.policy = read_policy(run.settings.policy)


def land_exports(run: Run, at_first_file: Callable[[], None] = lambda: None) -> None:
    """Land every new file of the exports into raw.*, one transaction per file; once in a run.

    at_first_file: called before the first new file of them lands, if there is one.
    """
    from dagster_project.landing import land

    if run.landed is not None:
        return
    with step(run, "land") as progress, warehouse(run.settings) as con:

        @functools.cache
        def begin() -> None:
            # There is a file to land, so there will be models to build. What cannot begin now is done when it is needed.
            with suppress(OSError, RuntimeError):
                begin_beforehand(run.settings)
                at_first_file()

        def landing(doing: str) -> None:
            begin()
            progress(doing)

        run.landed = land(con, run.settings, run.run_id, landing)


def begin_beforehand(settings: Settings) -> None:
    """Begin, in a process of its own, what neither this checkout nor this warehouse has yet."""
    from dagster_project.insights.chat_sentiment import has_model_of_moods
    from dagster_project.warehouse.build import is_parsed

    works = {}
    if not is_parsed(settings):
        works["parse"] = "dagster_project.warehouse.build:parse_project"
    if not has_model_of_moods(settings):
        works["moods"] = "dagster_project.insights.chat_sentiment:model_of_moods"
    if works:
        beforehand.begin(settings, works)


def is_up_to_date(run: Run) -> bool:
    """Whether what readers see was built, and passed, from these very rows, this policy and this code.

    Dates that somebody asked to have built again, and nobody published since, are due as well.
    """
    from dagster_project.warehouse.build import dates_listed

    manifest = current_manifest(run.settings.published)
    if manifest is None or not provenance(run).items() <= manifest.items():
        return False
    with warehouse(run.settings) as con:
        return not dates_listed(con)


def ask_for_dates(run: Run, first: date, last: date) -> int:
    """List the business dates from `first` to `last` that have data, for the models to build again; returns how many."""
    from dagster_project.warehouse.build import list_dates

    with step(run, "dates"), warehouse(run.settings) as con:
        return list_dates(con, first, last)


def last_arrivals(run: Run) -> dict[str, tuple[datetime, bool]]:
    """Per export that was ever delivered: when a file of it last arrived (UTC), and whether one did in this run."""
    with warehouse(run.settings) as con:
        rows = con.execute(
            "select export, max(loaded_at), bool_or(run_id = ?) from raw.files where verdict = 'accepted' group by export",
            [run.run_id],
        ).fetchall()
    return {export: (last, tonight) for export, last, tonight in rows}


def load_policy_tables(run: Run) -> None:
    """The policy files as tables of schema policy."""
    from dagster_project.warehouse.policy import check_targets, load_policy

    with step(run, "policy"), warehouse(run.settings) as con:
        load_policy(con, policy_of(run))
        check_targets(con)


def build_marts(run: Run, models: Sequence[str] | None = None) -> list[NodeResult]:
    """Every model but the scorecards (or the ones named) with its dbt tests; returns dbt's results.

    Models are built by affected dates only while they were all made by this code under this policy.
    """
    from dagster_project.warehouse.build import run_dbt
    from dagster_project.warehouse.policy import check_policy_covers

    with step(run, "marts") as progress:
        made_with = _makers(run)
        run.begun = None  # of the tables as they were
        with warehouse(run.settings) as con:
            full_refresh = _made_with(con) != made_with or run.settings.engine == "spark"
            if full_refresh:
                _note_made_with(con, None)
        cluster_result = built_on_cluster(run, exclude=[SCORE_MODELS], models=models)
        results = run_dbt(
            run.settings,
            select=models,
            exclude=SCORE_MODELS,
            full_refresh=full_refresh,
            progress=progress,
            cluster_result=cluster_result,
        )
        with warehouse(run.settings) as con:
            if models is None:
                _note_made_with(con, made_with)
            dates = con.execute(
                "select business_date::varchar, bool_and(is_followed_up) from ("
                "select business_date, false as is_followed_up from intermediate.int_dates_affected union all "
                "select business_date, true from intermediate.int_dates_followed_up) "
                "where business_date is not null group by 1 order by 1"
            ).fetchall()
            run.dates_rebuilt = [day for day, _ in dates]
            run.dates_followed_up = [day for day, is_followed_up in dates if is_followed_up]
            first_month = con.execute("select min(month) from core.fct_session").fetchall()[0][0]
        if first_month is not None:
            check_policy_covers(policy_of(run), first_month)
    return results


def add_insights(run: Run) -> None:
    """The insights that SQL has no words for, of the dates that the marts were rebuilt for.

    Beside them the snapshot is begun: insights are Python on one processor, writing tables is DuckDB.
    """
    from dagster_project.insights.build import run_insights

    with step(run, "insights"), warehouse(run.settings) as con, ThreadPoolExecutor(1) as beside:
        beginning = beside.submit(begin, run.settings, run.run_id)
        run_insights(con, run.settings)
        run.begun = beginning.result()


def test_nominations(run: Run) -> None:
    """The two-sided tests of the award nominations, which SQL has no distributions for."""
    from dagster_project.appraisal import awards

    with step(run, "nominations"), warehouse(run.settings) as con:
        awards.test_nominations(con)


def build_scores(run: Run) -> list[NodeResult]:
    """The scorecard models with their dbt tests; returns dbt's results."""
    from dagster_project.warehouse.build import run_dbt

    with step(run, "scores") as progress:
        cluster_result = built_on_cluster(run, select=[SCORE_MODELS])
        return run_dbt(run.settings, select=SCORE_MODELS, progress=progress, cluster_result=cluster_result)


def built_on_cluster(
    run: Run, select: Sequence[str] = (), exclude: Sequence[str] = (), models: Sequence[str] | None = None
) -> Path | None:
    """With ENGINE=spark: build the selected models there, whole, and return the folder of the result; else None."""
    if run.settings.engine != "spark":
        return None
    if models is not None:
        raise UserError("ENGINE=spark builds all models at once: materialize them all, or take ENGINE=duckdb")
    from dagster_project.appraisal.adjustments import create_state
    from dagster_project.spark.build import start

    if run.on_spark is None:
        with step(run, "cluster"):
            run.on_spark = start(run.settings, run.run_id)
    with warehouse(run.settings) as con:
        create_state(con)
    with step(run, "on the cluster") as progress:
        run.on_spark.build(select=select, exclude=exclude, progress=progress)
    return run.on_spark.result


def measure(run: Run, suite: str) -> list[CheckResult]:
    """The results of one Great Expectations suite."""
    from dagster_project.audit.suites import run_suite

    with step(run, f"audit {suite}"), warehouse(run.settings) as con:
        return run_suite(con, suite)


def judge(run: Run, results: list[CheckResult]) -> None:
    """Keep results in audit.check_results of the private warehouse; raises AuditFailed naming what failed."""
    from dagster_project.audit.suites import keep_results

    run.checks += results
    with warehouse(run.settings) as con:
        keep_results(con, run.run_id, results)
    failed = [result for result in results if not result.passed and result.severity == "error"]
    if failed:
        named = "; ".join(map(_told, failed[:5]))
        more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        raise AuditFailed(f"the audit failed, nothing is published: {named}{more}")


def publish_snapshot(run: Run) -> None:
    """Place the audited schemas where readers see them, unless they are there already."""
    if is_up_to_date(run):
        run.snapshot = current_snapshot(run.settings.published).name
        forget_changes(run)
        return
    begun, run.begun = run.begun, None
    with step(run, "publish"):
        run.snapshot = publish(run.settings, run.run_id, provenance(run), begun=begun)["snapshot_id"]
        forget_changes(run)


def forget_changes(run: Run) -> None:
    """Clear the lists of changed rows and affected dates, which the published snapshot now holds."""
    from dagster_project.landing import clear_changes
    from dagster_project.warehouse.build import clear_affected_dates

    with warehouse(run.settings) as con:
        clear_changes(con)
        clear_affected_dates(con)


def write_audiences(run: Run) -> None:
    """The viewer keys of each audience segment as CSV, from the published snapshot."""
    snapshot = current_snapshot(run.settings.published)
    out = run.settings.data / "audiences"
    if _snapshot_of(out) != snapshot.name:
        from dagster_project.insights.audience import write_audiences as write

        with step(run, "audiences"):
            write(snapshot / "marts.duckdb", out, run.settings)
            _note_snapshot(out, snapshot.name)


def write_scorecards(run: Run) -> None:
    """The scorecard folder of MONTH (without it: the last whole month) from the published snapshot."""
    snapshot = current_snapshot(run.settings.published)
    month, is_provisional = scorecard_month(snapshot / "marts.duckdb", run.settings)
    out = run.settings.data / "scorecards" / month
    if is_sealed(out):
        from dagster_project.appraisal.adjustments import adjust_sealed_month

        adjust_sealed_month(run, month)
        write_site(run, month)
        return
    if _snapshot_of(out) != snapshot.name:
        from dagster_project.reports.scorecards import write_scorecards as write

        with step(run, "scorecards"):
            write(
                snapshot / "appraisal.duckdb",
                snapshot / "marts.duckdb",
                month,
                out,
                provisional=is_provisional,
                policy_dir=run.settings.policy,
                currency=run.settings.reporting_currency,
            )
            _note_snapshot(out, snapshot.name)
    run.scorecards = str(out / "index.html")
    write_site(run, month)


def write_site(run: Run, month: str | None = None) -> None:
    """The review site of a month (without it: the last one in the data) from the published snapshot."""
    snapshot = current_snapshot(run.settings.published)
    manifest = current_manifest(run.settings.published) or {}
    if month is None:
        if not manifest.get("data_through"):
            return
        month = str(manifest["data_through"])[:7]
    out = run.settings.data / "site" / month
    scored = (run.settings.data / "scorecards" / month / "index.html").is_file()
    made_of = f"{snapshot.name} {'with' if scored else 'without'} scorecards"
    if _snapshot_of(out) != made_of:
        from dagster_project.site.build import build_site
        from dagster_project.site.raw_rows import read_raw_rows

        with step(run, "site"):
            raw_rows = None
            # After a failed audit the private warehouse holds rows that the snapshot has not.
            if run.settings.warehouse_path.is_file() and manifest.get("ledger_hash") == provenance(run)["ledger_hash"]:
                with warehouse(run.settings) as con:
                    raw_rows = read_raw_rows(con, month)
            build_site(
                snapshot / "marts.duckdb",
                month,
                out,
                scorecards_href=f"../../scorecards/{month}" if scored else None,
                policy_dir=run.settings.policy,
                currency=run.settings.reporting_currency,
                raw_rows=raw_rows,
            )
            _note_snapshot(out, made_of)
    run.site = str(out / "index.html")


# --- the record of a run --------------------------------------------------------------------------------


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the lock of this DATA folder's runs; raises Locked where another run is at work."""
    with run_lock(run.settings.private / "run.lock") as left_behind:
        if left_behind:
            _say(f"taking over from a run that died: pid {left_behind['pid']}, since {left_behind['since']}")
        try:
            yield
        except BaseException:
            _leave_cluster(run, failed=True)
            raise
        finally:
            # It must not stand in the way of what the run has to tell; the next one's publish would take it away too.
            with suppress(OSError):
                remove_unfinished(run.settings.published)
        _leave_cluster(run, failed=run.status != "ok")


def _leave_cluster(run: Run, failed: bool) -> None:
    """The cluster ends with the run; after a failure its logs and files stay for whoever has to look."""
    if run.on_spark is not None:
        run.on_spark.close(keep_files=failed)
        run.on_spark = None


def note_failure(run: Run, error: BaseException) -> None:
    """Bring the error that ended a run into its status and message."""
    statuses: dict[type[BaseException], str] = {Locked: "locked", AuditFailed: "audit_failed"}
    run.status = statuses.get(type(error), "failed")
    telling = next(iter(str(error).splitlines()), "")
    if isinstance(error, UserError):
        run.message = str(error)
    elif isinstance(error, OSError | duckdb.IOException) or NO_ROOM in str(error):
        run.message = f"{telling}: check the room on the disk and the rights of {run.settings.data}"
    elif isinstance(error, duckdb.OutOfMemoryException):
        run.message = f"{telling}: check the room on the disk for {run.settings.tmp}, or raise DUCKDB_MEMORY_LIMIT"
    else:
        run.message = f"{type(error).__name__}: {telling} (whole in {_keep_traceback(run, error)})"


def conclude(run: Run) -> None:
    """The end of every run, however it went: its status where nothing failed, its summary, and the alert where it is due."""
    if run.status == "ok" and rejected_files(run):
        run.status = "published_with_rejects"
    try:
        _write_summary(run)
    except OSError as error:
        _say(f"the summary of the run could not be written: {error}")
    if run.status != "ok":
        for trouble in alert(summary(run), run.settings.alert_command, run.settings.alert_webhook):
            _say(trouble)


def new_run(settings: Settings) -> Run:
    """A run named after its start and process."""
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%dT%H%M%S}.{now.microsecond:06d}Z-{os.getpid()}"
    return Run(settings=settings, run_id=run_id, started_at=now)


def provenance(run: Run) -> dict[str, str]:
    """What a snapshot was made from, as it stands in its manifest."""
    with warehouse(run.settings) as con:
        ledger = con.execute(
            "select export, sha256, rows_accepted, rows_quarantined, rows_duplicate, rows_pending "
            "from raw.files where verdict = 'accepted' order by all"
        ).fetchall()
    return {**_makers(run), "ledger_hash": hashlib.sha256(json.dumps(ledger).encode()).hexdigest()}


def policy_of(run: Run) -> Policy:
    """The checked policy of a run, read once."""
    if run.policy is None:
        check_policy(run)
    assert run.policy is not None
    return run.policy


def _makers(run: Run) -> dict[str, str]:
    """What makes tables of rows: engine, code, policy, and the currency that money is counted in."""
    from dagster_project.warehouse.policy import policy_hash

    return {
        "engine": run.settings.engine,
        "code_version": hash_files(REPOSITORY, CODE),
        "policy_hash": policy_hash(policy_of(run)),
        "reporting_currency": run.settings.reporting_currency,
    }


def _made_with(con: duckdb.DuckDBPyConnection) -> dict[str, str] | None:
    """What every model of the private warehouse was made with; None while that is mixed or unknown."""
    con.execute("create schema if not exists builds")
    con.execute("create table if not exists builds.made_with (name varchar, value varchar)")
    return dict(con.execute("from builds.made_with").fetchall()) or None


def _note_made_with(con: duckdb.DuckDBPyConnection, made_with: dict[str, str] | None) -> None:
    con.execute("begin")
    con.execute("delete from builds.made_with")
    if made_with:
        con.executemany("insert into builds.made_with values (?, ?)", list(made_with.items()))
    con.execute("commit")


def scorecard_month(marts: Path, settings: Settings) -> tuple[str, bool]:
    """The month to report and whether it is provisional (not over in the data yet).

    Without MONTH the last whole month, or where none is whole yet, the last one as provisional.
    Raises UserError where the data hold nothing of the month asked for.
    """
    con = connect(marts, settings, read_only=True)
    try:
        query = "select min(business_date), max(business_date) from core.fct_session"
        first, last = con.execute(query).fetchall()[0]
    finally:
        con.close()
    if first is None:
        raise UserError("there is no session in the data, so there is no month to report")
    if settings.month is not None:
        if not f"{first:%Y-%m}" <= settings.month <= f"{last:%Y-%m}":
            raise UserError(f"MONTH={settings.month} has no data: sessions run from {first} to {last}")
        return settings.month, last < _last_day(settings.month)
    month = f"{last:%Y-%m}"
    if last < _last_day(month):
        month = f"{last.year - (last.month == 1)}-{(last.month - 2) % 12 + 1:02d}"
    if month < f"{first:%Y-%m}":
        return f"{last:%Y-%m}", True
    return month, False


def _last_day(month: str) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year, number, calendar.monthrange(year, number)[1])


@contextmanager
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on the private warehouse, closed afterwards: dbt opens it with settings of its own."""
    con = connect(settings.warehouse_path, settings)
    try:
        yield con
    finally:
        con.close()


def _told(result: CheckResult) -> str:
    return f"{result.check} on {result.table}: observed {result.observed}, expected {result.expected}"


# --- what a run says -------------------------------------------------------------------------------------


@contextmanager
def step(run: Run, name: str) -> Iterator[Progress]:
    """Time a step and say when it is over; yields what takes its progress, shown as a bar on a terminal.

    A step inside a step counts for itself alone.
    """
    began, others = time.monotonic(), sum(run.seconds.values()) - run.seconds.get(name, 0)
    try:
        with _bar(name) if sys.stderr.isatty() else nullcontext(_unseen) as progress:
            yield progress
    finally:
        inside = sum(seconds for step, seconds in run.seconds.items() if step != name) - others
        run.seconds[name] = round(run.seconds.get(name, 0) + time.monotonic() - began - inside, 2)
    _say(f"{name:<18}{run.seconds[name]:7.1f} s")


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from tqdm import tqdm

    with tqdm(desc=name, leave=False, dynamic_ncols=True) as bar:

        def advance(doing: str, total: int | None = None) -> None:
            bar.total = total
            bar.set_postfix_str(doing.replace("\x1b", ""), refresh=False)
            bar.update()

        yield advance


def _unseen(doing: str, total: int | None = None) -> None:
    """Progress where no terminal shows it."""


def print_summary(run: Run) -> None:
    """The end of a run on the screen; the same figures as its summary.json."""
    if run.status in ("failed", "locked", "audit_failed"):
        print(f"error: {run.message}", file=sys.stderr)
        return
    if run.message:
        print(run.message)
    print(f"files      {_counted(_files_by_verdict(run))}")
    print(f"rows       {_counted(_rows_by_verdict(run))}")
    for file in rejected_files(run):
        print(f"rejected   {_shown(file['path'])}: {_shown(file['reason'])}")
    if run.landed:
        _print_noticed(run.landed)
    if run.dates_rebuilt:
        first, last = run.dates_rebuilt[0], run.dates_rebuilt[-1]
        lines_only = f", of {len(run.dates_followed_up)} only what order lines say" if run.dates_followed_up else ""
        print(f"dates      {len(run.dates_rebuilt)} rebuilt, {first} to {last}{lines_only}")
    if run.checks:
        warned = [result for result in run.checks if not result.passed]
        print(f"checks     {len(run.checks) - len(warned)} passed, {len(warned)} warned")
        for result in warned:
            print(f"  warning  {_told(result)}")
    print(f"snapshot   {run.snapshot}")
    print(f"seconds    {_total_seconds(run):.1f}, peak memory {_peak_memory() // 2**20} MB")
    if run.scorecards:
        print(f"scorecards {run.scorecards}")
    if run.site:
        print(f"site       {run.site}")


def _print_noticed(landed: LandingSummary) -> None:
    """What landing set aside, waits for or misses, one line each."""
    for reason, rows in landed.quarantine_reasons.items():
        print(f"set aside  {rows} rows: {reason}")
    for waiting in landed.pending:
        days, seconds = divmod(waiting["age_seconds"], 86_400)
        print(f"pending    {waiting['rows']} rows of {_shown(waiting['path'])}, for {days} days {seconds // 3600} hours")
    for export, keys in landed.key_conflicts.items():
        print(f"conflicts  {keys} keys of {export} came with other content; one row of each counts")
    for export, columns in landed.schema_drift.items():
        print(f"new column {_shown(', '.join(columns))} of {export} is kept aside")
    if landed.late_exports and landed.files:
        print(f"late       {', '.join(landed.late_exports)}: delivered before, nothing new tonight")
    if landed.unknown_folders:
        print(f"unknown    {_shown(', '.join(landed.unknown_folders))}: no export of that name")
    for path in landed.still_written:
        print(f"written    {_shown(path)} changed while it was read; it is left for the next run")


def _shown(text: object) -> str:
    """Outside text for a terminal: control characters are shown, never obeyed."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in str(text))


def summary(run: Run) -> dict[str, Any]:
    """A run as `$DATA/runs/<run_id>/summary.json` holds it."""
    return {
        "run_id": run.run_id,
        "dagster_run_id": run.dagster_run_id,
        "status": run.status,
        "message": run.message,
        "started_at": run.started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "files": _files_by_verdict(run),
        "rows": _rows_by_verdict(run),
        "rejected": rejected_files(run),
        "quarantine_reasons": run.landed.quarantine_reasons if run.landed else {},
        "pending": run.landed.pending if run.landed else [],
        "late_exports": run.landed.late_exports if run.landed else [],
        "unknown_folders": run.landed.unknown_folders if run.landed else [],
        "schema_drift": run.landed.schema_drift if run.landed else {},
        "key_conflicts": run.landed.key_conflicts if run.landed else {},
        "still_written": run.landed.still_written if run.landed else [],
        "dates_rebuilt": run.dates_rebuilt,
        "dates_followed_up": run.dates_followed_up,
        "checks": {
            "passed": sum(result.passed for result in run.checks),
            "warned": sum(not result.passed and result.severity == "warn" for result in run.checks),
            "failed": sum(not result.passed and result.severity == "error" for result in run.checks),
            "not_passed": [vars(result) for result in run.checks if not result.passed],
        },
        "snapshot": run.snapshot,
        "scorecards": run.scorecards,
        "site": run.site,
        "seconds": {**run.seconds, "total": round(_total_seconds(run), 2)},
        "peak_memory_bytes": _peak_memory(),
    }


def _write_summary(run: Run) -> None:
    run.settings.data.mkdir(parents=True, exist_ok=True)
    run.settings.data.chmod(0o755)
    # Like the error text in it, it is for those who run the warehouse.
    run.settings.runs.mkdir(mode=0o700, exist_ok=True)
    folder = run.settings.runs / run.run_id
    folder.mkdir(exist_ok=True)
    text = json.dumps(summary(run), indent=1, ensure_ascii=False) + "\n"
    (folder / "summary.json").write_text(text, encoding="utf-8")


def _keep_traceback(run: Run, error: BaseException) -> Path:
    """An unforeseen error's traceback may quote rows, so it is kept with what is private."""
    file = run.settings.private / "errors" / f"{run.run_id}.txt"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    file.chmod(0o600)
    return file


def rejected_files(run: Run) -> list[dict[str, str | None]]:
    """Files that tonight's landing rejected; those of earlier nights do not count again."""
    files = run.landed.files if run.landed else []
    return [{"path": file.path, "reason": file.reason} for file in files if file.verdict == "rejected"]


def _files_by_verdict(run: Run) -> dict[str, int]:
    return dict(sorted(Counter(file.verdict for file in run.landed.files).items())) if run.landed else {}


def _rows_by_verdict(run: Run) -> dict[str, int]:
    landed = run.landed
    if landed is None:
        return {}
    return {
        "in": landed.rows_in,
        "accepted": landed.rows_accepted,
        "quarantined": landed.rows_quarantined,
        "duplicate": landed.rows_duplicate,
        "pending": landed.rows_pending,
    }


def _snapshot_of(folder: Path) -> str | None:
    """The snapshot a folder of scorecards or of the site was written from, noted beside it."""
    note = folder.with_name(f".{folder.name}.snapshot")
    return note.read_text(encoding="utf-8") if folder.is_dir() and note.is_file() else None


def _note_snapshot(folder: Path, snapshot_id: str) -> None:
    folder.with_name(f".{folder.name}.snapshot").write_text(snapshot_id, encoding="utf-8")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "none new"


def _total_seconds(run: Run) -> float:
    return (datetime.now(UTC) - run.started_at).total_seconds()


def _peak_memory() -> int:
    """Largest resident set of this process so far, in bytes (the kernel counts KiB, on macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
