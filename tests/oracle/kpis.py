"""kpis.kpi_measure_day, kpis.kpi_month and audit.attribution.

A row with `_optional` may be left out of the table compared; one without may not.

Readings taken where the pages leave room:
- kpi_measure_day: rows of amount 0 may be left out; gmv_target, a figure of the month, is not compared;
- kpi_month: a subject must have rows for every month in which it has a session, duty or amount; rows of
  further months and of a person's further rooms may be there and must then be right;
- the window of a total without session or duty and with amount 0 is `no_base`, also for peak_online;
- "paid on a business date 1 to 7 days later" means the business date of the paid line;
- "by order_id": a complaint meets the order whatever room it names;
- a message counts in the room it names; a conversation in that of its first customer message, by sent_at,
  message_id; a conversation is bot-only when no agent wrote after the first customer message;
- agent messages of someone who is not in `staff` count for the room and for nobody.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from .amounts import cut, ratio, seconds
from .delivered import Row
from .facts import (
    ROLES,
    SHARED,
    Duty,
    Facts,
    Line,
    Session,
    distinct,
    local_date,
    month_of,
    session_measures,
    totals,
)
from .visits import clipped, peak

# Exports, beside the four that are always there, without which a measure is not measured.
NEEDS = {
    "net_gmv": "refunds", "refunded_amount": "refunds", "units_returned": "refunds",
    "new_product_clicks": "products", "new_product_units": "products",
    "explained_seconds": "segments",
    "reviews_received": "reviews", "negative_reviews": "reviews",
    "complained_orders": "complaints",
    "gmv_target": "targets",
    **dict.fromkeys([
        "conversations", "answered_conversations", "answered_within_3min", "first_response_seconds",
        "human_replies", "ai_assisted_replies", "bot_only_conversations",
    ], "service_messages"),
    **dict.fromkeys([
        "playback_ms", "stall_ms", "play_ms", "rated_play_ms", "qualified_play_ms", "first_frames",
        "first_frame_ms", "instant_starts", "latency_weighted_ms", "latency_play_ms",
    ], "playback_qos"),
}
# What the lines of a room and date without a session enter, beside repurchase.
OF_PSEUDO_SESSION = [
    "order_viewers", "buyers", "orders_created", "orders_paid", "units_sold", "gmv", "net_gmv",
    "refunded_amount", "new_product_units", "units_returned", "reviews_received",
    "negative_reviews", "complained_orders",
]

Amount = Decimal | int
Subject = tuple[str, str, str | None, str]  # subject_type, subject_id, role, room_id


class Days:
    """Per subject and business date: measures as [share, whole]; and dates of sessions or duty."""

    def __init__(self) -> None:
        self.amounts: dict[Subject, dict[date, dict[str, list[Amount]]]] = defaultdict(
            lambda: defaultdict(dict))
        self.present: dict[Subject, set[date]] = defaultdict(set)

    def add(self, subject: Subject, day: date, measure: str, share: Amount, whole: Amount) -> None:
        """Add an amount; peak_online by maximum."""
        now = self.amounts[subject][day].setdefault(measure, [0, 0])
        if measure == "peak_online":
            now[:] = [max(now[0], share), max(now[1], whole)]
        else:
            now[:] = [now[0] + share, now[1] + whole]


def on_duty_at(session: Session, at: int | None) -> set[tuple[str, str]]:
    """(staff_id, role) on duty at an instant of the session."""
    return set() if at is None else {(d.staff_id, d.role) for d in session.duty if d.on <= at < d.off}


def credited(session: Session, role: str) -> tuple[dict[str, dict], dict[str, dict]]:
    """staff_id → measure → share, and the same for the whole amounts, of one role in one session."""
    duty = [d for d in session.duty if d.role == role]
    shares: dict[str, dict] = {d.staff_id: dict.fromkeys(SHARED, Decimal(0)) for d in duty}
    whole: dict[str, dict] = {d.staff_id: dict.fromkeys(SHARED, 0) for d in duty}
    edges = sorted({edge for d in duty for edge in (d.on, d.off)})
    for on, off in zip(edges, edges[1:], strict=False):
        people = sorted({d.staff_id for d in duty if d.on <= on and off <= d.off})
        if not people:
            continue
        for measure, total in totals(session, on, off).items():
            if not total:
                continue
            for staff_id, share in cut(total, people).items():
                shares[staff_id][measure] += share
                whole[staff_id][measure] += total
    return shares, whole


def unattributed(session: Session, role: str) -> dict[str, Amount]:
    """measure → what happened while nobody of the role was on duty, or at no instant of the session."""
    duty = [d for d in session.duty if d.role == role]
    edges = sorted({session.start, session.end} | {edge for d in duty for edge in (d.on, d.off)})
    out: dict[str, Amount] = dict.fromkeys(SHARED, 0)
    for on, off in zip(edges, edges[1:], strict=False):
        if not any(d.on <= on and off <= d.off for d in duty):
            for measure, total in totals(session, on, off).items():
                out[measure] += total
    for point in session.points:
        if point.at is None:
            out[point.measure] += point.amount
    return out


def unshared(session: Session, duty: list[Duty]) -> dict[str, Amount]:
    """The measures of one person and role in one session that are not shared."""
    spans = [(d.on, d.off) for d in duty]

    def during(at: int | None) -> bool:
        return at is not None and any(on <= at < off for on, off in spans)

    out: dict[str, Amount] = dict(distinct(mark for mark in session.marks if during(mark.at)))
    seen = {v for v, a, b in session.visits if any(clipped([(a, b)], on, off) for on, off in spans)}
    for viewer, events in session.events.items():
        if any(e["event_type"] != "leave" and during(session.nearest(e["event_at"])) for e in events):
            seen.add(viewer)
    out["viewers"], out["new_viewers"] = len(seen), len(seen & session.new)
    out["live_seconds"] = seconds(sum(off - on for on, off in spans))
    out["peak_online"] = max(peak(session.watch_spans(), on, off) for on, off in spans)
    return out


def count_sessions(facts: Facts, days: Days) -> None:
    """Per-session measures of rooms and of the people on duty."""
    for session in facts.sessions:
        room: Subject = ("room", session.room_id, None, session.room_id)
        days.present[room].add(session.business_date)
        for measure, amount in session_measures(session).items():
            days.add(room, session.business_date, measure, amount, amount)
        for role in ROLES:
            shares, whole = credited(session, role)
            for staff_id in shares:
                person: Subject = ("staff", staff_id, role, session.room_id)
                days.present[person].add(session.business_date)
                for measure, share in shares[staff_id].items():
                    days.add(person, session.business_date, measure, share, whole[staff_id][measure])
                theirs = [d for d in session.duty if d.role == role and d.staff_id == staff_id]
                for measure, amount in unshared(session, theirs).items():
                    days.add(person, session.business_date, measure, amount, amount)
    for pseudo in facts.outside:
        measures = session_measures(pseudo)
        for measure in OF_PSEUDO_SESSION:
            days.add(("room", pseudo.room_id, None, pseudo.room_id), pseudo.business_date, measure,
                     measures[measure], measures[measure])


def count_for(days: Days, session: Session | None, room_id: str, day: date, at: int | None,
              measures: list[str]) -> None:
    """One, of each measure, for the room and for everyone on duty in the session at the instant."""
    subjects: list[Subject] = [("room", room_id, None, room_id)]
    if session:
        subjects += [("staff", s, role, room_id) for s, role in on_duty_at(session, at)]
    for subject in subjects:
        for measure in measures:
            days.add(subject, day, measure, 1, 1)


def count_returns(facts: Facts, days: Days) -> None:
    """return_base, returned_next_day: viewer × room × business date."""
    on_date: dict[tuple[str, date], list[Session]] = defaultdict(list)
    for session in facts.sessions:
        on_date[session.room_id, session.business_date].append(session)
    for (room_id, day), sessions in on_date.items():
        tomorrow = on_date.get((room_id, day + timedelta(days=1)))
        if not tomorrow:
            continue
        back = set().union(*(s.watchers for s in tomorrow))
        firsts: dict[str, tuple] = {}
        for session in sessions:
            for viewer in session.watchers:
                for event in session.events[viewer]:
                    if event["event_type"] != "leave":
                        found = (event["event_at"], event["event_id"], session.session_id, session)
                        firsts[viewer] = min(firsts.get(viewer, found), found, key=lambda f: f[:3])
        for viewer, (at, _, _, session) in firsts.items():
            measures = ["return_base"] + ["returned_next_day"] * (viewer in back)
            count_for(days, session, room_id, day, session.nearest(at), measures)


def count_repurchases(facts: Facts, days: Days) -> None:
    """repurchase_base, repurchased_7d: buyer × room × business date."""
    by_id = {session.session_id: session for session in facts.sessions}
    paid: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in facts.lines:
        if line.is_paid:
            paid[line.viewer_id, line.row["room_id"]].append(line)
    for (_, room_id), lines in paid.items():
        for day in {line.business_date for line in lines}:
            today = [line for line in lines if line.business_date == day]
            first = min(today, key=lambda line: (line.row["created_at"], line.row["order_line_id"]))
            orders_today = {line.order_id for line in today}
            again = any(1 <= (line.business_date - day).days <= 7 and line.order_id not in orders_today
                        for line in lines)
            measures = ["repurchase_base"] + ["repurchased_7d"] * again
            count_for(days, by_id.get(first.session_id), room_id, day, first.credit_at, measures)


def count_service(facts: Facts, days: Days) -> None:
    """Conversations and replies, of rooms and of the staff who answered."""
    role_of = {row["staff_id"]: row["role"] for row in facts.rows["staff"]}
    conversations: dict[str, list[Row]] = defaultdict(list)
    for message in facts.rows["service_messages"]:
        conversations[message["conversation_id"]].append(message)

    def add(staff_id: str | None, room_id: str, day: date, amounts: dict[str, Amount]) -> None:
        subjects: list[Subject] = [("room", room_id, None, room_id)]
        if staff_id in role_of:
            subjects.append(("staff", staff_id, role_of[staff_id], room_id))
        for subject in subjects:
            for measure, amount in amounts.items():
                days.add(subject, day, measure, amount, amount)

    for messages in conversations.values():
        messages.sort(key=lambda m: (m["sent_at"], m["message_id"]))
        for message in messages:
            if message["sender"] == "agent":
                day = local_date(message["sent_at"], facts.timezone(message["room_id"]))
                add(message["staff_id"], message["room_id"], day,
                    {"human_replies": 1, "ai_assisted_replies": int(message["ai_assisted"] is True)})
        asked = next((m for m in messages if m["sender"] == "customer"), None)
        senders = {m["sender"] for m in messages}
        if "ai" in senders and "agent" not in senders:
            # Where no customer wrote, it belongs to where and when the bot began.
            where = asked or next(m for m in messages if m["sender"] == "ai")
            bot_day = local_date(where["sent_at"], facts.timezone(where["room_id"]))
            add(None, where["room_id"], bot_day, {"bot_only_conversations": 1})
        if asked is None:
            continue
        day = local_date(asked["sent_at"], facts.timezone(asked["room_id"]))
        reply = next((m for m in messages
                      if m["sender"] == "agent" and m["sent_at"] > asked["sent_at"]), None)
        if reply is None:
            add(None, asked["room_id"], day, {"conversations": 1})
        else:
            delay = reply["sent_at"] - asked["sent_at"]
            add(reply["staff_id"], asked["room_id"], day, {
                "conversations": 1, "answered_conversations": 1,
                "answered_within_3min": int(delay <= 180_000), "first_response_seconds": seconds(delay)})


def measure_days(facts: Facts) -> Days:
    """Everything counted, per subject and business date."""
    days = Days()
    count_sessions(facts, days)
    count_returns(facts, days)
    count_repurchases(facts, days)
    count_service(facts, days)
    return days


def measure_day_rows(days: Days) -> list[Row]:
    """kpis.kpi_measure_day; a row of amount 0 may be left out."""
    return [
        {"subject_type": kind, "subject_id": subject_id, "role": role, "room_id": room_id,
         "business_date": day, "measure": measure, "amount": share, "amount_whole": whole,
         "_optional": not share and not whole}
        for (kind, subject_id, role, room_id), by_day in days.amounts.items()
        for day, measures in by_day.items()
        for measure, (share, whole) in measures.items()
    ]


def next_month(first: date) -> date:
    """The first day of the month after."""
    return (first + timedelta(days=31)).replace(day=1)


def window(month: str, maturity_days: int) -> tuple[date, date]:
    """from_date, to_date of a month's KPI."""
    first = date.fromisoformat(f"{month}-01")
    shift = timedelta(days=maturity_days)
    return first - shift, next_month(first) - timedelta(days=1) - shift


