"""The product table that the project was asked for, from single events to rates."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.settings import Settings, connect
from tests.marts.nights import build_night, settings_for

START = datetime(2026, 10, 1, 12)
# product: exposures, clicks, units
TABLE = {"hot": (50_000, 5_000, 500), "plain": (30_000, 2_100, 105)}


def write(settings: Settings, export: str, rows: list[dict]) -> None:
    folder = settings.exports / export
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")


def test_the_product_table_comes_out_exactly(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    write(settings, "rooms", [{
        "room_id": "r", "effective_from": "2026-01-01", "name": "直播间", "platform": "douyin", "market": "CN",
        "timezone": "Asia/Shanghai", "currency": "CNY", "stage": "growth",
    }])  # fmt: skip
    write(settings, "sessions", [{
        "session_id": "s", "room_id": "r", "mode": "single", "started_at": START, "ended_at": START + timedelta(hours=4),
    }])  # fmt: skip
    events, orders = [], []
    for product, (exposures, clicks, units) in TABLE.items():
        for event_type, count in (("product_exposure", exposures), ("product_click", clicks)):
            events += [
                {
                    "session_id": "s", "event_id": f"{product}-{event_type}-{n}", "viewer_id": f"v{n % 7919}",
                    "event_type": event_type, "event_at": START + timedelta(milliseconds=37 * n), "product_id": product,
                }
                for n in range(count)
            ]  # fmt: skip
        # five units a line: units are what is counted, not lines
        orders += [
            {
                "order_line_id": f"{product}-{n}", "order_id": f"{product}-{n}", "session_id": "s", "room_id": "r",
                "viewer_id": f"v{n}", "product_id": product, "quantity": 5, "unit_price": "9.90",
                "paid_amount": "49.50", "currency": "CNY", "created_at": START + timedelta(hours=1),
                "paid_at": START + timedelta(hours=1), "updated_at": START + timedelta(hours=1),
            }
            for n in range(units // 5)
        ]  # fmt: skip
    write(settings, "viewer_events", events)
    write(settings, "orders", orders)
    build_night(settings, full_refresh=True)
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        table = con.execute(
            "select product_id, exposures, clicks, units_sold, click_rate, units_per_click "
            "from funnel.product_funnel_month order by exposures desc"
        ).fetchall()
        room = dict(
            con.execute(
                "select kpi_id, value from kpis.kpi_month where subject_type = 'room' "
                "and kpi_id in ('product_click_rate', 'units_per_click', 'stall_rate', 'return_rate_15d')"
            ).fetchall()
        )
        reasons = dict(
            con.execute("select kpi_id, reason from kpis.kpi_month where subject_type = 'room' and value is null").fetchall()
        )
    assert table == [
        ("hot", 50_000, 5_000, 500, Decimal("0.1"), Decimal("0.1")),
        ("plain", 30_000, 2_100, 105, Decimal("0.07"), Decimal("0.05")),
    ]
    # The room: 7,100 clicks of 80,000 exposures and 605 units of 7,100 clicks; rates of sums, not means of rates.
    assert room["product_click_rate"] == Decimal("0.08875")
    assert room["units_per_click"] == Decimal("0.085211")
    # Never delivered is not measured, and never 0.
    assert reasons["stall_rate"] == reasons["return_rate_15d"] == reasons["gmv_target_attainment"] == "no_data"
    assert room["stall_rate"] is None
