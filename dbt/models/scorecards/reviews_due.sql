-- One row per person × month that ends three scored months in a row below the pass score: a prompt for a person's decision,
-- never an action. Unscored and absent months neither count nor reset.
with scored_months as (
    select
        scorecards.subject_id as staff_id,
        scorecards.month,
        scorecards.total_score,
        scorecards.total_score < policy.pass_score as is_below,
        cast(policy.strike_months as integer) as strike_months,
        row_number() over person_months as month_no
    from {{ ref('scorecards') }} as scorecards
    inner join {{ ref('policy_by_month') }} as policy on scorecards.month = policy.month
    where scorecards.subject_type = 'staff' and scorecards.total_score is not null
    window person_months as (partition by scorecards.subject_id order by scorecards.month)
),

streaks as (
    select
        *,
        month_no - coalesce(
            max(month_no) filter (where not is_below) over (
                partition by staff_id order by month_no rows between unbounded preceding and current row
            ), 0
        ) as months_below,
        lag(month, 1) over (partition by staff_id order by month_no) as month_before,
        lag(month, 2) over (partition by staff_id order by month_no) as month_before_that,
        lag(total_score, 1) over (partition by staff_id order by month_no) as score_before,
        lag(total_score, 2) over (partition by staff_id order by month_no) as score_before_that
    from scored_months
)

-- Where the policy asks for fewer than three months, only those are named.
select
    staff_id,
    month,
    case when strike_months >= 3 then month_before_that end as month_1,
    case when strike_months >= 2 then month_before end as month_2,
    month as month_3,
    case when strike_months >= 3 then score_before_that end as score_1,
    case when strike_months >= 2 then score_before end as score_2,
    total_score as score_3,
    'transfer, training, negotiated end' as options
from streaks
where months_below >= strike_months
