-- One row per order line. gmv and refunded_amount are 0 until the line is paid; currency and paid_amount are as delivered.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_dates() }}") }}
select
    lines.order_line_id,
    lines.order_id,
    viewers.viewer_key,
    lines.room_id,
    lines.session_id,
    lines.attribution,
    lines.product_id,
    lines.business_date,
    lines.quantity,
    lines.created_at,
    lines.paid_at,
    lines.currency,
    lines.paid_amount,
    lines.gmv,
    lines.refunded_amount,
    lines.units_returned
from {{ ref('int_lines_valued') }} as lines
inner join {{ ref('int_viewers_keyed') }} as viewers on lines.viewer_no = viewers.viewer_no
where {{ is_touched('lines.business_date') }}
