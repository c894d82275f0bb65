-- One row per session × product with an exposure: distinct viewers who reached each step in order. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with exposed as (
    select
        session_no,
        product_id,
        viewer_no,
        min(event_at) as exposed_at
    from {{ ref('int_events_placed') }}
    where event_type = 'product_exposure'
    group by session_no, product_id, viewer_no
),

clicked as (
    select
        exposed.session_no,
        exposed.product_id,
        exposed.viewer_no,
        min(events.event_at) as clicked_at
    from exposed
    inner join {{ ref('int_events_placed') }} as events
        on
            exposed.session_no = events.session_no
            and exposed.product_id = events.product_id
            and exposed.viewer_no = events.viewer_no
            and events.event_type = 'product_click'
            and events.event_at >= exposed.exposed_at
    group by exposed.session_no, exposed.product_id, exposed.viewer_no
),

carted as (
    select distinct
        clicked.session_no,
        clicked.product_id,
        clicked.viewer_no
    from clicked
    inner join {{ ref('int_events_placed') }} as events
        on
            clicked.session_no = events.session_no
            and clicked.product_id = events.product_id
            and clicked.viewer_no = events.viewer_no
            and events.event_type = 'add_to_cart'
            and events.event_at >= clicked.clicked_at
),

ordered as (
    select
        clicked.session_no,
        clicked.product_id,
        clicked.viewer_no,
        min(lines.created_at) as ordered_at
    from clicked
    inner join {{ ref('int_sessions_dated') }} as sessions on clicked.session_no = sessions.session_no
    inner join {{ ref('int_lines_valued') }} as lines
        on
            sessions.session_id = lines.session_id
            and clicked.product_id = lines.product_id
            and clicked.viewer_no = lines.viewer_no
            and lines.created_at >= clicked.clicked_at
    group by clicked.session_no, clicked.product_id, clicked.viewer_no
),

paid as (
    select distinct
        ordered.session_no,
        ordered.product_id,
        ordered.viewer_no
    from ordered
    inner join {{ ref('int_sessions_dated') }} as sessions on ordered.session_no = sessions.session_no
    inner join {{ ref('int_lines_valued') }} as lines
        on
            sessions.session_id = lines.session_id
            and ordered.product_id = lines.product_id
            and ordered.viewer_no = lines.viewer_no
            and lines.is_paid
            and lines.paid_at >= ordered.ordered_at
)

select
    sessions.session_id,
    sessions.business_date,
    exposed.product_id,
    count(*) as reached_exposure,
    count(clicked.viewer_no) as reached_click,
    count(carted.viewer_no) as reached_cart,
    count(ordered.viewer_no) as reached_order,
    count(paid.viewer_no) as reached_paid
from exposed
inner join {{ ref('int_sessions_dated') }} as sessions on exposed.session_no = sessions.session_no
{%- for step in ['clicked', 'carted', 'ordered', 'paid'] %}
left join {{ step }}
    on
        exposed.session_no = {{ step }}.session_no
        and exposed.product_id = {{ step }}.product_id
        and exposed.viewer_no = {{ step }}.viewer_no
{%- endfor %}
group by sessions.session_id, sessions.business_date, exposed.product_id
