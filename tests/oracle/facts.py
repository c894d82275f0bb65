"""What happened, from the accepted rows: sessions with their visits, duty, lines and counted amounts; core.*

Every session holds what is to be counted in three lists, so that a total, a person's part and a minute are
cut from the same thing:
- points: an amount at one instant (None: counted in the session, at no instant of it);
- spans: seconds from–to, for watch_seconds and explained_seconds;
- marks: something counted once per session however often it occurs (a viewer, an order).

Readings taken where the pages leave room:
- explained time is clipped to the session;
- the reporting currency's rate is 1 whether or not a row says so;
- gmv, refunded_amount and units_returned of a line that was never paid are 0;
- measures of an export that was never delivered are 0 in facts; only a KPI says `no_data`;
- a first_seen/last session date of a viewer with orders only is the order's business date;
- gmv before a month, for the spend tier, is over all rooms, by the lines' business dates;
- a role has a shift row in a session also where that row lies wholly outside the session.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from .amounts import rounded, seconds
from .delivered import DAY_MS, EPOCH, Row, accepted
from .visits import Span, clipped, in_watch_order, intervals, overlap, peak, united

ROLES = ("host", "operations", "floor_control", "customer_service", "technical")
DEFAULT_RULES = [
    {"rule": "spend_tier_low", "value": "200", "valid_from": "2000-01-01"},
    {"rule": "spend_tier_high", "value": "1000", "valid_from": "2000-01-01"},
]
# event type → (additive measure, measure of distinct viewers)
COUNTED_EVENTS = {
    "chat": ("chats", "commenters"),
    "like": ("likes", None),
    "follow": ("follows", None),
    "unfollow": ("unfollows", None),
    "share": ("shares", None),
    "gift": ("gifts", None),
    "red_packet_claim": ("red_packet_claims", None),
    "vote": ("votes", None),
    "mic_join": ("mic_joins", None),
    "product_exposure": ("exposures", "exposed_viewers"),
    "product_click": ("clicks", "click_viewers"),
    "add_to_cart": ("carts", "cart_viewers"),
}
ENGAGED = {"chat", "like", "follow", "share", "gift"}
FEATURES = {"red_packet_claim", "vote", "mic_join"}

# Shared among the people on duty: additive without condition.
SHARED = [
    "views", "watch_seconds", "chats", "likes", "follows", "unfollows", "shares", "gifts",
    "gift_amount", "red_packet_claims", "votes", "mic_joins", "exposures", "clicks", "carts",
    "units_sold", "gmv", "net_gmv", "refunded_amount", "new_product_clicks", "new_product_units",
    "explained_seconds", "net_followers", "units_returned", "reviews_received", "negative_reviews",
    "playback_ms", "stall_ms", "play_ms", "rated_play_ms", "qualified_play_ms", "first_frames",
    "first_frame_ms", "instant_starts", "latency_weighted_ms", "latency_play_ms",
]
# Counted once per session: distinct viewers, distinct orders.
DISTINCT = [
    "commenters", "engaged_viewers", "feature_viewers", "exposed_viewers", "click_viewers",
    "cart_viewers", "order_viewers", "buyers", "orders_created", "orders_paid", "complained_orders",
]
SESSION_MEASURES = [*SHARED, *DISTINCT, "viewers", "new_viewers", "live_seconds", "peak_online"]


@dataclass(frozen=True)
class Point:
    """`amount` of `measure` at `at`; of one product and viewer; order points outside are in no minute."""

    at: int | None
    measure: str
    amount: Decimal | int
    in_scene: bool = True


@dataclass(frozen=True)
class Mark:
    """`who` (viewer_id or order_id) did, at `at`, what `measure` counts once."""

    at: int | None
    measure: str
    who: str
    in_scene: bool = True


@dataclass(frozen=True)
class Duty:
    """One person's time on duty in one role of one session: [on, off) in milliseconds."""

    staff_id: str
    role: str
    on: int
    off: int
    source: str


