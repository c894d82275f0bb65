-- One row per order line: money in the reporting currency, its follow-ups, and where it is credited. Kept for all dates.
-- Money is rounded once per line, half away from zero, and then only summed.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_dates() }}") }}
with lines as (
    select
        attributed.*,
        case when is_paid then {{ local_date('paid_at', 'timezone') }} end as paid_date
    from {{ ref('int_orders_attributed') }} as attributed
    where {{ is_touched() }}
),

rated as (
    select
        lines.*,
        case
            when lines.currency = '{{ env_var("REPORTING_CURRENCY", "CNY") }}' then 1
            when rates.rate_date >= lines.paid_date - 7 then rates.rate
        end as rate
    from lines
    asof left join {{ ref('stg_fx_rates') }} as rates
        on lines.currency = rates.currency and lines.paid_date >= rates.rate_date
),

refunds as (
    select
        rated.order_line_id,
        sum(refunds.amount) as amount,
        coalesce(sum(refunds.quantity) filter (where refunds.refund_type = 'return'), 0) as units_returned
    from rated
    inner join {{ ref('stg_refunds') }} as refunds on rated.order_line_id = refunds.order_line_id
    where rated.is_paid and {{ local_date('refunds.completed_at', 'rated.timezone') }} <= rated.business_date + 15
    group by rated.order_line_id
),

reviews as (
    select
        rated.order_line_id,
        count(*) as reviews_received,
        count_if(reviews.rating <= 2) as negative_reviews
    from rated
    inner join {{ ref('stg_reviews') }} as reviews on rated.order_line_id = reviews.order_line_id
    where rated.is_paid and {{ local_date('reviews.reviewed_at', 'rated.timezone') }} <= rated.business_date + 15
    group by rated.order_line_id
),

complained_lines as (
    select distinct rated.order_line_id
    from rated
    inner join {{ ref('stg_complaints') }} as complaints on rated.order_id = complaints.order_id
    where rated.is_paid and {{ local_date('complaints.filed_at', 'rated.timezone') }} <= rated.business_date + 15
)

select
    rated.* exclude (rate),
    case when rated.is_paid then rated.quantity else 0 end as units_sold,
    case
        when not rated.is_paid then 0
        else cast(round(rated.paid_amount * rated.rate, 2) as decimal(18, 2))
    end as gmv,
    case
        when not rated.is_paid then 0
        else cast(round(least(cast(coalesce(refunds.amount, 0) as decimal(18, 6)), rated.paid_amount) * rated.rate, 2) as decimal(18, 2))
    end as refunded_amount,
    cast(least(coalesce(refunds.units_returned, 0), rated.quantity) as bigint) as units_returned,
    coalesce(reviews.reviews_received, 0) as reviews_received,
    coalesce(reviews.negative_reviews, 0) as negative_reviews,
    complained_lines.order_line_id is not null as is_complained,
    {{ is_new_product('products.launched_on', 'rated.business_date') }} as is_new_product,
    pieces.piece_no
from rated
left join refunds on rated.order_line_id = refunds.order_line_id
left join reviews on rated.order_line_id = reviews.order_line_id
left join complained_lines on rated.order_line_id = complained_lines.order_line_id
left join {{ ref('stg_products') }} as products on rated.product_id = products.product_id
left join {{ ref('int_pieces_cut') }} as pieces
    on
        rated.session_id = pieces.session_id
        and rated.credited_at >= pieces.piece_from
        and rated.credited_at < pieces.piece_to
