"""The sensors: a night is due for a file with new content and for dates asked for again; a silent failure is told of."""

import hashlib
import json
from pathlib import Path

import dagster as dg
from dagster._core.definitions.target import ExecutableDefinition

from dagster_project.alerts import alert
from dagster_project.landing.discovery import deliveries
from dagster_project.settings import Settings
from dagster_project.warehouse.dagster_dates import BUSINESS_DATES

LOOKED_BACK = 50  # runs
FAILURES = ("failed", "audit_failed", "locked")


def new_exports_sensor(settings: Settings, job: ExecutableDefinition) -> dg.SensorDefinition:
    """Ask for one run of the job per set of file contents; a renamed or copied file is nothing new."""

    @dg.sensor(
        name="new_exports",
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_exports(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        known: dict[str, list[str]] = json.loads(context.cursor or "{}")
        seen = contents_of(settings.exports, known)
        before = {content for _, content in known.values()}
        now = {content for _, content in seen.values()}
        if now <= before:
            context.update_cursor(json.dumps(seen))
            return dg.SkipReason("no file with new content")
        run_key = hashlib.sha256("\n".join(sorted(now)).encode()).hexdigest()
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)], cursor=json.dumps(seen))

    return new_exports


def asked_dates_sensor(job: ExecutableDefinition) -> dg.SensorDefinition:
    """Ask for one run of the job once dates were asked for again: a backfill ends published, not in tomorrow's night.

    The dates themselves stand in the warehouse, so a run that dies loses none of them.
    """

    @dg.asset_sensor(
        asset_key=BUSINESS_DATES,
        name="asked_dates",
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def asked_dates(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest:
        return dg.RunRequest(run_key=event.run_id)

    return asked_dates


def dead_runs_sensor(settings: Settings) -> dg.SensorDefinition:
    """Tell the alert hook of runs that could not tell it themselves: killed, never started, failed inside Dagster."""

    @dg.run_failure_sensor(
        name="dead_runs", default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30
    )
    def dead_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        run_id = context.dagster_run.run_id
        if has_told(settings.runs, run_id):
            return dg.SkipReason(f"run {run_id} told of its failure itself")
        why = context.failure_event.message or "the run's process died"
        told = {"status": "failed", "message": why, "dagster_run_id": run_id}
        for trouble in alert(told, settings.alert_command, settings.alert_webhook):
            context.log.warning(trouble)
        return None

    return dead_runs


def has_told(runs: Path, dagster_run_id: str) -> bool:
    """Whether a run of Dagster's came as far as its own summary, and that one tells of a failure.

    Where Dagster itself fails between our steps, the summary knows of none.
    """
    for path in sorted(runs.glob("*/summary.json"), reverse=True)[:LOOKED_BACK]:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if summary["dagster_run_id"] == dagster_run_id and summary["status"] in FAILURES:
            return True
    return False


def contents_of(exports: Path, known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Path → [size and times, SHA-256]; a file whose size and times are as known is not read again."""
    seen = {}
    for delivery in deliveries(exports)[0]:
        if delivery.refused is None:
            stamp = f"{delivery.size}/{delivery.mtime_ns}/{delivery.inode}"
            before = known.get(delivery.relative)
            seen[delivery.relative] = (
                before if before and before[0] == stamp else [stamp, _sha256(delivery.path)]
            )
    return seen


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
