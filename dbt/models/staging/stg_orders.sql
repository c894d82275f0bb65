-- One row per order line (its latest status): the accepted row that won its key (landing decides; see exports).
select
    order_line_id,
    order_id,
    session_id,
    room_id,
    viewer_no,
    product_id,
    quantity,
    unit_price,
    paid_amount,
    currency,
    created_at,
    paid_at,
    cancelled_at,
    updated_at
from {{ source('raw', 'orders') }}
where _status = 'current'