def empty_as_none(value: Any) -> Any:
    """A registry cell: empty text is null."""
    return None if value in (None, "") else value


def kpi_month_rows(facts: Facts, days: Days, registry: list[dict[str, Any]],
                   delivered: set[str]) -> list[Row]:
    """kpis.kpi_month: every subject, room, month and KPI that may stand there."""
    dates = sorted({day for by_day in days.amounts.values() for day in by_day}
                   | {day for present in days.present.values() for day in present})
    if not dates:
        return []
    months, first = [], dates[0].replace(day=1)
    while first <= next_month(dates[-1].replace(day=1)):
        months.append(month_of(first))
        first = next_month(first)
    rooms = sorted(facts.rooms)
    people = {(row["staff_id"], row["role"]) for row in facts.rows["staff"]}
    people |= {(s[1], s[2]) for s in [*days.amounts, *days.present] if s[0] == "staff"}
    subjects: list[tuple[str, str, str | None, str | None]] = [("room", r, None, r) for r in rooms]
    subjects += [("staff", s, role, room) for s, role in sorted(people) for room in [*rooms, None]]
    gmv_targets = {(r["scope_id"], r["month"]): r["target"] for r in facts.rows["targets"]
                   if r["scope_type"] == "room" and r["kpi_id"] == "gmv"}
    out = []
    for kind, subject_id, role, room_id in subjects:
        parts = [(kind, subject_id, role, room) for room in (rooms if room_id is None else [room_id])]
        active = {month_of(day) for part in parts if part in days.present for day in days.present[part]}
        active |= {month_of(day) for part in parts if part in days.amounts
                   for day, measures in days.amounts[part].items() if any(map(any, measures.values()))}
        for month in months:
            for kpi in registry:
                out.append({
                    "subject_type": kind, "subject_id": subject_id, "role": role, "room_id": room_id,
                    "month": month, "kpi_id": kpi["kpi_id"],
                    **kpi_value(days, parts, month, kpi, delivered, gmv_targets),
                    "_optional": month not in active,
                })
    return out


