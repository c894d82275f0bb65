"""One evening over midnight and month end, two rooms, every figure worked out on paper from the pages alone.

Room R (Shanghai): session S1 from 23:30 on 31 March to 01:00, S2 from 10:00 on 1 April. Room N (New York): N1 in the hour
that the clocks skip on 8 March, N2 from 00:10 summer time on the 9th. Times below are UTC; a bare clock is of 31 March.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.settings import connect
from tests.marts.nights import build_night, settings_for


def at(clock: str) -> str:
    return clock if "T" in clock else f"2026-03-31T{clock}Z"


def room(room_id: str, zone: str, currency: str) -> dict[str, Any]:
    return {"room_id": room_id, "effective_from": "2026-01-01", "name": room_id, "platform": "douyin", "market": "CN",
            "timezone": zone, "currency": currency, "stage": "growth"}


def line(line_id: str, order: str, session: str, viewer: str, paid: str, created: str, **other: Any) -> dict[str, Any]:
    return {"order_line_id": line_id, "order_id": order, "session_id": session, "room_id": "R", "viewer_id": viewer,
            "product_id": "P", "quantity": 1, "unit_price": 1, "paid_amount": paid, "currency": "CNY", "created_at": at(created),
            "paid_at": at(created) if paid else "", "updated_at": at(created), **other}


def refund(number: int, line_id: str, kind: str, amount: str, done: str, currency: str = "CNY") -> dict[str, Any]:
    return {"refund_id": number, "order_line_id": line_id, "refund_type": kind, "quantity": 2, "amount": amount,
            "currency": currency, "requested_at": "2026-03-09T12:00:00Z", "completed_at": done, "updated_at": done}


def message(conversation: str, number: int, sender: str, sent: str, staff: str = "", assisted: str = "") -> dict[str, Any]:
    return {"conversation_id": conversation, "message_id": number, "room_id": "R", "viewer_id": "a", "sender": sender,
            "staff_id": staff, "ai_assisted": assisted, "sent_at": at(sent)}


def employee(staff_id: str, role: str, hired: str = "2026-01-01", left: str = "") -> dict[str, Any]:
    return {"staff_id": staff_id, "name": staff_id, "role": role, "room_id": "R", "hired_on": hired, "left_on": left}


EVENTS = [
    ("S1", "a", "enter", "15:40:00", ""), ("S1", "a", "leave", "15:50:00", ""), ("S1", "a", "leave", "15:55:00", ""),
    ("S1", "a", "chat", "16:00:00", ""), ("S1", "a", "heartbeat", "16:10:00", ""), ("S1", "a", "enter", "16:20:00", ""),
    ("S1", "a", "heartbeat", "16:25:00", ""),
    ("S1", "b", "leave", "15:35:00", ""), ("S1", "b", "chat", "15:45:00", ""),
    ("S1", "c", "leave", "15:40:00", ""),
    ("S1", "d", "enter", "15:20:00", ""), ("S1", "d", "leave", "15:35:00", ""), ("S1", "d", "like", "17:30:00", ""),
    ("S1", "e", "chat", "16:00:00", ""), ("S1", "e", "leave", "16:00:00", ""), ("S1", "e", "enter", "16:00:00", ""),
    ("S1", "u", "unfollow", "15:45:00", ""),
    ("S1", "k", "product_click", "16:04:00", "P"), ("S1", "k", "product_exposure", "16:05:00", "P"),
    ("S1", "k", "add_to_cart", "16:09:00", "P"), ("S1", "k", "product_click", "16:10:00", "P"),
    ("S2", "a", "enter", "2026-04-01T02:00:00Z", ""), ("S2", "z", "enter", "2026-04-01T02:00:10Z", ""),
    ("N1", "a", "enter", "2026-03-08T07:30:00Z", ""), ("N2", "a", "enter", "2026-03-09T04:20:00Z", ""),
]  # fmt: skip
SESSIONS = [
    ("S1", "R", "15:30:00", "17:00:00"), ("S2", "R", "2026-04-01T02:00:00Z", "2026-04-01T02:10:00.500Z"),
    ("N1", "N", "2026-03-08T06:30:00Z", "2026-03-08T08:00:00Z"), ("N2", "N", "2026-03-09T04:10:00Z", "2026-03-09T05:10:00Z"),
]  # fmt: skip
SHIFTS = [
    ("a1", "host", "15:00:00", "16:00:00"), ("a1", "host", "15:50:00", "16:20:00"), ("a2", "host", "15:30:00", "16:00:00"),
    ("a2", "host", "16:00:00", "16:30:00"), ("a3", "host", "15:30:00", "16:00:00"), ("a1", "operations", "16:40:00", "16:50:00"),
]  # fmt: skip
IN_NEW_YORK = {"room_id": "N", "currency": "USD"}
DELIVERED: dict[str, list[dict[str, Any]]] = {
    "rooms": [room("R", "Asia/Shanghai", "CNY"), room("N", "America/New_York", "USD")],
    "sessions": [
        {"session_id": session, "room_id": of, "mode": "single", "started_at": at(start), "ended_at": at(end)}
        for session, of, start, end in SESSIONS
    ],
    "viewer_events": [
        {"session_id": session, "event_id": f"x{number:02}", "viewer_id": viewer, "event_type": kind, "event_at": at(when),
         "product_id": product}
        for number, (session, viewer, kind, when, product) in enumerate(EVENTS)
    ],
    "orders": [
        line("L1", "O1", "S1", "a", "100.00", "15:40:00", quantity=2), line("L2", "O2", "S1", "b", "50.00", "16:00:00"),
        line("L3", "O3", "S1", "q", "10.00", "16:20:00"), line("L4", "O3", "S1", "q", "7.00", "16:30:00", product_id="P2"),
        line("L5", "O5", "", "k", "8.00", "17:00:00"), line("L6", "O6", "S1", "w", "5.00", "18:00:00"),
        line("L7", "O7", "N2", "a", "1.000", "2026-03-09T04:30:00Z", **IN_NEW_YORK),
        line("L8", "O8", "", "a", "", "2026-03-08T05:00:00Z", **IN_NEW_YORK),
        line("L9", "O9", "", "k", "8.00", "2026-04-01T16:10:00Z"),
        line("M1", "OM", "", "k", "9.00", "2026-04-01T16:10:00.001Z"),
    ],
    "fx_rates": [{"rate_date": "2026-03-02", "currency": "USD", "rate": "7.115"}],
    "refunds": [
        refund(1, "L1", "return", "60", "2026-04-15T15:59:59.999Z"), refund(2, "L1", "return", "60", "2026-04-02T00:00:00Z"),
        refund(3, "L2", "return", "50", "2026-04-15T16:00:00Z"),
        refund(4, "L7", "refund_only", "0.5", "2026-03-10T00:00:00Z", "USD"),
        refund(5, "L7", "refund_only", "0.5", "2026-03-11T00:00:00Z", "USD"),
    ],
    "reviews": [
        {"review_id": "v1", "order_line_id": "L1", "rating": 2, "reviewed_at": "2026-04-15T15:59:59Z"},
        {"review_id": "v2", "order_line_id": "L8", "rating": 1, "reviewed_at": "2026-03-09T00:00:00Z"},
    ],
    "complaints": [{"complaint_id": "c1", "room_id": "R", "order_id": "O3", "filed_at": "2026-04-15T15:59:59Z"}],
    "staff": [
        employee("a1", "host"), employee("a2", "host"), employee("a3", "host"), employee("cs", "customer_service"),
        employee("t1", "technical"), employee("t2", "technical", left="2026-03-31"),
        employee("t3", "technical", hired="2026-04-01"), employee("t4", "technical"),
    ],
    "leaves": [{"staff_id": "t4", "from_date": "2026-03-30", "to_date": "2026-03-31"}],
    "shifts": [
        {"shift_id": number, "session_id": "S1", "staff_id": staff, "role": role, "on_at": at(on), "off_at": at(off)}
        for number, (staff, role, on, off) in enumerate(SHIFTS)
    ],
    "service_messages": [
        message("c1", 1, "customer", "15:59:59"), message("c1", 2, "agent", "16:02:59", "cs", "true"),
        message("c2", 1, "customer", "15:00:00"), message("c2", 2, "agent", "15:00:00", "cs"),
        message("c3", 1, "agent", "14:00:00", "a1"), message("c3", 2, "customer", "14:01:00"),
        message("c3", 3, "ai", "14:01:01"), message("c3", 4, "agent", "14:04:00.001", "a1"),
        message("c4", 1, "customer", "14:00:00"), message("c4", 2, "ai", "14:00:01"),
    ],
    "products": [{"product_id": "P", "name": "p", "launched_on": "2026-03-01"}],
    "segments": [
        {"segment_id": segment, "session_id": "S1", "segment_type": kind, "product_id": product, "started_at": at(start),
         "ended_at": at(end)}
        for segment, kind, product, start, end in (
            ("g1", "explain", "P", "15:00:00", "15:40:00"), ("g2", "explain", "", "15:35:00", "15:45:00"),
            ("g0", "talk", "", "15:35:00", "15:36:00"),
        )
    ],
    "targets": [{"month": "2026-03", "scope_type": "room", "scope_id": "R", "kpi_id": "gmv", "floor": 1, "target": 360}],
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    settings = settings_for(tmp_path_factory.mktemp("by_hand"))
    for export, rows in DELIVERED.items():
        folder: Path = settings.exports / export
        folder.mkdir(parents=True)
        with (folder / "all.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    build_night(settings, full_refresh=True)
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        yield con


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """A query's rows, decimals as floats."""
    found = con.execute(query).fetchall()
    return [tuple(float(cell) if isinstance(cell, Decimal) else cell for cell in row) for row in found]


