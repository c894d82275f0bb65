-- One row per product × session: its counts as steps, rates from the counts, and the ordered people funnel
-- (exposure → click → order → paid at the delivered instants; cart at or after a click is reported beside it).
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_dates() }}") }}
select
    products.session_id,
    products.product_id,
    products.room_id,
    products.business_date,
    products.exposures,
    products.clicks,
    products.carts,
    products.exposed_viewers,
    products.click_viewers,
    products.cart_viewers,
    products.order_viewers,
    products.buyers,
    products.orders_created,
    products.orders_paid,
    products.units_sold,
    products.gmv,
    products.units_returned,
    products.explained_seconds,
    {{ funnel_rates('products') }},
    coalesce(reached.reached_exposure, 0) as reached_exposure,
    coalesce(reached.reached_click, 0) as reached_click,
    coalesce(reached.reached_cart, 0) as reached_cart,
    coalesce(reached.reached_order, 0) as reached_order,
    coalesce(reached.reached_paid, 0) as reached_paid
from {{ ref('fct_product') }} as products
left join {{ ref('int_funnel_steps_reached') }} as reached
    on products.session_id = reached.session_id and products.product_id = reached.product_id
where {{ is_touched('products.business_date') }}
