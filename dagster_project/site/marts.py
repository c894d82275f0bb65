"""One month read from the published marts for the review site: SQL sums, pages only format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.reports.published import month_before
from dagster_project.settings import UserError

Row = dict[str, Any]

# With how many sessions before it a session is compared.
SESSIONS_BEFORE = 10
# A browser stays quick and a reader finds the row; what is left out is said, and `make query` has it.
INSIGHT_ROWS = 200

# A KPI over all rooms is the sum of numerators over the sum of denominators, as in the registry.
_KPI_MONTHS = """
    with rooms as (
        select m.*, r.factor, r.min_base, r.numerator as measure, r.denominator as base
        from kpis.kpi_month as m join kpis.kpi_registry as r using (kpi_id)
        where m.subject_type = 'room' and m.month <= $month
    )
    select subject_id as room_id, month, kpi_id, from_date, to_date, numerator, denominator, value, reason
    from rooms
    union all
    select null, month, kpi_id, min(from_date), max(to_date),
        case when measure like 'peak_%' then max(numerator) else sum(numerator) end as amount,
        sum(denominator) as base_amount,
        case
            when base is null then round(amount * coalesce(any_value(factor), 1), 6)
            when base_amount >= coalesce(any_value(min_base), 0) and base_amount <> 0
                then round(amount * coalesce(any_value(factor), 1) / base_amount, 6)
        end::decimal(24, 6),
        case
            when amount is null then max(reason)
            when base is not null and coalesce(base_amount, 0) = 0 then 'no_base'
            when base is not null and base_amount < any_value(min_base) then 'small_sample'
        end
    from rooms group by month, kpi_id, measure, base
    order by 1 nulls first, 2, 3
"""
# Follow-up KPIs cover the dates that had time to mature, so each curve runs over its own window.
_KPI_DAYS = """
    with windows as (
        select r.kpi_id, r.numerator, r.denominator, coalesce(r.factor, 1) as factor,
            min(m.from_date) as from_date, max(m.to_date) as to_date
        from kpis.kpi_registry as r
        join kpis.kpi_month as m on m.kpi_id = r.kpi_id and m.month = $month and m.subject_type = 'room'
        group by all
    ), days as (
        select w.kpi_id, d.room_id, d.business_date, w.denominator, w.factor,
            case when w.numerator like 'peak_%' then max(d.amount) filter (where d.measure = w.numerator)
                else sum(d.amount) filter (where d.measure = w.numerator) end as top,
            sum(d.amount) filter (where d.measure = w.denominator) as base
        from windows as w
        join kpis.kpi_measure_day as d
            on d.subject_type = 'room' and d.measure in (w.numerator, w.denominator)
            and d.business_date between w.from_date and w.to_date
        group by grouping sets (
            (w.kpi_id, d.room_id, d.business_date, w.numerator, w.denominator, w.factor),
            (w.kpi_id, d.business_date, w.numerator, w.denominator, w.factor)
        )
    )
    select kpi_id, room_id, business_date,
        (case when denominator is null then top * factor when base <> 0 then top * factor / base end)::double
            as value
    from days order by 1, 2 nulls first, 3
"""
_PERSON_MONTHS = """
    select subject_id as staff_id, month, kpi_id, numerator, denominator, value, reason from kpis.kpi_month
    where subject_type = 'staff' and room_id is null and month <= $month order by all
"""
_SESSIONS = """
    select * from core.fct_session where month <= $month order by started_at, session_id
"""
_SCENES = """
    select * from core.fct_scene where session_id in (select unnest($sessions::varchar[])) order by session_id, minute
"""
# The whole row as text, so that a digest changes with any of its columns.
_SCENE_DIGESTS = """
    select s.session_id, list(s.peak_online order by s.minute) as online,
        sha256(string_agg(cast(s as varchar), chr(10) order by s.minute)) as digest
    from core.fct_scene as s join core.fct_session as f using (session_id)
    where f.month = $month group by s.session_id
"""
_DUTY = """
    select d.staff_id, d.role, d.session_id, d.on_at, d.off_at, d.source from core.fct_duty as d
    join core.fct_session as f using (session_id)
    where f.month = $month order by d.session_id, d.role, d.on_at, d.staff_id
