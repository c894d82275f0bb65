"""Dagster's view of time: business dates that may be asked for again, and exports that have not come.

Dagster reads the annotations, so they may not be strings: no `from __future__ import annotations`.
"""

import warnings
from collections.abc import Iterator
from datetime import date

import dagster as dg

from dagster_project import run as steps
from dagster_project.landing.contracts import CONTRACTS
from dagster_project.warehouse.dagster_assets import POOL, RUN, failures_noted

FIRST_DATE = "2015-01-01"
BUSINESS_DATES = dg.AssetKey(["builds", "business_dates"])


def business_dates(time_zone: str) -> dg.AssetsDefinition:
    """The asset whose partitions are business dates; a range of them is one run."""

    # Dagster calls backfill policies beta, which is nothing to read at the start of every night.
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.asset(
        key=BUSINESS_DATES,
        partitions_def=dg.DailyPartitionsDefinition(start_date=FIRST_DATE, timezone=time_zone, end_offset=1),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="builds",
        required_resource_keys=RUN,
        pool=POOL,
    )
    def dates_asked_for(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Business dates to build again from what has landed, although nothing new came: backfill a range of them.

        The night that then starts (sensor asked_dates) builds them with whatever else is due.
        """
        run = context.resources.run
        keys = sorted(context.partition_keys)
        with failures_noted(run):
            listed = steps.ask_for_dates(run, date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))
        return dg.MaterializeResult(metadata={"dates": listed})

    return dates_asked_for


@dg.multi_asset_check(
    name="arrivals",
    specs=[
        dg.AssetCheckSpec(
            name="arrived",
            asset=["raw", export],
            description="An export that was delivered before brings a file tonight; else it is late.",
        )
        for export in CONTRACTS
    ],
    required_resource_keys=RUN,
    pool=POOL,
)
def arrivals(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Freshness of each export: late ones warn, and stop nothing."""
    run = context.resources.run
    with failures_noted(run):
        last_arrivals = steps.last_arrivals(run)
    for export in CONTRACTS:
        last, tonight = last_arrivals.get(export, (None, False))
        yield dg.AssetCheckResult(
            passed=last is None or tonight,
            asset_key=["raw", export],
            check_name="arrived",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"last arrived": f"{last:%Y-%m-%d %H:%M} UTC" if last else "never delivered"},
        )
