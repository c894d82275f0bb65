"""The raw rows behind a measure of a person or a room: which rows counted, where, and for how much.

Every measure becomes a temporary table `items`: group_key (a session, or a room and date), begun_at, until_at
(null for what happens at an instant), amount, counted (what is counted once, for distinct people and orders),
label, and refs, the raw rows as (export, file_no, row_no). Sums are made again
from these rows, by slices of duty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb


@dataclass(frozen=True)
class Scope:
    """Whose measure, over which business dates (inclusive): a person in a role, or a room (role None)."""

    subject_type: str
    subject_id: str
    role: str | None
    from_date: date
    to_date: date


@dataclass(frozen=True)
class Group:
    """A session, or a room and date: the share and whole that the marts say, and what the rows add up to."""

    key: str
    business_date: date
    share: Decimal
    whole: Decimal
    rows_share: Decimal
    rows_whole: Decimal
    items: int

    @property
    def agrees(self) -> bool:
        return self.share == self.rows_share and self.whole == self.rows_whole


EVENT = "{'export': 'viewer_events', 'file_no': e._file_no, 'row_no': e._row_no}"

# Events that count one each; the amount of the others is given with them.
EVENTS = {
    "views": ("e.is_view", "1"),
    "chats": ("e.event_type = 'chat'", "1"),
    "likes": ("e.event_type = 'like'", "coalesce(e.quantity, 1)"),
    "follows": ("e.event_type = 'follow'", "1"),
    "unfollows": ("e.event_type = 'unfollow'", "1"),
    "net_followers": (
        "e.event_type in ('follow', 'unfollow')",
        "case e.event_type when 'follow' then 1 else -1 end",
    ),
    "shares": ("e.event_type = 'share'", "1"),
    "gifts": ("e.event_type = 'gift'", "1"),
    "gift_amount": ("e.event_type = 'gift'", "coalesce(e.amount, 0)"),
    "red_packet_claims": ("e.event_type = 'red_packet_claim'", "1"),
    "votes": ("e.event_type = 'vote'", "1"),
    "mic_joins": ("e.event_type = 'mic_join'", "1"),
    "exposures": ("e.event_type = 'product_exposure'", "1"),
    "clicks": ("e.event_type = 'product_click'", "1"),
    "carts": ("e.event_type = 'add_to_cart'", "1"),
    "new_product_clicks": (
        "e.event_type = 'product_click' and exists (select 1 from raw.products as p "
        "where p._status = 'current' and p.product_id = e.product_id "
        "and e.business_date - p.launched_on between 0 and 30)",
        "1",
    ),
}
ACTORS = {
    "commenters": "('chat')",
    "engaged_viewers": "('chat', 'like', 'follow', 'share', 'gift')",
    "feature_viewers": "('red_packet_claim', 'vote', 'mic_join')",
    "exposed_viewers": "('product_exposure')",
    "click_viewers": "('product_click')",
    "cart_viewers": "('add_to_cart')",
}
# Order lines: which, how much, what is counted once, and the raw rows that say so beside the line's own.
LINES = {
    "order_viewers": ("true", "1", "l.viewer_no::varchar", ""),
    "buyers": ("l.is_paid", "1", "l.viewer_no::varchar", ""),
    "orders_created": ("true", "1", "l.order_id", ""),
    "orders_paid": ("l.is_paid", "1", "l.order_id", ""),
    "complained_orders": ("l.is_complained", "1", "l.order_id", "complaints"),
    "units_sold": ("l.units_sold <> 0", "l.units_sold", "null", ""),
    "gmv": ("l.gmv <> 0", "l.gmv", "null", ""),
    "net_gmv": ("l.gmv <> 0", "l.gmv - l.refunded_amount", "null", "refunds"),
    "refunded_amount": ("l.refunded_amount <> 0", "l.refunded_amount", "null", "refunds"),
    "new_product_units": ("l.is_new_product and l.units_sold <> 0", "l.units_sold", "null", ""),
    "units_returned": ("l.units_returned <> 0", "l.units_returned", "null", "refunds"),
    "reviews_received": ("l.reviews_received <> 0", "l.reviews_received", "null", "reviews"),
    "negative_reviews": ("l.negative_reviews <> 0", "l.negative_reviews", "null", "reviews"),
}
SAMPLES = {
    "playback_ms": ("true", "q.play_ms + q.stall_ms"),
    "stall_ms": ("true", "q.stall_ms"),
    "play_ms": ("true", "q.play_ms"),
    "rated_play_ms": ("q.height is not null", "q.play_ms"),
    "qualified_play_ms": (
        "q.height >= 720 and q.stall_ms * 50 <= q.play_ms + q.stall_ms and (q.fps is null or q.fps >= 24)",
        "q.play_ms",
    ),
    "first_frames": ("q.first_frame_ms is not null", "1"),
    "first_frame_ms": ("q.first_frame_ms is not null", "q.first_frame_ms"),
    "instant_starts": ("q.first_frame_ms <= 1000", "1"),
    "latency_weighted_ms": (
        "q.latency_ms is not null",
        "cast(q.latency_ms as decimal(18, 3)) * cast(q.play_ms as decimal(18, 3))",
    ),
    "latency_play_ms": ("q.latency_ms is not null", "q.play_ms"),
}
FOLLOW_UPS = ("return_base", "returned_next_day", "repurchase_base", "repurchased_7d")
SERVICE = {
    "conversations": "true",
    "answered_conversations": "answer.staff_id is not null or answer.message_id is not null",
    "answered_within_3min": "epoch_ms(answer.sent_at) - epoch_ms(question.sent_at) <= 180000",
    "first_response_seconds": "answer.message_id is not null",
}
REPLIES = {"human_replies": "true", "ai_assisted_replies": "coalesce(m.ai_assisted, false)"}
# Counted once each: the share is the whole.
DISTINCT = {*ACTORS, "viewers", "new_viewers", *(name for name, spec in LINES.items() if spec[2] != "null")}
BY_DATE = {*FOLLOW_UPS, *SERVICE, *REPLIES, "bot_only_conversations"}


def prepare(con: duckdb.DuckDBPyConnection, scope: Scope) -> None:
    """Temporary tables of the scope: scope_sessions, slices (where the subject counts) and scope_events."""
    values: Mapping[str, Any] = {
        "subject": scope.subject_id,
        "role": scope.role,
        "from_date": scope.from_date,
        "to_date": scope.to_date,
    }
    if scope.subject_type == "room":
        _make(
            con,
            "scope_sessions",
            "select * from intermediate.int_sessions_dated where room_id = $subject "
            "and business_date between $from_date and $to_date",
            values,
        )
        _make(
            con,
            "slices",
            "select session_id, started_at as slice_from, ended_at as slice_to, 1 as on_duty, "
            "true as takes_rest, "
            "true as is_all from scope_sessions",
        )
    else:
        _make(con, "scope_sessions", _STAFF_SESSIONS, values)
        _make(con, "slices", _STAFF_SLICES, values)
    _make(con, "scope_events", _SCOPE_EVENTS)


_STAFF_SESSIONS = """
    select * from intermediate.int_sessions_dated
    where business_date between $from_date and $to_date and session_id in (
        select session_id from intermediate.int_duty_resolved where staff_id = $subject and role = $role)
