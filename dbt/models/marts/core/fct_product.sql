-- One row per product × session (货) with a product event, an order line or explained time.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with events as (
    select
        session_id,
        product_id,
        count_if(event_type = 'product_exposure') as exposures,
        count_if(event_type = 'product_click') as clicks,
        count_if(event_type = 'add_to_cart') as carts,
        count(distinct viewer_no) filter (where event_type = 'product_exposure') as exposed_viewers,
        count(distinct viewer_no) filter (where event_type = 'product_click') as click_viewers,
        count(distinct viewer_no) filter (where event_type = 'add_to_cart') as cart_viewers
    from {{ ref('int_events_sequenced') }}
    where event_type in ('product_exposure', 'product_click', 'add_to_cart')
    group by session_id, product_id
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
    where session_id is not null and {{ is_affected() }}
    group by session_id, product_id
),

explained as (
    select
        session_id,
        product_id,
        sum({{ milliseconds_between('from_at', 'to_at') }}) as explained_ms
    from {{ ref('int_explained_merged') }}
    where not is_union
    group by session_id, product_id
),

products as (
    select session_id, product_id from events
    union
    select session_id, product_id from lines
    union
    select session_id, product_id from explained
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
    cast(coalesce(explained.explained_ms, 0) * cast(0.001 as decimal(4, 3)) as decimal(18, 3)) as explained_seconds
from products
inner join {{ ref('int_sessions_dated') }} as sessions on products.session_id = sessions.session_id
left join events on products.session_id = events.session_id and products.product_id = events.product_id
left join lines on products.session_id = lines.session_id and products.product_id = lines.product_id
left join explained on products.session_id = explained.session_id and products.product_id = explained.product_id
