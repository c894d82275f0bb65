-- One row per session with an event: the last instant any event of it tells of. What lies after is not known yet. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
select
    sessions.session_id,
    sessions.business_date,
    {{ placed_within('max(events.event_at)', 'sessions.started_at', 'sessions.ended_at') }} as known_until
from {{ ref('int_events_placed') }} as events
inner join {{ ref('int_sessions_dated') }} as sessions on events.session_no = sessions.session_no
group by sessions.session_id, sessions.business_date, sessions.started_at, sessions.ended_at
