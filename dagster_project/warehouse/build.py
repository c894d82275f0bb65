"""dbt, run inside this process on the private warehouse."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from dagster_project import beforehand
from dagster_project.settings import REPOSITORY, Settings, UserError

PROJECT = REPOSITORY / "dbt"
# The latest parse made from this checkout, for a warehouse that has none yet.
LATEST_PARSE = PROJECT / "target" / "partial_parse.msgpack"
# Models that list dates to rebuild, kept until a publish holds them.
DATE_LISTS = ("int_dates_affected", "int_dates_followed_up", "int_measure_dates_affected")


@dataclass(frozen=True)
class NodeResult:
    """One model or data test that dbt ran: status is success, pass, warn, fail, error or skipped."""

    unique_id: str
    name: str
    kind: str
    tested: str | None
    status: str
    severity: str
    failures: int | None
    message: str
    seconds: float


def run_dbt(
    settings: Settings,
    select: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    full_refresh: bool = False,
    progress: Callable[[str, int], None] | None = None,
    cluster_result: Path | None = None,
) -> list[NodeResult]:
    """`dbt build` of the selected models with their data tests; the manifest is parsed once per process.

    With `cluster_result`, a folder of Parquet, tables take their rows from there instead of computing them
    (macro in_dialect): names, types, contracts, comments and tests are those of any build.

    Returns every node's result, failed tests included; raises UserError where the project cannot be parsed
    or a model cannot be built. `progress(name, number of nodes)` is called as each node begins. No handle
    on the warehouse may be open in this process, and none is left open.
    """
    from dbt.cli.main import dbtRunner

    def notice(event: Any) -> None:
        if progress is not None and event.info.name == "LogStartLine":
            progress(event.data.node_info.node_name, event.data.total)

    arguments = ["build", *_options(settings), "--exclude-resource-type", "unit_test", "--no-write-json"]
    for flag, chosen in (("--select", select), ("--exclude", exclude)):
        if chosen:
            arguments += [flag, *([chosen] if isinstance(chosen, str) else chosen)]
    if full_refresh:
        arguments.append("--full-refresh")
    manifest = parse_project(settings)
    os.environ["CLUSTER_RESULT"] = str(cluster_result or "")
    try:
        outcome = dbtRunner(manifest=manifest, callbacks=[notice]).invoke(arguments)
    finally:
        os.environ.pop("CLUSTER_RESULT")
        close_handles()
    if outcome.exception is not None:
        raise UserError(f"dbt stopped: {first_line(outcome.exception)}")
    results = _node_results(outcome, manifest)
    for result in results:
        if result.kind == "model" and result.status == "error":
            raise UserError(f"dbt model {result.name} could not be built: {result.message}")
        if result.kind == "test" and result.status == "error":
            raise UserError(f"dbt test {result.name} could not be run: {result.message}")
    return results


def run_unit_tests(settings: Settings) -> list[NodeResult]:
    """dbt's unit tests of the models, which need every model built once; returns each one's result."""
    from dbt.cli.main import dbtRunner

    arguments = ["test", *_options(settings), "--select", "test_type:unit", "--no-write-json"]
    manifest = parse_project(settings)
    try:
        outcome = dbtRunner(manifest=manifest).invoke(arguments)
    finally:
        close_handles()
    return _node_results(outcome, manifest)


def write_model_docs(settings: Settings) -> Path:
    """dbt's pages on models and columns as one static file, which is returned; the warehouse must be built."""
    from dbt.cli.main import dbtRunner

    arguments = ["docs", "generate", *_options(settings), "--static"]
    manifest = parse_project(settings)
    try:
        outcome = dbtRunner(manifest=manifest).invoke(arguments)
    finally:
        close_handles()
    page = target_folder(settings) / "static_index.html"
    if not outcome.success or not page.is_file():
        raise UserError(f"dbt could not write its docs: {first_line(outcome.exception or 'no page was written')}")
    return page


def parse_project(settings: Settings) -> Any:
    """dbt's manifest of the project, from the partial parse of the run before where nothing changed."""
    _set_environment(settings)
    beforehand.wait_for("parse")
    return _parsed(target_folder(settings), tuple(_options(settings)))


def is_parsed(settings: Settings) -> bool:
    """Whether an earlier parse, of this warehouse or of the checkout, is there to begin from."""
    return (target_folder(settings) / LATEST_PARSE.name).is_file() or LATEST_PARSE.is_file()


@functools.lru_cache(maxsize=4)
def _parsed(target: Path, options: tuple[str, ...]) -> Any:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.cli.main import dbtRunner

    # dbt throws a parse away when what a connection is made of has changed, since a model may ask for it. Ours do not, and
    # warehouses differ in nothing but their paths and limits.
    DuckDBCredentials._connection_keys = lambda self: ("database", "schema")
    _spare_debug_messages()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    parse = target / LATEST_PARSE.name
    if not parse.exists():
        _copy_newer(LATEST_PARSE, parse)
    try:
        outcome = dbtRunner().invoke(["parse", *options])
    finally:
        close_handles()
    if not outcome.success:
        raise UserError(f"the dbt project cannot be parsed: {first_line(outcome.exception)}")
    _copy_newer(parse, LATEST_PARSE)
    return outcome.result


