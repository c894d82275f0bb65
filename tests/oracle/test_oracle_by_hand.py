"""The oracle itself, against values worked out by hand from the pages."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.oracle import compute
from tests.oracle.amounts import cut, ratio, rounded
from tests.oracle.compare import compare, differences
from tests.oracle.facts import spend_tier
from tests.oracle.kpis import Days, kpi_value, window
from tests.oracle.registry import read_registry, registry_of_the_page
from tests.oracle.visits import intervals, peak
from tests.worlds import random_world

KPIS = {row["kpi_id"]: row for row in registry_of_the_page()}
START = datetime(2025, 10, 31, 13)  # 21:00 in Shanghai; all instants are UTC
ROOM = {"room_id": "r", "effective_from": "2024-01-01", "timezone": "Asia/Shanghai", "currency": "CNY"}
SESSION = {"session_id": "s", "room_id": "r", "mode": "single", "started_at": START,
           "ended_at": START + timedelta(hours=2)}


def at(minutes: float) -> datetime:
    """So many minutes after the session's start."""
    return START + timedelta(minutes=minutes)


def event(event_id: str, viewer: str, kind: str, minutes: float, session: str = "s", **more) -> dict:
    """One viewer event."""
    return {"session_id": session, "event_id": event_id, "viewer_id": viewer, "event_type": kind,
            "event_at": at(minutes), **more}


def line(line_id: str, minutes: float, **more) -> dict:
    """A paid line of one unit at 10.00 CNY of product p by viewer v, attributed to session s."""
    return {"order_line_id": line_id, "order_id": "o", "session_id": "s", "room_id": "r", "viewer_id": "v",
            "product_id": "p", "quantity": 1, "unit_price": "10", "paid_amount": "10.00", "currency": "CNY",
            "created_at": at(minutes), "paid_at": at(minutes), "updated_at": at(minutes), **more}


def tables(**exports) -> dict[str, list[dict]]:
    """The oracle's tables of one room and session and what is given beside them."""
    given = {"rooms": [ROOM], "sessions": [SESSION], "viewer_events": [], "orders": []} | exports
    return compute(given, registry_of_the_page(), viewer_secret="test")


def only(rows: list[dict], **where) -> dict:
    """The one row with these values."""
    found = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert len(found) == 1, f"{len(found)} rows with {where}"
    return found[0]


def day_amount(out: dict, subject: str, measure: str, day: date = date(2025, 10, 31)) -> tuple:
    """(amount, amount_whole) of a subject on a date, 0 where there is no row."""
    rows = [row for row in out["kpis.kpi_measure_day"] if row["subject_id"] == subject
            and row["measure"] == measure and row["business_date"] == day]
    return (rows[0]["amount"], rows[0]["amount_whole"]) if rows else (0, 0)


def timeline(*events: tuple[str, int]) -> list[dict]:
    """Events of one viewer: (type, instant), ids in the order given."""
    return [{"event_type": kind, "event_at": instant, "event_id": f"e{n}"}
            for n, (kind, instant) in enumerate(events)]


def test_an_interval_runs_from_enter_to_leave():
    assert intervals(timeline(("enter", 10), ("chat", 15), ("leave", 20))) == [(10, 20)]


def test_without_a_leave_an_interval_ends_at_its_last_event():
    assert intervals(timeline(("enter", 10), ("chat", 15), ("like", 40))) == [(10, 40)]


def test_a_leave_that_comes_first_or_follows_a_leave_is_ignored():
    events = timeline(("leave", 5), ("chat", 10), ("leave", 12), ("leave", 30), ("vote", 40), ("like", 45))
    assert intervals(events) == [(10, 12), (40, 45)]


def test_a_second_enter_starts_anew_and_the_time_between_is_nobodys():
    events = timeline(("enter", 0), ("chat", 10), ("enter", 60), ("leave", 120))
    assert intervals(events) == [(0, 10), (60, 120)]


def test_at_one_instant_leave_comes_before_enter_and_enter_before_the_rest():
    events = timeline(("chat", 10), ("enter", 10), ("leave", 10), ("enter", 0), ("leave", 20))
    # enter 0, leave 10 | enter 10, chat 10, leave 20
    assert intervals(events) == [(0, 10), (10, 20)]


