-- One row per total of a platform's own sheet × measure: the accepted row that won its key (landing decides).
select
    platform,
    total_id,
    measure,
    room_id,
    label,
    started_at,
    ended_at,
    total_date,
    theirs,
    definition
from {{ source('raw', 'platform_totals') }}
where _status = 'current'
