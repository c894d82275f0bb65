-- One row per session × role × shared measure: total = credited + unattributed, exactly. unattributed is counted on its own
-- (time with nobody on duty, and lines that nobody can be credited with), so the sum is a check and not a definition.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_dates() }}") }}
with totals as (
    select
        sessions.session_id,
        sessions.business_date,
        catalogue.measure,
        cast(coalesce(measures.amount, 0) as decimal(38, 6)) as amount
    from {{ ref('int_sessions_dated') }} as sessions
    cross join {{ ref('int_measures_catalogued') }} as catalogue
    left join {{ ref('int_session_measures_summed') }} as measures
        on sessions.session_id = measures.session_id and catalogue.measure = measures.measure
    where
        catalogue.additive = 'yes'
        and catalogue.family not in ('duty', 'service')
        and {{ is_touched('sessions.business_date') }}
),

credited as (
    select
        session_id,
        role,
        measure,
        sum(amount) as amount
    from {{ ref('int_staff_measures_credited') }}
    where {{ is_touched() }}
    group by session_id, role, measure
),

unattributed as (
    select
        measures.session_id,
        roles.role,
        measures.measure,
        sum(measures.amount) as amount
    from {{ ref('int_uncredited_measures') }} as measures
    cross join (select unnest(['host', 'operations', 'floor_control', 'customer_service', 'technical']) as role) as roles
    where (measures.role is null or measures.role = roles.role) and {{ is_touched('measures.business_date') }}
    group by measures.session_id, roles.role, measures.measure
),

roles as (
    select unnest(['host', 'operations', 'floor_control', 'customer_service', 'technical']) as role
)

select
    totals.session_id,
    roles.role,
    totals.measure,
    totals.amount as total,
    cast(coalesce(credited.amount, 0) as decimal(38, 6)) as credited,
    cast(coalesce(unattributed.amount, 0) as decimal(38, 6)) as unattributed,
    totals.business_date
from totals
cross join roles
left join credited
    on
        totals.session_id = credited.session_id
        and roles.role = credited.role
        and totals.measure = credited.measure
left join unattributed
    on
        totals.session_id = unattributed.session_id
        and roles.role = unattributed.role
        and totals.measure = unattributed.measure