"""
# The session cut at every on and off of the role; k people in each slice, the smallest takes the rest.
_STAFF_SLICES = """
    with duty as (
        select * from intermediate.int_duty_resolved
        where role = $role and session_id in (select session_id from scope_sessions)
    ),
    cuts as (
        select session_id, on_at as cut_at from duty union select session_id, off_at from duty
    ),
    cut as (
        select session_id, cut_at as slice_from,
            lead(cut_at) over (partition by session_id order by cut_at) as slice_to
        from cuts
    )
    select cut.session_id, cut.slice_from, cut.slice_to, count(distinct duty.staff_id) as on_duty,
        min(duty.staff_id) = $subject as takes_rest, false as is_all
    from cut
    join duty on cut.session_id = duty.session_id and cut.slice_from >= duty.on_at
        and cut.slice_from < duty.off_at
    where cut.slice_to is not null
    group by all
    having bool_or(duty.staff_id = $subject)
"""
_SCOPE_EVENTS = """
    with ordered as (
        select e.*, s.business_date, s.started_at, s.ended_at,
            greatest(s.started_at, least(e.event_at, s.ended_at - interval 1 millisecond)) as placed_at,
            row_number() over viewer_order as seq,
            lag(e.event_type) over viewer_order as previous_type,
            count_if(e.event_type = 'enter') over (partition by e.session_id, e.viewer_no) as enters
        from raw.viewer_events as e join scope_sessions as s using (session_id)
        where e._status = 'current'
        window viewer_order as (
            partition by e.session_id, e.viewer_no
            order by e.event_at, case e.event_type when 'leave' then 0 when 'enter' then 1 else 2 end,
                e.event_id
        )
    )
    select *,
        event_type = 'leave' and coalesce(previous_type, 'leave') = 'leave' as is_ignored,
        event_type = 'enter' or (
            enters = 0 and event_type <> 'leave' and count_if(event_type <> 'leave') over earlier = 1
        ) as is_view,
        count_if(
            event_type = 'enter' or (event_type <> 'leave' and coalesce(previous_type, 'leave') = 'leave')
        ) over earlier as interval_no
    from ordered
    window earlier as (partition by session_id, viewer_no order by seq rows unbounded preceding)
