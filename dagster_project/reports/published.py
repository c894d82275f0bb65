"""One month read from a published snapshot: all that the scorecard folder shows, nothing computed twice."""

from __future__ import annotations

import calendar
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.settings import UserError

Row = dict[str, Any]

# Published scorecards may carry these beside the columns of the interface; without them the pages say less.
_EXTRA_LINE_COLUMNS = ("is_target_late",)
_EXTRA_CARD_COLUMNS = ("performance_pay_base",)

_LINES = """
    select {columns} from scorecards.scorecard_lines
    where month = ? order by subject_type, subject_id, part, room_id nulls first, kpi_id
"""
_CARDS = "select {columns} from scorecards.scorecards where month = ? order by subject_type, subject_id"
_HISTORY = """
    select subject_type, subject_id, month, total_score, grade, personal_score, team_score, rank_in_role
    from scorecards.scorecards where month <= ? order by subject_type, subject_id, month
"""
_POOLS = "select * from scorecards.bonus_pools where month = ? order by room_id, role, amount desc, staff_id"
_AWARDS = """
    select * from scorecards.awards where month = ?
    order by case award when 'best_room' then 1 when 'best_contributor' then 2 else 3 end,
        award, room_id, nomination_id nulls first, staff_id
"""
_REVIEWS = "select * from scorecards.reviews_due where month = ? order by staff_id"
_ADJUSTMENTS = """
    select * from scorecards.adjustments where into_month = ?
    order by sealed_month, subject_type, subject_id, item
"""
_ROOMS = "select room_id, name, platform, market, timezone, currency from core.dim_room order by room_id"
_STAFF = "select staff_id, name, role, room_id, hired_on, left_on from core.dim_staff order by staff_id"
_REGISTRY = (
    "select kpi_id, name_en, name_zh, category, level, unit, direction, maturity_days from kpis.kpi_registry"
)
# A person has one row over all rooms (room_id null); a room's own rows carry its id.
_KPI_MONTHS = """
    select subject_type, subject_id, kpi_id, month, value, from_date, to_date from kpis.kpi_month
    where month in (?, ?) and (subject_type = 'room' or room_id is null)
"""
_GMV = """
    select subject_id as room_id, kpi_id, numerator, denominator, value, reason from kpis.kpi_month
    where month = ? and subject_type = 'room' and kpi_id in ('gmv', 'gmv_target_attainment')
"""
# Duty that counts is duty in the person's own role; time in ms, days are business dates.
_DUTY = """
    select duty.staff_id, session.room_id,
        sum(epoch_ms(duty.off_at) - epoch_ms(duty.on_at))::bigint as duty_ms,
        count(distinct session.business_date) as duty_days,
        count(distinct session.session_id) as sessions
    from core.fct_duty as duty
    join core.fct_session as session using (session_id)
    join core.dim_staff as staff on staff.staff_id = duty.staff_id and staff.role = duty.role
    where session.month = ?
    group by all order by all
"""
_ANSWERED = """
    select subject_id as staff_id, room_id, sum(amount_whole) as answered from kpis.kpi_measure_day
    where subject_type = 'staff' and measure = 'answered_conversations' and role = 'customer_service'
        and room_id is not null and strftime(business_date, '%Y-%m') = ?
    group by all order by all
"""
# The table keeps every run's results; the last run of a suite is the one that let the snapshot through.
_CHECKS = """
    select distinct suite, "check", "table", severity, passed, observed, expected
    from (select *, {checked_at} as last_at from audit.check_results)
    qualify last_at is not distinct from max(last_at) over (partition by suite)
    order by all
"""
_THROUGH = "select max(business_date) from core.fct_session"


@dataclass(frozen=True)
class Kpi:
    """One row of the KPI registry."""

    kpi_id: str
    name_en: str
    name_zh: str
    category: str
    level: str
    unit: str
    direction: str
    maturity_days: int