@dataclass
class Line:
    """An order line with its session, business date, money and the instant it is credited at."""

    row: Row
    session_id: str | None
    attribution: str
    business_date: date
    is_paid: bool
    gmv: Decimal
    refunded_amount: Decimal
    units_returned: int
    credit_at: int | None = None
    created_inside: bool = False
    reviews: list[Row] = field(default_factory=list)
    is_complained: bool = False

    @property
    def order_id(self) -> str:
        """The order this line is part of."""
        return self.row["order_id"]

    @property
    def viewer_id(self) -> str:
        """Who ordered."""
        return self.row["viewer_id"]


@dataclass
class Session:
    """A live session, or (start None) the lines of one room and date that belong to none."""

    session_id: str | None
    room_id: str
    business_date: date
    start: int | None = None
    end: int | None = None
    mode: str | None = None
    events: dict[str, list[Row]] = field(default_factory=dict)  # viewer → in watching order
    watchers: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)
    visits: list[tuple[str, int, int]] = field(default_factory=list)  # viewer, clipped, with a length
    explained: list[tuple[str | None, int, int]] = field(default_factory=list)  # product, clipped
    segments: list[Row] = field(default_factory=list)
    samples: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    duty: list[Duty] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def nearest(self, at: int) -> int:
        """The instant inside the session at which something at `at` counts."""
        assert self.start is not None and self.end is not None
        return max(self.start, min(at, self.end - 1))

    def watch_spans(self) -> list[Span]:
        """The visits without their viewers."""
        return [(a, b) for _, a, b in self.visits]

    def explained_spans(self) -> list[Span]:
        """When anything was explained."""
        return united([(a, b) for _, a, b in self.explained])


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name."""
    return ZoneInfo(name)


def local_date(at: int, timezone: str) -> date:
    """The calendar date at an instant (milliseconds UTC) in a zone."""
    return (EPOCH + timedelta(milliseconds=at)).astimezone(zone(timezone)).date()


def moment(at: int | None) -> datetime | None:
    """Milliseconds → naive UTC datetime, as the tables hold it."""
    return None if at is None else (EPOCH + timedelta(milliseconds=at)).replace(tzinfo=None)


def month_of(day: date) -> str:
    """'YYYY-MM' of a date."""
    return day.isoformat()[:7]


@dataclass
class Facts:
    """All that the tables are read from."""

    rows: dict[str, list[Row]]
    rooms: dict[str, Row]
    sessions: list[Session]
    outside: list[Session]  # the pseudo-sessions of lines without a session
    lines: list[Line]
    viewer_key: dict[str, str]
    rules: list[dict[str, Any]]

    def timezone(self, room_id: str) -> str:
        """IANA name of a room's zone."""
        return self.rooms[room_id]["timezone"]


def resolve(exports: dict[str, list[Row]], reporting_currency: str, secret: str,
            rules: Iterable[dict[str, Any]] | None) -> Facts:
    """Delivered rows → everything the tables are read from."""
    rows = accepted(exports)
    rooms: dict[str, Row] = {}
    for row in sorted(rows["rooms"], key=lambda r: r["effective_from"]):
        rooms[row["room_id"]] = row
    sessions = _sessions(rows, rooms)
    by_id = {session.session_id: session for session in sessions}
    _watch(rows, sessions, by_id)
    lines = _lines(rows, rooms, by_id, reporting_currency)
    _on_duty(rows, sessions)
    products = {row["product_id"]: row for row in rows["products"]}
    for session in sessions:
        _count_events(session, products)
        _count_samples(session)
    outside: dict[tuple[str, date], Session] = {}
    for line in lines:
        if line.session_id is None:
            key = (line.row["room_id"], line.business_date)
            session = outside.setdefault(key, Session(None, *key))
            session.lines.append(line)
        else:
            session = by_id[line.session_id]
        _count_line(session, line, products)
    people = {row["viewer_id"] for export in ("viewer_events", "orders", "playback_qos")
              for row in rows[export]}
    keys = {v: hmac.new(secret.encode(), v.encode(), hashlib.sha256).hexdigest()[:32] for v in people}
    return Facts(rows, rooms, sessions, list(outside.values()), lines, keys, list(rules or DEFAULT_RULES))


