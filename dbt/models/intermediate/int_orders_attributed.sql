-- One row per order line: its session, how it was found, its business date and the instant a person is credited at.
-- credited_at is null where nobody can be credited: created outside its session without a click in the 24 h before.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ forget_reattributed_lines() }}"
) }}
-- depends_on: {{ ref('int_lines_reattributed') }}
with lines as (
    select
        orders.*,
        rooms.timezone
    from {{ ref('stg_orders') }} as orders
    inner join {{ ref('int_rooms_current') }} as rooms on orders.room_id = rooms.room_id
    {% if is_incremental() %}
        where orders.order_line_id in (select order_line_id from {{ ref('int_lines_reattributed') }})
    {% endif %}
),

-- The viewer's clicks on the same product in the same room in the 24 h before the line was created.
clicks as (
    select
        lines.order_line_id,
        events.session_id,
        events.event_at,
        events.event_id,
        {{ placed_within('events.event_at', 'sessions.started_at', 'sessions.ended_at') }} as placed_at
    from lines
    inner join {{ ref('stg_viewer_events') }} as events
        on
            lines.viewer_no = events.viewer_no
            and lines.product_id = events.product_id
            and events.event_type = 'product_click'
            and events.event_at >= lines.created_at - interval 24 hour
            and events.event_at <= lines.created_at
    inner join {{ ref('int_sessions_dated') }} as sessions
        on events.session_id = sessions.session_id and lines.room_id = sessions.room_id
),

last_clicks as (
    select
        order_line_id,
        arg_max(session_id, (event_at, event_id, session_id)) as session_id
    from clicks
    group by order_line_id
),

sessions_found as (
    select
        lines.*,
        coalesce(lines.session_id, last_clicks.session_id) as found_session_id,
        case
            when lines.session_id is not null then 'platform'
            when last_clicks.session_id is not null then 'last_click'
            else 'unattributed'
        end as attribution
    from lines
    left join last_clicks on lines.order_line_id = last_clicks.order_line_id
),

-- Created outside the session: the credit goes to the last click inside that same session.
session_clicks as (
    select
        clicks.order_line_id,
        arg_max(clicks.placed_at, (clicks.event_at, clicks.event_id)) as placed_at
    from clicks
    inner join sessions_found
        on
            clicks.order_line_id = sessions_found.order_line_id
            and clicks.session_id = sessions_found.found_session_id
    group by clicks.order_line_id
)

select
    found.order_line_id,
    found.order_id,
    found.viewer_no,
    found.room_id,
    found.found_session_id as session_id,
    found.attribution,
    found.product_id,
    coalesce(sessions.business_date, {{ local_date('found.created_at', 'found.timezone') }}) as business_date,
    found.timezone,
    found.quantity,
    found.created_at,
    found.paid_at,
    found.currency,
    found.paid_amount,
    found.paid_at is not null and found.paid_amount is not null as is_paid,
    coalesce(found.created_at >= sessions.started_at and found.created_at < sessions.ended_at, false) as is_inside_session,
    case
        when found.created_at >= sessions.started_at and found.created_at < sessions.ended_at then found.created_at
        else session_clicks.placed_at
    end as credited_at
from sessions_found as found
left join {{ ref('int_sessions_dated') }} as sessions on found.found_session_id = sessions.session_id
left join session_clicks on found.order_line_id = session_clicks.order_line_id
