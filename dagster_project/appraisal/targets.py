"""`make targets`: before a month, what will count for every person and room, by policy and targets so far."""

from __future__ import annotations

import calendar
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.appraisal.asked import asked_month
from dagster_project.settings import Settings, UserError, connect, settings_from_env

# What a sheet is made of; the marts are not needed for a month that has no session yet.
SMALL_TABLES = ("files", "rooms", "staff", "targets")
MODELS = ("stg_rooms", "stg_staff", "stg_targets", "int_rooms_current", "int_appraisal_stages_spanned")
REGISTRY = (
    "registry.name_zh, registry.name_en, registry.category, registry.level, registry.unit, registry.direction"
)

_ROWS = f"""
    with subjects as (
        select 'staff' as subject_type, staff.staff_id as subject_id, staff.name, staff.role, staff.room_id,
            'personal' as part, staff.role as weighted_role
        from staging.stg_staff as staff
        where staff.hired_on <= $last_day and (staff.left_on is null or staff.left_on >= $first_day)
        union all
        select 'staff', staff.staff_id, staff.name, staff.role, staff.room_id, 'team', 'room'
        from staging.stg_staff as staff
        where staff.hired_on <= $last_day and (staff.left_on is null or staff.left_on >= $first_day)
        union all
        select 'room', rooms.room_id, rooms.name, null, rooms.room_id, 'team', 'room'
        from intermediate.int_rooms_current as rooms
    ),
    stages as (
        select room_id, stage from intermediate.int_appraisal_stages_spanned
        where $first_day >= from_date and $first_day < until_date
    )
    select subjects.subject_type, subjects.subject_id, subjects.name, subjects.role, stages.stage,
        subjects.part,
        case when subjects.part = 'team' or weights.scope = 'room' then subjects.room_id end as room_id,
        rooms.name as room_name, weights.kpi_id, {REGISTRY}, registry.maturity_days, weights.weight,
        targets.floor, targets.target, targets.stretch,
            cast(targets.landed_at as date) > $first_day as target_late
    from subjects
    join intermediate.int_rooms_current as rooms on rooms.room_id = subjects.room_id
    join scorecards_work.weights_averaged as weights
        on weights.room_id = subjects.room_id and weights.role = subjects.weighted_role and weights.weight > 0
    join policy.kpis as registry on registry.kpi_id = weights.kpi_id
    left join stages on stages.room_id = subjects.room_id
    left join staging.stg_targets as targets
        on targets.month = $month and targets.kpi_id = weights.kpi_id
        and case
            when subjects.part = 'team' then targets.scope_type = 'room'
                and targets.scope_id = subjects.room_id
            else (targets.scope_type = 'staff' and targets.scope_id = subjects.subject_id)
                or (targets.scope_type = 'room_role'
                    and targets.scope_id = subjects.room_id || ':' || subjects.role)
                or (targets.scope_type = 'role' and targets.scope_id = subjects.role)
        end
    qualify row_number() over (
        partition by subjects.subject_type, subjects.subject_id, subjects.part, weights.kpi_id, weights.scope
        order by case targets.scope_type when 'staff' then 1 when 'room_role' then 2 when 'role' then 3 end
    ) = 1
    order by all
"""


def targets(environ: Mapping[str, str]) -> int:
    """`make targets MONTH=`: land what is new and write $DATA/targets/<month>/, a sheet for each."""
    from dagster_project import run as steps
    from dagster_project.reports.targets import write_target_sheets

    month = asked_month(environ, "targets")
    settings = settings_from_env({**environ, "MONTH": month})
    run = steps.new_run(settings)
    steps.check_policy(run)
    with steps.locked(run):
        steps.land_exports(run)
        rows, homeless = sheet_rows(settings, month, steps.policy_of(run))
    out = settings.data / "targets" / month
    write_target_sheets(rows, month, out, policy_dir=settings.policy, currency=settings.reporting_currency)
    for staff_id in homeless:
        print(f"no sheet for {staff_id}: no home room in the staff export, so no stage and no weights")
    if all(row["target"] is None for row in rows):
        print(f"no target of {month} has been delivered: put them into the export targets and run this again")
    people = len({row["subject_id"] for row in rows if row["subject_type"] == "staff"})
    rooms = len({row["subject_id"] for row in rows if row["subject_type"] == "room"})
    print(f"targets    {people} people and {rooms} rooms: {out / 'index.html'}")
    return 0


def sheet_rows(settings: Settings, month: str, policy: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the sheets, and employees of the month who have no home room to take weights from."""
    from dagster_project.appraisal.verify import NO_TESTS, reuse_parse, scratch_folder
    from dagster_project.warehouse.build import run_dbt
    from dagster_project.warehouse.policy import check_policy_covers, check_targets, load_policy

    check_policy_covers(policy, month)
    year, number = map(int, month.split("-"))
    first_day, last_day = date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1])
    days = {"first_day": first_day, "last_day": last_day}
    with scratch_folder(settings, f"targets-{month}") as scratch:
        inside = replace(settings, data=scratch)
        con = connect(inside.warehouse_path, inside)
        try:
            _copy_small_tables(con, settings.warehouse_path)
            load_policy(con, policy)
            check_targets(con)
        finally:
            con.close()
        os.environ["REPORTING_CURRENCY"] = settings.reporting_currency
        reuse_parse(settings, inside)
        run_dbt(inside, select=MODELS, exclude=NO_TESTS)
        con = connect(inside.warehouse_path, inside)
        try:
            # The month is not loaded yet, so its row is laid in by hand for the one model of weights.
            con.execute(
                "create table intermediate.int_appraisal_months as "
                "select $month as month, $first_day::date as first_day, $last_day::date as last_day",
                {"month": month, **days},
            )
        finally:
            con.close()
        run_dbt(inside, select="weights_averaged", exclude=NO_TESTS)
        con = connect(inside.warehouse_path, inside, read_only=True)
        try:
            cursor = con.execute(_ROWS, {"month": month, **days})
            names = [column[0] for column in cursor.description or []]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            homeless = con.execute(
                "select staff_id from staging.stg_staff where hired_on <= $last_day "
                "and (left_on is null or left_on >= $first_day) "
                "and (room_id is null "
                "or room_id not in (select room_id from intermediate.int_rooms_current)) order by 1",
                days,
            ).fetchall()
        finally:
            con.close()
    return rows, [staff_id for (staff_id,) in homeless]


def _copy_small_tables(con: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    """The raw tables a sheet is made of, from the private warehouse (whose lock the caller holds)."""
    if not warehouse.is_file():
        raise UserError("nothing is landed yet: run make scorecards first")
    quoted = str(warehouse).replace("'", "''")
    con.execute(f"attach '{quoted}' as landed (read_only)")
    con.execute("create schema raw")
    for table in SMALL_TABLES:
        con.execute(f"create table raw.{table} as from landed.raw.{table}")
    con.execute("detach landed")
