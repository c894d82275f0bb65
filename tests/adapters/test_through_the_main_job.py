"""Platform files through `make scorecards`: ids, money and Chinese text as delivered, and a platform's totals beside ours."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.adapters.sheets import workbook
from tests.adapters.test_platform_formats import DOUYIN
from tests.adapters.test_real_files import HERE, ORDERS
from tests.commands import published_marts


def put(exports: Path, path: str, content: str | bytes) -> None:
    file = exports / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def test_platform_files_reach_the_marts_exactly_and_their_totals_are_held_against_ours(tmp_path):
    exports = tmp_path / "exports"
    put(exports, "rooms/a.csv", "room_id,effective_from,name,platform,market,timezone,currency,stage\n"
        "R1,2026-01-01,一号房,douyin,CN,Asia/Shanghai,CNY,growth\n")  # fmt: skip
    put(exports, "sessions/a.csv", "session_id,room_id,mode,started_at,ended_at\n"
        "S1,R1,single,2026-10-01T12:00:00Z,2026-10-01T18:29:30Z\n")  # fmt: skip
    put(exports, "viewer_events/a.csv", "session_id,event_id,viewer_id,event_type,event_at\n"
        "S1,1,A,enter,2026-10-01T12:30:00Z\nS1,2,B,enter,2026-10-01T12:31:00Z\nS1,3,B,chat,2026-10-01T12:32:00Z\n")  # fmt: skip
    put(exports, "orders/room_id=R1/抖店.csv", DOUYIN.encode("gb18030"))
    sheet = [
        ["主播昵称", "主播抖音号", "直播开始时间", "直播结束时间", "直播时长(分钟)", "直播间曝光人数",
         "直播间观看人数", "评论次数", "直播间退款金额"],
        ["小明", "xm", "2026/10/01 20:00:10", "2026/10/02 02:30:20", 389, 1000, 3, 1, 0],
        ["小明", "xm", "2026/10/05 20:00:00", "2026/10/05 21:00:00", 60, 1, 1, 0, 0],
    ]  # fmt: skip
    put(exports, "platform_totals/room_id=R1/场次.xlsx", workbook(sheet))
    marts = published_marts(exports, tmp_path / "data", MONTH="2026-10")
    with duckdb.connect(str(marts), read_only=True) as con:
        lines = con.execute(
            "select order_line_id, order_id, gmv::varchar, business_date::varchar from core.fct_order_line order by 1"
        ).fetchall()
        totals = con.execute(
            "select session_id, measure, ours::double, theirs::double, difference::double, likely_reason, definition <> '' "
            "from audit.reconciliation order by total_id, measure"
        ).fetchall()
        adapters = dict(con.execute("select path, adapter from audit.load_files").fetchall())
    # A line without a session stands in neither a session nor its totals; ids, cents and dates are as delivered.
    assert lines == [
        ("00919560000000000011", "6919560000000000001", "2599.00", "2026-10-01"),
        ("00919560000000000012", "6919560000000000002", "0.00", "2026-10-01"),
        ("00919560000000000013", "6919560000000000003", "49.00", "2026-10-02"),
    ]
    assert adapters["orders/room_id=R1/抖店.csv"] == "douyin_orders"
    assert adapters["platform_totals/room_id=R1/场次.xlsx"] == "douyin_session_totals"
    none, cut = "no measure of ours counts this", "the platform cuts to whole minutes"
    fewer = "events that did not reach us, or a wider definition on the platform"
    nowhere = "no session of ours in the room at that time"
    undelivered = "the exports behind ours were never delivered"
    assert totals == [
        ("S1", "chats", 1, 1, 0, "agree", True),
        ("S1", "exposed_to_room_people", None, 1000, None, none, True),
        # 6 h 29 min 30 s are 23370 s; the sheet says 389 minutes.
        ("S1", "live_seconds", 23370, 23340, 30, cut, True),
        ("S1", "refunded_amount", None, 0, None, undelivered, True),
        ("S1", "viewers", 2, 3, -1, fewer, True),
        (None, "chats", None, 0, None, nowhere, True),
        (None, "exposed_to_room_people", None, 1, None, none, True),
        (None, "live_seconds", None, 3600, None, nowhere, True),
        (None, "refunded_amount", None, 0, None, undelivered, True),
        (None, "viewers", None, 1, None, nowhere, True),
    ]


@pytest.mark.skipif(not ORDERS.exists(), reason="the real orders do not lie beside this checkout (../shared/realdata)")
@pytest.mark.slow
def test_real_orders_come_through_an_adapter_into_published_marts_to_the_penny(tmp_path):
    """All of them; tests/adapters/test_real_files.py lands a part in every run."""
    exports, table = tmp_path / "exports", pq.read_table(ORDERS)
    put(exports, "rooms/a.csv", "room_id,effective_from,name,platform,market,timezone,currency,stage\n"
        "R1,2020-01-01,Online retail,web,GB,Europe/London,GBP,mature\n")  # fmt: skip
    put(exports, "sessions/a.csv", "session_id,room_id,mode,started_at,ended_at\n"
        "S1,R1,single,2020-12-02T12:00:00Z,2020-12-02T14:00:00Z\n")  # fmt: skip
    put(exports, "viewer_events/a.csv", "session_id,event_id,viewer_id,event_type,event_at\n"
        "S1,1,A,enter,2020-12-02T12:30:00Z\n")  # fmt: skip
    (exports / "orders" / "room_id=R1").mkdir(parents=True)
    pq.write_table(table, exports / "orders" / "room_id=R1" / "retail.parquet")
    marts = published_marts(exports, tmp_path / "data", REPORTING_CURRENCY="GBP", ADAPTERS=HERE)
    sold = {
        (row["Invoice"], row["StockCode"], row["Quantity"], repr(row["Price"]))
        for row in table.to_pylist()
        if not row["Invoice"].startswith("C") and row["Quantity"] >= 0 and row["Price"] >= 0
    }
    cents = Decimal("0.01")
    gmv = sum((Decimal(price) * units).quantize(cents, "ROUND_HALF_UP") for _, _, units, price in sold)
    with duckdb.connect(str(marts), read_only=True) as con:
        found = con.execute("select count(*), sum(gmv), sum(quantity) from core.fct_order_line").fetchall()
        reasons = con.execute(
            "select distinct kpi_id, value, reason from kpis.kpi_month where subject_type = 'room' "
            "and kpi_id in ('refund_rate_15d', 'complaint_rate', 'stall_rate', 'first_response_seconds') order by 1"
        ).fetchall()
    assert found == [(len(sold), gmv, sum(units for _, _, units, _ in sold))]
    assert reasons == [
        (kpi, None, "no_data") for kpi in ("complaint_rate", "first_response_seconds", "refund_rate_15d", "stall_rate")
    ]
