"""What each export must look like: one declaration each, from which typing, keys and checks are derived."""

from __future__ import annotations

from dataclasses import dataclass, field

# Reasons a row is quarantined for; docs/landing.md lists them for the reader.
NULL_KEY = "null key"
NULL_REQUIRED = "null required value"
UNPARSABLE_INSTANT = "unparsable instant"
UNPARSABLE_NUMBER = "unparsable number"
UNPARSABLE_BOOLEAN = "unparsable boolean"
UNKNOWN_VALUE = "unknown enum value"
NEGATIVE_AMOUNT = "negative or non-finite amount or duration"
INSTANT_OUT_OF_RANGE = "instant before 2015 or over one day after the file landed"
SESSION_LENGTH = "session does not end after it starts or lasts over 24 h"
REFUND_CURRENCY = "refund in another currency than its line"
EVENT_OUTSIDE_SESSION = "event more than 24 h outside its session"
ORDER_OTHER_ROOM = "order whose session is of another room"
RATING_RANGE = "rating out of range"
INVALID_UTF8 = "invalid UTF-8"
MALFORMED_ROW = "malformed row"
AMBIGUOUS = "ambiguous session or person"
FILE_OVER_LIMIT = "file over the quarantine limit"

REASONS = (
    NULL_KEY,
    NULL_REQUIRED,
    UNPARSABLE_INSTANT,
    UNPARSABLE_NUMBER,
    UNPARSABLE_BOOLEAN,
    UNKNOWN_VALUE,
    NEGATIVE_AMOUNT,
    INSTANT_OUT_OF_RANGE,
    SESSION_LENGTH,
    REFUND_CURRENCY,
    EVENT_OUTSIDE_SESSION,
    ORDER_OTHER_ROOM,
    RATING_RANGE,
    INVALID_UTF8,
    MALFORMED_ROW,
    AMBIGUOUS,
    FILE_OVER_LIMIT,
)

EVENT_TYPES = (
    "enter", "leave", "heartbeat", "chat", "like", "follow", "unfollow", "share", "gift", "product_exposure",
    "product_click", "add_to_cart", "red_packet_claim", "vote", "mic_join",
)  # fmt: skip
PRODUCT_EVENT_TYPES = ("product_exposure", "product_click", "add_to_cart")
ROLES = ("host", "operations", "floor_control", "customer_service", "technical")


@dataclass(frozen=True)
class Column:
    """One column. kind: id, text, enum, zone, currency, instant, date, month, integer, decimal, boolean."""

    name: str
    kind: str
    sql_type: str
    required: bool = False
    key: bool = False
    values: tuple[str, ...] = ()
    unsigned: bool = False
    between: tuple[int, int] | None = None


@dataclass(frozen=True)
class Parent:
    """The export that must know `column` before a row is accepted; null has no parent to wait for."""

    export: str
    column: str
    required: bool = True


