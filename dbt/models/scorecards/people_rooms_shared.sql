-- One row per person × month × scored room of their team part: share_ms / all_ms is the room's share of it.
-- Rooms count by the time on duty there; who was on duty nowhere answers for the home room alone.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with team_rooms as (
    select
        people.staff_id,
        people.month,
        duty.room_id,
        duty.duty_ms as share_ms
    from {{ ref('people_eligible') }} as people
    inner join {{ ref('duty_summed') }} as duty on people.staff_id = duty.staff_id and people.month = duty.month
    union all
    select
        staff_id,
        month,
        home_room_id as room_id,
        1 as share_ms
    from {{ ref('people_eligible') }}
    where not has_duty and home_room_id is not null
)

select
    team_rooms.staff_id,
    team_rooms.month,
    team_rooms.room_id,
    rooms.team_score,
    cast(team_rooms.share_ms as hugeint) as share_ms,
    cast(sum(team_rooms.share_ms) over (partition by team_rooms.staff_id, team_rooms.month) as hugeint) as all_ms
from team_rooms
inner join {{ ref('rooms_totalled') }} as rooms on team_rooms.room_id = rooms.room_id and team_rooms.month = rooms.month
where rooms.team_score is not null
