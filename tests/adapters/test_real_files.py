"""Real files, as they were published, through adapters kept beside this test; totals against direct sums.

The files lie beside the checkout where they may be read (see the README there); without them these are skipped.
"""

from __future__ import annotations

import csv
import gzip
import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dagster_project.settings import REPOSITORY

REAL = REPOSITORY.parent / "shared" / "realdata"
ORDERS = REAL / "orders_online_retail_II.parquet"
RTC = REAL / "rtcstats_flat.csv"
PLAYBACK = REAL / "qos_yt_sessions.csv.gz"
HERE = Path(__file__).parent / "platforms"

pytestmark = pytest.mark.skipif(
    not all(path.exists() for path in (ORDERS, RTC, PLAYBACK)),
    reason="the real files do not lie beside this checkout (../shared/realdata)",
)


@pytest.fixture
def real_world(world):
    world.set(adapters=HERE, quarantine_limit=0.05)
    return world


def deliver(world, source: Path, path: str) -> None:
    target = world.exports / path
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)


def status_of(world, path: str) -> tuple:
    return world.con.execute(
        "SELECT adapter, verdict, rows_in, rows_accepted, rows_quarantined, rows_duplicate, rows_pending, reason "
        "FROM raw.files WHERE path = ?",
        [path],
    ).fetchall()[0]


# Reading the whole year takes half a minute of Python; the slow run does, the others a part of it.
@pytest.mark.parametrize("lines", [40_000, pytest.param(None, marks=pytest.mark.slow)])
def test_a_year_of_real_orders_lands_to_the_penny_with_its_cancellations_as_refunds(real_world, tmp_path, lines):
    table = pq.read_table(ORDERS).slice(0, lines)
    part = tmp_path / "part.parquet"
    pq.write_table(table, part)
    deliver(real_world, part, "orders/room_id=R1/retail.parquet")
    deliver(real_world, part, "refunds/retail.parquet")
    real_world.land()

    sold, refused, cancelled = Counter(), 0, Counter()
    money = {}
    for row in table.to_pylist():
        key = (row["Invoice"], row["StockCode"], row["Quantity"], repr(row["Price"]))
        amount = Decimal(repr(row["Price"])) * row["Quantity"]
        if row["Invoice"].startswith("C"):
            cancelled[key] += 1
        elif row["Quantity"] < 0 or row["Price"] < 0:
            refused += 1
        else:
            sold[key] += 1
            money[key] = amount
    returned = {key: -key[2] for key in cancelled if key[2] < 0}

    adapter, verdict, rows_in, accepted, quarantined, duplicate, pending, reason = status_of(
        real_world, "orders/room_id=R1/retail.parquet"
    )
    assert (adapter, verdict, pending) == ("online_retail_orders", "accepted", 0)
    assert rows_in == sold.total() + refused
    assert (quarantined, duplicate + accepted) == (refused, sold.total())
    assert reason == f"{cancelled.total()} left out: cancellation"
    current = "FROM raw.orders JOIN raw.files ON file_no = _file_no WHERE adapter LIKE 'online%' AND _status = 'current'"
    assert real_world.rows(f"SELECT count(*), sum(paid_amount), sum(quantity) {current}") == [
        (len(sold), sum(money.values()), sum(key[2] for key in sold))
    ]
    refunds = status_of(real_world, "refunds/retail.parquet")
    assert refunds[:3] == ("online_retail_cancellations", "accepted", cancelled.total())
    # They name no invoice, so all that can be read waits for its line; nothing is lost.
    assert refunds[6] == sum(cancelled[key] for key in returned)
    assert real_world.one("SELECT sum(quantity) FROM raw.refunds") == sum(
        units * cancelled[key] for key, units in returned.items()
    )


def test_real_webrtc_dumps_land_with_every_inbound_video_report(real_world):
    deliver(real_world, RTC, "playback_qos/session_id=S1/rtc.csv")
    real_world.land()
    with RTC.open(encoding="utf-8", newline="") as file:
        reports = [row for row in csv.DictReader(file) if (row["type"], row["kind"]) == ("inbound-rtp", "video")]
    # Ten reports carry a clock that begins at the call: an instant of 1970, which is no instant of a live.
    dated = [row for row in reports if len(row["ts_ms"]) == 13]
    keys = {(row["dump"], row["pc"], row["ssrc"], row["ts_ms"]): row for row in dated}
    adapter, verdict, rows_in, _, quarantined, *_ = status_of(real_world, "playback_qos/session_id=S1/rtc.csv")
    assert (adapter, verdict, rows_in) == ("rtcstats", "accepted", len(reports))
    assert quarantined == len(reports) - len(dated) == 10
    current = "FROM raw.playback_qos WHERE _status = 'current'"
    freezes = sum(int(row["freeze_count"] or 0) for row in keys.values())
    frames = sum(Decimal(row["fps"] or 0) for row in keys.values())
    assert real_world.rows(f"SELECT count(*), sum(stall_count), CAST(sum(fps) AS DECIMAL(18,3)) {current}") == [
        (len(keys), freezes, frames)
    ]


def test_real_playback_sessions_land_with_their_whole_length(real_world):
    deliver(real_world, PLAYBACK, "playback_qos/session_id=S1/yt.csv.gz")
    real_world.land()
    with gzip.open(PLAYBACK, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sound = [row for row in rows if min(Decimal(row["vid_length"]), Decimal(row["run_overlength"])) >= 0]
    adapter, verdict, rows_in, accepted, *_ = status_of(real_world, "playback_qos/session_id=S1/yt.csv.gz")
    assert (adapter, verdict, rows_in, accepted) == ("yt_sessions", "accepted", len(rows), len(sound))
    played, stalled = (
        sum((Decimal(row[name]) * 1000).quantize(Decimal("0.001"), "ROUND_HALF_UP") for row in sound)
        for name in ("vid_length", "run_overlength")
    )
    events = sum(int(row["pl_buffering_events"] or 0) for row in sound)
    assert real_world.rows("SELECT sum(play_ms), sum(stall_ms), sum(stall_count) FROM raw.playback_qos") == [
        (played, stalled, events)
    ]