"""
# One viewer's stay, from the row that opens it to the row that ends it, clipped to the session.
_STAYS = f"""
    select e.session_id, e.business_date, e.viewer_no,
        greatest(min(e.event_at), any_value(e.started_at)) as begun_at,
        greatest(least(max(e.event_at), any_value(e.ended_at)), min(e.event_at),
            any_value(e.started_at)) as until_at,
        list_distinct([arg_min({EVENT}, e.seq), arg_max({EVENT}, e.seq)]) as refs
    from scope_events as e where not e.is_ignored
    group by e.session_id, e.business_date, e.viewer_no, e.interval_no
"""


def items_sql(measure: str, scope: Scope) -> str:
    """SQL of the measure's items: the columns of `items`, and business_date."""
    if measure in EVENTS:
        condition, amount = EVENTS[measure]
        return (
            f"select e.session_id as group_key, e.business_date, e.placed_at as begun_at, "
            f"null::timestamp as until_at, "
            f"cast({amount} as decimal(38, 6)) as amount, null as counted, e.event_type as label, "
            f"[{EVENT}] as refs "
            f"from scope_events as e where {condition}"
        )
    if measure in ACTORS:
        return (
            f"select e.session_id as group_key, e.business_date, e.placed_at as begun_at, "
            f"null::timestamp as until_at, "
            f"cast(1 as decimal(38, 6)) as amount, e.viewer_no::varchar as counted, e.event_type as label, "
            f"[{EVENT}] as refs from scope_events as e where e.event_type in {ACTORS[measure]}"
        )
    if measure in ("viewers", "new_viewers"):
        return _viewers(measure)
    if measure in ("watch_seconds", "peak_online"):
        return (
            "select session_id as group_key, business_date, begun_at, until_at, "
            "cast(1 as decimal(38, 6)) as amount, "
            f"null as counted, 'stay' as label, refs from ({_STAYS}) where begun_at < until_at"
        )
    if measure in LINES:
        return _lines(measure, scope)
    if measure in SAMPLES:
        condition, amount = SAMPLES[measure]
        return (
            "select q.session_id as group_key, s.business_date, "
            "greatest(s.started_at, least(q.sampled_at, s.ended_at - interval 1 millisecond)) as begun_at, "
            f"null::timestamp as until_at, cast({amount} as decimal(38, 6)) as amount, null as counted, "
            "q.sample_id as label, "
            "[{'export': 'playback_qos', 'file_no': q._file_no, 'row_no': q._row_no}] as refs "
            "from raw.playback_qos as q join scope_sessions as s using (session_id) "
            f"where q._status = 'current' and {condition}"
        )
    if measure == "explained_seconds":
        return _EXPLAINED
    if measure == "live_seconds":
        return _DUTY if scope.subject_type == "staff" else _LIVE
    if measure in FOLLOW_UPS:
        return _follow_ups(measure, scope)
    if measure in SERVICE:
        return _conversations(measure, scope)
    if measure in REPLIES:
        return _replies(measure, scope)
    if measure == "bot_only_conversations":
        return _BOT_ONLY
    assert measure == "gmv_target", f"no evidence is known for measure {measure}"
    return _GMV_TARGET