@dataclass(frozen=True)
class Line:
    """A line of scorecards.scorecard_lines with last month's value and the dates its KPI covers.

    Points are None on a scored line of a subject without a total; is_target_late is None where the snapshot
    does not carry it.
    """

    subject_type: str
    subject_id: str
    role: str | None
    part: str
    room_id: str | None
    kpi: Kpi
    value: Decimal | None
    numerator: Decimal | None
    denominator: Decimal | None
    floor: Decimal | None
    target: Decimal | None
    stretch: Decimal | None
    line_score: Decimal | None
    weight: Decimal
    effective_weight: Decimal | None
    points: Decimal | None
    reason: str | None
    previous: Decimal | None
    from_date: date | None
    to_date: date | None
    is_target_late: bool | None


@dataclass(frozen=True)
class Card:
    """A row of scorecards.scorecards; performance_pay_base is None where the snapshot does not carry it."""

    subject_type: str
    subject_id: str
    role: str | None
    month: str
    personal_score: Decimal | None
    team_score: Decimal | None
    total_score: Decimal | None
    grade: str | None
    coefficient: Decimal | None
    performance_pay: Decimal | None
    overachievement_bonus: Decimal | None
    awards_amount: Decimal | None
    eligible_days: int | None
    status: str
    rank_in_role: int | None
    base_warning: bool
    performance_pay_base: Decimal | None


@dataclass(frozen=True)
class Duty:
    """A person's time in a room in the own role."""

    staff_id: str
    room_id: str
    duty_ms: int
    duty_days: int
    sessions: int


@dataclass(frozen=True)
class Month:
    """A month of the snapshot. Mappings are by id; history is by (subject_type, subject_id), oldest first."""

    month: str
    days: int
    currency: str
    data_through: date | None
    snapshot_id: str
    kpis: dict[str, Kpi]
    cards: list[Card]
    lines: dict[tuple[str, str], list[Line]]
    history: dict[tuple[str, str], list[Row]]
    rooms: dict[str, Row]
    staff: dict[str, Row]
    duty: dict[tuple[str, str], Duty]
    answered: dict[tuple[str, str], Decimal]
    gmv: dict[str, dict[str, Row]]
    pools: list[Row]
    awards: list[Row]
    reviews: list[Row]
    adjustments: list[Row]
    checks: list[Row]

    def people(self) -> list[Card]:
        return [card for card in self.cards if card.subject_type == "staff"]

    def room_cards(self) -> list[Card]:
        return [card for card in self.cards if card.subject_type == "room"]

    def staff_name(self, staff_id: str) -> str:
        return str(self.staff.get(staff_id, {}).get("name") or staff_id)

    def room_name(self, room_id: str) -> str:
        return str(self.rooms.get(room_id, {}).get("name") or room_id)


