-- One row per subject × role × room × business date × measure that is not 0: a person's share and whole amount; a room's are the same.
-- Additivity is the measure's (see kpis): peak_online rolls up by maximum, everything else by sum.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_measure_dates() }}") }}
with session_days as (
    select
        'room' as subject_type,
        room_id as subject_id,
        null as role,
        room_id,
        business_date,
        measure,
        case when measure = 'peak_online' then max(amount) else sum(amount) end as amount,
        case when measure = 'peak_online' then max(amount) else sum(amount) end as amount_whole
    from {{ ref('int_session_measures_summed') }}
    where {{ is_measured_again() }}
    group by room_id, business_date, measure
    union all
    select
        'staff' as subject_type,
        staff_id as subject_id,
        role,
        room_id,
        business_date,
        measure,
        case when measure = 'peak_online' then max(amount) else sum(amount) end as amount,
        case when measure = 'peak_online' then max(amount_whole) else sum(amount_whole) end as amount_whole
    from {{ ref('int_staff_measures_credited') }}
    where {{ is_measured_again() }}
    group by staff_id, role, room_id, business_date, measure
),

-- Orders without a session: one pseudo-session per room and date, which enters the room and nobody's credit.
sessionless as (
    select
        room_id,
        business_date,
        count(distinct viewer_no) as order_viewers,
        count(distinct viewer_no) filter (where is_paid) as buyers,
        count(distinct order_id) as orders_created,
        count(distinct order_id) filter (where is_paid) as orders_paid,
        sum(units_sold) as units_sold,
        sum(gmv) as gmv,
        sum(gmv - refunded_amount) as net_gmv,
        sum(refunded_amount) as refunded_amount,
        coalesce(sum(units_sold) filter (where is_new_product), 0) as new_product_units,
        sum(units_returned) as units_returned,
        sum(reviews_received) as reviews_received,
        sum(negative_reviews) as negative_reviews,
        count(distinct order_id) filter (where is_complained) as complained_orders
    from {{ ref('int_lines_valued') }}
    where session_id is null and {{ is_measured_again() }}
    group by room_id, business_date
),

sessionless_days as (
    select
        'room' as subject_type,
        room_id as subject_id,
        null as role,
        room_id,
        business_date,
        measure,
        amount,
        amount as amount_whole
    from (
        unpivot (
            select room_id, business_date, cast(columns(* exclude (room_id, business_date)) as decimal(38, 6))
            from sessionless
        )
        on columns(* exclude (room_id, business_date))
        into name measure value amount
    )
),

follow_up_days as (
    select
        case when staff_id is null then 'room' else 'staff' end as subject_type,
        coalesce(staff_id, room_id) as subject_id,
        role,
        room_id,
        business_date,
        measure,
        amount,
        amount as amount_whole
    from {{ ref('int_follow_ups_counted') }}
    where {{ is_measured_again() }}
),

service_days as (
    select
        subject_type,
        subject_id,
        role,
        room_id,
        business_date,
        measure,
        amount,
        amount as amount_whole
    from {{ ref('int_service_credited') }}
    where {{ is_measured_again() }}
),

days as (
    select * from session_days
    union all
    select * from sessionless_days
    union all
    select * from follow_up_days
    union all
    select * from service_days
)

select
    subject_type,
    subject_id,
    role,
    room_id,
    business_date,
    measure,
    cast(sum(amount) as decimal(38, 6)) as amount,
    cast(sum(amount_whole) as decimal(38, 6)) as amount_whole
from days
group by subject_type, subject_id, role, room_id, business_date, measure
having sum(amount) <> 0 or sum(amount_whole) <> 0
