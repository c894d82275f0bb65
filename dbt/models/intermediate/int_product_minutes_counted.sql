-- One row per session × minute × product with a click or a created order line. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with happened as (
    select
        sessions.session_id,
        sessions.room_id,
        sessions.business_date,
        events.minute,
        events.product_id,
        1 as clicks,
        0 as lines_created
    from {{ ref('int_events_placed') }} as events
    inner join {{ ref('int_sessions_dated') }} as sessions on events.session_no = sessions.session_no
    where events.event_type = 'product_click'
    union all
    select
        lines.session_id,
        lines.room_id,
        lines.business_date,
        {{ minutes_between('sessions.started_at', 'lines.created_at') }} as minute,
        lines.product_id,
        0 as clicks,
        1 as lines_created
    from {{ ref('int_lines_valued') }} as lines
    inner join {{ ref('int_sessions_dated') }} as sessions on lines.session_id = sessions.session_id
    where lines.is_inside_session and {{ is_affected('lines.business_date') }}
)

select
    session_id,
    room_id,
    business_date,
    minute,
    product_id,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(lines_created) as bigint) as lines_created
from happened
group by session_id, room_id, business_date, minute, product_id