"""
# One row per month × cut × its value; a viewer counts once per session (人场次).
_AUDIENCE = """
    with people as (
        select strftime(p.business_date, '%Y-%m') as month, p.room_id,
            case when p.is_new then 'new' when not p.is_new then 'returning' end as newcomer,
            p.spend_tier_before as tier, coalesce(p.region, 'unknown') as region,
            coalesce(p.traffic_source, 'unknown') as source, coalesce(p.device, 'unknown') as device,
            p.watch_seconds, p.chats + p.likes + p.follows + p.shares + p.gifts > 0 as is_engaged,
            p.orders_paid, p.gmv
        from core.fct_person as p
        where p.is_new is not null and strftime(p.business_date, '%Y-%m') in ($month, $before)
    ), cut as (
        unpivot people on newcomer, tier, region, source, device into name cut value label
    )
    select cut, label, month, count(*) as viewers, sum(watch_seconds) as watch_seconds,
        count(*) filter (where is_engaged) as engaged, count(*) filter (where orders_paid > 0) as buyers,
        sum(orders_paid) as orders_paid, sum(gmv) as gmv
    from cut group by all order by 1, 3, viewers desc, 2
"""
_PRODUCTS = """
    select f.*, p.name, p.category, p.product_role, p.list_price, p.launched_on
    from funnel.product_funnel_month as f left join core.dim_product as p using (product_id)
    where f.month = $month order by f.gmv desc, f.exposures desc, f.product_id, f.room_id
"""
_PRODUCT_SESSIONS = """
    select f.* from funnel.product_funnel as f join core.fct_session as s using (session_id)
    where s.month = $month order by f.product_id, s.started_at, f.session_id
"""
_PHASES = """
    select s.room_id, s.phase, count(*) as minutes, sum(s.watch_seconds) as watch_seconds,
        max(s.peak_online) as peak_online,
        sum(s.views) as views, sum(s.chats + s.likes + s.follows + s.shares + s.gifts) as engagement,
        sum(s.exposures) as exposures, sum(s.clicks) as clicks, sum(s.orders_paid) as orders_paid,
        sum(s.gmv) as gmv
    from core.fct_scene as s join core.fct_session as f using (session_id)
    where f.month = $month group by all
    order by 1, 2 desc
"""
_SEGMENTS = """
    select s.segment_type, count(distinct s.segment_id) as segments, count(*) as minutes,
        sum(s.watch_seconds) as watch_seconds, max(s.peak_online) as peak_online, sum(s.views) as views,
        sum(s.chats + s.likes + s.follows + s.shares + s.gifts) as engagement,
        sum(s.exposures) as exposures, sum(s.clicks) as clicks, sum(s.orders_paid) as orders_paid,
        sum(s.gmv) as gmv
    from core.fct_scene as s join core.fct_session as f using (session_id)
    where f.month = $month group by all order by minutes desc, 1 nulls last
"""
_PEAKS = """
    with minutes as (
        select s.*, s.chats + s.likes + s.follows + s.shares + s.gifts as engagement
        from core.fct_scene as s join core.fct_session as f using (session_id) where f.month = $month
    ), ranked as (
        unpivot (select session_id, room_id, minute, minute_at, phase, segment_type, product_id, host_id,
            peak_online::bigint as online, engagement::bigint as engagement, clicks::bigint as clicks,
            orders_paid::bigint as orders from minutes)
        on online, engagement, clicks, orders into name measure value amount
    )
    select * from ranked where amount > 0
    qualify row_number() over (partition by measure order by amount desc, minute_at, session_id) <= 10
    order by measure, amount desc, minute_at, session_id
"""
_FUNNELS = """
    select f.room_id, s.month, n.is_new, sum(n.viewers) as viewers, sum(n.exposed_viewers) as exposed_viewers,
        sum(n.click_viewers) as click_viewers, sum(n.order_viewers) as order_viewers, sum(n.buyers) as buyers
    from funnel.session_funnel as n join core.fct_session as s using (session_id)
    join core.dim_room as f on f.room_id = s.room_id
    where s.month in ($month, $before) and n.is_new is not null
    group by all order by all
"""
_CHECKS = """
    select distinct suite, "check", "table", severity, passed, observed, expected
    from (select *, checked_at as last_at from audit.check_results)
    qualify last_at is not distinct from max(last_at) over (partition by suite) order by all
"""
_RECONCILED = """
    select a.role, a.measure, count(*) as sessions, sum(a.total) as total, sum(a.credited) as credited,
        sum(a.unattributed) as unattributed,
        count(*) filter (where a.total <> a.credited + a.unattributed) as sessions_off
    from audit.attribution as a join core.fct_session as s using (session_id)
    where s.month = $month
        and a.measure in ('gmv', 'net_gmv', 'units_sold', 'clicks', 'exposures', 'watch_seconds')
    group by all order by 2, 1