def _sessions(rows: dict[str, list[Row]], rooms: dict[str, Row]) -> list[Session]:
    """The live sessions by started_at, session_id, with their run sheet and samples."""
    sessions = []
    for row in sorted(rows["sessions"], key=lambda r: (r["started_at"], r["session_id"])):
        day = local_date(row["started_at"], rooms[row["room_id"]]["timezone"])
        sessions.append(Session(row["session_id"], row["room_id"], day, row["started_at"], row["ended_at"],
                                row["mode"]))
    by_id = {session.session_id: session for session in sessions}
    for row in rows["segments"]:
        session = by_id[row["session_id"]]
        session.segments.append(row)
        if row["segment_type"] == "explain":
            for a, b in clipped([(row["started_at"], row["ended_at"])], session.start, session.end):
                session.explained.append((row["product_id"], a, b))
    for row in rows["playback_qos"]:
        by_id[row["session_id"]].samples.append(row)
    return sessions


def _watch(rows: dict[str, list[Row]], sessions: list[Session], by_id: dict) -> None:
    """Events, watchers, visits and who is new, per session."""
    events: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows["viewer_events"]:
        events[row["session_id"], row["viewer_id"]].append(row)
    for (session_id, viewer), theirs in events.items():
        session = by_id[session_id]
        session.events[viewer] = in_watch_order(theirs)
        if any(event["event_type"] != "leave" for event in theirs):
            session.watchers.add(viewer)
        session.visits += [(viewer, a, b) for a, b in clipped(intervals(theirs), session.start, session.end)]
    seen: set[tuple[str, str]] = set()
    for session in sessions:  # in order of started_at, session_id
        session.new = {v for v in session.watchers if (session.room_id, v) not in seen}
        seen |= {(session.room_id, v) for v in session.watchers}


def rate_of(rates: dict[tuple[str, date], Decimal], currency: str, day: date, reporting: str) -> Decimal:
    """The day's rate, or the latest earlier one within seven days; none raises."""
    if currency == reporting:
        return Decimal(1)
    for back in range(8):
        if (rate := rates.get((currency, day - timedelta(days=back)))) is not None:
            return rate
    raise ValueError(f"no rate of {currency} for {day}")


