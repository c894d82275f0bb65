-- One row per person (room) × month: scores at 0.01, grade, pay. A room's total is its team score; pay columns are a person's.
-- insufficient_data: less than the policy's share of the weight could be scored, or no scored room stands for the team part.
with totals as (
    select
        'staff' as subject_type,
        people.staff_id as subject_id,
        people.role,
        people.month,
        people.personal_score,
        people.team_score,
        people.total_score,
        people.base_pay,
        people.eligible_days,
        people.days,
        people.base_warning
    from {{ ref('people_totalled') }} as people
    union all
    select
        'room' as subject_type,
        rooms.room_id as subject_id,
        null as role,
        rooms.month,
        null as personal_score,
        rooms.team_score,
        rooms.team_score as total_score,
        null as base_pay,
        null as eligible_days,
        null as days,
        rooms.base_warning
    from {{ ref('rooms_totalled') }} as rooms
),

bonuses as (
    select
        staff_id,
        month,
        sum(amount) as amount
    from {{ ref('bonus_pools') }}
    group by staff_id, month
),

awarded as (
    select
        staff_id,
        month,
        sum(amount) as amount
    from {{ ref('awards') }}
    group by staff_id, month
)

select
    totals.subject_type,
    totals.subject_id,
    totals.role,
    totals.month,
    totals.personal_score,
    totals.team_score,
    totals.total_score,
    grades.grade,
    grades.coefficient,
    cast(
        {{ whole_ratio(
            to_micros('totals.base_pay') ~ ' * totals.eligible_days * ' ~ to_micros('grades.coefficient'),
            'cast(totals.days as hugeint) * 1000000000000',
            2,
        ) }} as decimal(18, 2)
    ) as performance_pay,
    case
        when totals.subject_type = 'staff' then cast(coalesce(bonuses.amount, 0) as decimal(18, 2))
    end as overachievement_bonus,
    case
        when totals.subject_type = 'staff' then cast(coalesce(awarded.amount, 0) as decimal(18, 2))
    end as awards_amount,
    totals.eligible_days,
    case when totals.total_score is null then 'insufficient_data' else 'scored' end as status,
    case
        when totals.total_score is not null
            then rank() over (
                partition by totals.subject_type, totals.role, totals.month
                order by totals.total_score desc nulls last
            )
    end as rank_in_role,
    totals.base_warning,
    cast(totals.base_pay as decimal(18, 2)) as performance_pay_base
from totals
left join {{ ref('grades_in_force') }} as grades
    on
        totals.month = grades.month
        and totals.total_score >= grades.min_score
        and (grades.below_score is null or totals.total_score < grades.below_score)
left join bonuses
    on totals.subject_type = 'staff' and totals.subject_id = bonuses.staff_id and totals.month = bonuses.month
left join awarded
    on totals.subject_type = 'staff' and totals.subject_id = awarded.staff_id and totals.month = awarded.month
