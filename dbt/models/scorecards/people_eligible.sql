-- One row per person × month to be scored: at least one eligible day in it, leavers included.
-- room_id is the home room, without one the room of most duty time (ties by room_id); it gives stage, overrides and room values.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with busiest_rooms as (
    select
        staff_id,
        month,
        room_id
    from {{ ref('duty_summed') }}
    qualify row_number() over (partition by staff_id, month order by duty_ms desc, room_id) = 1
)

select
    staff.staff_id,
    staff.role,
    eligible.month,
    eligible.eligible_days,
    staff.performance_pay,
    home_rooms.room_id as home_room_id,
    coalesce(home_rooms.room_id, busiest_rooms.room_id) as room_id,
    busiest_rooms.room_id is not null as has_duty
from {{ ref('int_appraisal_days_eligible') }} as eligible
inner join {{ ref('int_staff_current') }} as staff on eligible.staff_id = staff.staff_id
left join {{ ref('dim_room') }} as home_rooms on staff.room_id = home_rooms.room_id
left join busiest_rooms on eligible.staff_id = busiest_rooms.staff_id and eligible.month = busiest_rooms.month
