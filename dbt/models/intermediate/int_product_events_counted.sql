-- One row per product × session with a product event or explained time: what its viewers did with it, and how long it was explained.
-- Kept for all dates: a refund of its lines counts the product again, but not its events.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with by_viewer as (
    select
        session_no,
        product_id,
        viewer_no,
        count_if(event_type = 'product_exposure') as exposures,
        count_if(event_type = 'product_click') as clicks,
        count_if(event_type = 'add_to_cart') as carts
    from {{ ref('int_events_placed') }}
    where event_type in ('product_exposure', 'product_click', 'add_to_cart')
    group by session_no, product_id, viewer_no
),

events as (
    select
        sessions.session_id,
        by_viewer.product_id,
        cast(sum(by_viewer.exposures) as bigint) as exposures,
        cast(sum(by_viewer.clicks) as bigint) as clicks,
        cast(sum(by_viewer.carts) as bigint) as carts,
        count_if(by_viewer.exposures > 0) as exposed_viewers,
        count_if(by_viewer.clicks > 0) as click_viewers,
        count_if(by_viewer.carts > 0) as cart_viewers
    from by_viewer
    inner join {{ ref('int_sessions_dated') }} as sessions on by_viewer.session_no = sessions.session_no
    group by sessions.session_id, by_viewer.product_id
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
    select session_id, product_id from explained
)

select
    products.session_id,
    products.product_id,
    sessions.business_date,
    {% for count in ['exposures', 'clicks', 'carts', 'exposed_viewers', 'click_viewers', 'cart_viewers'] -%}
        coalesce(events.{{ count }}, 0) as {{ count }},
    {% endfor -%}
    coalesce(explained.explained_ms, 0) as explained_ms
from products
inner join {{ ref('int_sessions_dated') }} as sessions on products.session_id = sessions.session_id
left join events on products.session_id = events.session_id and products.product_id = events.product_id
left join explained on products.session_id = explained.session_id and products.product_id = explained.product_id
