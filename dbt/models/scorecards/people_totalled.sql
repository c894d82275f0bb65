-- One row per person × month: personal, team and total score at 0.01; the total is null where either part is.
-- base_warning: the technical base failed in a room they were on duty in, or without duty in their home room.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with team_scores as (
    select
        staff_id,
        month,
        cast(
            {{ whole_ratio('sum(' ~ to_cents('team_score') ~ ' * share_ms)', 'any_value(all_ms) * 100', 2) }} as decimal(18, 2)
        ) as team_score
    from {{ ref('people_rooms_shared') }}
    group by staff_id, month
),

warned as (
    select distinct
        people.staff_id,
        people.month
    from {{ ref('people_eligible') }} as people
    left join {{ ref('duty_summed') }} as duty on people.staff_id = duty.staff_id and people.month = duty.month
    inner join {{ ref('base_failures') }} as failures
        on people.month = failures.month and failures.room_id = coalesce(duty.room_id, people.home_room_id)
)

select
    people.staff_id,
    people.role,
    people.month,
    people.eligible_days,
    people.performance_pay as base_pay,
    policy.days,
    policy.personal_share,
    parts.score as personal_score,
    team_scores.team_score,
    cast(
        round(policy.personal_share * parts.score + (1 - policy.personal_share) * team_scores.team_score, 2)
        as decimal(18, 2)
    ) as total_score,
    warned.staff_id is not null as base_warning
from {{ ref('people_eligible') }} as people
inner join {{ ref('policy_by_month') }} as policy on people.month = policy.month
left join {{ ref('parts_summed') }} as parts
    on parts.subject_type = 'staff' and people.staff_id = parts.subject_id and people.month = parts.month
left join team_scores on people.staff_id = team_scores.staff_id and people.month = team_scores.month
left join warned on people.staff_id = warned.staff_id and people.month = warned.month