def test_one_who_ends_as_another_starts_is_not_counted_with_them():
    assert peak([(0, 10), (10, 20), (5, 12)], 0, 30) == 2
    assert peak([(0, 10), (10, 20)], 0, 30) == 1
    assert peak([(0, 100), (50, 60)], 70, 80) == 1  # the level carried in


def test_ten_yuan_among_three_give_the_rest_to_the_smallest_id():
    assert cut(Decimal("10.00"), ["b", "a", "c"]) == {
        "a": Decimal("3.333334"), "b": Decimal("3.333333"), "c": Decimal("3.333333")}
    assert cut(-1, ["a", "b", "c"]) == {
        "a": Decimal("-0.333334"), "b": Decimal("-0.333333"), "c": Decimal("-0.333333")}


def test_half_is_rounded_away_from_zero():
    assert rounded(Decimal("2.345"), 2) == Decimal("2.35")
    assert rounded(Decimal("-2.345"), 2) == Decimal("-2.35")
    assert ratio(1, 3) == Decimal("0.333333")
    assert ratio(2, 3, 1000) == Decimal("666.666667")
    assert ratio(1, 2_000_000) == Decimal("0.000001")
    assert ratio(5, 0) is None


@pytest.mark.parametrize(("exposures", "clicks", "units", "click_rate", "conversion"), [
    (50_000, 5_000, 500, "0.1", "0.1"),
    (30_000, 2_100, 105, "0.07", "0.05"),
])
def test_the_product_table_of_the_page(exposures, clicks, units, click_rate, conversion):
    days, room = Days(), ("room", "r", None, "r")
    for measure, amount in (("exposures", exposures), ("clicks", clicks), ("units_sold", units)):
        days.add(room, date(2025, 10, 3), measure, amount, amount)
    values = [kpi_value(days, [room], "2025-10", KPIS[kpi], {"orders"}, {})["value"]
              for kpi in ("product_click_rate", "units_per_click")]
    assert values == [Decimal(click_rate), Decimal(conversion)]


def test_a_window_lies_its_maturity_before_the_month():
    assert window("2025-11", 0) == (date(2025, 11, 1), date(2025, 11, 30))
    assert window("2025-11", 15) == (date(2025, 10, 17), date(2025, 11, 15))
    assert window("2024-03", 7) == (date(2024, 2, 23), date(2024, 3, 24))


def test_watching_is_clipped_to_the_session_and_strays_count_at_its_edges():
    out = tables(viewer_events=[
        event("1", "v", "enter", -10), event("2", "v", "chat", 30), event("3", "v", "like", 120, quantity=5),
        event("4", "w", "leave", 3)])
    session = only(out["core.fct_session"])
    assert (session["viewers"], session["views"], session["watch_seconds"]) == (1, 1, Decimal(7200))
    assert only(out["core.fct_scene"], minute=0)["views"] == 1
    assert only(out["core.fct_scene"], minute=119)["likes"] == 5
    assert len(out["core.fct_scene"]) == 120
    assert only(out["core.fct_person"])["first_event_at"] == at(-10)


def test_a_session_that_crosses_midnight_belongs_to_the_day_it_began():
    late = SESSION | {"started_at": "2025-10-31T23:59:59.999+08:00", "ended_at": "2025-11-01T02:00:00+08:00"}
    session = only(tables(sessions=[late])["core.fct_session"])
    assert (session["business_date"], session["month"]) == (date(2025, 10, 31), "2025-10")
    assert session["live_seconds"] == Decimal("7200.001")


def test_an_order_without_session_follows_the_last_click_of_24_hours():
    events = [event("c", "v", "product_click", 60, product_id="p")]
    out = tables(viewer_events=events, orders=[
        line("a", 60 + 24 * 60, session_id=None),
        line("b", 60 + 24 * 60, session_id=None, created_at=at(60 + 24 * 60) + timedelta(milliseconds=1)),
        line("c", 61, session_id=None, viewer_id="w")])
    found = {row["order_line_id"]: (row["attribution"], row["session_id"], row["business_date"])
             for row in out["core.fct_order_line"]}
    assert found == {"a": ("last_click", "s", date(2025, 10, 31)),
                     "b": ("unattributed", None, date(2025, 11, 1)),
                     "c": ("unattributed", None, date(2025, 10, 31))}
    # On 31 October the room has line a by the session, line c by its own date.
    assert day_amount(out, "r", "gmv") == (20, 20)
    assert only(out["core.fct_session"])["gmv"] == 10


