-- One row per loaded month: the rules in force on its first day, one column each.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with in_force as (
    select
        months.month,
        months.first_day,
        months.last_day,
        rules.rule,
        arg_max(rules.value, rules.valid_from) as value
    from {{ ref('int_appraisal_months') }} as months
    left join {{ source('policy', 'rules') }} as rules on rules.valid_from <= months.first_day
    group by months.month, months.first_day, months.last_day, rules.rule
)

select
    month,
    first_day,
    last_day,
    cast(datediff('day', first_day, last_day) + 1 as integer) as days,
    {%- for rule in [
        'personal_share', 'pass_score', 'min_scored_weight', 'overachievement_rate', 'innovation_award',
        'best_contributor_award', 'best_room_award', 'best_contributor_min_days', 'strike_months',
    ] %}
    max(value) filter (where rule = '{{ rule }}') as {{ rule }}{{ ',' if not loop.last }}
    {%- endfor %}
from in_force
group by month, first_day, last_day
