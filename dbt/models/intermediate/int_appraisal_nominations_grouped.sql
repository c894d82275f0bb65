-- One row per innovation nomination: what it claims, and how many people it names.
-- Should its rows differ, that of the smallest staff_id is what is judged.
select
    nomination_id,
    arg_min(month, staff_id) as month,
    arg_min(room_id, staff_id) as room_id,
    arg_min(kpi_id, staff_id) as kpi_id,
    arg_min(before_from, staff_id) as before_from,
    arg_min(before_to, staff_id) as before_to,
    arg_min(after_from, staff_id) as after_from,
    arg_min(after_to, staff_id) as after_to,
    count(*) as people_named
from {{ ref('stg_award_nominations') }}
group by nomination_id
