"""Scorecards on hand-made inputs: an empty warehouse gets what the models read, then dbt builds them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dagster_project.appraisal import awards
from dagster_project.settings import Settings, connect, settings_from_env
from dagster_project.warehouse.build import run_dbt
from dagster_project.warehouse.policy import load_policy, read_policy

Row = dict[str, Any]

# Input of the oracle → the relation the models read, with its columns.
RELATIONS = {
    "sessions": [
        (relation, "session_id varchar, room_id varchar, business_date date, month varchar")
        for relation in ("core.fct_session", "intermediate.int_sessions_dated")
    ],
    "duty": [
        (
            "core.fct_duty",
            "staff_id varchar, role varchar, session_id varchar, on_at timestamp, off_at timestamp,"
            " source varchar",
        )
    ],
    "rooms": [("staging.stg_rooms", "room_id varchar, effective_from date, stage varchar")],
    "staff": [
        (
            relation,
            "staff_id varchar, role varchar, room_id varchar, hired_on date, left_on date,"
            " performance_pay decimal(18, 6)",
        )
        for relation in ("staging.stg_staff", "intermediate.int_staff_current", "core.dim_staff")
    ],
    "leaves": [("staging.stg_leaves", "staff_id varchar, from_date date, to_date date")],
    "targets": [
        (
            "intermediate.int_targets_current",
            "month varchar, scope_type varchar, scope_id varchar, kpi_id varchar, floor decimal(18, 6),"
            " target decimal(18, 6), stretch decimal(18, 6), landed_at timestamp",
        )
    ],
    "kpi_month": [
        (
            "kpis.kpi_month",
            "subject_type varchar, subject_id varchar, role varchar, room_id varchar, month varchar,"
            " kpi_id varchar, numerator decimal(38, 6), denominator decimal(38, 6), value decimal(24, 6),"
            " reason varchar",
        )
    ],
    "measure_day": [
        (
            "kpis.kpi_measure_day",
            "subject_type varchar, subject_id varchar, role varchar, room_id varchar, business_date date,"
            " measure varchar, amount decimal(38, 6)",
        )
    ],
    # Exports that were never delivered.
    "undelivered": [("intermediate.undelivered", "export varchar")],
    "award_nominations": [
        (
            "staging.stg_award_nominations",
            "nomination_id varchar, staff_id varchar, month varchar, room_id varchar, kpi_id varchar,"
            " before_from date, before_to date, after_from date, after_to date, claim varchar",
        )
    ],
}

# What the mart models would make of the above.
DERIVED = """
    create table intermediate.int_months_loaded as
    select distinct
        month,
        cast(month || '-01' as date) as first_day,
        last_day(cast(month || '-01' as date)) as last_day
    from core.fct_session;
    create table core.dim_room as select distinct room_id from staging.stg_rooms;
    create table intermediate.int_exports_delivered as
    select unnest([
        'sessions', 'viewer_events', 'orders', 'refunds', 'reviews', 'complaints', 'products', 'segments',
        'service_messages', 'playback_qos', 'targets'
    ]) as export
    except
    select export from intermediate.undelivered;
    create table kpis.kpi_registry as select * from policy.kpis;
    alter table kpis.kpi_measure_day add column amount_whole decimal(38, 6);
    update kpis.kpi_measure_day set amount_whole = amount;
"""

Inputs = dict[str, list[Row]]
PolicyRows = dict[str, list[dict[str, str]]]
Scored = Callable[[Inputs, PolicyRows], duckdb.DuckDBPyConnection]
Compiled = Scored

BEFORE_NOMINATIONS = ["int_appraisal_*", "int_measures_catalogued"]
SCORES = "path:models/scorecards"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of one folder, so that dbt parses the project once."""
    return replace(settings_from_env({"DATA": str(tmp_path_factory.mktemp("scorecards"))}), threads=1)