def _viewers(measure: str) -> str:
    """A viewer is there by a stay that overlaps, or by a sign of life; each is one item."""
    first = (
        ""
        if measure == "viewers"
        else "join intermediate.int_viewers_first_seen as f on f.room_id = s.room_id "
        "and f.viewer_no = there.viewer_no and f.session_id = there.session_id"
    )
    return f"""
        select there.session_id as group_key, there.business_date, there.begun_at, there.until_at,
            cast(1 as decimal(38, 6)) as amount, there.viewer_no::varchar as counted, there.label, there.refs
        from (
            select session_id, business_date, viewer_no, begun_at, until_at, 'stay' as label, refs
            from ({_STAYS}) where begun_at < until_at
            union all
            select e.session_id, e.business_date, e.viewer_no, e.placed_at, null, e.event_type, [{EVENT}]
            from scope_events as e where e.event_type <> 'leave'
        ) as there
        join scope_sessions as s on there.session_id = s.session_id
        {first}
        where exists (select 1 from scope_events as alive where alive.session_id = there.session_id
            and alive.viewer_no = there.viewer_no and alive.event_type <> 'leave')
    """


def _lines(measure: str, scope: Scope) -> str:
    condition, amount, counted, beside = LINES[measure]
    refs = "[{'export': 'orders', 'file_no': o._file_no, 'row_no': o._row_no}]"
    if beside:
        within, key = {
            "refunds": ("completed_at", "order_line_id"),
            "reviews": ("reviewed_at", "order_line_id"),
            "complaints": ("filed_at", "order_id"),
        }[beside]
        narrowed = {
            "units_returned": " and b.refund_type = 'return'",
            "negative_reviews": " and b.rating <= 2",
        }
        refs = (
            f"list_concat({refs}, coalesce((select list({{'export': '{beside}', 'file_no': b._file_no, "
            f"'row_no': b._row_no}} order by b._file_no, b._row_no) from raw.{beside} as b where "
            f"b._status = 'current' "
            f"and b.{key} = l.{key} and cast(timezone(l.timezone, timezone('UTC', b.{within})) as date) "
            f"<= l.business_date + 15{narrowed.get(measure, '')}), []))"
        )
    where = "l.session_id in (select session_id from scope_sessions)"
    if scope.subject_type == "room":
        # Orders without a session stand by their room and date.
        where += (
            " or (l.session_id is null and l.room_id = $subject "
            "and l.business_date between $from_date and $to_date)"
        )
    return (
        "select coalesce(l.session_id, l.room_id || ' ' || l.business_date) as group_key, l.business_date, "
        f"l.credited_at as begun_at, null::timestamp as until_at, "
        f"cast({amount} as decimal(38, 6)) as amount, "
        f"{counted} as counted, 'line ' || l.order_line_id as label, {refs} as refs "
        "from intermediate.int_lines_valued as l join raw.orders as o on o.order_line_id = l.order_line_id "
        f"and o._status = 'current' where {condition} and ({where})"
    )


_EXPLAINED = """
    with segments as (
        select g.session_id, s.business_date, greatest(g.started_at, s.started_at) as from_at,
            least(g.ended_at, s.ended_at) as to_at,
            {'export': 'segments', 'file_no': g._file_no, 'row_no': g._row_no} as ref
        from raw.segments as g join scope_sessions as s using (session_id)
        where g._status = 'current' and g.segment_type = 'explain'
            and greatest(g.started_at, s.started_at) < least(g.ended_at, s.ended_at)
    ),
    marked as (
        select *, coalesce(from_at > max(to_at) over (
            partition by session_id order by from_at, to_at rows between unbounded preceding and 1 preceding
        ), true) as is_start
        from segments
    ),
    numbered as (
        select *, count_if(is_start) over (
            partition by session_id order by from_at, to_at rows unbounded preceding) as no
        from marked
    )
    select session_id as group_key, business_date, min(from_at) as begun_at, max(to_at) as until_at,
        cast(1 as decimal(38, 6)) as amount, null as counted, 'explaining' as label,
            list(ref order by from_at) as refs
    from numbered group by session_id, business_date, no
"""
_LIVE = """
    select s.session_id as group_key, s.business_date, s.started_at as begun_at, s.ended_at as until_at,
        cast(1 as decimal(38, 6)) as amount, null as counted, 'session' as label,
        [{'export': 'sessions', 'file_no': r._file_no, 'row_no': r._row_no}] as refs
    from scope_sessions as s join raw.sessions as r on r.session_id = s.session_id and r._status = 'current'
"""
# A home-room duty rests on the session and the employment, a rostered one on its shifts.
_DUTY = """
    select d.session_id as group_key, d.business_date, d.on_at as begun_at, d.off_at as until_at,
        cast(1 as decimal(38, 6)) as amount, null as counted, d.source as label,
        case d.source when 'shift' then (
            select list({'export': 'shifts', 'file_no': h._file_no, 'row_no': h._row_no} order by h.on_at)
            from raw.shifts as h where h._status = 'current' and h.session_id = d.session_id
                and h.staff_id = d.staff_id and h.role = d.role and h.on_at < d.off_at and h.off_at > d.on_at
        ) else list_concat(
            (select list({'export': 'sessions', 'file_no': r._file_no, 'row_no': r._row_no})
             from raw.sessions as r where r._status = 'current' and r.session_id = d.session_id),
            (select list({'export': 'staff', 'file_no': t._file_no, 'row_no': t._row_no})
             from raw.staff as t where t._status = 'current' and t.staff_id = d.staff_id)
        ) end as refs
    from intermediate.int_duty_resolved as d
    where d.staff_id = $subject and d.role = $role and d.business_date between $from_date and $to_date
"""
_GMV_TARGET = """
    select t.scope_id || ' ' || $to_date as group_key, $to_date as business_date, null::timestamp as begun_at,
        null::timestamp as until_at, cast(t.target as decimal(38, 6)) as amount, null as counted,
            'target' as label,
        [{'export': 'targets', 'file_no': t._file_no, 'row_no': t._row_no}] as refs
    from raw.targets as t
    where t._status = 'current' and t.scope_type = 'room' and t.scope_id = $subject and t.kpi_id = 'gmv'
        and t.month = $month
"""


