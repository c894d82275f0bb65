-- One row per product × session with a product event or explained time: what its viewers did with it, and how long it was explained.
-- Kept for all dates: a refund of its lines counts the product again, but not its events.
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
    from {{ ref('int_product_events_placed') }}
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
