-- One row per loaded month × role: its share (0-1) of an over-achievement pool.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
select
    months.month,
    replace(rules.rule, 'pool_share_', '') as role,
    arg_max(rules.value, rules.valid_from) as pool_share
from {{ ref('int_appraisal_months') }} as months
inner join {{ source('policy', 'rules') }} as rules
    on rules.valid_from <= months.first_day and starts_with(rules.rule, 'pool_share_')
group by months.month, rules.rule