def _lines(rows: dict[str, list[Row]], rooms: dict[str, Row], by_id: dict, reporting: str) -> list[Line]:
    """Order lines with session, money and follow-ups; they are put into their sessions too."""
    clicks: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for event in rows["viewer_events"]:
        if event["event_type"] == "product_click":
            room_id = by_id[event["session_id"]].room_id
            clicks[room_id, event["viewer_id"], event["product_id"]].append(event)
    rates = {(r["currency"], r["rate_date"]): r["rate"] for r in rows["fx_rates"]}
    refunds, reviews, complaints = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in rows["refunds"]:
        refunds[row["order_line_id"]].append(row)
    for row in rows["reviews"]:
        reviews[row["order_line_id"]].append(row)
    for row in rows["complaints"]:
        complaints[row["order_id"]].append(row)

    lines = []
    for row in rows["orders"]:
        timezone = rooms[row["room_id"]]["timezone"]
        created = row["created_at"]
        before = [c for c in clicks[row["room_id"], row["viewer_id"], row["product_id"]]
                  if created - DAY_MS <= c["event_at"] <= created]
        last = max(before, default=None, key=lambda c: (c["event_at"], c["event_id"], c["session_id"]))
        if row["session_id"] is not None:
            session_id, attribution = row["session_id"], "platform"
        elif last is not None:
            session_id, attribution = last["session_id"], "last_click"
        else:
            session_id, attribution = None, "unattributed"
        session = by_id.get(session_id)
        day = session.business_date if session else local_date(created, timezone)

        def in_time(at: int | None, timezone: str = timezone, day: date = day) -> bool:
            return at is not None and local_date(at, timezone) <= day + timedelta(days=15)

        is_paid = row["paid_at"] is not None and row["paid_amount"] is not None
        line = Line(row, session_id, attribution, day, is_paid, Decimal(0), Decimal(0), 0)
        if is_paid:
            rate = rate_of(rates, row["currency"], local_date(row["paid_at"], timezone), reporting)
            done = [r for r in refunds[row["order_line_id"]] if in_time(r["completed_at"])]
            back = sum((r["amount"] for r in done), Decimal(0))
            returned = sum(r["quantity"] for r in done if r["refund_type"] == "return")
            line.gmv = rounded(row["paid_amount"] * rate, 2)
            line.refunded_amount = rounded(min(back, row["paid_amount"]) * rate, 2)
            line.units_returned = min(returned, row["quantity"])
            line.reviews = [r for r in reviews[row["order_line_id"]] if in_time(r["reviewed_at"])]
            line.is_complained = any(in_time(c["filed_at"]) for c in complaints[row["order_id"]])
        if session:
            line.created_inside = session.start <= created < session.end
            here = [c for c in before if c["session_id"] == session_id]
            if line.created_inside:
                line.credit_at = created
            elif here:
                click = max(here, key=lambda c: (c["event_at"], c["event_id"]))
                line.credit_at = session.nearest(click["event_at"])
            session.lines.append(line)
        lines.append(line)
    return lines


def _on_duty(rows: dict[str, list[Row]], sessions: list[Session]) -> None:
    """Who was on duty when, per session and role."""
    shifts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows["shifts"]:
        shifts[row["session_id"], row["role"]].append(row)
    away = [(r["staff_id"], r["from_date"], r["to_date"]) for r in rows["leaves"]]
    for session in sessions:
        day = session.business_date
        for role in ROLES:
            times: dict[str, list[Span]] = defaultdict(list)
            if there := shifts[session.session_id, role]:
                source = "shift"
                for row in there:
                    times[row["staff_id"]].append((row["on_at"], row["off_at"]))
            else:
                source = "home_room"
                for person in rows["staff"]:
                    if (person["role"] == role and person["room_id"] == session.room_id
                            and person["hired_on"] <= day <= (person["left_on"] or date.max)
                            and not any(s == person["staff_id"] and a <= day <= b for s, a, b in away)):
                        times[person["staff_id"]].append((session.start, session.end))
            for staff_id, spans in times.items():
                for on, off in united(clipped(spans, session.start, session.end)):
                    session.duty.append(Duty(staff_id, role, on, off, source))


def is_new_product(product: Row | None, day: date) -> bool:
    """Launched on the business date or up to 30 days before it."""
    launched = product and product["launched_on"]
    return bool(launched) and 0 <= (day - launched).days <= 30


def _count_events(session: Session, products: dict[str, Row]) -> None:
    """Events of a session → points and marks."""
    for viewer, events in session.events.items():
        staying = [e for e in events if e["event_type"] != "leave"]
        enters = [e for e in staying if e["event_type"] == "enter"]
        for event in enters or staying[:1]:
            session.points.append(Point(session.nearest(event["event_at"]), "views", 1))
        for event in staying:
            kind, at = event["event_type"], session.nearest(event["event_at"])
            measure, distinct = COUNTED_EVENTS.get(kind, (None, None))
            amount = 1
            if kind == "like" and event["quantity"] is not None:
                amount = event["quantity"]
            if measure:
                session.points.append(Point(at, measure, amount))
            if distinct:
                session.marks.append(Mark(at, distinct, viewer))
            if kind == "gift" and event["amount"] is not None:
                session.points.append(Point(at, "gift_amount", event["amount"]))
            if kind in ("follow", "unfollow"):
                session.points.append(Point(at, "net_followers", 1 if kind == "follow" else -1))
            if kind in ENGAGED:
                session.marks.append(Mark(at, "engaged_viewers", viewer))
            if kind in FEATURES:
                session.marks.append(Mark(at, "feature_viewers", viewer))
            if kind == "product_click" and is_new_product(products.get(event["product_id"]),
                                                          session.business_date):
                session.points.append(Point(at, "new_product_clicks", 1))


