-- One row per exposure, click or add to cart of the affected dates.
select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    events.viewer_no,
    events.event_type,
    events.event_at,
    {{ milliseconds_between('sessions.started_at', placed_within('events.event_at', 'sessions.started_at', 'sessions.ended_at')) }}
    // 60000 as minute,
    events.product_id
from {{ ref('stg_viewer_events') }} as events
inner join {{ ref('int_sessions_dated') }} as sessions on events.session_id = sessions.session_id
where
    events.event_type in ('product_exposure', 'product_click', 'add_to_cart')
    and {{ is_affected('sessions.business_date') }}
