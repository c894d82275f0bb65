"""Real orders and real playback records through the main job, by a mapping kept here; totals against direct sums.

Online Retail II (UCI, CC BY 4.0) and yt-dataset (MIT) lie beside the checkout where they may be read; they are never committed.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.settings import REPOSITORY
from tests.commands import published_marts

REAL = REPOSITORY.parent / "shared" / "realdata"
ORDERS = REAL / "orders_online_retail_II.parquet"
PLAYBACK = REAL / "qos_yt_sessions.csv.gz"
# The orders are of 2009 and 2010, before any instant that landing takes: moved by ten years.
MOVED = timedelta(days=3652)
CENT = Decimal("0.01")

pytestmark = pytest.mark.skipif(
    not ORDERS.exists() or not PLAYBACK.exists(), reason="the real data does not lie beside this checkout"
)


def write(folder: Path, export: str, rows: list[dict]) -> None:
    (folder / export).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / export / "rows.parquet")


def order_lines(limit: int | None) -> tuple[list[dict], list[dict]]:
    """(order lines, cancellations) as delivered, money as exact text."""
    lines, cancelled = [], []
    for row in pq.read_table(ORDERS).slice(0, limit).to_pylist():
        at = datetime.fromisoformat(row["InvoiceDate"]) + MOVED
        price = Decimal(repr(row["Price"]))
        customer = row["Customer ID"]
        line = {
            "order_id": row["Invoice"],
            "viewer_id": f"order:{row['Invoice']}" if customer is None else str(int(customer)),
            "product_id": row["StockCode"],
            "quantity": row["Quantity"],
            "price": price,
            "at": at,
        }
        (cancelled if row["Invoice"].startswith("C") else lines).append(line)
    return lines, cancelled


def deliver(folder: Path, limit: int | None) -> tuple[Decimal, Decimal, int, int]:
    """Write the exports; returns gmv, refunded amount, refused rows and distinct paid units, summed directly."""
    lines, cancelled = order_lines(limit)
    orders, open_lines, seen = [], defaultdict(list), Counter()
    gmv, refused, units = Decimal(0), 0, 0
    for line in lines:
        key = (line["order_id"], line["product_id"], line["quantity"], str(line["price"]), line["at"])
        seen[key] += 1
        line_id = f"{line['order_id']}-{line['product_id']}-{line['quantity']}-{line['price']}-{line['at']:%H%M}"
        paid = line["price"] * line["quantity"]
        orders.append({
            "order_line_id": line_id, "order_id": line["order_id"], "room_id": "uk", "viewer_id": line["viewer_id"],
            "product_id": line["product_id"], "quantity": line["quantity"], "unit_price": str(line["price"]),
            "paid_amount": str(paid), "currency": "GBP", "created_at": f"{line['at']:%Y-%m-%dT%H:%M:%S}",
            "paid_at": f"{line['at']:%Y-%m-%dT%H:%M:%S}", "updated_at": f"{line['at']:%Y-%m-%dT%H:%M:%S}",
        })  # fmt: skip
        if line["quantity"] < 0 or line["price"] < 0:
            refused += 1
        elif seen[key] == 1:
            gmv += paid.quantize(CENT, ROUND_HALF_UP)
            units += line["quantity"]
            open_lines[line["viewer_id"], line["product_id"]].append((line_id, line["at"], paid))
    # A cancellation does not name what it cancels: the buyer's latest earlier line of the product, each once.
    refunds, refunded = [], Decimal(0)
    for number, line in enumerate(cancelled):
        found = open_lines.get((line["viewer_id"], line["product_id"]), [])
        if not found or found[-1][1] > line["at"] or line["quantity"] >= 0:
            continue
        line_id, bought_at, paid = found.pop()
        amount = min(-line["quantity"] * line["price"], paid)
        refunds.append({
            "refund_id": f"{line['order_id']}-{number}", "order_line_id": line_id, "refund_type": "return",
            "quantity": -line["quantity"], "amount": str(amount), "currency": "GBP",
            "requested_at": f"{line['at']:%Y-%m-%dT%H:%M:%S}", "completed_at": f"{line['at']:%Y-%m-%dT%H:%M:%S}",
            "updated_at": f"{line['at']:%Y-%m-%dT%H:%M:%S}",
        })  # fmt: skip
        if line["at"].date() <= bought_at.date() + timedelta(days=15):
            refunded += amount.quantize(CENT, ROUND_HALF_UP)
    start = min(line["at"] for line in lines).replace(hour=12, minute=0)
    write(folder, "rooms", [{
        "room_id": "uk", "effective_from": "2019-01-01", "name": "Online retail", "platform": "web", "market": "GB",
        "timezone": "Etc/UTC", "currency": "GBP", "stage": "mature",
    }])  # fmt: skip
    write(folder, "sessions", [{
        "session_id": "s", "room_id": "uk", "mode": "single", "started_at": start, "ended_at": start + timedelta(hours=2),
    }])  # fmt: skip
    write(folder, "viewer_events", [
        {"session_id": "s", "event_id": "1", "viewer_id": "v", "event_type": "enter", "event_at": start}
    ])  # fmt: skip
    write(folder, "orders", orders)
    write(folder, "refunds", refunds)
    return gmv, refunded, refused, units


def deliver_playback(folder: Path) -> tuple[Decimal, Decimal]:
    """One sample per real playback session; returns the directly summed play and stall time in ms."""
    samples, play, stall = [], Decimal(0), Decimal(0)
    with gzip.open(PLAYBACK, "rt", encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            milliseconds = [
                (Decimal(row[name] or 0) * 1000).quantize(Decimal("0.001"), ROUND_HALF_UP)
                for name in ("vid_length", "run_overlength")
            ]
            if min(milliseconds) < 0:
                continue
            play, stall = play + milliseconds[0], stall + milliseconds[1]
            samples.append({
                "session_id": "s", "sample_id": str(number), "viewer_id": f"p{number}", "sampled_at": "2019-12-02T12:30:00Z",
                "play_ms": str(milliseconds[0]), "stall_ms": str(milliseconds[1]),
            })  # fmt: skip
    write(folder, "playback_qos", samples)
    return play, stall


def agree_with_direct_sums(limit: int | None, root: Path) -> None:
    gmv, refunded, refused, units = deliver(root / "exports", limit)
    play, stall = deliver_playback(root / "exports")
    marts = published_marts(root / "exports", root / "data", REPORTING_CURRENCY="GBP")
    with duckdb.connect(str(marts), read_only=True) as con:
        found = con.execute("select sum(gmv), sum(refunded_amount), sum(quantity) from core.fct_order_line").fetchall()[0]
        files = con.execute("select rows_quarantined from audit.load_files where export = 'orders'").fetchall()
        playback = con.execute("select sum(play_ms), sum(stall_ms) from core.fct_session").fetchall()[0]
        reasons = dict(con.execute("select distinct kpi_id, reason from kpis.kpi_month where subject_type = 'room'").fetchall())
        smooth = con.execute(
            "select value from kpis.kpi_month where kpi_id = 'smoothness_rate' and subject_type = 'room' and value is not null"
        ).fetchall()
    assert gmv > 0 and refunded > 0 and refused >= 0
    assert found == (gmv, refunded, units)
    assert files == [(refused,)]
    assert playback == (play, stall)
    assert smooth == [((play / (play + stall)).quantize(Decimal("0.000001"), ROUND_HALF_UP),)]
    assert {reasons[kpi] for kpi in ("negative_review_rate", "complaint_rate", "explained_share", "first_response_seconds")} == {
        "no_data"
    }


@pytest.mark.slow
def test_a_month_of_real_orders_and_playback_agrees_with_direct_sums(tmp_path: Path) -> None:
    agree_with_direct_sums(40_000, tmp_path)


@pytest.mark.slow
def test_a_year_of_real_orders_and_playback_agrees_with_direct_sums(tmp_path: Path) -> None:
    agree_with_direct_sums(None, tmp_path)
