"""Wiring only: assets, checks, jobs, schedules and the sensor that Dagster serves (`make ui`)."""

from __future__ import annotations

import os

import dagster as dg

from dagster_project.settings import settings_from_env
from dagster_project.warehouse.dagster_assets import (
    landed_exports,
    model_assets,
    policy_tables,
    run_resource,
    suite_checks,
)
from dagster_project.warehouse.dagster_sensor import new_exports_sensor

COMPANY_TIME_ZONE = os.environ.get("COMPANY_TIME_ZONE") or "Asia/Shanghai"
SETTINGS = settings_from_env()
RETRIES = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
REPORT = dg.AssetSelection.assets(["published", "scorecards"])

nightly = dg.define_asset_job(
    "nightly", dg.AssetSelection.all() - REPORT, executor_def=dg.in_process_executor, op_retry_policy=RETRIES
)
month_end = dg.define_asset_job(
    "month_end", dg.AssetSelection.all(), executor_def=dg.in_process_executor, op_retry_policy=RETRIES
)

defs = dg.Definitions(
    assets=[landed_exports, policy_tables, *model_assets(SETTINGS)],
    asset_checks=[suite_checks("landing"), suite_checks("marts"), suite_checks("scorecards")],
    jobs=[nightly, month_end],
    schedules=[
        dg.ScheduleDefinition(
            name="every_night",
            job=nightly,
            cron_schedule="30 3 * * *",
            execution_timezone=COMPANY_TIME_ZONE,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
        dg.ScheduleDefinition(
            name="every_month_end",
            job=month_end,
            cron_schedule="0 6 1 * *",
            execution_timezone=COMPANY_TIME_ZONE,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
    ],
    sensors=[new_exports_sensor(SETTINGS, nightly)],
    resources={"run": run_resource},
    executor=dg.in_process_executor,
)