def test_a_line_created_after_the_session_is_credited_at_the_click_and_in_no_minute():
    out = tables(
        viewer_events=[event("c", "v", "product_click", 60, product_id="p")],
        orders=[line("a", 200), line("b", 210, viewer_id="w")],
        shifts=[{"shift_id": "1", "session_id": "s", "staff_id": "h", "role": "host", "on_at": at(50),
                 "off_at": at(70)}])
    assert only(out["core.fct_session"])["gmv"] == 20
    assert sum(row["gmv"] for row in out["core.fct_scene"]) == 0
    assert day_amount(out, "h", "gmv") == (10, 10)
    gmv = only(out["audit.attribution"], role="host", measure="gmv")
    assert (gmv["total"], gmv["credited"], gmv["unattributed"]) == (20, 10, 10)


def test_a_full_refund_nets_to_zero_however_it_was_split():
    usd = {"currency": "USD"}
    refunds = [{"refund_id": str(n), "order_line_id": "a", "refund_type": "return", "quantity": 1,
                "amount": "3.33" if n < 2 else "3.34", "currency": "USD", "requested_at": at(100),
                "completed_at": at(100), "updated_at": at(100)} for n in range(3)]
    out = tables(orders=[line("a", 5, **usd)], refunds=refunds,
                 fx_rates=[{"rate_date": "2025-10-24", "currency": "USD", "rate": "7.1235"}])
    found = only(out["core.fct_order_line"])
    # 10.00 × 7.1235 = 71.235, away from zero; three units came back of the one that was sold
    assert (found["gmv"], found["refunded_amount"], found["units_returned"]) == (
        Decimal("71.24"), Decimal("71.24"), 1)
    assert only(out["core.fct_session"])["net_gmv"] == 0


def test_a_rate_older_than_seven_days_is_none():
    with pytest.raises(ValueError, match="no rate of USD"):
        tables(orders=[line("a", 5, currency="USD")],
               fx_rates=[{"rate_date": "2025-10-23", "currency": "USD", "rate": "7"}])


def test_a_refund_counts_until_the_end_of_the_fifteenth_local_day():
    def refund(refund_id: str, completed: str) -> dict:
        return {"refund_id": refund_id, "order_line_id": "a", "refund_type": "refund_only", "quantity": 0,
                "amount": "1", "currency": "CNY", "requested_at": at(9), "completed_at": completed,
                "updated_at": at(9)}

    out = tables(orders=[line("a", 5)], refunds=[refund("1", "2025-11-15T23:59:59.999+08:00"),
                                                 refund("2", "2025-11-16T00:00:00+08:00")])
    assert only(out["core.fct_order_line"])["refunded_amount"] == 1


def test_duty_without_shift_rows_is_the_home_rooms_staff_who_are_there():
    def person(staff_id: str, role: str, **more) -> dict:
        return {"staff_id": staff_id, "role": role, "room_id": "r", "hired_on": "2025-01-01", **more}

    out = tables(
        staff=[person("h", "host"), person("o1", "operations"), person("o2", "operations"),
               person("o3", "operations", left_on="2025-10-30"), person("o4", "operations", room_id="x")],
        leaves=[{"staff_id": "o2", "from_date": "2025-10-31", "to_date": "2025-10-31"}],
        shifts=[{"shift_id": "1", "session_id": "s", "staff_id": "g", "role": "host", "on_at": at(-5),
                 "off_at": at(30)},
                {"shift_id": "2", "session_id": "s", "staff_id": "g", "role": "host", "on_at": at(30),
                 "off_at": at(40)}])
    found = {(d["staff_id"], d["on_at"], d["off_at"], d["source"]) for d in out["core.fct_duty"]}
    assert found == {("g", at(0), at(40), "shift"), ("o1", at(0), at(120), "home_room")}