def kpi_value(days: Days, parts: list[Subject], month: str, kpi: dict[str, Any], delivered: set[str],
              gmv_targets: dict[tuple[str, str], Decimal]) -> Row:
    """from_date, to_date, numerator, denominator, value, reason of one KPI, subject and month."""
    kind, subject_id = parts[0][:2]
    numerator, denominator = kpi["numerator"], empty_as_none(kpi["denominator"])
    from_date, to_date = window(month, int(kpi["maturity_days"]))

    def total(measure: str) -> Amount:
        if measure == "gmv_target":
            return gmv_targets.get((subject_id, month), 0) if kind == "room" else 0
        which = 0 if denominator is None else 1  # a total adds shares, a ratio whole amounts
        found = [by_measure[measure][which] for part in parts if part in days.amounts
                 for day, by_measure in days.amounts[part].items()
                 if from_date <= day <= to_date and measure in by_measure]
        return max(found, default=0) if measure == "peak_online" else sum(found)

    present = any(from_date <= day <= to_date for part in parts if part in days.present
                  for day in days.present[part])
    measures = [numerator] + [denominator] * (denominator is not None)
    above, below = total(numerator), None if denominator is None else total(denominator)
    min_base = empty_as_none(kpi["min_base"])
    factor = Decimal(str(empty_as_none(kpi["factor"]) or 1))
    if kind == "staff" and "gmv_target" in measures:
        reason = "not_applicable"
    elif any(NEEDS.get(measure, "orders") not in delivered for measure in measures):
        reason = "no_data"
    elif (not present and not above) if below is None else not below:
        reason = "no_base"
    elif below is not None and min_base is not None and below < Decimal(str(min_base)):
        reason = "small_sample"
    else:
        reason = None
    value = None if reason else ratio(above, 1 if below is None else below, factor)
    return {"from_date": from_date, "to_date": to_date, "numerator": above, "denominator": below,
            "value": value, "reason": reason}


def attribution_rows(facts: Facts) -> list[Row]:
    """audit.attribution; roles without duty and measures of 0 may be left out."""
    out = []
    for session in facts.sessions:
        total = totals(session)
        for role in ROLES:
            shares, _ = credited(session, role)
            rest = unattributed(session, role)
            for measure in SHARED:
                out.append({
                    "session_id": session.session_id, "role": role, "measure": measure,
                    "total": total[measure],
                    "credited": sum((theirs[measure] for theirs in shares.values()), Decimal(0)),
                    "unattributed": rest[measure],
                    "_optional": not shares or not total[measure],
                })
    return out
