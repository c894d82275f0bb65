-- One row per room × month × product shown in a session: its funnel with Wilson 95 % bounds, its yield, and what to do with it.
-- A product is held against the room's month as a whole; under 200 exposures nothing is said. Lines without a session are not in it.
with sums as (
    select
        products.room_id,
        strftime(products.business_date, '%Y-%m') as month,
        products.product_id,
        count(distinct products.session_id) as sessions,
        sum(products.exposures) as exposures,
        sum(products.clicks) as clicks,
        sum(products.click_viewers) as click_viewers,
        sum(products.buyers) as buyers,
        sum(products.units_sold) as units_sold,
        sum(products.units_returned) as units_returned,
        sum(products.gmv) as gmv,
        sum(products.explained_seconds) as explained_seconds
    from {{ ref('fct_product') }} as products
    group by all
),

money as (
    select
        room_id,
        strftime(business_date, '%Y-%m') as month,
        product_id,
        sum(gmv - refunded_amount) as net_gmv
    from {{ ref('fct_order_line') }}
    where session_id is not null
    group by all
),

-- The rate at which the month's lines of a currency were taken in, to value costs at.
rates as (
    select
        room_id,
        strftime(business_date, '%Y-%m') as month,
        currency,
        {{ exact_ratio('sum(gmv)', 'sum(paid_amount)', 6) }} as rate
    from {{ ref('fct_order_line') }}
    where paid_at is not null and paid_amount is not null
    group by all
),

figures as (
    select
        sums.*,
        coalesce(money.net_gmv, 0) as net_gmv,
        sums.units_sold - sums.units_returned as units_kept,
        costs.unit_cost * case when costs.currency = '{{ env_var("REPORTING_CURRENCY", "CNY") }}' then 1 else rates.rate end as unit_cost
    from sums
    left join money
        on sums.room_id = money.room_id and sums.month = money.month and sums.product_id = money.product_id
    left join {{ ref('int_products_current') }} as costs on sums.product_id = costs.product_id
    left join rates on sums.room_id = rates.room_id and sums.month = rates.month and costs.currency = rates.currency
),

rooms as (
    select
        room_id,
        month,
        {{ exact_ratio('sum(clicks)', 'sum(exposures)', 6) }} as click_rate,
        {{ exact_ratio('sum(buyers)', 'sum(click_viewers)', 6) }} as buyer_rate,
        {{ exact_ratio('sum(units_returned)', 'sum(units_sold)', 6) }} as return_rate,
        {{ exact_ratio('1000 * sum(net_gmv)', 'sum(exposures)', 6) }} as net_gmv_per_thousand_exposures
    from figures
    group by room_id, month
),

rated as (
    select
        figures.*,
        {{ exact_ratio('figures.clicks', 'figures.exposures', 6) }} as click_rate,
        {{ wilson('figures.clicks', 'figures.exposures', '-') }} as click_rate_low,
        {{ wilson('figures.clicks', 'figures.exposures', '+') }} as click_rate_high,
        {{ exact_ratio('figures.buyers', 'figures.click_viewers', 6) }} as buyer_rate,
        {{ wilson('figures.buyers', 'figures.click_viewers', '-') }} as buyer_rate_low,
        {{ wilson('figures.buyers', 'figures.click_viewers', '+') }} as buyer_rate_high,
        {{ exact_ratio('figures.units_returned', 'figures.units_sold', 6) }} as return_rate,
        {{ wilson('figures.units_returned', 'figures.units_sold', '-') }} as return_rate_low,
        {{ wilson('figures.units_returned', 'figures.units_sold', '+') }} as return_rate_high,
        {{ exact_ratio('60 * figures.gmv', 'figures.explained_seconds', 6) }} as gmv_per_explained_minute,
        {{ exact_ratio('60 * figures.net_gmv', 'figures.explained_seconds', 6) }} as net_gmv_per_explained_minute,
        {{ exact_ratio('1000 * figures.gmv', 'figures.exposures', 6) }} as gmv_per_thousand_exposures,
        {{ exact_ratio('1000 * figures.net_gmv', 'figures.exposures', 6) }} as net_gmv_per_thousand_exposures,
        rooms.click_rate as room_click_rate,
        rooms.buyer_rate as room_buyer_rate,
        rooms.return_rate as room_return_rate,
        rooms.net_gmv_per_thousand_exposures as room_net_gmv_per_thousand_exposures
    from figures
    inner join rooms on figures.room_id = rooms.room_id and figures.month = rooms.month
),

judged as (
    select
        *,
        exposures >= 200 as is_judged,
        coalesce(return_rate_low * 2 > room_return_rate * 3, false) as returns_too_much,
        coalesce(click_rate_high < room_click_rate, false) as clicks_little,
        coalesce(buyer_rate_high < room_buyer_rate, false) as buys_little,
        coalesce(buyer_rate_low > room_buyer_rate, false) as buys_much,
        coalesce(net_gmv_per_thousand_exposures >= room_net_gmv_per_thousand_exposures, false) as earns_enough
    from rated
),

actions as (
    select
        *,
        case
            when not is_judged then null
            when returns_too_much then 'drop'
            when clicks_little and not buys_much and not earns_enough then 'drop'
            when buys_little and not earns_enough then 're_price'
            when buys_much and earns_enough then 'push'
            else 'keep'
        end as action,
        case
            when not is_judged then 'fewer than 200 exposures'
            when returns_too_much then 'the share of returns is half as high again as the room''s, by its lower bound'
            when clicks_little and not buys_much and not earns_enough then 'rarely clicked and earns less per exposure than the room'
            when buys_little and not earns_enough then 'those who click buy less often than in the room, and it earns less per exposure'
            when buys_much and earns_enough then 'those who click buy more often than in the room, and it earns at least as much per exposure'
            else 'no figure differs clearly from the room''s'
        end as reason
    from judged
)

select
    room_id,
    month,
    product_id,
    action,
    reason,
    case
        when action is not null and action <> 'drop' then row_number() over (
            partition by room_id, month, action is not null and action <> 'drop'
            order by net_gmv_per_thousand_exposures desc, product_id
        )
    end as explain_order,
    cast(sessions as bigint) as sessions,
    cast(exposures as bigint) as exposures,
    cast(clicks as bigint) as clicks,
    cast(click_viewers as bigint) as click_viewers,
    cast(buyers as bigint) as buyers,
    cast(units_sold as bigint) as units_sold,
    cast(units_returned as bigint) as units_returned,
    {%- for rate in ['click_rate', 'buyer_rate', 'return_rate'] %}
    case when is_judged then {{ rate }} end as {{ rate }},
    case when is_judged then {{ rate }}_low end as {{ rate }}_low,
    case when is_judged then {{ rate }}_high end as {{ rate }}_high,
    {%- endfor %}
    cast(gmv as decimal(38, 2)) as gmv,
    cast(net_gmv as decimal(38, 2)) as net_gmv,
    case when is_judged then gmv_per_explained_minute end as gmv_per_explained_minute,
    case when is_judged then net_gmv_per_explained_minute end as net_gmv_per_explained_minute,
    case when is_judged then gmv_per_thousand_exposures end as gmv_per_thousand_exposures,
    case when is_judged then net_gmv_per_thousand_exposures end as net_gmv_per_thousand_exposures,
    case when is_judged then cast(round(net_gmv - units_kept * unit_cost, 2) as decimal(38, 2)) end as gross_profit,
    room_click_rate,
    room_buyer_rate,
    room_return_rate,
    room_net_gmv_per_thousand_exposures
from actions