def by_day(con: duckdb.DuckDBPyConnection, *measures: str) -> list[tuple[Any, ...]]:
    """A room's rows of measures: room, date, measure, amount."""
    return rows(
        con,
        "select room_id, business_date::varchar, measure, amount from kpis.kpi_measure_day "
        f"where subject_type = 'room' and measure in {(*measures, '')} order by all",
    )


def test_a_session_belongs_whole_to_the_local_date_of_its_start_also_where_clocks_change(built):
    found = rows(built, "select session_id, business_date::varchar, month, live_seconds from core.fct_session order by 1")
    assert found == [
        ("N1", "2026-03-08", "2026-03", 5400.0), ("N2", "2026-03-09", "2026-03", 3600.0),
        ("S1", "2026-03-31", "2026-03", 5400.0), ("S2", "2026-04-01", "2026-04", 600.5),
    ]  # fmt: skip


def test_watching_is_counted_by_intervals_and_order_only_people_have_no_view(built):
    found = rows(
        built,
        "select viewer_id, views, watch_seconds, is_new from core.fct_person inner join raw.viewers using (viewer_key) "
        "where session_id = 'S1' order by 1",
    )
    assert found == [
        ("a", 2, 1500.0, True), ("b", 1, 0.0, True), ("d", 1, 300.0, True), ("e", 1, 0.0, True), ("k", 1, 360.0, True),
        ("q", 0, 0.0, None), ("u", 1, 0.0, True), ("w", 0, 0.0, None),
    ]  # fmt: skip
    # a and k watch at once from 16:04 to 16:10.
    totals = "select peak_online, viewers, commenters, likes, net_followers, explained_seconds from core.fct_session"
    assert rows(built, f"{totals} where session_id = 'S1'") == [(2, 6, 3, 1, -1, 900.0)]


