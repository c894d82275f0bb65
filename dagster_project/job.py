"""What `make scorecards` and `make nightly` do: the graph that Dagster's daemon runs, run in this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

from dagster_project import loading
from dagster_project import run as steps
from dagster_project.alerts import alert
from dagster_project.audit.suites import start_judge
from dagster_project.run import EXIT_STATUS, Run
from dagster_project.settings import Settings, UserError, parse_date, settings_from_env
from dagster_project.warehouse.build import is_parsed
from dagster_project.warehouse.publish import current_snapshot

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions


def scorecards(environ: Mapping[str, str]) -> int:
    """`make scorecards`: the night, then the scorecards of the month. Returns the exit status."""
    return _run(environ, with_scorecards=True)


def nightly(environ: Mapping[str, str]) -> int:
    """`make nightly`: land what is new, rebuild, audit, publish. Returns the exit status."""
    return _run(environ, with_scorecards=False)


def backfill(environ: Mapping[str, str]) -> int:
    """`make backfill FROM=… TO=…`: a night that also builds these business dates again. Returns the exit status."""
    if not environ.get("FROM"):
        raise UserError("FROM is missing: give the first business date, for example FROM=2026-10-01 TO=2026-10-07")
    first = parse_date(environ["FROM"], "FROM")
    last = parse_date(environ["TO"], "TO") if environ.get("TO") else first
    if last < first:
        raise UserError(f"TO={last} is before FROM={first}: give the first date as FROM and the last as TO")
    return _run(environ, with_scorecards=False, dates=(first, last))


def _run(environ: Mapping[str, str], with_scorecards: bool, dates: tuple[date, date] | None = None) -> int:
    try:
        run = steps.new_run(settings_from_env(environ))
    except UserError as error:
        # A night that does not even begin is told of too.
        told = {"status": "failed", "message": str(error)}
        for trouble in alert(told, environ.get("ALERT_COMMAND"), environ.get("ALERT_WEBHOOK")):
            print(trouble, file=sys.stderr)
        raise
    try:
        steps.check_policy(run)
        with steps.locked(run):
            if dates:
                steps.ask_for_dates(run, *dates)
            libraries = _Libraries(run)
            steps.land_exports(run, at_first_file=libraries.load)
            if steps.is_up_to_date(run):
                _nothing_to_do(run, with_scorecards)
            else:
                _run_graph(run, libraries.definitions(), with_scorecards)
    except Exception as error:
        steps.note_failure(run, error)
    steps.conclude(run)
    steps.print_summary(run)
    return EXIT_STATUS[run.status]


def _nothing_to_do(run: Run, with_scorecards: bool) -> None:
    """A night without new rows starts neither Dagster nor dbt nor Great Expectations; one with rejected files has done so."""
    run.message = "nothing to do: no new rows since the last published snapshot"
    run.snapshot = current_snapshot(run.settings.published).name
    steps.forget_changes(run)
    steps.write_audiences(run)
    if with_scorecards:
        steps.write_scorecards(run)
    steps.write_site(run)


class _Libraries:
    """Dagster's definitions, with dbt's manifest in them, and all libraries: loaded once in a run, as soon as it needs them."""

    def __init__(self, run: Run):
        self._run = run
        self._definitions: Definitions | None = None

    def load(self) -> None:
        """Load before the first file lands, so that Great Expectations loads on the other core at the same time.

        Not where dbt's parse is only made beside landing. What goes wrong does so again in definitions(), where it can be told.
        """
        if is_parsed(self._run.settings):
            with suppress(Exception):
                self.definitions()

    def definitions(self) -> Definitions:
        """The definitions, loaded now where they are not yet."""
        if self._definitions is None:
            with steps.step(self._run, "libraries"), loading.for_good():
                self._definitions = _load_graph(self._run.settings)
        return self._definitions


def _load_graph(settings: Settings) -> Definitions:
    start_judge()
    from dagster_project.definitions import wiring
    from dagster_project.insights.build import load_libraries

    definitions = wiring(settings)
    definitions.resolve_all_job_defs()  # else made when the first is asked for
    load_libraries()
    return definitions


def _run_graph(run: Run, definitions: Definitions, with_scorecards: bool) -> None:
    """Execute Dagster's job here; a failed step has noted in the run what went wrong."""
    import dagster as dg

    # Our own steps say how far they are; Dagster's event log goes to the page, not to the terminal.
    logging.getLogger("dagster").propagate = False
    job = definitions.resolve_job_def("month_end" if with_scorecards else "nightly")
    # An instance of its own: in the daemon's a killed run would count as running, and hold up the nights behind it.
    with dg.DagsterInstance.ephemeral() as instance:
        _keep_no_events(instance)
        outcome = job.execute_in_process(
            instance=instance,
            resources={"run": run},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    if not outcome.success and run.status == "ok":
        failed = next((event for event in outcome.all_events if event.is_failure), None)
        raise RuntimeError(f"Dagster stopped: {failed.message if failed else 'no event says why'}")


def _keep_no_events(instance: DagsterInstance) -> None:
    """Spare an instance that ends with its run the log in which Dagster's page would look events up.

    A night has over a thousand, each some statements in a database; what the run asks of them it is told as they happen.
    Before an asset is made, the log is asked three times for what its parents were made of: of an empty one, nothing.
    """
    from dagster import EventRecordsResult

    log = instance.event_log_storage
    log.store_event = lambda event: None
    log.get_asset_records = lambda asset_keys=None: []
    log.fetch_observations = lambda records_filter, limit, cursor=None, ascending=False: EventRecordsResult(
        records=[], cursor=cursor or "", has_more=False
    )
