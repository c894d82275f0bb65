-- One row per room × month with a session: its team score (null: insufficient data), and whether its technical base failed.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
select
    rooms.room_id,
    rooms.month,
    parts.score as team_score,
    base_failures.room_id is not null as base_warning
from (select distinct room_id, month from {{ ref('fct_session') }}) as rooms
left join {{ ref('parts_summed') }} as parts
    on parts.subject_type = 'room' and rooms.room_id = parts.subject_id and rooms.month = parts.month
left join {{ ref('base_failures') }} as base_failures
    on rooms.room_id = base_failures.room_id and rooms.month = base_failures.month
