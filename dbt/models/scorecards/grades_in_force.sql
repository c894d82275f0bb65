-- One row per loaded month × grade of the grade table in force: it holds for totals in [min_score, below_score).
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with tables_in_force as (
    select
        months.month,
        max(grades.valid_from) as valid_from
    from {{ ref('int_appraisal_months') }} as months
    inner join {{ source('policy', 'grades') }} as grades on grades.valid_from <= months.first_day
    group by months.month
)

select
    tables_in_force.month,
    grades.grade,
    grades.min_score,
    lead(grades.min_score) over (partition by tables_in_force.month order by grades.min_score) as below_score,
    grades.coefficient
from tables_in_force
inner join {{ source('policy', 'grades') }} as grades on tables_in_force.valid_from = grades.valid_from