def _count_samples(session: Session) -> None:
    """Playback samples of a session → points."""
    for sample in session.samples:
        at, play, stall = session.nearest(sample["sampled_at"]), sample["play_ms"], sample["stall_ms"]
        amounts = {"playback_ms": play + stall, "stall_ms": stall, "play_ms": play}
        if sample["height"] is not None:
            amounts["rated_play_ms"] = play
            if (sample["height"] >= 720 and stall * 100 <= (play + stall) * 2
                    and (sample["fps"] is None or sample["fps"] >= 24)):
                amounts["qualified_play_ms"] = play
        if (first := sample["first_frame_ms"]) is not None:
            amounts |= {"first_frames": 1, "first_frame_ms": first, "instant_starts": int(first <= 1000)}
        if sample["latency_ms"] is not None:
            amounts |= {"latency_weighted_ms": sample["latency_ms"] * play, "latency_play_ms": play}
        session.points += [Point(at, measure, amount) for measure, amount in amounts.items()]


def _count_line(session: Session, line: Line, products: dict[str, Row]) -> None:
    """An order line and its follow-ups → points and marks, at the instant the line is credited."""
    at, scene = line.credit_at, line.created_inside

    def mark(measure: str, who: str) -> None:
        session.marks.append(Mark(at, measure, who, scene))

    mark("order_viewers", line.viewer_id)
    mark("orders_created", line.order_id)
    if not line.is_paid:
        return
    mark("buyers", line.viewer_id)
    mark("orders_paid", line.order_id)
    if line.is_complained:
        mark("complained_orders", line.order_id)
    amounts: dict[str, Decimal | int] = {
        "units_sold": line.row["quantity"],
        "gmv": line.gmv,
        "refunded_amount": line.refunded_amount,
        "net_gmv": line.gmv - line.refunded_amount,
        "units_returned": line.units_returned,
        "reviews_received": len(line.reviews),
        "negative_reviews": sum(review["rating"] <= 2 for review in line.reviews),
    }
    if is_new_product(products.get(line.row["product_id"]), line.business_date):
        amounts["new_product_units"] = line.row["quantity"]
    session.points += [Point(at, measure, amount, scene) for measure, amount in amounts.items()]


def totals(session: Session, on: int | None = None, off: int | None = None) -> dict[str, Decimal | int]:
    """The shared measures of a session, or of [on, off) of it."""
    out: dict[str, Decimal | int] = dict.fromkeys(SHARED, 0)
    for point in session.points:
        if on is None or (point.at is not None and on <= point.at < off):
            out[point.measure] += point.amount
    if session.start is not None:
        a, b = (session.start, session.end) if on is None else (on, off)
        out["watch_seconds"] = seconds(overlap(session.watch_spans(), a, b))
        out["explained_seconds"] = seconds(overlap(session.explained_spans(), a, b))
    return out


def distinct(marks: Iterable[Mark]) -> dict[str, int]:
    """How many did what, each counted once."""
    who: dict[str, set[str]] = {measure: set() for measure in DISTINCT}
    for mark in marks:
        who[mark.measure].add(mark.who)
    return {measure: len(people) for measure, people in who.items()}


