-- One row per award × person: innovation (each person a nomination names, paid where verified), best_contributor of a room,
-- best_room (its people). Amounts of a shared award add up to it; the first by staff_id get the cents that do not divide.
with innovation as (
    select
        'innovation' as award,
        tests.month,
        tests.room_id,
        people.staff_id,
        people.nomination_id,
        tests.verdict,
        case when tests.verdict = 'verified' then {{ to_cents('round(policy.innovation_award, 2)') }} else 0 end as cents,
        people.person_no,
        tests.people_named as people_count,
        tests.evidence
    from {{ ref('int_appraisal_people_nominated') }} as people
    inner join {{ source('appraisal_state', 'nomination_tests') }} as tests on people.nomination_id = tests.nomination_id
    inner join {{ ref('policy_by_month') }} as policy on tests.month = policy.month
),

best_contributors as (
    select
        'best_contributor' as award,
        duty.month,
        duty.room_id,
        duty.staff_id,
        cast(null as varchar) as nomination_id,
        cast(null as varchar) as verdict,
        {{ to_cents('round(policy.best_contributor_award, 2)') }} as cents,
        1 as person_no,
        1 as people_count,
        cast(to_json({
            'total_score': people.total_score,
            'personal_score': people.personal_score,
            'duty_seconds': floor(duty.duty_ms / 1000)::bigint,
            'duty_days': duty.duty_days
        }) as varchar) as evidence
    from {{ ref('duty_summed') }} as duty
    inner join {{ ref('policy_by_month') }} as policy on duty.month = policy.month
    inner join {{ ref('people_totalled') }} as people on duty.staff_id = people.staff_id and duty.month = people.month
    where people.total_score is not null and duty.duty_days >= policy.best_contributor_min_days
    qualify
        row_number() over (
            partition by duty.room_id, duty.month
            order by people.total_score desc, people.personal_score desc, duty.duty_ms desc, duty.staff_id
        ) = 1
),

best_rooms as (
    select
        room_id,
        month,
        team_score
    from {{ ref('rooms_totalled') }}
    where team_score is not null
    qualify row_number() over (partition by month order by team_score desc, room_id) = 1
),

best_room_people as (
    select
        'best_room' as award,
        best_rooms.month,
        best_rooms.room_id,
        people.staff_id,
        cast(null as varchar) as nomination_id,
        cast(null as varchar) as verdict,
        {{ to_cents('round(policy.best_room_award, 2)') }} as cents,
        row_number() over (partition by best_rooms.month order by people.staff_id) as person_no,
        count(*) over (partition by best_rooms.month) as people_count,
        cast(to_json({'room_total_score': best_rooms.team_score}) as varchar) as evidence
    from best_rooms
    inner join {{ ref('policy_by_month') }} as policy on best_rooms.month = policy.month
    inner join {{ ref('duty_summed') }} as duty on best_rooms.room_id = duty.room_id and best_rooms.month = duty.month
    inner join {{ ref('people_eligible') }} as people on duty.staff_id = people.staff_id and duty.month = people.month
),

granted as (
    select * from innovation
    union all
    select * from best_contributors
    union all
    select * from best_room_people
)

select
    award,
    month,
    room_id,
    staff_id,
    nomination_id,
    verdict,
    {{ from_cents('cents // people_count + case when person_no <= cents % people_count then 1 else 0 end') }} as amount,
    evidence
from granted
