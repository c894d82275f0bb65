-- One row per viewer_key in fct_person or in the orders. Dates are over both; orders_paid counts distinct orders.
with seen as (
    select
        viewer_key,
        min(business_date) as first_seen_date,
        max(business_date) as last_seen_date,
        count(*) filter (where views > 0) as sessions_watched
    from {{ ref('fct_person') }}
    group by viewer_key
),

bought as (
    select
        viewer_key,
        min(business_date) as first_seen_date,
        max(business_date) as last_seen_date,
        count(distinct order_id) filter (where paid_at is not null and paid_amount is not null) as orders_paid,
        sum(gmv) as gmv
    from {{ ref('fct_order_line') }}
    group by viewer_key
),

viewers as (
    select
        coalesce(seen.viewer_key, bought.viewer_key) as viewer_key,
        least(seen.first_seen_date, bought.first_seen_date) as first_seen_date,
        greatest(seen.last_seen_date, bought.last_seen_date) as last_seen_date,
        coalesce(seen.sessions_watched, 0) as sessions_watched,
        coalesce(bought.orders_paid, 0) as orders_paid,
        coalesce(bought.gmv, 0) as gmv,
        -- The rules are those of the month of the last session with a row in fct_person; without one, of the last order.
        strftime(coalesce(seen.last_seen_date, bought.last_seen_date), '%Y-%m') as tier_month
    from seen
    full join bought on seen.viewer_key = bought.viewer_key
),

rules as (
    select
        months.tier_month,
        arg_max(policy.value, policy.valid_from) filter (where policy.rule = 'spend_tier_low') as low,
        arg_max(policy.value, policy.valid_from) filter (where policy.rule = 'spend_tier_high') as high
    from (select distinct tier_month from viewers) as months
    inner join {{ source('policy', 'rules') }} as policy on policy.valid_from <= cast(months.tier_month || '-01' as date)
    group by months.tier_month
)

select
    viewers.viewer_key,
    viewers.first_seen_date,
    viewers.last_seen_date,
    viewers.sessions_watched,
    viewers.orders_paid,
    cast(viewers.gmv as decimal(38, 2)) as gmv,
    {{ spend_tier('viewers.gmv', 'rules.low', 'rules.high') }} as spend_tier
from viewers
left join rules on viewers.tier_month = rules.tier_month
