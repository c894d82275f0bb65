-- One row per session × piece × viewer with an event there (of the affected dates): what the viewer did in it.
-- The one pass over the events from which people, sessions and everybody's credit are summed. A session has few pieces,
-- so the piece is found by comparing, which is a seventh of what an asof join costs: that one sorts every event.
with pieces as (
    select
        sessions.session_no,
        cut.piece_no,
        cut.piece_from,
        cut.piece_to
    from {{ ref('int_pieces_cut') }} as cut
    inner join {{ ref('int_sessions_dated') }} as sessions on cut.session_id = sessions.session_id
),

placed as (
    select
        events.*,
        {{ placed_within('events.event_at', 'sessions.started_at', 'sessions.ended_at') }} as placed_at
    from {{ ref('int_events_placed') }} as events
    inner join {{ ref('int_sessions_dated') }} as sessions on events.session_no = sessions.session_no
),

counted as (
    select
        events.session_no,
        pieces.piece_no,
        events.viewer_no,
        count(*) filter (where events.event_type <> 'leave') as signs_of_life,
        count(*) filter (where events.event_type = 'enter') as enters,
        count(*) filter (where events.event_type = 'chat') as chats,
        cast(sum(events.likes) as bigint) as likes,
        count(*) filter (where events.event_type = 'like') as like_events,
        count(*) filter (where events.event_type = 'follow') as follows,
        count(*) filter (where events.event_type = 'unfollow') as unfollows,
        count(*) filter (where events.event_type = 'share') as shares,
        count(*) filter (where events.event_type = 'gift') as gifts,
        coalesce(sum(events.amount) filter (where events.event_type = 'gift'), 0) as gift_amount,
        count(*) filter (where events.event_type = 'red_packet_claim') as red_packet_claims,
        count(*) filter (where events.event_type = 'vote') as votes,
        count(*) filter (where events.event_type = 'mic_join') as mic_joins,
        count(*) filter (where events.event_type = 'product_exposure') as exposures,
        count(*) filter (where events.event_type = 'product_click') as clicks,
        count(*) filter (where events.event_type = 'add_to_cart') as carts,
        count(*) filter (where events.is_new_product_click) as new_product_clicks
    from placed as events
    inner join pieces
        on
            events.session_no = pieces.session_no
            and events.placed_at >= pieces.piece_from
            and events.placed_at < pieces.piece_to
    group by events.session_no, pieces.piece_no, events.viewer_no
),

unannounced as (
    select
        views.session_no,
        pieces.piece_no,
        views.viewer_no
    from {{ ref('int_unannounced_views') }} as views
    inner join {{ ref('int_sessions_dated') }} as sessions on views.session_no = sessions.session_no
    inner join pieces
        on
            views.session_no = pieces.session_no
            and {{ placed_within('views.viewed_at', 'sessions.started_at', 'sessions.ended_at') }} >= pieces.piece_from
            and {{ placed_within('views.viewed_at', 'sessions.started_at', 'sessions.ended_at') }} < pieces.piece_to
)

select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    counted.* exclude (session_no, enters),
    counted.enters + cast(unannounced.viewer_no is not null as integer) as views
from counted
inner join {{ ref('int_sessions_dated') }} as sessions on counted.session_no = sessions.session_no
left join unannounced
    on
        counted.session_no = unannounced.session_no
        and counted.piece_no = unannounced.piece_no
        and counted.viewer_no = unannounced.viewer_no
