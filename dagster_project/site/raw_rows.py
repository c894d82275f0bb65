"""Where a session's figures stand in the exports: file and row numbers, read from the private warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from dagster_project.site.marts import grouped, rows_of

# A page stays quick; the rest is counted and summed, and `make explain` lists every row.
LINES_SHOWN = 200

# Rows that count: of several deliveries of one key the one that holds.
_FILES = """
    with of_month as (select session_id from core.fct_session where month = $month),
    lines as (select order_line_id, l.session_id from core.fct_order_line as l semi join of_month using (session_id)),
    rows as (
        select 1 as place, 'sessions' as export, r.session_id, r._file_no, r._row_no from raw.sessions as r
        semi join of_month using (session_id) where r._status = 'current'
        union all
        select 2, 'segments', r.session_id, r._file_no, r._row_no from raw.segments as r
        semi join of_month using (session_id) where r._status = 'current'
        union all
        select 3, 'shifts', r.session_id, r._file_no, r._row_no from raw.shifts as r
        semi join of_month using (session_id) where r._status = 'current'
        union all
        select 4, 'viewer_events', r.session_id, r._file_no, r._row_no from raw.viewer_events as r
        semi join of_month using (session_id) where r._status = 'current'
        union all
        select 5, 'playback_qos', r.session_id, r._file_no, r._row_no from raw.playback_qos as r
        semi join of_month using (session_id) where r._status = 'current'
        union all
        select 6, 'orders', l.session_id, r._file_no, r._row_no
        from raw.orders as r join lines as l using (order_line_id) where r._status = 'current'
        union all
        select 7, 'refunds', l.session_id, r._file_no, r._row_no
        from raw.refunds as r join lines as l using (order_line_id) where r._status = 'current'
        union all
        select 8, 'reviews', l.session_id, r._file_no, r._row_no
        from raw.reviews as r join lines as l using (order_line_id) where r._status = 'current'
    )
    select rows.session_id, rows.export, f.path, count(*) as rows, min(_row_no) as first_row, max(_row_no) as last_row
    from rows join raw.files as f on f.file_no = rows._file_no
    group by rows.place, rows.session_id, rows.export, f.path
    order by rows.session_id, rows.place, f.path
"""
_LINES = f"""
    with lines as (
        select l.session_id, l.order_line_id, l.product_id, l.created_at, l.quantity, l.gmv, l.refunded_amount,
            row_number() over (partition by l.session_id order by l.gmv desc, l.order_line_id) as place,
            count(*) over (partition by l.session_id) as lines_found,
            sum(l.gmv) over (partition by l.session_id) as gmv_in_all,
            sum(l.refunded_amount) over (partition by l.session_id) as refunded_in_all,
            sum(l.quantity) over (partition by l.session_id) as units_in_all
        from core.fct_order_line as l join core.fct_session as s using (session_id)
        where s.month = $month and l.paid_at is not null and l.gmv is not null
    )
    select lines.*, f.path, o._row_no as row_no
    from lines
    join raw.orders as o on o.order_line_id = lines.order_line_id and o._status = 'current'
    join raw.files as f on f.file_no = o._file_no
    where lines.place <= {LINES_SHOWN}
    order by lines.session_id, lines.place
"""


@dataclass(frozen=True)
class RawRows:
    """By session: `files` has one row per export and file (rows, first_row, last_row; rows counted from 1 as
    landing counts them), `lines` one per paid order line (path, row_no, money in the reporting currency)."""

    files: dict[str, list[dict[str, Any]]]
    lines: dict[str, list[dict[str, Any]]]


def read_raw_rows(con: duckdb.DuckDBPyConnection, month: str) -> RawRows:
    """The rows behind every session of a month; con: the private warehouse."""
    return RawRows(
        grouped(rows_of(con, _FILES, month=month), "session_id"),
        grouped(rows_of(con, _LINES, month=month), "session_id"),
    )
