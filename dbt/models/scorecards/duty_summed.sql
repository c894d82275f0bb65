-- One row per person × loaded month × room: time and days on duty in the person's own role, on the month's business dates.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
select
    duty.staff_id,
    duty.role,
    sessions.month,
    sessions.room_id,
    cast(sum(epoch_ms(duty.off_at) - epoch_ms(duty.on_at)) as bigint) as duty_ms,
    count(distinct sessions.business_date) as duty_days
from {{ ref('fct_duty') }} as duty
inner join {{ ref('fct_session') }} as sessions on duty.session_id = sessions.session_id
inner join {{ ref('dim_staff') }} as staff on duty.staff_id = staff.staff_id and duty.role = staff.role
where duty.off_at > duty.on_at
group by duty.staff_id, duty.role, sessions.month, sessions.room_id
