-- One row per total of a platform's own sheet × measure, beside our figure for the same session or person's day.
-- A sheet names no session of ours: it is the one of the room that overlaps longest.
with placed as (
    select
        totals.*,
        sessions.session_id,
        sessions.business_date as session_date
    from {{ ref('stg_platform_totals') }} as totals
    left join {{ ref('int_sessions_dated') }} as sessions
        on
            totals.room_id = sessions.room_id
            and totals.started_at < sessions.ended_at
            and sessions.started_at < totals.ended_at
    qualify
        row_number() over (
            partition by totals.platform, totals.total_id, totals.measure
            order by
                {{ milliseconds_between(
                    'greatest(totals.started_at, sessions.started_at)', 'least(totals.ended_at, sessions.ended_at)'
                ) }} desc nulls last,
                sessions.session_id
        ) = 1
),

named as (
    select
        name,
        min(staff_id) as staff_id
    from {{ ref('stg_staff') }}
    group by name
    having count(distinct staff_id) = 1
),

undelivered as (
    select
        measure,
        bool_and(export in (select delivered.export from {{ ref('int_exports_delivered') }} as delivered)) as is_measured
    from (select measure, unnest(exports) as export from {{ ref('int_measures_catalogued') }})
    group by measure
),

session_sums as (
    select
        session_id,
        measure,
        amount
    from {{ ref('int_session_measures_summed') }}
),

service_sums as (
    select
        room_id,
        business_date,
        staff_id,
        measure,
        sum(amount) as amount
    from {{ ref('int_service_counted') }}
    group by room_id, business_date, staff_id, measure
)

select
    placed.platform,
    placed.total_id,
    placed.measure,
    placed.room_id,
    placed.label,
    placed.started_at,
    placed.ended_at,
    placed.total_date,
    placed.theirs,
    placed.definition,
    placed.session_id,
    named.staff_id,
    coalesce(placed.session_date, placed.total_date, {{ local_date('placed.started_at', 'rooms.timezone') }}) as business_date,
    catalogue.measure is not null as is_ours,
    coalesce(undelivered.is_measured, false) as is_measured,
    cast(
        case
            when not coalesce(undelivered.is_measured, false) then null
            when catalogue.family = 'service' and placed.total_date is not null and named.staff_id is not null
                then coalesce(service_sums.amount, 0)
            when catalogue.family <> 'service' and placed.session_id is not null then coalesce(session_sums.amount, 0)
        end as decimal(38, 6)
    ) as ours
from placed
inner join {{ ref('int_rooms_current') }} as rooms on placed.room_id = rooms.room_id
left join named on placed.label = named.name and placed.total_date is not null
left join {{ ref('int_measures_catalogued') }} as catalogue on placed.measure = catalogue.measure
left join undelivered on placed.measure = undelivered.measure
left join session_sums on placed.session_id = session_sums.session_id and placed.measure = session_sums.measure
left join service_sums
    on
        placed.room_id = service_sums.room_id
        and placed.total_date = service_sums.business_date
        and named.staff_id = service_sums.staff_id
        and placed.measure = service_sums.measure