def session_measures(session: Session) -> dict[str, Decimal | int]:
    """Every per-session measure of a live session or a pseudo-session."""
    out = totals(session) | distinct(session.marks)
    out["viewers"], out["new_viewers"] = len(session.watchers), len(session.new)
    live = session.start is not None
    out["live_seconds"] = seconds(session.end - session.start) if live else 0
    out["peak_online"] = peak(session.watch_spans(), session.start, session.end) if live else 0
    return out


def spend_tier(gmv: Decimal, month: str, rules: list[dict[str, Any]]) -> str:
    """none ≤ 0 < low < spend_tier_low ≤ mid < spend_tier_high ≤ high, by the rules of the month."""
    def in_force(rule: str) -> Decimal:
        rows = sorted((str(r["valid_from"]), Decimal(str(r["value"]))) for r in rules if r["rule"] == rule)
        return [value for valid_from, value in rows if valid_from <= f"{month}-01"][-1]

    if gmv <= 0:
        return "none"
    if gmv < in_force("spend_tier_low"):
        return "low"
    return "mid" if gmv < in_force("spend_tier_high") else "high"


def dimension_rows(facts: Facts) -> dict[str, list[Row]]:
    """core.dim_room, core.dim_product, core.dim_staff."""
    def pick(rows: Iterable[Row], columns: str) -> list[Row]:
        return [{name: row[name] for name in columns.split()} for row in rows]

    return {
        "core.dim_room": pick(facts.rooms.values(), "room_id name platform market timezone currency"),
        "core.dim_product": pick(facts.rows["products"],
                                 "product_id name category product_role list_price launched_on"),
        "core.dim_staff": pick(facts.rows["staff"], "staff_id name role room_id hired_on left_on"),
    }


def session_rows(facts: Facts) -> list[Row]:
    """core.fct_session."""
    return [{
        "session_id": s.session_id, "room_id": s.room_id, "business_date": s.business_date,
        "month": month_of(s.business_date), "mode": s.mode, "started_at": moment(s.start),
        "ended_at": moment(s.end), **session_measures(s),
    } for s in facts.sessions]


def person_rows(facts: Facts) -> list[Row]:
    """core.fct_person: watchers, and people with only lines or samples."""
    paid_by_viewer: dict[str, list[Line]] = defaultdict(list)
    for line in facts.lines:
        if line.is_paid:
            paid_by_viewer[line.viewer_id].append(line)
    out = []
    for session in facts.sessions:
        people = session.watchers | {line.viewer_id for line in session.lines}
        people |= {sample["viewer_id"] for sample in session.samples}
        first_of_month = session.business_date.replace(day=1)
        for viewer in people:
            staying = [e for e in session.events.get(viewer, []) if e["event_type"] != "leave"]
            kinds = [event["event_type"] for event in staying]
            paid = [line for line in session.lines if line.viewer_id == viewer and line.is_paid]
            samples = [sample for sample in session.samples if sample["viewer_id"] == viewer]
            spent = sum((p.gmv for p in paid_by_viewer[viewer] if p.business_date < first_of_month),
                        Decimal(0))
            watched = [(a, b) for v, a, b in session.visits if v == viewer]

            def first(column: str, staying: list[Row] = staying) -> str | None:
                return next((e[column] for e in staying if e[column] is not None), None)

            out.append({
                "session_id": session.session_id, "viewer_key": facts.viewer_key[viewer],
                "room_id": session.room_id, "business_date": session.business_date,
                "region": first("region"), "device": first("device"),
                "traffic_source": first("traffic_source"),
                "is_new": viewer in session.new if viewer in session.watchers else None,
                "views": max(kinds.count("enter"), 1) if staying else 0,
                "watch_seconds": seconds(overlap(watched, session.start, session.end)),
                "first_event_at": moment(min((e["event_at"] for e in staying), default=None)),
                "chats": kinds.count("chat"),
                "likes": sum(1 if e["quantity"] is None else e["quantity"]
                             for e in staying if e["event_type"] == "like"),
                "follows": kinds.count("follow"), "unfollows": kinds.count("unfollow"),
                "shares": kinds.count("share"), "gifts": kinds.count("gift"),
                "exposures": kinds.count("product_exposure"), "clicks": kinds.count("product_click"),
                "carts": kinds.count("add_to_cart"),
                "orders_paid": len({line.order_id for line in paid}),
                "units_sold": sum(line.row["quantity"] for line in paid),
                "gmv": sum((line.gmv for line in paid), Decimal(0)),
                "spend_tier_before": spend_tier(spent, month_of(session.business_date), facts.rules),
                "stall_ms": sum((s["stall_ms"] for s in samples), Decimal(0)),
                "play_ms": sum((s["play_ms"] for s in samples), Decimal(0)),
            })
    return out


