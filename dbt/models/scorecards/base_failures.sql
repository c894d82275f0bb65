-- One row per room × month whose technical base failed: smoothness_rate or instant_start_rate under its floor.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
select distinct
    kpi_month.subject_id as room_id,
    kpi_month.month
from {{ ref('kpi_month') }} as kpi_month
inner join {{ ref('int_targets_current') }} as targets
    on
        kpi_month.month = targets.month
        and kpi_month.kpi_id = targets.kpi_id
        and targets.scope_type = 'room'
        and kpi_month.subject_id = targets.scope_id
where
    kpi_month.subject_type = 'room'
    and kpi_month.kpi_id in ('smoothness_rate', 'instant_start_rate')
    and kpi_month.value < targets.floor