def test_co_hosts_share_and_each_has_the_whole_beside_it():
    def shift(staff_id: str, on: float, off: float) -> dict:
        return {"shift_id": staff_id, "session_id": "s", "staff_id": staff_id, "role": "host",
                "on_at": at(on), "off_at": at(off)}

    out = tables(
        shifts=[shift("a", 0, 60), shift("b", 30, 90)],
        viewer_events=[event("1", "v", "enter", 20), event("2", "v", "chat", 40), event("3", "w", "chat", 30),
                       event("4", "v", "chat", 60), event("5", "v", "leave", 100)])
    assert day_amount(out, "a", "chats") == (1, 2)  # minutes 30 and 40, each half
    assert day_amount(out, "b", "chats") == (2, 3)  # and minute 60, when a had just left
    assert day_amount(out, "a", "watch_seconds") == (10 * 60 + 15 * 60, 40 * 60)
    assert day_amount(out, "b", "watch_seconds") == (15 * 60 + 30 * 60, 60 * 60)
    assert day_amount(out, "b", "viewers") == (2, 2)
    assert day_amount(out, "b", "live_seconds") == (3600, 3600)
    watched = only(out["audit.attribution"], role="host", measure="watch_seconds")
    assert (watched["total"], watched["unattributed"]) == (80 * 60, 10 * 60)


def test_next_day_return_is_credited_at_the_first_event_of_the_day():
    next_day = SESSION | {"session_id": "t", "started_at": at(1440), "ended_at": at(1500)}
    out = tables(sessions=[SESSION, next_day], viewer_events=[
        event("1", "v", "chat", 10), event("2", "v", "chat", 80), event("3", "w", "chat", 80),
        event("1", "v", "chat", 1450, session="t")],
        shifts=[{"shift_id": "1", "session_id": "s", "staff_id": "h", "role": "host", "on_at": at(60),
                 "off_at": at(120)}])
    assert day_amount(out, "r", "return_base") == (2, 2)
    assert day_amount(out, "r", "returned_next_day") == (1, 1)
    assert day_amount(out, "h", "return_base") == (1, 1)  # w; v came before the shift began
    assert day_amount(out, "h", "returned_next_day") == (0, 0)
    assert day_amount(out, "r", "return_base", date(2025, 11, 1)) == (0, 0)
    person = only(out["core.fct_person"], session_id="t")
    assert person["is_new"] is False


@pytest.mark.parametrize(("days", "order_id", "again"), [
    (7, "other", 1), (8, "other", 0), (1, "o", 0), (0, "other", 0)])
def test_a_repurchase_is_another_order_paid_within_seven_days(days, order_id, again):
    out = tables(orders=[line("a", 5), line("b", 5 + days * 1440, order_id=order_id, session_id=None)])
    assert day_amount(out, "r", "repurchase_base") == (1, 1)
    assert day_amount(out, "r", "repurchased_7d") == (again, again)


def test_an_answer_is_strictly_later_and_three_minutes_are_180_seconds():
    def message(conversation: str, message_id: str, sender: str, second: float, **more) -> dict:
        return {"conversation_id": conversation, "message_id": message_id, "room_id": "r", "viewer_id": "v",
                "sender": sender, "sent_at": START + timedelta(seconds=second), **more}

    out = tables(
        staff=[{"staff_id": "c", "role": "customer_service", "hired_on": "2025-01-01", "room_id": None}],
        service_messages=[
            message("1", "a", "agent", 0, staff_id="c"), message("1", "b", "customer", 0),
            message("1", "c", "agent", 180, staff_id="c", ai_assisted=True),
            message("2", "a", "customer", 0), message("2", "b", "agent", 180.001),
            message("3", "a", "customer", 0), message("3", "b", "ai", 1),
            message("4", "a", "agent", 0, staff_id="c")])
    assert {name: day_amount(out, "r", name)[0] for name in (
        "conversations", "answered_conversations", "answered_within_3min", "first_response_seconds",
        "human_replies", "ai_assisted_replies", "bot_only_conversations")} == {
            "conversations": 3, "answered_conversations": 2, "answered_within_3min": 1,
            "first_response_seconds": Decimal("360.001"), "human_replies": 4, "ai_assisted_replies": 1,
            "bot_only_conversations": 1}
    assert day_amount(out, "c", "conversations") == (1, 1)
    assert day_amount(out, "c", "human_replies") == (3, 3)


