-- One row per block of a session's run sheet: the accepted row that won its key (landing decides; see exports).
select
    segment_id,
    session_id,
    segment_type,
    product_id,
    label,
    started_at,
    ended_at,
    updated_at
from {{ source('raw', 'segments') }}
where _status = 'current'
