-- One row per room × effective date: the accepted row that won its key (landing decides; see exports).
select
    room_id,
    effective_from,
    name,
    platform,
    market,
    timezone,
    currency,
    stage
from {{ source('raw', 'rooms') }}
where _status = 'current'
