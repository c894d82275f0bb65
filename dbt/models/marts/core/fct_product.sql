-- One row per product × session (货) with a product event, an order line or explained time.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_dates() }}") }}
with events as (
    select * from {{ ref('int_product_events_counted') }}
    where {{ is_touched() }}
),

lines as (
    select
        session_id,
        product_id,
        count(distinct viewer_no) as order_viewers,
        count(distinct viewer_no) filter (where is_paid) as buyers,
        count(distinct order_id) as orders_created,
        count(distinct order_id) filter (where is_paid) as orders_paid,
        sum(units_sold) as units_sold,
        sum(gmv) as gmv,
        sum(units_returned) as units_returned
    from {{ ref('int_lines_valued') }}
    where session_id is not null and {{ is_touched() }}
    group by session_id, product_id
),

products as (
    select session_id, product_id from events
    union
    select session_id, product_id from lines
)

select
    products.session_id,
    products.product_id,
    sessions.room_id,
    sessions.business_date,
    {% for count in ['exposures', 'clicks', 'carts', 'exposed_viewers', 'click_viewers', 'cart_viewers'] -%}
        cast(coalesce(events.{{ count }}, 0) as bigint) as {{ count }},
    {% endfor -%}
    {% for count in ['order_viewers', 'buyers', 'orders_created', 'orders_paid', 'units_sold'] -%}
        cast(coalesce(lines.{{ count }}, 0) as bigint) as {{ count }},
    {% endfor -%}
    cast(coalesce(lines.gmv, 0) as decimal(38, 2)) as gmv,
    cast(coalesce(lines.units_returned, 0) as bigint) as units_returned,
    cast(coalesce(events.explained_ms, 0) * cast(0.001 as decimal(4, 3)) as decimal(18, 3)) as explained_seconds
from products
inner join {{ ref('int_sessions_dated') }} as sessions on products.session_id = sessions.session_id
left join events on products.session_id = events.session_id and products.product_id = events.product_id
left join lines on products.session_id = lines.session_id and products.product_id = lines.product_id
