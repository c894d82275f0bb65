-- One row per month × scope × KPI target; landed_at tells a target that came after its month began.
select * from {{ ref('stg_targets') }}