def _on_duty(scope: Scope, session: str, at: str) -> str:
    """The condition that the subject is credited with what happened in a session at an instant."""
    if scope.subject_type == "room":
        return "f.room_id = $subject"
    return (
        f"exists (select 1 from intermediate.int_duty_resolved as d where d.staff_id = $subject and "
        f"d.role = $role "
        f"and d.session_id = {session} and {at} >= d.on_at and {at} < d.off_at)"
    )


def _follow_ups(measure: str, scope: Scope) -> str:
    if measure in ("return_base", "returned_next_day"):
        rooms = "(select distinct room_id, business_date from intermediate.int_sessions_dated)"
        came_back = (
            "join firsts as n on n.room_id = f.room_id and n.viewer_no = f.viewer_no "
            "and n.business_date = f.business_date + 1"
        )
        credited = _on_duty(scope, "f.session_id", "f.placed_at")
        is_back = measure == "returned_next_day"
        refs = f"[{EVENT}" + (", " + EVENT.replace("e.", "en.") if is_back else "") + "]"
        next_event = (
            "join raw.viewer_events as en on en.session_id = n.session_id and en.event_id = n.event_id "
            "and en._status = 'current'"
        )
        return f"""
            with firsts as (
                select * from intermediate.int_first_visits
                qualify row_number() over (
                    partition by room_id, business_date, viewer_no
                    order by first_event_at, event_id, session_id) = 1
            )
            select f.room_id || ' ' || f.business_date as group_key, f.business_date, f.placed_at as begun_at,
                null::timestamp as until_at, cast(1 as decimal(38, 6)) as amount, null as counted,
                'first visit in ' || f.session_id as label, {refs} as refs
            from firsts as f
            join {rooms} as r on r.room_id = f.room_id and r.business_date = f.business_date + 1
            join raw.viewer_events as e on e.session_id = f.session_id and e.event_id = f.event_id
                and e._status = 'current'
            {came_back if is_back else ""} {next_event if is_back else ""}
            where f.business_date between $from_date and $to_date and {credited}
        """
    credited = _on_duty(scope, "f.session_id", "f.credited_at")
    order = "{'export': 'orders', 'file_no': o._file_no, 'row_no': o._row_no}"
    again = """
        select list({'export': 'orders', 'file_no': a._file_no, 'row_no': a._row_no} order by a.order_line_id)
        from paid as p join raw.orders as a on a.order_line_id = p.order_line_id and a._status = 'current'
        where p.room_id = f.room_id and p.viewer_no = f.viewer_no
            and p.business_date between f.business_date + 1 and f.business_date + 7
            and p.order_id not in (select same.order_id from paid as same where same.room_id = f.room_id
                and same.viewer_no = f.viewer_no and same.business_date = f.business_date)
    """
    refs = f"[{order}]" if measure == "repurchase_base" else f"list_concat([{order}], back.refs)"
    back = (
        ""
        if measure == "repurchase_base"
        else f"join lateral ({again}) as back(refs) on back.refs is not null"
    )
    return f"""
        with paid as (select * from intermediate.int_lines_valued where is_paid),
        firsts as (
            select * from paid
            qualify row_number() over (
                partition by room_id, business_date, viewer_no order by created_at, order_line_id) = 1
        )
        select f.room_id || ' ' || f.business_date as group_key, f.business_date, f.credited_at as begun_at,
            null::timestamp as until_at, cast(1 as decimal(38, 6)) as amount, null as counted,
            'first line ' || f.order_line_id as label, {refs} as refs
        from firsts as f
        join raw.orders as o on o.order_line_id = f.order_line_id and o._status = 'current'
        {back}
        where f.business_date between $from_date and $to_date and {credited}
    """


