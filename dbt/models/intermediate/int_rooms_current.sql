-- One row per room: its latest effective row. Time zone and currency never change for a room.
select *
from {{ ref('stg_rooms') }}
qualify row_number() over (partition by room_id order by effective_from desc) = 1