@pytest.fixture(scope="session")
def scored(settings: Settings) -> Scored:
    """`scored(inputs, policy)` builds one small company's scorecards and returns a connection on them."""

    def build(inputs: Inputs, policy: PolicyRows) -> duckdb.DuckDBPyConnection:
        settings.warehouse_path.unlink(missing_ok=True)
        con = connect(settings.warehouse_path, settings)
        _lay_in(con, inputs, _policy_folder(settings.data, policy))
        con.close()
        run_dbt(settings, select=BEFORE_NOMINATIONS)
        con = connect(settings.warehouse_path, settings)
        awards.test_nominations(con)
        con.close()
        results = run_dbt(settings, select=SCORES)
        assert [result.name for result in results if result.status == "fail"] == []
        return connect(settings.warehouse_path, settings, read_only=True)

    return build


@pytest.fixture(scope="session")
def compiled(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """`compiled(inputs, policy)`: the same from dbt's compiled SQL, in memory and without its tests, in a second."""
    # In a folder of its own: the warehouse of a company scored before may still be open.
    settings = replace(settings, data=tmp_path_factory.mktemp("compiled"))
    before, scores = _compiled_sql(settings)

    def build(inputs: Inputs, policy: PolicyRows) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect(config={"threads": 1})
        _lay_in(con, inputs, _policy_folder(settings.data, policy))
        for schema in ("scorecards", "scorecards_work"):
            con.execute(f"create schema {schema}")
        for statement in before:
            con.execute(statement)
        awards.test_nominations(con)
        for statement in scores:
            con.execute(statement)
        return con

    return build


def _compiled_sql(settings: Settings) -> tuple[list[str], list[str]]:
    """`create table` of the models before the nominations are tested and of the scores, in the order of their references."""
    from dbt.cli.main import dbtRunner

    from dagster_project.warehouse import build as dbt

    manifest = dbt.parse_project(settings)
    selected = ["--select", *BEFORE_NOMINATIONS, SCORES, "--exclude", "adjustments"]
    outcome = dbtRunner(manifest=manifest).invoke(["compile", *dbt._options(settings), *selected])
    dbt.close_handles()
    assert outcome.success, outcome.exception
    nodes = {one.node.unique_id: one.node for one in outcome.result.results if one.node.resource_type == "model"}
    ordered: list[str] = []
    while len(ordered) < len(nodes):
        ordered += [
            name
            for name, node in nodes.items()
            if name not in ordered and all(other in ordered for other in node.depends_on.nodes if other in nodes)
        ]
    catalog = f'"{settings.warehouse_path.stem}".'
    statements = {
        name: f"create table {nodes[name].schema}.{nodes[name].name} as {nodes[name].compiled_code.replace(catalog, '')}"
        for name in ordered
    }
    is_before = {name: nodes[name].schema == "intermediate" for name in ordered}
    return [statements[name] for name in ordered if is_before[name]], [
        statements[name] for name in ordered if not is_before[name]
    ]


def _lay_in(con: duckdb.DuckDBPyConnection, inputs: Inputs, policy: Path) -> None:
    """The policy and what the scorecard models read, in an empty database."""
    load_policy(con, read_policy(policy))
    for schema in ("staging", "intermediate", "core", "kpis"):
        con.execute(f"create schema {schema}")
    for name, relations in RELATIONS.items():
        for relation, columns in relations:
            _fill(con, relation, columns, inputs.get(name, []))
    con.execute(DERIVED)


def _fill(con: duckdb.DuckDBPyConnection, relation: str, columns: str, rows: list[Row]) -> None:
    con.execute(f"create table {relation} ({columns})")
    names = [row[0] for row in con.execute(f"select column_name from (describe {relation})").fetchall()]
    # As text, which the insert casts: one column may hold 1, 0.25 and Decimal('3').
    texts = pa.table({name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names})
    con.register("texts", texts)
    con.execute(f"insert into {relation} select * from texts")
    con.unregister("texts")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _policy_folder(folder: Path, policy: PolicyRows) -> Path:
    target = folder / "policy"
    target.mkdir(exist_ok=True)
    headers = {
        "weight_overrides": ["room_id", "role", "kpi_id", "multiplier", "valid_from", "valid_to", "reason"],
    }
    for name, rows in policy.items():
        with (target / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, headers.get(name) or list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return target
