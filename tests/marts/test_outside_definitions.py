"""Definitions that exist outside this project: what others publish about them must come out of our tables too.

- ordered funnel: ClickHouse's windowFunnel in its default mode (a chain in order of time, other events between are
  ignored, equal instants count as in order), without a time window;
- day-N retention: of those who came on day 0, the share who came exactly on day N;
- repeat purchase: the summary that customer-lifetime models are fitted on (frequency = purchase days after the first,
  recency = age at the last one, T = age at the end of the observation).
The expected values follow from those definitions by hand.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.faults.pipeline import build, landed, project
from tests.landing.delivered import EVENT, ORDER, ROOM, SESSION, csv_bytes
from tests.marts.nights import settings_for

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
STEPS = {"e": "product_exposure", "c": "product_click", "a": "add_to_cart"}

# Case → what one viewer did, (second, step); steps: e exposure, c click, a cart, o an order created, p paid with it.
# Behind it the length of the chain e → c → o → p that windowFunnel's default mode reports.
CHAINS = {
    "one step": ([(1, "e")], 1),
    "in order": ([(1, "e"), (2, "c"), (3, "o"), (4, "p")], 4),
    "others between": ([(1, "e"), (2, "a"), (3, "c"), (4, "e"), (9, "o")], 3),
    "each twice": ([(1, "e"), (2, "e"), (3, "c"), (4, "c"), (5, "o"), (6, "o")], 3),
    "in reverse": ([(1, "o"), (2, "o"), (3, "c"), (4, "c"), (5, "e"), (6, "e")], 1),
    "the last before the middle": ([(1, "e"), (2, "o"), (3, "c")], 2),
    "a first step missing": ([(1, "c"), (2, "o"), (3, "p")], 0),
    "a middle step missing": ([(1, "e"), (2, "o"), (3, "p")], 1),
    "the middle first, and again": ([(1, "c"), (2, "e"), (3, "c"), (4, "o")], 3),
    "all at one instant": ([(1, "e"), (1, "c"), (1, "o"), (1, "p")], 4),
    "a later chain is whole": ([(1, "e"), (2, "o"), (3, "p"), (4, "e"), (5, "c"), (6, "o"), (7, "p")], 4),
    "far apart": ([(0, "e"), (3000, "c"), (7000, "o"), (90000, "p")], 4),
    "paid for an order before the click": ([(1, "e"), (2, "o"), (3, "c"), (4, "p")], 2),
}


@pytest.fixture(scope="module")
def funnels(tmp_path_factory) -> dict[str, tuple]:
    """Reached steps by product, one product and one viewer to a case."""
    events, orders = [EVENT], []
    for case, (steps, _) in CHAINS.items():
        open_line = None
        for number, (second, step) in enumerate(steps):
            at = (START + timedelta(seconds=second)).isoformat()
            who = {"viewer_id": case, "product_id": case}
            if step in STEPS:
                events.append({**EVENT, **who, "event_id": f"{case}{number}", "event_type": STEPS[step], "event_at": at})
            elif step == "o":
                key = f"{case}{number}"
                open_line = {
                    **ORDER,
                    **who,
                    "order_line_id": key,
                    "order_id": key,
                    "created_at": at,
                    "paid_at": "",
                    "paid_amount": "",
                }
                orders.append(open_line)
            elif open_line is not None:
                open_line |= {"paid_at": at, "paid_amount": "9.90", "updated_at": at}
            else:
                orders.append(
                    {**ORDER, **who, "order_line_id": f"{case}{number}", "created_at": START.isoformat(), "paid_at": at}
                )
    con = built(tmp_path_factory.mktemp("funnels"), [SESSION], events, [ORDER, *orders], "product_funnel")
    rows = con.execute(
        "select product_id, reached_exposure, reached_click, reached_order, reached_paid from funnel.product_funnel"
    ).fetchall()
    return {product: tuple(reached) for product, *reached in rows}


def built(root: Path, sessions: list[dict], events: list[dict], orders: list[dict], *wanted: str) -> duckdb.DuckDBPyConnection:
    """A small world landed and built as far as the wanted models need."""
    settings = settings_for(root)
    for export, rows in (("rooms", [ROOM]), ("sessions", sessions), ("viewer_events", events), ("orders", orders)):
        (settings.exports / export).mkdir(parents=True)
        (settings.exports / export / "all.csv").write_bytes(csv_bytes(rows))
    con = landed(settings)
    needed = set(wanted)
    for model in reversed(project().models.values()):
        if model.name in needed:
            needed |= model.parents
    build(con, [model for model in project().models.values() if model.name in needed])
    return con


@pytest.mark.parametrize("case", CHAINS)
def test_the_ordered_funnel_is_that_of_window_funnel(funnels, case):
    length = CHAINS[case][1]
    assert funnels.get(case, (0, 0, 0, 0)) == tuple(int(step < length) for step in range(4))


# Day → who watched.
WATCHED = {1: "ABCD", 2: "ABE", 3: "AE", 4: "", 5: "AB", 6: "F"}


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> duckdb.DuckDBPyConnection:
    """Six dates of one room; on the fourth it did not go live."""
    sessions, events = [], []
    for day, viewers in WATCHED.items():
        start = START + timedelta(days=day - 1)
        if viewers:
            sessions.append(
                {
                    **SESSION,
                    "session_id": f"D{day}",
                    "started_at": start.isoformat(),
                    "ended_at": (start + timedelta(hours=2)).isoformat(),
                }
            )
        events += [
            {
                **EVENT,
                "session_id": f"D{day}",
                "event_id": viewer,
                "viewer_id": viewer,
                "event_at": (start + timedelta(minutes=5)).isoformat(),
            }
            for viewer in viewers
        ]
    bought = [
        ("x1", "A", 1), ("x2", "B", 1), ("x3", "A", 3), ("x4", "A", 6), ("x5", "C", 2), ("x5b", "C", 2), ("x6", "B", 6),
        ("x7", "P", 1), ("x8", "P", 8),
        ("x9", "Q", 1), ("xa", "Q", 9),
    ]  # fmt: skip
    orders = []
    for key, viewer, day in bought:
        at = (START + timedelta(days=day - 1, minutes=30)).isoformat()
        orders.append(
            {**ORDER, "order_line_id": key, "order_id": key[:2], "session_id": "", "viewer_id": viewer, "created_at": at,
             "paid_at": at,
             "updated_at": at, "paid_amount": "10.00"}
        )  # fmt: skip
    return built(tmp_path_factory.mktemp("days"), sessions, events, orders, "kpi_measure_day", "buyer_rfm")


def measured(con: duckdb.DuckDBPyConnection, measure: str) -> dict[int, Decimal]:
    rows = con.execute(
        "select day(business_date), amount from kpis.kpi_measure_day where measure = ? and subject_type = 'room'", [measure]
    ).fetchall()
    return dict(rows)


def test_next_day_return_is_day_one_retention(days):
    """Day 1: A and B of four came again; day 2: A and E of three; day 3: nobody could; day 5: neither A nor B."""
    assert measured(days, "return_base") == {1: 4, 2: 3, 5: 2}
    assert measured(days, "returned_next_day") == {1: 2, 2: 2}


def test_repurchase_is_retention_by_purchase_within_seven_days(days):
    """A bought on 1, 3, 6; B on 1, 6; C one order on 2; P again after seven days, Q after eight: of the four buyers of day 1
    three bought again in time, of day 3 A did."""
    assert measured(days, "repurchase_base") == {1: 4, 2: 1, 3: 1, 6: 2, 8: 1, 9: 1}
    assert measured(days, "repurchased_7d") == {1: 3, 3: 1}


def test_the_buyer_summary_is_that_of_customer_lifetime_models(days):
    """The observation ends on the sixth, so later purchases are not seen. C bought two lines on one day: frequency 0."""
    keys = dict(days.execute("select viewer_key, viewer_id from raw.viewers").fetchall())
    rows = days.execute(
        "select viewer_key, frequency, recency_days, tenure_days, purchase_days, monetary from insights.buyer_rfm"
    ).fetchall()
    assert {keys[key]: tuple(figures) for key, *figures in rows} == {
        "A": (2, 5, 5, 3, Decimal("30.00")), "B": (1, 5, 5, 2, Decimal("20.00")), "C": (0, 0, 4, 1, Decimal("20.00")),
        "P": (0, 0, 5, 1, Decimal("10.00")), "Q": (0, 0, 5, 1, Decimal("10.00")),
    }  # fmt: skip
    assert days.execute("select distinct data_through from insights.buyer_rfm").fetchall() == [(date(2026, 10, 6),)]