def test_minutes_take_the_latest_segment_the_smallest_host_and_what_came_too_late(built):
    found = rows(
        built,
        "select minute, phase, segment_id, product_id, host_id, likes from core.fct_scene "
        "where session_id = 'S1' and minute in (0, 5, 6, 15, 30, 59, 60, 89) order by 1",
    )
    assert found == [
        (0, "opening", "g1", "P", "a1", 0), (5, "opening", "g0", None, "a1", 0), (6, "opening", "g2", None, "a1", 0),
        (15, "opening", None, None, "a1", 0), (30, "middle", None, None, "a1", 0), (59, "middle", None, None, "a2", 0),
        (60, "closing", None, None, None, 0), (89, "closing", None, None, None, 1),
    ]  # fmt: skip
    assert rows(built, "select count(*), max(minute) from core.fct_scene where session_id = 'S2'") == [(11, 10)]


def test_lines_find_their_session_their_rate_and_the_refunds_of_fifteen_days(built):
    found = rows(
        built,
        "select order_line_id, session_id, attribution, business_date::varchar, gmv, refunded_amount, units_returned "
        "from core.fct_order_line where order_line_id not in ('L3', 'L4') order by 1",
    )
    assert found == [
        ("L1", "S1", "platform", "2026-03-31", 100.0, 100.0, 2), ("L2", "S1", "platform", "2026-03-31", 50.0, 0.0, 0),
        ("L5", "S1", "last_click", "2026-03-31", 8.0, 0.0, 0), ("L6", "S1", "platform", "2026-03-31", 5.0, 0.0, 0),
        # 7.115 of seven days before, half away from zero
        ("L7", "N2", "platform", "2026-03-09", 7.12, 7.12, 0), ("L8", None, "unattributed", "2026-03-08", 0.0, 0.0, 0),
        # 24 hours after the click, and a millisecond more
        ("L9", "S1", "last_click", "2026-03-31", 8.0, 0.0, 0), ("M1", None, "unattributed", "2026-04-02", 9.0, 0.0, 0),
    ]  # fmt: skip