_QUESTIONS = """
    messages as (
        select m.*, r.timezone from raw.service_messages as m
        join core.dim_room as r using (room_id) where m._status = 'current'
    ),
    questions as (
        select * from messages where sender = 'customer'
        qualify row_number() over (partition by conversation_id order by sent_at, message_id) = 1
    )
"""
_MESSAGE = "{{'export': 'service_messages', 'file_no': {0}._file_no, 'row_no': {0}._row_no}}"


def _conversations(measure: str, scope: Scope) -> str:
    amount = "1"
    if measure == "first_response_seconds":
        amount = "(epoch_ms(answer.sent_at) - epoch_ms(question.sent_at)) * cast(0.001 as decimal(4, 3))"
    whose = "question.room_id = $subject" if scope.subject_type == "room" else "answer.staff_id = $subject"
    day = "cast(timezone(question.timezone, timezone('UTC', question.sent_at)) as date)"
    question, answer = _MESSAGE.format("question"), _MESSAGE.format("answer")
    return f"""
        with {_QUESTIONS},
        answers as (
            select m.* from messages as m join questions as q using (conversation_id)
            where m.sender = 'agent' and m.sent_at > q.sent_at
            qualify row_number() over (partition by m.conversation_id order by m.sent_at, m.message_id) = 1
        )
        select question.room_id || ' ' || {day} as group_key, {day} as business_date,
            question.sent_at as begun_at,
            null::timestamp as until_at, cast({amount} as decimal(38, 6)) as amount, null as counted,
            'conversation ' || question.conversation_id as label,
            case when answer.message_id is null then [{question}] else [{question}, {answer}] end as refs
        from questions as question left join answers as answer using (conversation_id)
        where {day} between $from_date and $to_date and {whose} and ({SERVICE[measure]})
    """


def _replies(measure: str, scope: Scope) -> str:
    whose = "r.room_id = $subject" if scope.subject_type == "room" else "m.staff_id = $subject"
    day = "cast(timezone(r.timezone, timezone('UTC', m.sent_at)) as date)"
    return f"""
        with {_QUESTIONS}
        select r.room_id || ' ' || {day} as group_key, {day} as business_date, m.sent_at as begun_at,
            null::timestamp as until_at, cast(1 as decimal(38, 6)) as amount, null as counted,
            'conversation ' || m.conversation_id as label, [{_MESSAGE.format("m")}] as refs
        from messages as m left join questions as q using (conversation_id)
        join core.dim_room as r on r.room_id = coalesce(q.room_id, m.room_id)
        where m.sender = 'agent' and {REPLIES[measure]} and {day} between $from_date and $to_date and {whose}
    """


_BOT_ONLY = f"""
    with {_QUESTIONS},
    bots as (
        select conversation_id,
            arg_min(room_id, (sent_at, message_id)) filter (where sender = 'ai') as room_id,
            arg_min(sent_at, (sent_at, message_id)) filter (where sender = 'ai') as sent_at,
            list({{'export': 'service_messages', 'file_no': _file_no, 'row_no': _row_no}}
                order by sent_at) as refs
        from messages group by conversation_id
        having count_if(sender = 'ai') > 0 and count_if(sender = 'agent') = 0
    ),
    dated as (
        select b.conversation_id, b.refs, b.sent_at, r.room_id,
            cast(timezone(r.timezone, timezone('UTC', coalesce(q.sent_at, b.sent_at))) as date)
                 as business_date
        from bots as b left join questions as q using (conversation_id)
        join core.dim_room as r on r.room_id = coalesce(q.room_id, b.room_id)
    )
    select room_id || ' ' || business_date as group_key, business_date, sent_at as begun_at,
        null::timestamp as until_at,
        cast(1 as decimal(38, 6)) as amount, null as counted, 'conversation ' || conversation_id as label,
            refs
    from dated where room_id = $subject and business_date between $from_date and $to_date
"""


