"""The job's steps as Dagster assets: exports → models → scores → snapshot → scorecards, with their checks.

Every asset calls the step function of `dagster_project.run` that `make` calls; nothing is computed here.
Dagster reads the annotations, so they may not be strings: no `from __future__ import annotations`.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from dagster_project import run as steps
from dagster_project.audit.suites import CheckResult, check_results_of_dbt, read_suite
from dagster_project.insights.build import TABLES as INSIGHTS
from dagster_project.landing.contracts import CONTRACTS
from dagster_project.settings import Settings, UserError, settings_from_env
from dagster_project.warehouse.build import NodeResult, parse_project, target_folder
from dagster_project.warehouse.publish import APPRAISAL_SCHEMAS, MARTS_SCHEMAS

COMPANY_TIME_ZONE = os.environ.get("COMPANY_TIME_ZONE") or "Asia/Shanghai"
# DuckDB has one writer: whatever writes the warehouse takes the one slot of this pool.
POOL = "duckdb"
# The night of 03:30 is late when readers have no snapshot of it by half past seven.
PUBLISHED_BY = dg.FreshnessPolicy.cron(
    deadline_cron="30 7 * * *", lower_bound_delta=timedelta(hours=4), timezone=COMPANY_TIME_ZONE
)
POLICY_TABLES = ("kpis", "weights", "weight_overrides", "grades", "rules")
LEDGER_TABLES = ("files", "viewers", "quarantine", "changes")
RUN = {"run"}
PUBLISHED_SCHEMAS = (*MARTS_SCHEMAS, *APPRAISAL_SCHEMAS)


@dg.resource(
    config_schema={"month": dg.Field(str, is_required=False, description="month to report, YYYY-MM")}
)
def run_resource(context: dg.InitResourceContext) -> Iterator[steps.Run]:
    """One run of the job: its lock is held and its summary written for as long as Dagster's run lasts."""
    month = (context.resource_config or {}).get("month")
    run = steps.new_run(settings_from_env({**os.environ, **({"MONTH": month} if month else {})}))
    run.dagster_run_id = context.run_id
    try:
        steps.check_policy(run)
        with steps.locked(run):
            yield run
    except Exception as error:
        steps.note_failure(run, error)
        raise
    finally:
        steps.conclude(run)


class LayerTranslator(DagsterDbtTranslator):
    """Groups dbt models by the layer, which is their folder."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The first folder below models/, and for marts also the second."""
        layer = dbt_resource_props["fqn"][1]
        return f"marts_{dbt_resource_props['fqn'][2]}" if layer == "marts" else layer


TRANSLATOR = LayerTranslator()


