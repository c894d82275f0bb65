-- One row per staff × session × role × on-duty interval: clipped to the session, one person's overlapping or touching
-- intervals merged per role; half-open [on_at, off_at). Resolved anew every night for all sessions, since it is small:
-- where it differs from the night before, the date is affected, whatever moved (a shift, a leave, an employment).
with sessions as (
    select * from {{ ref('int_sessions_dated') }}
),

-- A role without any shift row in a session: its employed staff of that home room, for the whole session.
roles_on_shift as (
    select distinct
        session_id,
        role
    from {{ ref('stg_shifts') }}
),

home_room_duty as (
    select
        staff.staff_id,
        staff.role,
        sessions.session_id,
        sessions.started_at as on_at,
        sessions.ended_at as off_at
    from sessions
    inner join {{ ref('stg_staff') }} as staff
        on
            sessions.room_id = staff.room_id
            and staff.hired_on <= sessions.business_date
            and (staff.left_on is null or staff.left_on >= sessions.business_date)
    left join roles_on_shift
        on sessions.session_id = roles_on_shift.session_id and staff.role = roles_on_shift.role
    left join {{ ref('stg_leaves') }} as leaves
        on
            staff.staff_id = leaves.staff_id
            and sessions.business_date between leaves.from_date and leaves.to_date
    where roles_on_shift.session_id is null and leaves.staff_id is null
),

intervals as (
    select
        shifts.staff_id,
        shifts.role,
        shifts.session_id,
        'shift' as source,
        greatest(shifts.on_at, sessions.started_at) as on_at,
        least(shifts.off_at, sessions.ended_at) as off_at
    from {{ ref('stg_shifts') }} as shifts
    inner join sessions on shifts.session_id = sessions.session_id
    where greatest(shifts.on_at, sessions.started_at) < least(shifts.off_at, sessions.ended_at)
    union all
    select
        staff_id,
        role,
        session_id,
        'home_room' as source,
        on_at,
        off_at
    from home_room_duty
),

islands_started as (
    select
        *,
        coalesce(
            on_at > max(off_at) over (
                partition by session_id, role, staff_id
                order by on_at, off_at
                rows between unbounded preceding and 1 preceding
            ),
            true
        ) as is_start
    from intervals
),

islands as (
    select
        *,
        count_if(is_start) over (
            partition by session_id, role, staff_id
            order by on_at, off_at
            rows between unbounded preceding and current row
        ) as island_no
    from islands_started
)

select
    islands.staff_id,
    islands.role,
    islands.session_id,
    sessions.room_id,
    sessions.business_date,
    min(islands.on_at) as on_at,
    max(islands.off_at) as off_at,
    any_value(islands.source) as source
from islands
inner join sessions on islands.session_id = sessions.session_id
group by
    islands.staff_id, islands.role, islands.session_id, sessions.room_id, sessions.business_date, islands.island_no