def read_month(appraisal_db: Path, marts_db: Path, month: str, currency: str) -> Month:
    """Read a month of published scorecards; raises UserError where the month has none."""
    previous_month = month_before(month)
    with duckdb.connect(str(appraisal_db.resolve()), read_only=True) as appraisal:
        card_columns = _columns(appraisal, "scorecards", list(Card.__dataclass_fields__), _EXTRA_CARD_COLUMNS)
        card_rows = _query(appraisal, _CARDS.format(columns=card_columns), [month])
        if not card_rows:
            months = [
                row["month"]
                for row in _query(appraisal, "select distinct month from scorecards.scorecards", [])
            ]
            have = f"it has {min(months)} to {max(months)}" if months else "it has none at all"
            raise UserError(
                f"there are no scorecards of {month} in the published data ({have}): choose another MONTH"
            )
        line_columns = ", ".join(
            ["* exclude (month)", *_absent(appraisal, "scorecards", "scorecard_lines", _EXTRA_LINE_COLUMNS)]
        )
        line_rows = _query(appraisal, _LINES.format(columns=line_columns), [month])
        history_rows = _query(appraisal, _HISTORY, [month])
        pools, awards = _query(appraisal, _POOLS, [month]), _query(appraisal, _AWARDS, [month])
        reviews, adjustments = _query(appraisal, _REVIEWS, [month]), _query(appraisal, _ADJUSTMENTS, [month])
    with duckdb.connect(str(marts_db.resolve()), read_only=True) as marts:
        kpis = {row["kpi_id"]: Kpi(**row) for row in _query(marts, _REGISTRY, [])}
        kpi_months = {
            (row["subject_type"], row["subject_id"], row["kpi_id"], row["month"]): row
            for row in _query(marts, _KPI_MONTHS, [month, previous_month])
        }
        gmv: dict[str, dict[str, Row]] = defaultdict(dict)
        for row in _query(marts, _GMV, [month]):
            gmv[row["room_id"]][row["kpi_id"]] = row
        timed = not _absent(marts, "audit", "check_results", ["checked_at"])
        checked_at = "checked_at" if timed else "null::timestamp"
        return Month(
            month=month,
            days=days_in(month),
            currency=currency,
            data_through=_query(marts, _THROUGH, [])[0]["max(business_date)"],
            snapshot_id=_snapshot_id(marts_db),
            kpis=kpis,
            cards=[Card(**row) for row in card_rows],
            lines=_lines(line_rows, kpis, kpi_months, month, previous_month),
            history=_by_subject(history_rows),
            rooms={row["room_id"]: row for row in _query(marts, _ROOMS, [])},
            staff={row["staff_id"]: row for row in _query(marts, _STAFF, [])},
            duty={(row["staff_id"], row["room_id"]): Duty(**row) for row in _query(marts, _DUTY, [month])},
            answered={
                (row["staff_id"], row["room_id"]): row["answered"]
                for row in _query(marts, _ANSWERED, [month])
            },
            gmv=dict(gmv),
            pools=pools,
            awards=awards,
            reviews=reviews,
            adjustments=adjustments,
            checks=_query(marts, _CHECKS.format(checked_at=checked_at), []),
        )


def days_in(month: str) -> int:
    year, number = map(int, month.split("-"))
    return calendar.monthrange(year, number)[1]


def month_before(month: str) -> str:
    year, number = map(int, month.split("-"))
    return f"{year - 1:04d}-12" if number == 1 else f"{year:04d}-{number - 1:02d}"


def _lines(
    rows: list[Row], kpis: dict[str, Kpi], kpi_months: dict[tuple, Row], month: str, previous_month: str
) -> dict[tuple[str, str], list[Line]]:
    lines: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for row in rows:
        # A line with a room is measured on the room; the person's own lines are measured over all rooms.
        measured_on = (
            (row["subject_type"], row["subject_id"]) if row["room_id"] is None else ("room", row["room_id"])
        )
        now = kpi_months.get((*measured_on, row["kpi_id"], month), {})
        before = kpi_months.get((*measured_on, row["kpi_id"], previous_month), {})
        known = {key: value for key, value in row.items() if key in Line.__dataclass_fields__}
        lines[row["subject_type"], row["subject_id"]].append(
            Line(
                **known,
                kpi=kpis[row["kpi_id"]],
                previous=before.get("value"),
                from_date=now.get("from_date"),
                to_date=now.get("to_date"),
            )
        )
    return dict(lines)


def _by_subject(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["subject_type"], row["subject_id"]].append(row)
    return dict(found)


def _query(con: duckdb.DuckDBPyConnection, sql: str, parameters: list[str]) -> list[Row]:
    cursor = con.execute(sql, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def _columns(con: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], extra: Sequence[str]) -> str:
    absent = _absent(con, "scorecards", table, extra)
    missing = {text.removeprefix("null as ") for text in absent}
    return ", ".join([*(name for name in names if name not in missing), *absent])


def _absent(con: duckdb.DuckDBPyConnection, schema: str, table: str, columns: Sequence[str]) -> list[str]:
    """SQL that stands in with null for the columns this snapshot's table does not have."""
    present = {
        row["column_name"]
        for row in _query(
            con,
            "select column_name from information_schema.columns where table_schema = ? and table_name = ?",
            [schema, table],
        )
    }
    return [f"null as {column}" for column in columns if column not in present]


def _snapshot_id(marts_db: Path) -> str:
    """The id in the snapshot's manifest, else the name of its folder (the `current` link is followed)."""
    folder = marts_db.resolve().parent
    manifest = folder / "manifest.json"
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8")).get("snapshot_id", folder.name))
    return folder.name