@dg.multi_asset(
    name="landing",
    specs=[
        # Dates that are asked for again are listed before anything is built.
        dg.AssetSpec(["raw", table], deps=[["builds", "business_dates"]], group_name="landing", kinds={"duckdb"})
        for table in (*CONTRACTS, *LEDGER_TABLES)
    ],
    required_resource_keys=RUN,
    pool=POOL,
)
def landed_exports(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Every new file of EXPORTS, typed, deduplicated and judged row by row, in raw.*."""
    run = context.resources.run
    with failures_noted(run):
        steps.land_exports(run)
        with steps.warehouse(run.settings) as con:
            rows = dict(
                con.execute(
                    "select export, sum(rows_accepted)::bigint from raw.files group by export"
                ).fetchall()
            )
    for table in (*CONTRACTS, *LEDGER_TABLES):
        yield dg.MaterializeResult(asset_key=["raw", table], metadata={"rows": rows.get(table, 0)})


@dg.multi_asset(
    name="policy_files",
    specs=[dg.AssetSpec(["policy", table], group_name="policy", kinds={"csv"}) for table in POLICY_TABLES],
    required_resource_keys=RUN,
    pool=POOL,
)
def policy_tables(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """The policy files, checked, as tables."""
    run = context.resources.run
    with failures_noted(run):
        steps.load_policy_tables(run)
    for table in POLICY_TABLES:
        yield dg.MaterializeResult(asset_key=["policy", table])


def suite_checks(suite: str) -> dg.AssetChecksDefinition:
    """A suite of expectations/ as asset checks; one at error severity keeps what comes after from running."""
    checks = read_suite(suite)

    @dg.multi_asset_check(
        name=f"{suite}_suite",
        specs=[
            dg.AssetCheckSpec(
                name=check.check,
                asset=check.table.split("."),
                description=check.why,
                blocking=check.severity == "error",
            )
            for check in checks
        ],
        required_resource_keys=RUN,
        pool=POOL,
    )
    def check_suite(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        run = context.resources.run
        with failures_noted(run):
            results = steps.measure(run, suite)
            for result in results:
                yield _check_event(result, result.table.split("."))
            steps.judge(run, results)

    return check_suite


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """dbt's models as two steps of assets, marts and scores, dbt's tests as their checks."""
    parse_project(settings)
    manifest_path = target_folder(settings) / "manifest.json"

    @dbt_assets(
        manifest=manifest_path,
        name="marts",
        exclude=steps.SCORE_MODELS,
        dagster_dbt_translator=TRANSLATOR,
        required_resource_keys=RUN,
        pool=POOL,
    )
    def marts(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        run = context.resources.run
        with failures_noted(run):
            if steps.is_up_to_date(run):
                yield from _unchanged(context)
                return
            results = steps.build_marts(run, _models_chosen(context))
            yield from _dbt_events(context, results, manifest_path)
            steps.judge(run, check_results_of_dbt(results))

    # Their audit waits for these too, and blocks what depends on audited tables: so only the others are named.
    read = [["insights", "session_review"], ["insights", "scene_highlights"]]

    @dg.multi_asset(
        name="insights",
        specs=[
            dg.AssetSpec(
                ["insights", table.name],
                deps=read,
                group_name="marts_insights",
                description=table.comment,
                kinds={"python"},
            )
            for table in INSIGHTS
        ],
        required_resource_keys=RUN,
        pool=POOL,
    )
    def insights(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        """Forecast, mood and association over time, and the words that mark a highlight."""
        run = context.resources.run
        with failures_noted(run):
            if steps.is_up_to_date(run):
                yield from _unchanged(context)
                return
            steps.add_insights(run)
        for table in INSIGHTS:
            yield dg.MaterializeResult(asset_key=["insights", table.name])

    @dbt_assets(
        manifest=manifest_path,
        name="scores",
        select=steps.SCORE_MODELS,
        dagster_dbt_translator=TRANSLATOR,
        required_resource_keys=RUN,
        pool=POOL,
    )
    def scores(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        run = context.resources.run
        with failures_noted(run):
            if steps.is_up_to_date(run):
                yield from _unchanged(context)
                return
            steps.test_nominations(run)
            results = steps.build_scores(run)
            yield from _dbt_events(context, results, manifest_path)
            steps.judge(run, check_results_of_dbt(results))

    published = [key for assets in (marts, insights, scores) for key in assets.keys if key.path[0] in PUBLISHED_SCHEMAS]

    @dg.asset(
        key=["published", "snapshot"],
        deps=published,
        group_name="published",
        freshness_policy=PUBLISHED_BY,
        required_resource_keys=RUN,
        pool=POOL,
    )
    def snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The audited schemas as readers see them."""
        run = context.resources.run
        with failures_noted(run):
            steps.publish_snapshot(run)
        return dg.MaterializeResult(metadata={"snapshot": run.snapshot})

    @dg.asset(
        key=["published", "audiences"],
        deps=[snapshot],
        group_name="published",
        required_resource_keys=RUN,
        pool=POOL,
    )
    def audiences(context: dg.AssetExecutionContext) -> None:
        """The viewer keys of each audience segment, one file a segment."""
        run = context.resources.run
        with failures_noted(run):
            steps.write_audiences(run)

    @dg.asset(
        key=["published", "scorecards"],
        deps=[snapshot],
        group_name="published",
        required_resource_keys=RUN,
        pool=POOL,
    )
    def scorecards(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The folder of month-end scorecards."""
        run = context.resources.run
        with failures_noted(run):
            steps.write_scorecards(run)
        return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(run.scorecards)})

    @dg.asset(
        key=["published", "site"],
        deps=[snapshot, scorecards],
        group_name="published",
        required_resource_keys=RUN,
        pool=POOL,
    )
    def site(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """The review site of the last month in the data: last night's sessions, the morning after."""
        run = context.resources.run
        with failures_noted(run):
            steps.write_site(run)
        return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(run.site or "")})

    return [marts, insights, scores, snapshot, audiences, scorecards, site]


def _models_chosen(context: dg.AssetExecutionContext) -> list[str] | None:
    """Names of the models picked on the page; None for all of them."""
    if not context.is_subset:
        return None
    return sorted(key.path[-1] for key in context.selected_asset_keys)


def _unchanged(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """The models as they stand: nothing they are made of has changed since the last publish."""
    # Dagster wants what a step yields in the order of its dependencies.
    parents = {spec.key: [dep.asset_key for dep in spec.deps] for spec in context.assets_def.specs}
    for key in TopologicalSorter(parents).static_order():
        if key in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=key, metadata={"unchanged": True})


def _dbt_events(
    context: dg.AssetExecutionContext, results: list[NodeResult], manifest_path: Path
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    keys = {".".join(key.path): key for key in context.selected_asset_keys}
    checks = {key.name: key for key in context.selected_asset_check_keys}
    for result in results:
        if result.kind == "model" and result.status == "success":
            node = manifest["nodes"][result.unique_id]
            yield dg.MaterializeResult(
                asset_key=keys[f"{node['config']['schema']}.{node['name']}"],
                metadata={"seconds": result.seconds},
            )
    for checked in check_results_of_dbt(results):
        if (key := checks.get(checked.check)) is not None:
            yield _check_event(checked, key.asset_key.path, key.name)


def _check_event(
    result: CheckResult, asset_key: Sequence[str], name: str | None = None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=dg.AssetKey(asset_key),
        check_name=name or result.check,
        severity=dg.AssetCheckSeverity.ERROR if result.severity == "error" else dg.AssetCheckSeverity.WARN,
        metadata={"observed": result.observed, "expected": result.expected},
    )


@contextmanager
def failures_noted(run: steps.Run) -> Iterator[None]:
    """Bring a failure into the run's summary; a user's mistake or a failed audit is not tried again."""
    try:
        yield
    except UserError as error:
        steps.note_failure(run, error)
        raise dg.Failure(str(error), allow_retries=False) from error
    except Exception as error:
        steps.note_failure(run, error)
        raise
