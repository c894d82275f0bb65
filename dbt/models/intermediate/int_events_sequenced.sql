-- One row per viewer event of the affected dates, in the viewer's order: event_at, then leave < enter < any other, then event_id.
-- The only sort of the event table: visits, views, first values and every count read from here.
with ordered as (
    select
        events.session_id,
        sessions.room_id,
        sessions.business_date,
        sessions.started_at,
        sessions.ended_at,
        events.viewer_no,
        events.event_id,
        events.event_type,
        events.event_at,
        {{ placed_within('events.event_at', 'sessions.started_at', 'sessions.ended_at') }} as placed_at,
        events.product_id,
        case when events.event_type = 'like' then coalesce(events.quantity, 1) else 0 end as likes,
        events.amount,
        events.region,
        events.device,
        events.traffic_source,
        events.event_type = 'leave' as is_leave,
        row_number() over viewer_order as seq,
        lag(events.event_type) over viewer_order as previous_type,
        count_if(events.event_type = 'enter') over (partition by events.session_id, events.viewer_no) as enters
    from {{ ref('stg_viewer_events') }} as events
    inner join {{ ref('int_sessions_dated') }} as sessions on events.session_id = sessions.session_id
    where {{ is_affected('sessions.business_date') }}
    window viewer_order as (
        partition by events.session_id, events.viewer_no
        order by
            events.event_at,
            case events.event_type when 'leave' then 0 when 'enter' then 1 else 2 end,
            events.event_id
    )
),

starts as (
    select
        *,
        event_type = 'enter' or (not is_leave and coalesce(previous_type, 'leave') = 'leave') as is_start,
        is_leave and coalesce(previous_type, 'leave') = 'leave' as is_ignored
    from ordered
)

select
    * exclude (previous_type, enters, started_at, ended_at, is_start),
    count_if(is_start) over (partition by session_id, viewer_no order by seq rows unbounded preceding) as interval_no,
    -- A viewer who was never seen to enter has one view, at the first sign of life.
    event_type = 'enter' or (
        enters = 0 and not is_leave
        and count_if(not is_leave) over (partition by session_id, viewer_no order by seq rows unbounded preceding) = 1
    ) as is_view,
    cast({{ milliseconds_between('started_at', 'placed_at') }} // 60000 as integer) as minute
from starts
