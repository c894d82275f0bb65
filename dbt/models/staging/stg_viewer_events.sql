-- One row per viewer action: the accepted row that won its key (landing decides; see exports).
select
    session_id,
    event_id,
    viewer_no,
    event_type,
    event_at,
    product_id,
    quantity,
    amount,
    text,
    region,
    device,
    traffic_source
from {{ source('raw', 'viewer_events') }}
where _status = 'current'
