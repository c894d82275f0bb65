-- One row per session × whole minute since started_at, of the affected dates; the last one may be shorter.
select
    session_id,
    room_id,
    business_date,
    cast(minutes.minute as integer) as minute,
    started_at + to_minutes(minutes.minute) as minute_at
from {{ ref('int_sessions_dated') }}
cross join unnest(range(cast(ceil(live_ms / 60000) as bigint))) as minutes (minute)
where {{ is_affected() }}