# --- sums, made again from the rows ----------------------------------------------------------------------


def groups(con: duckdb.DuckDBPyConnection, scope: Scope, measure: str, month: str) -> list[Group]:
    """The measure by session (or room and date), beside what its rows add up to; leaves `counted_items`."""
    values = _values(scope, month)
    _make(con, "items", items_sql(measure, scope), values)
    if measure in BY_DATE or measure == "gmv_target":
        _make(con, "counted_items", "select *, 1 as on_duty, true as takes_rest, 0 as slice_no from items")
        sums = (
            "select group_key, sum(amount) as rows_share, sum(amount) as rows_whole, count(*) as items "
            "from counted_items group by group_key"
        )
    elif measure == "peak_online":
        _make(con, "counted_items", _AT_PEAK)
        sums = (
            "select group_key, count(*)::decimal(38, 6) as rows_share, "
            "count(*)::decimal(38, 6) as rows_whole, "
            "count(*) as items from counted_items group by group_key"
        )
    else:
        _make(con, "counted_items", _IN_SLICES)
        sums = _COUNTED_ONCE if measure in DISTINCT else _LIVE_SUMS if measure == "live_seconds" else _SHARED
    rows = con.execute(
        f"""
        with sums as ({sums}), marts as ({_marts_sql(scope, measure)})
        select coalesce(marts.group_key, sums.group_key),
            coalesce(marts.business_date,
                (select any_value(business_date) from items where items.group_key = sums.group_key)),
            coalesce(marts.share, 0), coalesce(marts.whole, 0),
            coalesce(sums.rows_share, 0), coalesce(sums.rows_whole, 0), coalesce(sums.items, 0)
        from marts full join sums on marts.group_key = sums.group_key
        where coalesce(marts.whole, 0) <> 0 or coalesce(marts.share, 0) <> 0
            or coalesce(sums.rows_whole, 0) <> 0
        order by 2, 1
        """,
        _used(_marts_sql(scope, measure), values),
    ).fetchall()
    return [
        Group(key, day, Decimal(share), Decimal(whole), Decimal(rows_share), Decimal(rows_whole), int(items))
        for key, day, share, whole, rows_share, rows_whole, items in rows
    ]


def counted_items(con: duckdb.DuckDBPyConnection, group_key: str) -> list[dict[str, Any]]:
    """The items of one group, as `groups` left them, with their raw rows (export, file_no, row)."""
    cursor = con.execute(
        """
        select begun_at, until_at, amount, counted, label,
            list_transform(
                refs, lambda r: {'export': r.export, 'file_no': r.file_no, 'row': r.row_no}) as refs
        from counted_items where group_key = ? order by begun_at, label, refs
        """,
        [group_key],
    )
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# An item belongs to the slices it happens in; a room has all that is its session's, wherever it is credited.
_IN_SLICES = """
    select i.* exclude (amount), s.slice_from as slice_no, coalesce(s.on_duty, 1) as on_duty,
        coalesce(s.takes_rest, true) as takes_rest,
        case when i.until_at is null then i.amount else cast(
            (epoch_ms(least(i.until_at, s.slice_to)) - epoch_ms(greatest(i.begun_at, s.slice_from)))
            * cast(0.001 as decimal(4, 3)) as decimal(38, 6)) end as amount
    from items as i
    left join slices as s on i.group_key = s.session_id
    where (s.session_id is null and i.group_key not in (select session_id from scope_sessions))
        or (s.is_all and (i.until_at is null or i.begun_at < i.until_at))
        or (not s.is_all and i.until_at is null and i.begun_at >= s.slice_from and i.begun_at < s.slice_to)
        or (not s.is_all and i.until_at is not null and i.begun_at < s.slice_to and i.until_at > s.slice_from)
"""
_SHARED = """
    select group_key,
        cast(cast(sum(units // on_duty + case when takes_rest then units % on_duty
            else 0 end) as decimal(32, 0))
            * cast(0.000001 as decimal(6, 6)) as decimal(38, 6)) as rows_share,
        sum(amount) as rows_whole, cast(sum(items) as bigint) as items
    from (
        select group_key, slice_no, on_duty, takes_rest, sum(amount) as amount, count(*) as items,
            cast(sum(amount) * 1000000 as hugeint) as units
        from counted_items group by group_key, slice_no, on_duty, takes_rest
    ) as slices_summed
    group by group_key
"""
_COUNTED_ONCE = """
    select group_key, count(distinct counted)::decimal(38, 6) as rows_share,
        count(distinct counted)::decimal(38, 6) as rows_whole, count(*) as items
    from counted_items group by group_key
"""
# Time on duty is never split.
_LIVE_SUMS = """
    select group_key, sum(amount) as rows_share, sum(amount) as rows_whole, count(distinct begun_at) as items
    from counted_items group by group_key
"""
# Those who were online at the (first) instant of the peak inside the subject's time.
_AT_PEAK = """
    with instants as (
        select s.session_id, greatest(i.begun_at, s.slice_from) as t
        from slices as s join items as i on i.group_key = s.session_id
            and i.begun_at < s.slice_to and i.until_at > s.slice_from
        group by all
    ),
    levels as (
        select p.session_id, p.t, count(*) as level
        from instants as p join items as i on i.group_key = p.session_id and i.begun_at <= p.t
            and i.until_at > p.t
        group by all
    ),
    peaks as (select session_id, arg_max(t, (level, -epoch_us(t))) as t from levels group by session_id)
    select i.*, 1 as on_duty, true as takes_rest, 0 as slice_no
    from items as i join peaks as p on i.group_key = p.session_id and i.begun_at <= p.t and i.until_at > p.t
"""