"""
_SALES_BOTH_WAYS = """
    with lines as (
        select room_id, sum(gmv) filter (where session_id is not null) as of_lines,
            sum(gmv) filter (where session_id is null) as without_session
        from core.fct_order_line where strftime(business_date, '%Y-%m') = $month group by room_id
    ), sessions as (
        select room_id, sum(gmv) as of_sessions from core.fct_session where month = $month group by room_id
    )
    select room_id, of_sessions, of_lines, without_session, k.value as of_kpi
    from sessions left join lines using (room_id)
    left join kpis.kpi_month as k
        on k.subject_type = 'room' and k.subject_id = room_id and k.month = $month and k.kpi_id = 'gmv'
    order by room_id
"""


# What the pages leave to the table itself: rows without a figure, and figures that stand elsewhere on the page.
_SHOWN = {
    "chat_sentiment": "t.level <> 'minute' or t.positive_share is not null",
    "session_review": "t.kind <> 'figure'",
    "leading_indicators": "t.correlation is not null",
}
# Which rows come first where not all are shown.
_FIRST = {
    "chat_sentiment": "t.level <> 'session', t.level <> 'product', t.positive_share",
    "leading_indicators": "not t.is_strongest_lag, t.lag = 0, abs(t.correlation) desc",
    "scene_highlights": "abs(t.robust_z) desc",
    "product_actions": "t.action = 'keep', t.room_id, t.explain_order",
    "phase_summary": "t.level desc, t.room_id, t.session_id, t.phase = 'closing', t.phase = 'middle'",
}


# Tables of viewers are shown in sums: the pages never show a single one.
_SUMMED = {
    "audience_segments": (
        "select segment, count(*) as people, sum(monetary) as monetary, "
        "median(days_since_purchase)::decimal(18, 1) as days_since_purchase, "
        "avg(frequency)::decimal(18, 2) as frequency "
        "from insights.audience_segments group by segment order by people desc, segment"
    ),
    "buyer_rfm": (
        "select purchase_days, count(*) as people, median(recency_days)::decimal(18, 1) as recency_days, "
        "median(tenure_days)::decimal(18, 1) as tenure_days, sum(orders_paid) as orders_paid, sum(monetary) as monetary "
        "from insights.buyer_rfm group by purchase_days order by purchase_days"
    ),
}


@dataclass(frozen=True)
class Insight:
    """A table of schema insights: its rows of the month, how many there are, its comments by column."""

    name: str
    about: str
    columns: dict[str, str]
    rows: list[Row]
    found: int


@dataclass(frozen=True)
class SiteMonth:
    """What the pages of a month show. Instants are UTC; ids key the mappings.

    online: the peak of each minute, of every session; scenes: whole minutes, of the sessions asked for.
    """

    month: str
    currency: str
    data_through: date | None
    snapshot_id: str
    registry: dict[str, Row]
    rooms: dict[str, Row]
    staff: dict[str, Row]
    products: dict[str, Row]
    kpi_months: dict[tuple[str | None, str], dict[str, Row]]
    kpi_days: dict[tuple[str | None, str], list[tuple[date, float | None]]]
    person_months: dict[tuple[str, str], dict[str, Row]]
    role_kpis: dict[str, list[str]]
    sessions: list[Row]
    earlier: list[Row]
    online: dict[str, list[int]]
    scene_digests: dict[str, str]
    duty: dict[str, list[Row]]
    audience: list[Row]
    product_months: list[Row]
    product_sessions: dict[str, list[Row]]
    phases: list[Row]
    segments: list[Row]
    peaks: list[Row]
    funnels: list[Row]
    checks: list[Row]
    files: list[Row]
    quarantine: list[Row]
    reconciled: list[Row]
    sales_both_ways: list[Row]
    scenes: dict[str, list[Row]] = field(default_factory=dict)
    insights: dict[str, Insight] = field(default_factory=dict)
    platform_totals: Insight | None = None

    @cached_property
    def told(self) -> dict[tuple[str, str], list[Row]]:
        """Rows of the insights by table and session."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for name, insight in self.insights.items():
            for row in insight.rows:
                if row.get("session_id") is not None:
                    found[name, row["session_id"]].append(row)
        return dict(found)

    @cached_property
    def sold(self) -> dict[str, list[Row]]:
        """The products' funnel rows by session."""
        return grouped([row for rows in self.product_sessions.values() for row in rows], "session_id")

    def room_name(self, room_id: str | None) -> str:
        return str(self.rooms.get(room_id or "", {}).get("name") or room_id or "")

    def staff_name(self, staff_id: str | None) -> str:
        return str(self.staff.get(staff_id or "", {}).get("name") or staff_id or "")

    def product_name(self, product_id: str | None) -> str:
        return str(self.products.get(product_id or "", {}).get("name") or product_id or "")

    def before(self, session: Row) -> list[Row]:
        """The room's last sessions before this one, oldest first."""
        earlier = [
            other
            for other in [*self.earlier, *self.sessions]
            if other["room_id"] == session["room_id"]
            and (other["started_at"], other["session_id"]) < (session["started_at"], session["session_id"])
        ]
        return earlier[-SESSIONS_BEFORE:]


