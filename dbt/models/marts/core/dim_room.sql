-- One row per room, as of its latest effective_from.
select
    room_id,
    name,
    platform,
    market,
    timezone,
    currency
from {{ ref('int_rooms_current') }}
