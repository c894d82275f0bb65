-- One row per employee; pay is not here.
select
    staff_id,
    name,
    role,
    room_id,
    hired_on,
    left_on
from {{ ref('int_staff_current') }}
