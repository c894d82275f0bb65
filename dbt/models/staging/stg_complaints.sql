-- One row per complaint: the accepted row that won its key (landing decides; see exports).
select
    complaint_id,
    room_id,
    order_id,
    conversation_id,
    filed_at,
    reason
from {{ source('raw', 'complaints') }}
where _status = 'current'