@dataclass(frozen=True)
class Contract:
    """An export. `relations` are (reason, SQL condition) over row `t` and its parents' rows, by export name.

    Winner of a key: greatest updated_at where the export has it; else the smallest `earliest` instant; then,
    and where it has neither, the greatest row in contract column order.
    """

    export: str
    columns: tuple[Column, ...]
    earliest: str | None = None
    parents: tuple[Parent, ...] = ()
    relations: tuple[tuple[str, str], ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    always_needed: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.key)

    @property
    def has_updated_at(self) -> bool:
        return any(column.name == "updated_at" for column in self.columns)

    @property
    def has_viewer(self) -> bool:
        return any(column.name == "viewer_id" for column in self.columns)

    @property
    def stored_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, SQL type) as kept in raw.<export>: viewer ids are replaced by their number."""
        return tuple(
            ("viewer_no", "INTEGER") if column.name == "viewer_id" else (column.name, column.sql_type)
            for column in self.columns
        )

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class _Kind:
    kind: str
    sql_type: str
    options: dict = field(default_factory=dict)


def _enum(*values: str) -> _Kind:
    return _Kind("enum", "VARCHAR", {"values": values})


ID = _Kind("id", "VARCHAR")
TEXT = _Kind("text", "VARCHAR")
ZONE = _Kind("zone", "VARCHAR")
CURRENCY = _Kind("currency", "VARCHAR")
INSTANT = _Kind("instant", "TIMESTAMP")
DATE = _Kind("date", "DATE")
MONTH = _Kind("month", "VARCHAR")
BOOLEAN = _Kind("boolean", "BOOLEAN")
COUNT = _Kind("integer", "BIGINT", {"unsigned": True})
RATING = _Kind("integer", "INTEGER", {"between": (1, 5)})
MONEY = _Kind("decimal", "DECIMAL(18,6)", {"unsigned": True})
GOAL = _Kind("decimal", "DECIMAL(18,6)")
RATE = _Kind("decimal", "DECIMAL(18,10)", {"unsigned": True})
MILLISECONDS = _Kind("decimal", "DECIMAL(18,3)", {"unsigned": True})
FRAMES = _Kind("decimal", "DECIMAL(9,3)", {"unsigned": True})


def _key(name: str, kind: _Kind = ID) -> Column:
    return Column(name, kind.kind, kind.sql_type, required=True, key=True, **kind.options)


def _must(name: str, kind: _Kind = ID) -> Column:
    return Column(name, kind.kind, kind.sql_type, required=True, **kind.options)


def _may(name: str, kind: _Kind = ID) -> Column:
    return Column(name, kind.kind, kind.sql_type, **kind.options)


_ROOM = Parent("rooms", "room_id")
_SESSION = Parent("sessions", "session_id")
_LINE = Parent("orders", "order_line_id")

# In landing order: every export stands after its parents.
CONTRACTS: dict[str, Contract] = {
    contract.export: contract
    for contract in (
        Contract(
            "rooms",
            (
                _key("room_id"),
                _key("effective_from", DATE),
                _must("name", TEXT),
                _must("platform", TEXT),
                _must("market", TEXT),
                _must("timezone", ZONE),
                _must("currency", CURRENCY),
                _must("stage", _enum("startup", "growth", "mature")),
            ),
            always_needed=True,
        ),
        Contract(
            "sessions",
            (
                _key("session_id"),
                _must("room_id"),
                _may("title", TEXT),
                _must("mode", _enum("single", "co_host", "pk", "handoff", "multi")),
                _must("started_at", INSTANT),
                _must("ended_at", INSTANT),
                _may("updated_at", INSTANT),
            ),
            parents=(_ROOM,),
            checks=((SESSION_LENGTH, "ended_at <= started_at OR ended_at > started_at + INTERVAL 24 HOUR"),),
            always_needed=True,
        ),
        Contract(
            "staff",
            (
                _key("staff_id"),
                _must("name", TEXT),
                _must("role", _enum(*ROLES)),
                _may("room_id"),
                _must("hired_on", DATE),
                _may("left_on", DATE),
                _may("performance_pay", MONEY),
                _may("updated_at", INSTANT),
            ),
        ),
        Contract(
            "products",
            (
                _key("product_id"),
                _must("name", TEXT),
                _may("category", TEXT),
                _may("product_role", _enum("traffic", "profit", "hero", "clearance")),
                _may("list_price", MONEY),
                _may("unit_cost", MONEY),
                _may("currency", CURRENCY),
                _may("launched_on", DATE),
                _may("updated_at", INSTANT),
            ),
        ),
        Contract("fx_rates", (_key("rate_date", DATE), _key("currency", CURRENCY), _must("rate", RATE))),
        Contract(
            "targets",
            (
                _key("month", MONTH),
                _key("scope_type", _enum("staff", "room_role", "role", "room")),
                _key("scope_id"),
                _key("kpi_id"),
                _must("floor", GOAL),
                _must("target", GOAL),
                _may("stretch", GOAL),
                _may("updated_at", INSTANT),
            ),
        ),
        Contract(
            "award_nominations",
            (
                _key("nomination_id"),
                _key("staff_id"),
                _must("month", MONTH),
                _must("room_id"),
                _must("kpi_id"),
                _must("before_from", DATE),
                _must("before_to", DATE),
                _must("after_from", DATE),
                _must("after_to", DATE),
                _may("claim", TEXT),
            ),
        ),
        Contract(
            "leaves",
            (_key("staff_id"), _key("from_date", DATE), _must("to_date", DATE), _may("updated_at", INSTANT)),
            checks=((NEGATIVE_AMOUNT, "to_date < from_date"),),
        ),
        Contract(
            "segments",
            (
                _key("segment_id"),
                _must("session_id"),
                _must(
                    "segment_type",
                    _enum("explain", "lottery", "red_packet", "vote", "co_host", "pk", "handoff", "talk"),
                ),
                _may("product_id"),
                _may("label", TEXT),
                _must("started_at", INSTANT),
                _must("ended_at", INSTANT),
                _may("updated_at", INSTANT),
            ),
            parents=(_SESSION,),
            checks=((NEGATIVE_AMOUNT, "ended_at < started_at"),),
        ),
        Contract(
            "shifts",
            (
                _key("shift_id"),
                _must("session_id"),
                _must("staff_id"),
                _must("role", _enum(*ROLES)),
                _must("on_at", INSTANT),
                _must("off_at", INSTANT),
                _may("updated_at", INSTANT),
            ),
            parents=(_SESSION,),
            checks=((NEGATIVE_AMOUNT, "off_at < on_at"),),
        ),
        Contract(
            "viewer_events",
            (
                _key("session_id"),
                _key("event_id"),
                _must("viewer_id"),
                _must("event_type", _enum(*EVENT_TYPES)),
                _must("event_at", INSTANT),
                _may("product_id"),
                _may("quantity", COUNT),
                _may("amount", MONEY),
                _may("text", TEXT),
                _may("region", TEXT),
                _may("device", TEXT),
                _may("traffic_source", TEXT),
            ),
            earliest="event_at",
            parents=(_SESSION,),
            relations=(
                (
                    EVENT_OUTSIDE_SESSION,
                    "t.event_at < sessions.started_at - INTERVAL 24 HOUR"
                    " OR t.event_at > sessions.ended_at + INTERVAL 24 HOUR",
                ),
            ),
            checks=((NULL_REQUIRED, f"event_type IN {PRODUCT_EVENT_TYPES} AND product_id IS NULL"),),
            always_needed=True,
        ),
        Contract(
            "playback_qos",
            (
                _key("session_id"),
                _key("sample_id"),
                _must("viewer_id"),
                _may("region", TEXT),
                _may("network", _enum("wifi", "5g", "4g", "3g", "wired")),
                _must("sampled_at", INSTANT),
                _must("play_ms", MILLISECONDS),
                _must("stall_ms", MILLISECONDS),
                _may("stall_count", COUNT),
                _may("first_frame_ms", MILLISECONDS),
                _may("height", COUNT),
                _may("fps", FRAMES),
                _may("bitrate_kbps", MILLISECONDS),
                _may("latency_ms", MILLISECONDS),
                _may("packet_loss", MONEY),
            ),
            earliest="sampled_at",
            parents=(_SESSION,),
        ),
        Contract(
            "orders",
            (
                _key("order_line_id"),
                _must("order_id"),
                _may("session_id"),
                _must("room_id"),
                _must("viewer_id"),
                _must("product_id"),
                _must("quantity", COUNT),
                _must("unit_price", MONEY),
                _may("paid_amount", MONEY),
                _must("currency", CURRENCY),
                _must("created_at", INSTANT),
                _may("paid_at", INSTANT),
                _may("cancelled_at", INSTANT),
                _must("updated_at", INSTANT),
            ),
            parents=(_ROOM, Parent("sessions", "session_id", required=False)),
            relations=((ORDER_OTHER_ROOM, "sessions.room_id <> t.room_id"),),
            always_needed=True,
        ),
        Contract(
            "refunds",
            (
                _key("refund_id"),
                _must("order_line_id"),
                _must("refund_type", _enum("refund_only", "return")),
                _must("quantity", COUNT),
                _must("amount", MONEY),
                _must("currency", CURRENCY),
                _must("requested_at", INSTANT),
                _may("completed_at", INSTANT),
                _may("reason", TEXT),
                _must("updated_at", INSTANT),
            ),
            parents=(_LINE,),
            relations=((REFUND_CURRENCY, "orders.currency <> t.currency"),),
        ),
        Contract(
            "reviews",
            (
                _key("review_id"),
                _must("order_line_id"),
                _must("rating", RATING),
                _must("reviewed_at", INSTANT),
                _may("text", TEXT),
            ),
            earliest="reviewed_at",
            parents=(_LINE,),
        ),
        Contract(
            "service_messages",
            (
                _key("conversation_id"),
                _key("message_id"),
                _must("room_id"),
                _must("viewer_id"),
                _must("sender", _enum("customer", "agent", "ai")),
                _may("staff_id"),
                _may("ai_assisted", BOOLEAN),
                _must("sent_at", INSTANT),
                _may("text", TEXT),
            ),
            earliest="sent_at",
            parents=(_ROOM,),
        ),
        Contract(
            "complaints",
            (
                _key("complaint_id"),
                _must("room_id"),
                _may("order_id"),
                _may("conversation_id"),
                _must("filed_at", INSTANT),
                _may("reason", TEXT),
            ),
            earliest="filed_at",
            parents=(_ROOM,),
        ),
        # What a platform's own sheets say of a session or a day: held against ours, never mixed into facts.
        Contract(
            "platform_totals",
            (
                _key("platform", TEXT),
                _key("total_id"),
                _key("measure", TEXT),
                _must("room_id"),
                _may("label", TEXT),
                _may("started_at", INSTANT),
                _may("ended_at", INSTANT),
                _may("total_date", DATE),
                _must("theirs", GOAL),
                _must("definition", TEXT),
            ),
            parents=(_ROOM,),
        ),
    )
}
ALWAYS_NEEDED = tuple(contract.export for contract in CONTRACTS.values() if contract.always_needed)