def test_duty_merges_per_role_and_a_role_without_shifts_falls_to_those_employed_and_there(built):
    found = rows(
        built,
        "select role, staff_id, source, strftime(on_at, '%H:%M'), strftime(off_at, '%H:%M') from core.fct_duty "
        "where session_id = 'S1' order by all",
    )
    assert found == [
        ("customer_service", "cs", "home_room", "15:30", "17:00"),
        ("host", "a1", "shift", "15:30", "16:20"), ("host", "a2", "shift", "15:30", "16:30"),
        ("host", "a3", "shift", "15:30", "16:00"), ("operations", "a1", "shift", "16:40", "16:50"),
        ("technical", "t1", "home_room", "15:30", "17:00"), ("technical", "t2", "home_room", "15:30", "17:00"),
    ]  # fmt: skip


def test_credit_is_shared_by_slice_and_adds_up_with_what_nobody_made(built):
    shares = (
        "select subject_id, amount, amount_whole from kpis.kpi_measure_day "
        "where role = 'host' and business_date = '2026-03-31' and measure = '{}' order by 1"
    )
    # 100 among three, then 50 + 8 + 8 (clicked at 16:10) among two, then 10 for a2; 7 and 5 for nobody.
    assert rows(built, shares.format("gmv")) == [
        ("a1", 66.333334, 166.0), ("a2", 76.333333, 176.0), ("a3", 33.333333, 100.0),
    ]  # fmt: skip
    assert rows(built, shares.format("net_followers")) == [
        ("a1", -0.333334, -1.0), ("a2", -0.333333, -1.0), ("a3", -0.333333, -1.0),
    ]  # fmt: skip
    attribution = "select total, credited, unattributed from audit.attribution where session_id = 'S1' and role = '{}'"
    assert rows(built, attribution.format("host") + " and measure = 'gmv'") == [(188.0, 176.0, 12.0)]
    # Nobody was on duty in this role, and a measure of nothing has its row too.
    assert rows(built, attribution.format("floor_control") + " and measure = 'gmv'") == [(188.0, 0.0, 188.0)]
    assert rows(built, attribution.format("host") + " and measure = 'gifts'") == [(0.0, 0.0, 0.0)]


def test_the_funnel_counts_and_the_ordered_people_differ(built):
    found = rows(
        built,
        "select exposures, clicks, carts, order_viewers, buyers, orders_created, units_sold, click_rate, units_per_click, "
        "reached_exposure, reached_click, reached_cart, reached_order, reached_paid from funnel.product_funnel "
        "where session_id = 'S1' and product_id = 'P'",
    )
    # The cart of 16:09 came after a click before the first exposure only.
    assert found == [(1, 2, 1, 5, 5, 6, 7, 2.0, 3.5, 1, 1, 0, 1, 1)]
    people = "select is_new, viewers, exposed_viewers, click_viewers, order_viewers, buyers from funnel.session_funnel"
    assert rows(built, f"{people} where session_id = 'S1' order by 1 nulls last") == [
        (True, 6, 1, 1, 3, 3), (None, 0, 0, 0, 2, 2),
    ]  # fmt: skip


def test_conversations_belong_to_the_first_question_and_replies_to_their_own_date(built):
    assert by_day(
        built, "conversations", "answered_conversations", "answered_within_3min", "first_response_seconds",
        "human_replies", "ai_assisted_replies", "bot_only_conversations",
    ) == [
        ("R", "2026-03-31", "answered_conversations", 2.0), ("R", "2026-03-31", "answered_within_3min", 1.0),
        ("R", "2026-03-31", "bot_only_conversations", 1.0), ("R", "2026-03-31", "conversations", 4.0),
        ("R", "2026-03-31", "first_response_seconds", 360.001), ("R", "2026-03-31", "human_replies", 3.0),
        ("R", "2026-04-01", "ai_assisted_replies", 1.0), ("R", "2026-04-01", "human_replies", 1.0),
    ]  # fmt: skip
    # A host who answers carries the host's own role.
    first = "select subject_id, role, amount from kpis.kpi_measure_day where subject_type = 'staff' and measure = '{}' order by 1"
    assert rows(built, first.format("first_response_seconds")) == [
        ("a1", "host", 180.001), ("cs", "customer_service", 180.0),
    ]  # fmt: skip


