-- One row per month with a session, an order or customer service on a business date of it.
select distinct
    month,
    cast(month || '-01' as date) as first_day,
    last_day(cast(month || '-01' as date)) as last_day
from (
    select month from {{ ref('int_sessions_dated') }}
    union all
    select strftime(business_date, '%Y-%m') as month from {{ ref('int_orders_attributed') }}
    union all
    select strftime(business_date, '%Y-%m') as month from {{ ref('int_service_counted') }}
) as months
