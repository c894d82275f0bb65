"""Wiring only: assets, checks, jobs, schedules and the sensor that Dagster serves (`make ui`)."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.target import ExecutableDefinition

from dagster_project.settings import Settings, settings_from_env
from dagster_project.warehouse.dagster_assets import (
    COMPANY_TIME_ZONE,
    landed_exports,
    model_assets,
    policy_tables,
    run_resource,
    suite_checks,
)
from dagster_project.warehouse.dagster_dates import BUSINESS_DATES, arrivals, business_dates
from dagster_project.warehouse.dagster_sensor import asked_dates_sensor, dead_runs_sensor, new_exports_sensor

ASKED = dg.AssetSelection.assets(BUSINESS_DATES)
REPORT = dg.AssetSelection.assets(["published", "scorecards"])
RETRIES = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def wiring(settings: Settings, retries: dg.RetryPolicy | None = None) -> dg.Definitions:
    """Everything Dagster knows; without `retries` a failed step ends its run at once, as a person expects."""
    nightly = dg.define_asset_job(
        "nightly",
        dg.AssetSelection.all() - REPORT - ASKED,
        executor_def=dg.in_process_executor,
        op_retry_policy=retries,
    )
    month_end = dg.define_asset_job(
        "month_end", dg.AssetSelection.all() - ASKED, executor_def=dg.in_process_executor, op_retry_policy=retries
    )
    return dg.Definitions(
        assets=[business_dates(COMPANY_TIME_ZONE), landed_exports, policy_tables, *model_assets(settings)],
        asset_checks=[arrivals, suite_checks("landing"), suite_checks("marts"), suite_checks("scorecards")],
        jobs=[nightly, month_end],
        schedules=[
            _schedule("every_night", nightly, f"{settings.night_at.minute} {settings.night_at.hour} * * *"),
            _schedule("every_month_end", month_end, "0 6 1 * *"),
        ],
        sensors=[new_exports_sensor(settings, nightly), asked_dates_sensor(nightly), dead_runs_sensor(settings)],
        resources={"run": run_resource},
        executor=dg.in_process_executor,
    )


def _schedule(name: str, job: ExecutableDefinition, cron: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=COMPANY_TIME_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What the page and the daemon load."""
    return wiring(settings_from_env(), RETRIES)
