-- One row per live session, on its business date: the local date of started_at, whole, also when it crosses midnight.
select
    sessions.session_id,
    cast(row_number() over (order by sessions.session_id) as integer) as session_no,
    sessions.room_id,
    sessions.mode,
    sessions.title,
    sessions.started_at,
    sessions.ended_at,
    rooms.timezone,
    {{ local_date('sessions.started_at', 'rooms.timezone') }} as business_date,
    strftime({{ local_date('sessions.started_at', 'rooms.timezone') }}, '%Y-%m') as month,
    {{ milliseconds_between('sessions.started_at', 'sessions.ended_at') }} as live_ms
from {{ ref('stg_sessions') }} as sessions
inner join {{ ref('int_rooms_current') }} as rooms on sessions.room_id = rooms.room_id
