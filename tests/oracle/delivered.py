"""Delivered rows → the accepted row of every key, as exports.md defines it.

A row is a dict by column name; its values are text as in a CSV or Python values. Out come typed rows: text
`str`, instants `int` (milliseconds since 1970, UTC, truncated), dates `date`, numbers `Decimal`, whole
numbers `int`, booleans `bool`, null `None`.

Readings taken where the page leaves room:
- rows that are pending or quarantined for a relation leave before the winner of their key is chosen;
- rows that cannot be typed do not belong in these worlds; they raise.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

# Contract order matters: it is the order of the tie rule.
CONTRACT = {
    "rooms": "room_id effective_from:date name platform market timezone currency stage",
    "sessions": "session_id room_id title mode started_at:instant ended_at:instant updated_at:instant",
    "segments": "segment_id session_id segment_type product_id label started_at:instant ended_at:instant"
    " updated_at:instant",
    "staff": "staff_id name role room_id hired_on:date left_on:date performance_pay:number"
    " updated_at:instant",
    "shifts": "shift_id session_id staff_id role on_at:instant off_at:instant updated_at:instant",
    "products": "product_id name category product_role list_price:number unit_cost:number currency"
    " launched_on:date updated_at:instant",
    "viewer_events": "session_id event_id viewer_id event_type event_at:instant product_id quantity:whole"
    " amount:number text region device traffic_source",
    "orders": "order_line_id order_id session_id room_id viewer_id product_id quantity:whole"
    " unit_price:number paid_amount:number currency created_at:instant paid_at:instant"
    " cancelled_at:instant updated_at:instant",
    "refunds": "refund_id order_line_id refund_type quantity:whole amount:number currency"
    " requested_at:instant completed_at:instant reason updated_at:instant",
    "reviews": "review_id order_line_id rating:whole reviewed_at:instant text",
    "service_messages": "conversation_id message_id room_id viewer_id sender staff_id ai_assisted:truth"
    " sent_at:instant text",
    "complaints": "complaint_id room_id order_id conversation_id filed_at:instant reason",
    "playback_qos": "session_id sample_id viewer_id region network sampled_at:instant play_ms:number"
    " stall_ms:number stall_count:whole first_frame_ms:number height:whole fps:number bitrate_kbps:number"
    " latency_ms:number packet_loss:number",
    "fx_rates": "rate_date:date currency rate:number",
    "targets": "month scope_type scope_id kpi_id floor:number target:number stretch:number"
    " updated_at:instant",
    "award_nominations": "nomination_id staff_id month room_id kpi_id before_from:date before_to:date"
    " after_from:date after_to:date claim",
    "leaves": "staff_id from_date:date to_date:date updated_at:instant",
}
KEY = {
    "rooms": ("room_id", "effective_from"),
    "viewer_events": ("session_id", "event_id"),
    "service_messages": ("conversation_id", "message_id"),
    "playback_qos": ("session_id", "sample_id"),
    "fx_rates": ("rate_date", "currency"),
    "targets": ("month", "scope_type", "scope_id", "kpi_id"),
    "award_nominations": ("nomination_id", "staff_id"),
    "leaves": ("staff_id", "from_date"),
}
EARLIEST_WINS = {
    "viewer_events": "event_at",
    "playback_qos": "sampled_at",
    "service_messages": "sent_at",
    "reviews": "reviewed_at",
    "complaints": "filed_at",
}


def columns_of(export: str) -> list[tuple[str, str]]:
    """(name, type) of an export's columns, in contract order; the type of a bare name is text."""
    return [(name, kind or "text") for name, _, kind in (c.partition(":") for c in CONTRACT[export].split())]


def key_of(export: str) -> tuple[str, ...]:
    """The key columns of an export: the first column where it is not said otherwise."""
    return KEY.get(export) or (columns_of(export)[0][0],)


