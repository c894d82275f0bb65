-- One row per employee: the accepted row that won its key (landing decides; see exports).
select
    staff_id,
    name,
    role,
    room_id,
    hired_on,
    left_on,
    performance_pay,
    updated_at
from {{ source('raw', 'staff') }}
where _status = 'current'