def viewer_rows(facts: Facts, people: list[Row]) -> list[Row]:
    """core.dim_viewer from the rows of core.fct_person and the order lines."""
    sessions: dict[str, list[Row]] = defaultdict(list)
    lines: dict[str, list[Line]] = defaultdict(list)
    for row in people:
        sessions[row["viewer_key"]].append(row)
    for line in facts.lines:
        lines[facts.viewer_key[line.viewer_id]].append(line)
    out = []
    for key in sessions.keys() | lines.keys():
        days = [row["business_date"] for row in sessions[key]]
        all_days = days + [line.business_date for line in lines[key]]
        paid = [line for line in lines[key] if line.is_paid]
        gmv = sum((line.gmv for line in paid), Decimal(0))
        out.append({
            "viewer_key": key, "first_seen_date": min(all_days), "last_seen_date": max(all_days),
            "sessions_watched": sum(row["views"] > 0 for row in sessions[key]),
            "orders_paid": len({line.order_id for line in paid}), "gmv": gmv,
            "spend_tier": spend_tier(gmv, month_of(max(days or all_days)), facts.rules),
        })
    return out


def product_rows(facts: Facts) -> list[Row]:
    """core.fct_product."""
    out = []
    for session in facts.sessions:
        events: dict[str, list[Row]] = defaultdict(list)
        for theirs in session.events.values():
            for event in theirs:
                if event["event_type"] in ("product_exposure", "product_click", "add_to_cart"):
                    events[event["product_id"]].append(event)
        explained: dict[str, list[Span]] = defaultdict(list)
        for product_id, a, b in session.explained:
            if product_id is not None:
                explained[product_id].append((a, b))
        lines: dict[str, list[Line]] = defaultdict(list)
        for line in session.lines:
            lines[line.row["product_id"]].append(line)
        for product_id in events.keys() | explained.keys() | lines.keys():
            of_kind = {kind: [e["viewer_id"] for e in events[product_id] if e["event_type"] == kind]
                       for kind in ("product_exposure", "product_click", "add_to_cart")}
            created = lines[product_id]
            paid = [line for line in created if line.is_paid]
            out.append({
                "session_id": session.session_id, "product_id": product_id, "room_id": session.room_id,
                "business_date": session.business_date,
                "exposures": len(of_kind["product_exposure"]), "clicks": len(of_kind["product_click"]),
                "carts": len(of_kind["add_to_cart"]),
                "exposed_viewers": len(set(of_kind["product_exposure"])),
                "click_viewers": len(set(of_kind["product_click"])),
                "cart_viewers": len(set(of_kind["add_to_cart"])),
                "order_viewers": len({line.viewer_id for line in created}),
                "buyers": len({line.viewer_id for line in paid}),
                "orders_created": len({line.order_id for line in created}),
                "orders_paid": len({line.order_id for line in paid}),
                "units_sold": sum(line.row["quantity"] for line in paid),
                "gmv": sum((line.gmv for line in paid), Decimal(0)),
                "units_returned": sum(line.units_returned for line in paid),
                "explained_seconds": seconds(sum(b - a for a, b in united(explained[product_id]))),
            })
    return out


