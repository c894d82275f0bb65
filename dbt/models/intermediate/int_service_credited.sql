-- One row per subject (room, or person who answered) × role × room × business date × service measure. All dates, every night: it is
-- small, and where it differs from kpi_measure_day the date is counted again, whatever moved (a message, a person's role).
select
    'room' as subject_type,
    room_id as subject_id,
    cast(null as varchar) as role,
    room_id,
    business_date,
    measure,
    sum(amount) as amount
from {{ ref('int_service_counted') }}
group by room_id, business_date, measure
union all
-- A person's conversations are those they were first to answer, so all of them are answered.
select
    'staff' as subject_type,
    service.staff_id as subject_id,
    staff.role,
    service.room_id,
    service.business_date,
    service.measure,
    sum(service.amount) as amount
from {{ ref('int_service_counted') }} as service
left join {{ ref('int_staff_current') }} as staff on service.staff_id = staff.staff_id
where service.staff_id is not null
group by service.staff_id, staff.role, service.room_id, service.business_date, service.measure
