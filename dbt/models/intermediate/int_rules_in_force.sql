-- One row per month of a session × rule: the value with the latest valid_from on or before the month's first day.
select
    months.month,
    rules.rule,
    arg_max(rules.value, rules.valid_from) as value
from (select distinct month from {{ ref('int_sessions_dated') }}) as months
inner join {{ source('policy', 'rules') }} as rules on rules.valid_from <= cast(months.month || '-01' as date)
group by months.month, rules.rule
