-- One row per live session (场次): the accepted row that won its key (landing decides; see exports).
select
    session_id,
    room_id,
    title,
    mode,
    started_at,
    ended_at,
    updated_at
from {{ source('raw', 'sessions') }}
where _status = 'current'