def instant(value: Any) -> int | None:
    """ISO 8601 text or a datetime → whole milliseconds; without an offset it is UTC."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def day(value: Any) -> date | None:
    """ISO text or a date → date."""
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    return date.fromisoformat(str(value).strip())


def truth(value: Any) -> bool | None:
    """true/false/1/0 in any case → bool."""
    if value is None or isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}[str(value).strip().lower()]


def number(value: Any) -> Decimal | None:
    """Decimal text, int, float literal or Decimal → Decimal."""
    return None if value is None else Decimal(str(value))


def whole(value: Any) -> int | None:
    """Whole number → int; 12.0 is one, 12.7 raises."""
    if value is None:
        return None
    parsed = Decimal(str(value))
    if parsed != int(parsed):
        raise ValueError(f"not a whole number: {value}")
    return int(parsed)


PARSERS: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: None if value is None else str(value),
    "instant": instant,
    "date": day,
    "number": number,
    "whole": whole,
    "truth": truth,
}


def typed(export: str, row: Row) -> Row:
    """One delivered row in its contract's types; empty text and '-' are null."""
    out = {}
    for name, kind in columns_of(export):
        value = row.get(name)
        if isinstance(value, str) and value in ("", "-"):
            value = None
        out[name] = PARSERS[kind](value)
    return out


def greatness(export: str, row: Row) -> tuple:
    """Sort key of the tie rule: columns in contract order, null lowest, text by code point."""
    return tuple((row[name] is not None, row[name]) if row[name] is not None else (False,)
                 for name, _ in columns_of(export))


def winners(export: str, rows: list[Row]) -> list[Row]:
    """The one row of every key that counts."""
    has_update = any(name == "updated_at" for name, _ in columns_of(export))

    def rank(row: Row) -> tuple:
        if has_update:
            updated = row["updated_at"]
            first = (True, updated) if updated is not None else (False,)
        elif export in EARLIEST_WINS:
            first = (True, -row[EARLIEST_WINS[export]])
        else:
            first = (True,)
        return (first, greatness(export, row))

    best: dict[tuple, Row] = {}
    for row in rows:
        key = tuple(row[name] for name in key_of(export))
        if key not in best or rank(row) > rank(best[key]):
            best[key] = row
    return list(best.values())


def accepted(exports: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Every export's winning rows; an export that was not delivered is an empty list."""
    rows = {export: [typed(export, row) for row in exports.get(export, [])] for export in CONTRACT}
    kept: dict[str, list[Row]] = {}

    def keep(export: str, condition: Callable[[Row], bool] = lambda row: True) -> None:
        kept[export] = winners(export, [row for row in rows[export] if condition(row)])

    for export in ("rooms", "staff", "products", "fx_rates", "targets", "award_nominations", "leaves"):
        keep(export)
    rooms = {row["room_id"] for row in kept["rooms"]}
    keep("sessions", lambda r: r["room_id"] in rooms and 0 < r["ended_at"] - r["started_at"] <= DAY_MS)
    sessions = {row["session_id"]: row for row in kept["sessions"]}

    def near(row: Row) -> bool:
        session = sessions.get(row["session_id"])
        return session is not None and (
            session["started_at"] - DAY_MS <= row["event_at"] <= session["ended_at"] + DAY_MS
        )

    keep("viewer_events", near)
    for export in ("segments", "shifts", "playback_qos"):
        keep(export, lambda r: r["session_id"] in sessions)
    keep("orders", lambda r: r["room_id"] in rooms and (
        r["session_id"] is None
        or (r["session_id"] in sessions and sessions[r["session_id"]]["room_id"] == r["room_id"])))
    for export in ("service_messages", "complaints"):
        keep(export, lambda r: r["room_id"] in rooms)
    lines = {row["order_line_id"]: row for row in kept["orders"]}
    keep("refunds", lambda r: r["order_line_id"] in lines
         and lines[r["order_line_id"]]["currency"] == r["currency"])
    keep("reviews", lambda r: r["order_line_id"] in lines)
    return kept