def _marts_sql(scope: Scope, measure: str) -> str:
    """What the marts say per group: group_key, business_date, share, whole."""
    if measure == "gmv_target":
        return (
            "select scope_id || ' ' || $to_date as group_key, $to_date as business_date, "
            "cast(target as decimal(38, 6)) as share, cast(target as decimal(38, 6)) as whole "
            "from intermediate.int_targets_current where scope_type = 'room' and scope_id = $subject "
            "and kpi_id = 'gmv' and month = $month"
        )
    dated = f"measure = '{measure}' and business_date between $from_date and $to_date"
    if measure in BY_DATE:
        whose = (
            "subject_type = 'room' and subject_id = $subject"
            if scope.subject_type == "room"
            else "subject_type = 'staff' and subject_id = $subject and role = $role"
        )
        return (
            "select room_id || ' ' || business_date as group_key, business_date, amount as share, "
            "amount_whole as whole "
            f"from kpis.kpi_measure_day where {whose} and {dated}"
        )
    if scope.subject_type == "staff":
        return (
            "select session_id as group_key, business_date, amount as share, amount_whole as whole "
            "from intermediate.int_staff_measures_credited "
            f"where staff_id = $subject and role = $role and {dated}"
        )
    sessions = (
        "select session_id as group_key, business_date, amount as share, amount as whole "
        f"from intermediate.int_session_measures_summed where room_id = $subject and {dated}"
    )
    if measure == "peak_online":
        return sessions
    # What the day has beyond its sessions came by orders without a session.
    return f"""
        {sessions}
        union all
        select days.subject_id || ' ' || days.business_date, days.business_date,
            days.amount - coalesce(sum(s.amount), 0), days.amount - coalesce(sum(s.amount), 0)
        from kpis.kpi_measure_day as days
        left join intermediate.int_session_measures_summed as s
            on s.room_id = days.subject_id and s.business_date = days.business_date
                and s.measure = days.measure
        where days.subject_type = 'room' and days.subject_id = $subject
            and days.measure = '{measure}' and days.business_date between $from_date and $to_date
        group by days.subject_id, days.business_date, days.amount
        having days.amount <> coalesce(sum(s.amount), 0)
    """


def _values(scope: Scope, month: str) -> dict[str, Any]:
    return {
        "subject": scope.subject_id,
        "role": scope.role,
        "from_date": scope.from_date,
        "to_date": scope.to_date,
        "month": month,
    }


def _make(
    con: duckdb.DuckDBPyConnection, name: str, sql: str, values: Mapping[str, Any] | None = None
) -> None:
    con.execute(f"create or replace temp table {name} as {sql}", _used(sql, values or {}))


def _used(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Only the parameters that a statement names: others are refused."""
    return {name: value for name, value in values.items() if f"${name}" in sql}