def test_two_per_cent_of_stall_is_still_good_picture():
    def sample(sample_id: str, play: int, stall: int, **more) -> dict:
        return {"session_id": "s", "sample_id": sample_id, "viewer_id": "v", "sampled_at": at(1),
                "play_ms": play, "stall_ms": stall, "height": 720, **more}

    session = only(tables(playback_qos=[
        sample("1", 9800, 200), sample("2", 9799, 201), sample("3", 100, 0, fps="23.999"),
        sample("4", 1000, 0, height=None, first_frame_ms=1000, latency_ms="500.5"),
        sample("5", 10, 0, height=719, first_frame_ms="1000.001")])["core.fct_session"])
    assert session["rated_play_ms"] == 9800 + 9799 + 100 + 10
    assert session["qualified_play_ms"] == 9800
    assert (session["first_frames"], session["instant_starts"]) == (2, 1)
    assert (session["latency_weighted_ms"], session["latency_play_ms"]) == (500_500, 1000)
    assert session["viewers"] == 0


def test_of_two_rows_with_one_key_the_earliest_event_and_the_latest_order_count():
    out = tables(
        viewer_events=[event("1", "v", "like", 9, quantity=7), event("1", "v", "like", 8, quantity=2),
                       event("2", "v", "like", 8, quantity=1), event("2", "v", "like", 8, quantity=3),
                       event("2", "v", "like", 8, quantity=None)],
        orders=[line("a", 5, updated_at=at(9), quantity=4), line("a", 5, updated_at=at(8), quantity=9)])
    assert only(out["core.fct_session"])["likes"] == 5
    assert only(out["core.fct_order_line"])["quantity"] == 4


def test_the_first_reason_that_holds_is_given():
    out = tables(viewer_events=[event(str(n), f"v{n}", "chat", 1) for n in range(29)], orders=[line("a", 5)])

    def reason(kpi_id: str) -> str | None:
        return only(out["kpis.kpi_month"], subject_id="r", month="2025-10", kpi_id=kpi_id)["reason"]

    assert reason("comment_rate") == "small_sample"
    assert reason("product_click_rate") == "no_base"
    assert reason("smoothness_rate") == "no_data"
    assert reason("gmv_target_attainment") == "no_data"
    assert reason("gmv") is None
    assert only(out["kpis.kpi_month"], subject_id="r", month="2025-11", kpi_id="gmv")["reason"] == "no_base"
    delivered = tables(targets=[{"month": "2025-10", "scope_type": "room", "scope_id": "r", "kpi_id": "gmv",
                                 "floor": 1, "target": 40}], orders=[line("a", 5)])
    assert only(delivered["kpis.kpi_month"], month="2025-10", kpi_id="gmv_target_attainment")["value"] == (
        Decimal("0.25"))


def test_the_steps_of_the_people_funnel_come_in_order():
    def step(event_id: str, viewer: str, kind: str, minutes: float) -> dict:
        return event(event_id, viewer, kind, minutes, product_id="p")

    out = tables(viewer_events=[
        step("1", "v", "product_exposure", 5), step("2", "v", "product_click", 5),
        step("3", "v", "add_to_cart", 4),  # before the click
        step("4", "w", "product_click", 1), step("5", "w", "product_exposure", 2),  # the wrong way round
        step("6", "x", "product_exposure", 1), step("7", "x", "product_click", 50)],
        orders=[line("a", 5), line("b", 49, viewer_id="x")])
    row = only(out["funnel.product_funnel"])
    assert [row[name] for name in ("reached_exposure", "reached_click", "reached_cart", "reached_order",
                                   "reached_paid")] == [3, 2, 0, 1, 1]
    assert row["click_rate"] == 1
    assert row["order_rate"] == Decimal("0.666667")


def test_the_edges_of_the_spend_tiers():
    rules = [{"rule": "spend_tier_low", "value": 200, "valid_from": "2025-01-01"},
             {"rule": "spend_tier_high", "value": 1000, "valid_from": "2025-01-01"},
             {"rule": "spend_tier_high", "value": 500, "valid_from": "2025-11-02"}]
    spent = ("0", "0.01", "199.99", "200", "999.99", "1000")
    tiers = [spend_tier(Decimal(amount), "2025-11", rules) for amount in spent]
    assert tiers == ["none", "low", "low", "mid", "mid", "high"]
    assert spend_tier(Decimal(999), "2025-12", rules) == "high"


