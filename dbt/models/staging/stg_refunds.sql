-- One row per refund (its latest status): the accepted row that won its key (landing decides; see exports).
select
    refund_id,
    order_line_id,
    refund_type,
    quantity,
    amount,
    currency,
    requested_at,
    completed_at,
    reason,
    updated_at
from {{ source('raw', 'refunds') }}
where _status = 'current'
