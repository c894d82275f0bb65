-- One row per business date of which only order lines have to be counted again: a refund, review or complaint of them came in.
-- Its events are left alone. Kept until a publish holds them, like int_dates_affected, in which none of them stands.
{{ config(materialized='incremental', incremental_strategy='append') }}
with followed_up as (
    select lines.business_date
    from {{ ref('int_orders_attributed') }} as lines
    inner join {{ source('raw', 'changes') }} as changes
        on changes.export in ('refunds', 'reviews') and lines.order_line_id = changes.order_line_id
    union
    select lines.business_date
    from {{ ref('int_orders_attributed') }} as lines
    inner join {{ source('raw', 'changes') }} as changes on changes.export = 'complaints' and lines.order_id = changes.order_id
)

select business_date from followed_up
where
    business_date not in (select business_date from {{ ref('int_dates_affected') }})
    {%- if is_incremental() %}
    and business_date not in (select business_date from {{ this }})
    {%- endif %}
