-- One row per on-duty interval of one person, role and session: the accepted row that won its key (landing decides; see exports).
select
    shift_id,
    session_id,
    staff_id,
    role,
    on_at,
    off_at,
    updated_at
from {{ source('raw', 'shifts') }}
where _status = 'current'