def _spare_debug_messages() -> None:
    """Have dbt make no message of an event at debug level: it has thirty for every model, and here nobody reads them."""
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.event_manager_client import ctx_set_event_manager

    class Spared(EventManager):
        def fire_event(self, e: Any, level: EventLevel | None = None, *further: Any, **named: Any) -> None:
            if (level or e.level_tag()) != EventLevel.DEBUG:
                super().fire_event(e, level, *further, **named)

    ctx_set_event_manager(Spared())


def _copy_newer(source: Path, to: Path) -> None:
    """Copy a newer file, its time with it, whole or not at all: a parse only saves time, and a checkout may be read-only."""
    beside = to.with_name(f".{to.name}.{os.getpid()}")
    with suppress(OSError):
        to.parent.mkdir(exist_ok=True)
        if not to.exists() or to.stat().st_mtime_ns < source.stat().st_mtime_ns:
            shutil.copy2(source, beside)
            beside.replace(to)
    with suppress(OSError):
        beside.unlink(missing_ok=True)


def target_folder(settings: Settings) -> Path:
    """Where dbt keeps its compiled SQL and its partial parse: private, since compiled SQL may name rows."""
    return settings.private / "dbt"


def list_dates(con: duckdb.DuckDBPyConnection, first: date, last: date) -> int:
    """List the business dates of a range that have sessions or lines as affected, so that the next build makes them anew.

    Returns how many the range has. Raises UserError where nothing is built yet, or the range has no date.
    """
    try:
        found = con.execute(
            "select business_date from intermediate.int_sessions_dated where business_date between $1 and $2 union "
            "select business_date from intermediate.int_orders_attributed where business_date between $1 and $2",
            [first, last],
        ).fetchall()
    except duckdb.CatalogException:
        raise UserError("nothing is built yet, so no date can be built again: run `make nightly` first") from None
    if not found:
        raise UserError(f"no session and no order has a business date from {first} to {last}: give other dates")
    con.executemany(
        "insert into intermediate.int_dates_affected select $1 "
        "where $1 not in (select business_date from intermediate.int_dates_affected)",
        found,
    )
    return len(found)


def dates_listed(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether dates wait to be built, or built ones to be published."""
    try:
        return bool(con.execute("select 1 from intermediate.int_dates_affected limit 1").fetchall())
    except duckdb.CatalogException:
        return False


def clear_affected_dates(con: duckdb.DuckDBPyConnection) -> None:
    """Forget which business dates had to be rebuilt, where any build was made yet."""
    there = con.execute(
        "select table_name from information_schema.tables where table_schema = 'intermediate' and list_contains(?, table_name)",
        [list(DATE_LISTS)],
    ).fetchall()
    for (table,) in there:
        con.execute(f"delete from intermediate.{table}")


def close_handles() -> None:
    """Close dbt's own DuckDB database, which it would else keep open with its own settings."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()


def first_line(error: object) -> str:
    """The telling line of an error: dbt puts a heading on the first and the cause behind it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) if lines else type(error).__name__


def _options(settings: Settings) -> list[str]:
    target = str(target_folder(settings))
    return [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
        "--target-path", target, "--log-path", target,
        "--log-level", "none", "--log-level-file", "none",
        "--quiet", "--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check",
    ]  # fmt: skip


def _set_environment(settings: Settings) -> None:
    # dbt's profile takes these from the environment: as --vars they would throw the partial parse away.
    os.environ["WAREHOUSE_PATH"] = str(settings.warehouse_path)
    os.environ["DUCKDB_MEMORY_LIMIT"] = settings.memory_limit
    os.environ["DUCKDB_TEMP_DIRECTORY"] = str(settings.tmp)
    os.environ["REPORTING_CURRENCY"] = settings.reporting_currency
    os.environ["DO_NOT_TRACK"] = "1"


def _node_results(outcome: Any, manifest: Any) -> list[NodeResult]:
    """Results of models and tests; what the project does at the start of a run is neither."""
    results = getattr(outcome.result, "results", [])
    return [_node_result(result, manifest) for result in results if str(result.node.resource_type) != "operation"]


def _node_result(result: Any, manifest: Any) -> NodeResult:
    node = result.node
    kind = str(node.resource_type)
    tested = None
    if kind == "test":
        about = getattr(node, "attached_node", None) or next(iter(node.depends_on.nodes), None)
        found = manifest.nodes.get(about) or manifest.sources.get(about)
        tested = f"{found.schema}.{found.name}" if found else about
    return NodeResult(
        unique_id=node.unique_id,
        name=node.name,
        kind=kind,
        tested=tested,
        status=str(result.status),
        severity=str(getattr(node.config, "severity", "error")).lower(),
        failures=result.failures,
        message=first_line(result.message or ""),
        seconds=float(result.execution_time),
    )
