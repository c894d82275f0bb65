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
from dagster_project.settings import connect, settings_from_env
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
    ]) as export;
    create table kpis.kpi_registry as select * from policy.kpis;
    alter table kpis.kpi_measure_day add column amount_whole decimal(38, 6);
    update kpis.kpi_measure_day set amount_whole = amount;
"""

Inputs = dict[str, list[Row]]
PolicyRows = dict[str, list[dict[str, str]]]
Scored = Callable[[Inputs, PolicyRows], duckdb.DuckDBPyConnection]


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """`scored(inputs, policy)` builds one small company's scorecards and returns a connection on them."""
    folder = tmp_path_factory.mktemp("scorecards")
    settings = replace(settings_from_env({"DATA": str(folder)}), threads=1)

    def build(inputs: Inputs, policy: PolicyRows) -> duckdb.DuckDBPyConnection:
        settings.warehouse_path.unlink(missing_ok=True)
        con = connect(settings.warehouse_path, settings)
        load_policy(con, read_policy(_policy_folder(folder, policy)))
        for schema in ("staging", "intermediate", "core", "kpis"):
            con.execute(f"create schema {schema}")
        for name, relations in RELATIONS.items():
            for relation, columns in relations:
                _fill(con, relation, columns, inputs.get(name, []))
        con.execute(DERIVED)
        con.close()
        run_dbt(settings, select=["int_appraisal_*", "int_measures_catalogued"])
        con = connect(settings.warehouse_path, settings)
        awards.test_nominations(con)
        con.close()
        results = run_dbt(settings, select="path:models/scorecards")
        assert [result.name for result in results if result.status == "fail"] == []
        return connect(settings.warehouse_path, settings, read_only=True)

    return build


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
