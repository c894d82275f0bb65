"""funnel.product_funnel, funnel.product_funnel_month, funnel.session_funnel.

Readings taken where the page leaves room:
- the ordered steps look at the earliest exposure, then the earliest click at or after it, then the earliest
  line (of this product, session and viewer) created at or after that; `reached_paid` needs some line paid
  at or after that line's creation, not necessarily the same line;
- rates are null where they divide by 0, and rounded to six decimals, half away from zero.
"""

from __future__ import annotations

from collections import defaultdict

from .amounts import ratio
from .delivered import Row
from .facts import Facts, Session, month_of

STEPS = [
    "exposures", "clicks", "carts", "exposed_viewers", "click_viewers", "cart_viewers",
    "order_viewers", "buyers", "orders_created", "orders_paid", "units_sold",
]
EXTRAS = ("gmv", "units_returned", "explained_seconds")
REACHED = ("reached_exposure", "reached_click", "reached_cart", "reached_order", "reached_paid")


def rates(counts: Row) -> Row:
    """The five rates of a row of counts."""
    return {
        "click_rate": ratio(counts["clicks"], counts["exposures"]),
        "cart_rate": ratio(counts["cart_viewers"], counts["click_viewers"]),
        "order_rate": ratio(counts["order_viewers"], counts["click_viewers"]),
        "payment_rate": ratio(counts["orders_paid"], counts["orders_created"]),
        "units_per_click": ratio(counts["units_sold"], counts["clicks"]),
    }


def reached(session: Session, product_id: str) -> dict[str, int]:
    """How many viewers took each step in order, at the delivered instants."""
    counts = dict.fromkeys(REACHED, 0)
    for viewer, events in session.events.items():
        def earliest(kind: str, since: int, events: list[Row] = events) -> int | None:
            return min((e["event_at"] for e in events if e["event_type"] == kind
                        and e["product_id"] == product_id and e["event_at"] >= since), default=None)

        exposed = earliest("product_exposure", -(2**62))
        if exposed is None:
            continue
        counts["reached_exposure"] += 1
        clicked = earliest("product_click", exposed)
        if clicked is None:
            continue
        counts["reached_click"] += 1
        counts["reached_cart"] += earliest("add_to_cart", clicked) is not None
        lines = [line for line in session.lines
                 if line.viewer_id == viewer and line.row["product_id"] == product_id]
        created = [line.row["created_at"] for line in lines if line.row["created_at"] >= clicked]
        counts["reached_order"] += bool(created)
        counts["reached_paid"] += bool(created) and any(
            line.is_paid and line.row["paid_at"] >= min(created) for line in lines)
    return counts


def product_funnel(facts: Facts, products: list[Row]) -> list[Row]:
    """Product × session, from the rows of core.fct_product."""
    by_id = {session.session_id: session for session in facts.sessions}
    return [row | reached(by_id[row["session_id"]], row["product_id"]) | rates(row) for row in products]


def product_funnel_month(funnel: list[Row]) -> list[Row]:
    """Product × room × month: counts summed, rates from the sums."""
    sums: dict[tuple, Row] = defaultdict(lambda: dict.fromkeys([*STEPS, *EXTRAS, *REACHED], 0))
    for row in funnel:
        group = sums[row["product_id"], row["room_id"], month_of(row["business_date"])]
        for name in group:
            group[name] += row[name]
    return [{"product_id": p, "room_id": r, "month": m} | counts | rates(counts)
            for (p, r, m), counts in sums.items()]


def session_funnel(facts: Facts) -> list[Row]:
    """Session × is_new; null for people without a visit. A row of nobody may be left out."""
    measures = ("exposed_viewers", "click_viewers", "order_viewers", "buyers")
    out = []
    for session in facts.sessions:
        for is_new in (True, False, None):
            def in_row(viewer: str, session: Session = session, is_new: bool | None = is_new) -> bool:
                return (viewer in session.new if viewer in session.watchers else None) is is_new

            counts = {"viewers": sum(in_row(v) for v in session.watchers)}
            for measure in measures:
                counts[measure] = sum(in_row(v) for v in {m.who for m in session.marks
                                                          if m.measure == measure})
            out.append({"session_id": session.session_id, "is_new": is_new, **counts,
                        "_optional": not any(counts.values())})
    return out


def funnels(facts: Facts, products: list[Row]) -> dict[str, list[Row]]:
    """Every table of schema funnel."""
    by_session = product_funnel(facts, products)
    return {
        "funnel.product_funnel": by_session,
        "funnel.product_funnel_month": product_funnel_month(by_session),
        "funnel.session_funnel": session_funnel(facts),
    }