MINUTE_MS = 60_000
SCENE_POINTS = ("views", "chats", "likes", "follows", "shares", "gifts", "exposures", "clicks", "carts",
                "units_sold", "gmv", "play_ms", "stall_ms")


def scene_rows(facts: Facts) -> list[Row]:
    """core.fct_scene: every minute of every session."""
    out = []
    for session in facts.sessions:
        amounts: dict[int, dict] = defaultdict(lambda: dict.fromkeys(SCENE_POINTS, 0))
        orders: dict[int, set[str]] = defaultdict(set)
        for point in session.points:
            if point.in_scene and point.at is not None and point.measure in SCENE_POINTS:
                amounts[(point.at - session.start) // MINUTE_MS][point.measure] += point.amount
        for mark in session.marks:
            if mark.in_scene and mark.measure == "orders_paid" and mark.at is not None:
                orders[(mark.at - session.start) // MINUTE_MS].add(mark.who)
        for minute in range(-(-(session.end - session.start) // MINUTE_MS)):
            at = session.start + minute * MINUTE_MS
            until = min(at + MINUTE_MS, session.end)
            if minute < 30:
                phase = "opening"
            elif session.end - session.start > 60 * MINUTE_MS and at >= session.end - 30 * MINUTE_MS:
                phase = "closing"
            else:
                phase = "middle"
            on = [s for s in session.segments if s["started_at"] <= at < s["ended_at"]]
            segment = min(on, default=None, key=lambda s: (-s["started_at"], s["segment_id"]))
            hosts = [d.staff_id for d in session.duty if d.role == "host" and d.on <= at < d.off]
            watching = clipped(session.watch_spans(), at, until)
            out.append({
                "session_id": session.session_id, "minute": minute, "minute_at": moment(at),
                "room_id": session.room_id, "business_date": session.business_date, "phase": phase,
                "segment_type": segment and segment["segment_type"],
                "segment_id": segment and segment["segment_id"],
                "product_id": segment and segment["product_id"],
                "host_id": min(hosts, default=None),
                "peak_online": peak(watching, at, until),
                "watch_seconds": seconds(overlap(watching, at, until)),
                "orders_paid": len(orders[minute]),
                **amounts[minute],
            })
    return out


def order_line_rows(facts: Facts) -> list[Row]:
    """core.fct_order_line."""
    return [{
        "order_line_id": line.row["order_line_id"], "order_id": line.order_id,
        "viewer_key": facts.viewer_key[line.viewer_id], "room_id": line.row["room_id"],
        "session_id": line.session_id, "attribution": line.attribution,
        "product_id": line.row["product_id"], "business_date": line.business_date,
        "quantity": line.row["quantity"], "created_at": moment(line.row["created_at"]),
        "paid_at": moment(line.row["paid_at"]), "currency": line.row["currency"],
        "paid_amount": line.row["paid_amount"], "gmv": line.gmv, "refunded_amount": line.refunded_amount,
        "units_returned": line.units_returned,
    } for line in facts.lines]


def duty_rows(facts: Facts) -> list[Row]:
    """core.fct_duty."""
    return [{
        "staff_id": d.staff_id, "role": d.role, "session_id": s.session_id, "on_at": moment(d.on),
        "off_at": moment(d.off), "source": d.source,
    } for s in facts.sessions for d in s.duty]


def core(facts: Facts) -> dict[str, list[Row]]:
    """Every table of schema core."""
    people = person_rows(facts)
    return dimension_rows(facts) | {
        "core.dim_viewer": viewer_rows(facts, people),
        "core.fct_session": session_rows(facts),
        "core.fct_person": people,
        "core.fct_product": product_rows(facts),
        "core.fct_scene": scene_rows(facts),
        "core.fct_order_line": order_line_rows(facts),
        "core.fct_duty": duty_rows(facts),
    }