def test_the_policy_files_registry_is_the_pages():
    path = Path(__file__).parents[2] / "dbt" / "seeds" / "kpis.csv"
    if not path.exists():
        pytest.skip("no kpis.csv yet")

    def plain(value: str) -> str:
        return f"{Decimal(value):f}" if value.replace(".", "").isdigit() else value

    shipped = {row["kpi_id"]: row for row in read_registry(path)}
    for kpi_id, row in KPIS.items():
        mine = {name: plain(value) for name, value in row.items()}
        theirs = {name: plain(shipped[kpi_id][name] or ("1" if name == "factor" else "")) for name in row}
        assert {k: Decimal(v) if k == "factor" else v for k, v in theirs.items()} == {
            k: Decimal(v) if k == "factor" else v for k, v in mine.items()}, kpi_id
    assert shipped.keys() == KPIS.keys()


def test_a_comparison_names_table_key_and_column():
    wanted = [{"session_id": "a", "product_id": "p", "clicks": 3},
              {"session_id": "b", "product_id": "p", "clicks": 1},
              {"session_id": "d", "product_id": "p", "clicks": 1, "_optional": True}]
    found = [{"session_id": "a", "product_id": "p", "clicks": Decimal("3.00")},
             {"session_id": "c", "product_id": "p", "clicks": 1}]
    names = ["session_id", "product_id", "clicks"]
    assert differences("core.fct_product", names, found, wanted) == [
        "core.fct_product [b, p]: missing", "core.fct_product [c, p]: unexpected"]
    found[0]["clicks"] = 4
    assert differences("core.fct_product", names, found, wanted)[0] == (
        "core.fct_product [a, p].clicks: expected 3, is 4")


def test_a_connection_is_compared_table_by_table():
    wanted = {"core.fct_product": [{"session_id": "a", "product_id": "p", "business_date": date(2025, 11, 1),
                                    "gmv": Decimal("1.50"), "clicks": 3}]}
    con = duckdb.connect()
    con.execute("create schema core")
    assert "cannot be read" in compare(con, wanted)[0]
    con.execute("""create table core.fct_product as select 'a' as session_id, 'p' as product_id,
        date '2025-11-01' as business_date, 1.5::decimal(18, 2) as gmv, 3::bigint as clicks""")
    assert compare(con, wanted) == []
    con.execute("alter table core.fct_product alter gmv type double")
    assert compare(con, wanted) == ["core.fct_product [a, p].gmv: expected 1.50, is 1.5"]  # money as a float
    con.execute("alter table core.fct_product drop clicks")
    assert "core.fct_product: column clicks is missing" in compare(con, wanted)


def read_back(folder: Path) -> dict[str, list[dict]]:
    """Every delivered row of a folder, as delivered."""
    exports: dict[str, list[dict]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        rows = exports.setdefault(path.relative_to(folder).parts[0], [])
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
            continue
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        if ".csv" in path.name:
            rows += csv.DictReader(text.splitlines(keepends=True))
        else:
            rows += [json.loads(row) for row in text.split("\n") if row]
    return exports


@pytest.mark.parametrize("seed", range(4))
def test_a_world_says_the_same_in_whatever_files_and_order_it_is_delivered(seed, tmp_path):
    def plain(value: object) -> str:
        return str(Decimal(value).normalize() if isinstance(value, int | Decimal) else value)

    def sorted_rows(exports: dict) -> dict:
        out = compute(exports, registry_of_the_page(), viewer_secret="test")
        return {table: sorted(repr(sorted((name, plain(value)) for name, value in row.items()))
                              for row in rows) for table, rows in out.items()}

    world = random_world(seed)
    random_world(seed).write(tmp_path / "a")
    world.write(tmp_path / "b", shuffle_seed=1)
    expected = sorted_rows(world.exports)
    assert sorted_rows(read_back(tmp_path / "a")) == expected
    assert sorted_rows(read_back(tmp_path / "b")) == expected


@pytest.mark.parametrize("seed", range(12))
def test_shares_and_the_unattributed_add_up_to_the_sessions_total(seed):
    out = compute(random_world(seed).exports, registry_of_the_page(), viewer_secret="test")
    session = {row["session_id"]: row for row in out["core.fct_session"]}
    assert out["audit.attribution"]
    for row in out["audit.attribution"]:
        assert row["credited"] + row["unattributed"] == row["total"]
        assert row["total"] == session[row["session_id"]][row["measure"]]
    for measure in ("watch_seconds", "views", "chats", "likes", "clicks", "play_ms"):
        by_minute = sum(row[measure] for row in out["core.fct_scene"])
        assert by_minute == sum(row[measure] for row in session.values()), measure
        if measure != "clicks":
            assert by_minute == sum(row[measure] for row in out["core.fct_person"]), measure
