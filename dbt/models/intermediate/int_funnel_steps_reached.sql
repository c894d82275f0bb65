-- One row per session × product with an exposure: distinct viewers who reached each step in order. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with exposed as (
    select
        session_id,
        business_date,
        product_id,
        viewer_no,
        min(event_at) as exposed_at
    from {{ ref('int_product_events_placed') }}
    where event_type = 'product_exposure'
    group by session_id, business_date, product_id, viewer_no
),

clicked as (
    select
        exposed.session_id,
        exposed.product_id,
        exposed.viewer_no,
        min(events.event_at) as clicked_at
    from exposed
    inner join {{ ref('int_product_events_placed') }} as events
        on
            exposed.session_id = events.session_id
            and exposed.product_id = events.product_id
            and exposed.viewer_no = events.viewer_no
            and events.event_type = 'product_click'
            and events.event_at >= exposed.exposed_at
    group by exposed.session_id, exposed.product_id, exposed.viewer_no
),

carted as (
    select distinct
        clicked.session_id,
        clicked.product_id,
        clicked.viewer_no
    from clicked
    inner join {{ ref('int_product_events_placed') }} as events
        on
            clicked.session_id = events.session_id
            and clicked.product_id = events.product_id
            and clicked.viewer_no = events.viewer_no
            and events.event_type = 'add_to_cart'
            and events.event_at >= clicked.clicked_at
),

ordered as (
    select
        clicked.session_id,
        clicked.product_id,
        clicked.viewer_no,
        min(lines.created_at) as ordered_at
    from clicked
    inner join {{ ref('int_lines_valued') }} as lines
        on
            clicked.session_id = lines.session_id
            and clicked.product_id = lines.product_id
            and clicked.viewer_no = lines.viewer_no
            and lines.created_at >= clicked.clicked_at
    group by clicked.session_id, clicked.product_id, clicked.viewer_no
),

paid as (
    select distinct
        ordered.session_id,
        ordered.product_id,
        ordered.viewer_no
    from ordered
    inner join {{ ref('int_lines_valued') }} as lines
        on
            ordered.session_id = lines.session_id
            and ordered.product_id = lines.product_id
            and ordered.viewer_no = lines.viewer_no
            and lines.is_paid
            and lines.paid_at >= ordered.ordered_at
)

select
    exposed.session_id,
    exposed.business_date,
    exposed.product_id,
    count(*) as reached_exposure,
    count(clicked.viewer_no) as reached_click,
    count(carted.viewer_no) as reached_cart,
    count(ordered.viewer_no) as reached_order,
    count(paid.viewer_no) as reached_paid
from exposed
{%- for step in ['clicked', 'carted', 'ordered', 'paid'] %}
left join {{ step }}
    on
        exposed.session_id = {{ step }}.session_id
        and exposed.product_id = {{ step }}.product_id
        and exposed.viewer_no = {{ step }}.viewer_no
{%- endfor %}
group by exposed.session_id, exposed.business_date, exposed.product_id