def read_site_month(marts_db: Path, month: str, currency: str) -> SiteMonth:
    """Read a month of the published marts, without `scenes`; raises UserError where it has no session."""
    file = marts_db.resolve()
    with duckdb.connect(str(file), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        registry = _keyed(rows_of(con, "from kpis.kpi_registry"), "kpi_id")
        sessions = _with_kpis(con, rows_of(con, _SESSIONS, month=month), registry, month)
        if not any(session["month"] == month for session in sessions):
            raise UserError(f"there is no session of {month} in the published data: choose another MONTH")
        before = month_before(month)
        kpi_months: dict[tuple[str | None, str], dict[str, Row]] = defaultdict(dict)
        for row in rows_of(con, _KPI_MONTHS, month=month):
            kpi_months[row["room_id"], row["kpi_id"]][row["month"]] = row
        kpi_days: dict[tuple[str | None, str], list[tuple[date, float | None]]] = defaultdict(list)
        for row in rows_of(con, _KPI_DAYS, month=month):
            kpi_days[row["room_id"], row["kpi_id"]].append((row["business_date"], row["value"]))
        person_months: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
        for row in rows_of(con, _PERSON_MONTHS, month=month):
            person_months[row["staff_id"], row["kpi_id"]][row["month"]] = row
        minutes = rows_of(con, _SCENE_DIGESTS, month=month)
        return SiteMonth(
            month=month,
            currency=currency,
            data_through=rows_of(con, "select max(business_date) as d from core.fct_session")[0]["d"],
            snapshot_id=file.parent.name,
            registry=registry,
            rooms=_keyed(rows_of(con, "from core.dim_room order by room_id"), "room_id"),
            staff=_keyed(rows_of(con, "from core.dim_staff order by staff_id"), "staff_id"),
            products=_keyed(rows_of(con, "from core.dim_product order by product_id"), "product_id"),
            kpi_months=dict(kpi_months),
            kpi_days=dict(kpi_days),
            person_months=dict(person_months),
            role_kpis=_role_kpis(con),
            sessions=[session for session in sessions if session["month"] == month],
            earlier=[session for session in sessions if session["month"] < month],
            online={row["session_id"]: row["online"] for row in minutes},
            scene_digests={row["session_id"]: row["digest"] for row in minutes},
            duty=grouped(rows_of(con, _DUTY, month=month), "session_id"),
            audience=rows_of(con, _AUDIENCE, month=month, before=before),
            product_months=rows_of(con, _PRODUCTS, month=month),
            product_sessions=grouped(rows_of(con, _PRODUCT_SESSIONS, month=month), "product_id"),
            phases=rows_of(con, _PHASES, month=month),
            segments=rows_of(con, _SEGMENTS, month=month),
            peaks=rows_of(con, _PEAKS, month=month),
            funnels=rows_of(con, _FUNNELS, month=month, before=before),
            checks=rows_of(con, _CHECKS),
            files=rows_of(con, "from audit.load_files order by export, path"),
            quarantine=rows_of(con, "from audit.quarantine order by all"),
            reconciled=rows_of(con, _RECONCILED, month=month),
            sales_both_ways=rows_of(con, _SALES_BOTH_WAYS, month=month),
            insights=_insights(con, month),
            platform_totals=_platform_totals(con, month),
        )


def read_scenes(marts_db: Path, session_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The minutes of some sessions, by session."""
    with duckdb.connect(str(marts_db.resolve()), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return grouped(rows_of(con, _SCENES, sessions=list(session_ids)), "session_id")


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, **parameters: str | list[str]) -> list[Row]:
    """Rows of a statement as mappings by column."""
    cursor = con.execute(sql, {name: value for name, value in parameters.items() if f"${name}" in sql} or None)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def _with_kpis(con: duckdb.DuckDBPyConnection, sessions: list[Row], registry: dict[str, Row], month: str) -> list[Row]:
    """Each session with `kpis`: every KPI of the registry that is known the morning after, in its own words.

    Follow-ups (maturity above 0) and measures that are not per session are left out; a base below the
    registry's minimum gives None.
    """
    measures = set(sessions[0]) if sessions else set()
    expressions = []
    for kpi_id, kpi in registry.items():
        parts = [part for part in (kpi["numerator"], kpi["denominator"]) if part]
        if kpi["maturity_days"] or not measures.issuperset(parts):
            continue
        top = f"{_quoted(kpi['numerator'])} * {kpi['factor'] or 1}"
        if kpi["denominator"]:
            base = _quoted(kpi["denominator"])
            top = f"case when {base} >= {int(kpi['min_base'] or 0)} then {top} / nullif({base}, 0) end"
        expressions.append(f"round({top}, 6)::decimal(24, 6) as {_quoted(kpi_id)}")
    if expressions:
        listed = ", ".join(expressions)
        sql = f"select session_id as id, {listed} from core.fct_session where month <= $month"
        by_session = _keyed(rows_of(con, sql, month=month), "id")
        for session in sessions:
            session["kpis"] = by_session[session["session_id"]]
            session["kpis"].pop("id")
    return sessions


def _role_kpis(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """KPIs of each role, in the order of its published table."""
    found = rows_of(
        con,
        "select table_name, column_name from information_schema.columns where table_schema = 'kpis' "
        "and table_name not in ('kpi_registry', 'kpi_month', 'kpi_measure_day') "
        "and column_name not in ('subject_id', 'month') order by table_name, ordinal_position",
    )
    kpis: dict[str, list[str]] = defaultdict(list)
    for row in found:
        kpis[row["table_name"].removeprefix("kpi_")].append(row["column_name"])
    return dict(kpis)


def _insights(con: duckdb.DuckDBPyConnection, month: str) -> dict[str, Insight]:
    """Every table of schema insights that is there; one that is not is left out of the pages."""
    tables = rows_of(
        con,
        "select table_name, comment from duckdb_tables() where schema_name = 'insights' "
        "union all select view_name, comment from duckdb_views() where schema_name = 'insights' order by 1",
    )
    return {row["table_name"]: _insight(con, row["table_name"], row["comment"], month) for row in tables}


def _insight(con: duckdb.DuckDBPyConnection, table: str, about: str | None, month: str, schema: str = "insights") -> Insight:
    columns = {
        row["column_name"]: row["comment"] or ""
        for row in rows_of(
            con,
            "select column_name, comment from duckdb_columns() where schema_name = $schema "
            "and table_name = $table order by column_index",
            schema=schema,
            table=table,
        )
    }
    if table in _SUMMED:
        rows = rows_of(con, _SUMMED[table])
        return Insight(table, about or "", dict.fromkeys(rows[0], "") if rows else {}, rows, len(rows))
    # Viewers stay out of the pages, also under their keys; analysts have the table itself.
    if "viewer_key" in columns:
        return Insight(table, about or "", {}, [], 0)
    of_month = _month_condition(list(columns))
    name = f"{schema}.{_quoted(table)}"
    found = rows_of(con, f"select count(*) as n from {name} as t where {of_month}", month=month)[0]["n"]
    # A session's rows stand on its own page, so all of them are read; other tables are cut.
    limit = "" if "session_id" in columns else f"limit {INSIGHT_ROWS}"
    order = ", ".join([*filter(None, [_FIRST.get(table)]), *(f"t.{_quoted(column)}" for column in columns)])
    shown = f"select t.* from {name} as t where ({of_month}) and ({_SHOWN.get(table, 'true')}) order by {order} {limit}"
    rows = rows_of(con, shown, month=month)
    return Insight(table, about or "", columns, rows, found)


def _platform_totals(con: duckdb.DuckDBPyConnection, month: str) -> Insight | None:
    """The platforms' own totals beside ours, where any were delivered."""
    there = (
        "select comment from duckdb_tables() where schema_name = 'audit' and table_name = 'reconciliation' union all "
        "select comment from duckdb_views() where schema_name = 'audit' and view_name = 'reconciliation'"
    )
    found = [_insight(con, "reconciliation", row["comment"], month, "audit") for row in rows_of(con, there)]
    return found[0] if found and found[0].rows else None


def _month_condition(columns: Sequence[str]) -> str:
    """The rows that speak of the month; a row without a month speaks of every month."""
    if "month" in columns:
        return "coalesce(t.month, $month) = $month"
    if "business_date" in columns:
        return "strftime(t.business_date, '%Y-%m') = $month"
    if "session_id" in columns:
        return "t.session_id in (select session_id from core.fct_session where month = $month)"
    return "true"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _keyed(rows: list[Row], key: str) -> dict[str, Row]:
    return {row[key]: row for row in rows}


def grouped(rows: list[Row], key: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return dict(found)
