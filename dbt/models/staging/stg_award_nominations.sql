-- One row per nomination × person named: the accepted row that won its key (landing decides; see exports).
select
    nomination_id,
    staff_id,
    month,
    room_id,
    kpi_id,
    before_from,
    before_to,
    after_from,
    after_to,
    claim
from {{ source('raw', 'award_nominations') }}
where _status = 'current'