def test_people_come_back_the_next_day_and_buy_again_within_seven(built):
    assert by_day(built, "return_base", "returned_next_day", "repurchase_base", "repurchased_7d") == [
        ("N", "2026-03-08", "return_base", 1.0), ("N", "2026-03-08", "returned_next_day", 1.0),
        ("N", "2026-03-09", "repurchase_base", 1.0),
        ("R", "2026-03-31", "repurchase_base", 5.0), ("R", "2026-03-31", "repurchased_7d", 1.0),
        ("R", "2026-03-31", "return_base", 6.0), ("R", "2026-03-31", "returned_next_day", 1.0),
        ("R", "2026-04-02", "repurchase_base", 1.0),
    ]  # fmt: skip


def test_an_order_without_a_session_enters_its_rooms_day_and_the_thirtieth_day_is_still_new(built):
    found = rows(
        built,
        "select measure, amount from kpis.kpi_measure_day where subject_id = 'R' and business_date = '2026-04-02' order by 1",
    )
    assert found == [
        ("buyers", 1.0), ("gmv", 9.0), ("net_gmv", 9.0), ("order_viewers", 1.0), ("orders_created", 1.0),
        ("orders_paid", 1.0), ("repurchase_base", 1.0), ("units_sold", 1.0),
    ]  # fmt: skip
    assert by_day(built, "new_product_clicks", "new_product_units") == [
        ("N", "2026-03-09", "new_product_units", 1.0),
        ("R", "2026-03-31", "new_product_clicks", 2.0), ("R", "2026-03-31", "new_product_units", 7.0),
    ]  # fmt: skip


def test_a_month_of_fifteen_days_maturity_looks_fifteen_days_back_and_small_samples_say_so(built):
    found = rows(
        built,
        "select kpi_id, numerator, denominator, value, reason, from_date::varchar, to_date::varchar from kpis.kpi_month "
        "where subject_id = 'R' and ((month = '2026-03' and kpi_id = 'gmv_target_attainment') or (month = '2026-04' "
        "and kpi_id in ('refund_rate_15d', 'complaint_rate', 'negative_review_rate'))) order by 1",
    )
    assert found == [
        ("complaint_rate", 1.0, 7.0, None, "small_sample", "2026-03-17", "2026-04-15"),
        ("gmv_target_attainment", 188.0, 360.0, 0.522222, None, "2026-03-01", "2026-03-31"),
        ("negative_review_rate", 1.0, 1.0, None, "small_sample", "2026-03-17", "2026-04-15"),
        ("refund_rate_15d", 100.0, 197.0, 0.507614, None, "2026-03-17", "2026-04-15"),
    ]
    reasons = rows(
        built,
        "select kpi_id, value, reason from kpis.kpi_month where subject_id = 'a1' and role = 'operations' and room_id is null "
        "and month = '2026-03' and kpi_id in ('chats', 'comment_rate', 'gmv_target_attainment', 'stall_rate') order by 1",
    )
    assert reasons == [
        ("chats", 0.0, None), ("comment_rate", None, "no_base"), ("gmv_target_attainment", None, "not_applicable"),
        ("stall_rate", None, "no_data"),
    ]  # fmt: skip


def test_spend_tiers_look_at_all_money_and_before_the_month(built):
    tiers = "select viewer_id, sessions_watched, orders_paid, gmv, spend_tier, first_seen_date::varchar, last_seen_date::varchar "
    found = rows(
        built,
        f"{tiers} from core.dim_viewer inner join raw.viewers using (viewer_key) "
        "where viewer_id in ('a', 'q', 'u', 'w', 'z') order by 1",
    )
    assert found == [
        ("a", 4, 2, 107.12, "low", "2026-03-08", "2026-04-01"), ("q", 0, 1, 17.0, "low", "2026-03-31", "2026-03-31"),
        ("u", 1, 0, 0.0, "none", "2026-03-31", "2026-03-31"), ("w", 0, 1, 5.0, "low", "2026-03-31", "2026-03-31"),
        ("z", 1, 0, 0.0, "none", "2026-04-01", "2026-04-01"),
    ]  # fmt: skip
    before = "select viewer_id, spend_tier_before, is_new from core.fct_person inner join raw.viewers using (viewer_key)"
    assert rows(built, f"{before} where session_id = 'S2' order by 1") == [("a", "low", False), ("z", "none", True)]
