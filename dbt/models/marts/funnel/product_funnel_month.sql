-- One row per product × room × month: product_funnel summed; rates from the sums, never averaged.
{%- set counts = [
    'exposures', 'clicks', 'carts', 'exposed_viewers', 'click_viewers', 'cart_viewers', 'order_viewers', 'buyers',
    'orders_created', 'orders_paid', 'units_sold', 'units_returned',
] %}
{%- set reached = ['reached_exposure', 'reached_click', 'reached_cart', 'reached_order', 'reached_paid'] %}
with summed as (
    select
        product_id,
        room_id,
        strftime(business_date, '%Y-%m') as month,
        {% for count in counts + reached -%}
            cast(sum({{ count }}) as bigint) as {{ count }},
        {% endfor -%}
        cast(sum(gmv) as decimal(38, 2)) as gmv,
        cast(sum(explained_seconds) as decimal(38, 3)) as explained_seconds
    from {{ ref('product_funnel') }}
    group by product_id, room_id, strftime(business_date, '%Y-%m')
)

select
    summed.product_id,
    summed.room_id,
    summed.month,
    {% for count in counts -%}
        summed.{{ count }},
    {% endfor -%}
    summed.gmv,
    summed.explained_seconds,
    {{ funnel_rates('summed') }},
    {% for count in reached -%}
        summed.{{ count }}{{ ',' if not loop.last }}
    {% endfor %}
from summed
