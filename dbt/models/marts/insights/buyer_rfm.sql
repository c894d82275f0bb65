-- One row per viewer_key with a paid line by the end of the data: the counts customer-lifetime models are fitted on.
-- A purchase day is the local date of paid_at in the line's room. frequency = purchase days after the first, recency_days = first → last,
-- tenure_days = first → data through (the last business date with a session). Payments later than that are not yet observed.
with data_through as (
    select max(business_date) as date from {{ ref('fct_session') }}
),

purchases as (
    select
        lines.viewer_key,
        {{ local_date('lines.paid_at', 'rooms.timezone') }} as paid_date,
        lines.order_id,
        lines.gmv
    from {{ ref('fct_order_line') }} as lines
    inner join {{ ref('dim_room') }} as rooms on lines.room_id = rooms.room_id
    where lines.paid_at is not null and lines.paid_amount is not null
)

select
    purchases.viewer_key,
    min(purchases.paid_date) as first_paid_date,
    max(purchases.paid_date) as last_paid_date,
    count(distinct purchases.paid_date) as purchase_days,
    count(distinct purchases.paid_date) - 1 as frequency,
    datediff('day', min(purchases.paid_date), max(purchases.paid_date)) as recency_days,
    datediff('day', min(purchases.paid_date), data_through.date) as tenure_days,
    cast(sum(purchases.gmv) as decimal(38, 2)) as monetary,
    count(distinct purchases.order_id) as orders_paid,
    data_through.date as data_through
from purchases
cross join data_through
where purchases.paid_date <= data_through.date
group by purchases.viewer_key, data_through.date
