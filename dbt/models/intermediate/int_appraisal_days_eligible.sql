-- One row per employee × loaded month with at least one eligible day: employed and on no leave.
-- Leaves may overlap, so days are counted, not lengths added.
with employed as (
    select
        staff.staff_id,
        months.month,
        unnest(generate_series(
            greatest(staff.hired_on, months.first_day),
            least(coalesce(staff.left_on, months.last_day), months.last_day),
            interval 1 day
        )) as day
    from {{ ref('stg_staff') }} as staff
    inner join {{ ref('int_appraisal_months') }} as months
        on staff.hired_on <= months.last_day and coalesce(staff.left_on, months.last_day) >= months.first_day
)

select
    employed.staff_id,
    employed.month,
    count(*) as eligible_days
from employed
where
    not exists (
        select 1 from {{ ref('stg_leaves') }} as leaves
        where leaves.staff_id = employed.staff_id and employed.day between leaves.from_date and leaves.to_date
    )
group by employed.staff_id, employed.month
