-- Subjects × months × the registry, complete: a KPI that could not be measured has a row that says why.
select subject_type, subject_id, role, room_id, month
from {{ ref('kpi_month') }}
group by subject_type, subject_id, role, room_id, month
having count(*) <> (select count(*) from {{ ref('kpi_registry') }})
union all
select subject_type, subject_id, role, room_id, month
from {{ ref('kpi_month') }}
where (value is null) <> (reason is not null)
