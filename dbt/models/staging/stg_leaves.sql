-- One row per absence (person × first day): the accepted row that won its key (landing decides; see exports).
select
    staff_id,
    from_date,
    to_date,
    updated_at
from {{ source('raw', 'leaves') }}
where _status = 'current'
