-- One row per interval of watching (viewer × session), clipped to the session; zero lengths are kept. Events between the same
-- enters and leaves are of one interval; a leave alone there is first or follows a leave, and is ignored.
with intervals as (
    select
        session_no,
        viewer_no,
        min(event_at) as first_at,
        max(event_at) as last_at
    from {{ ref('int_events_sequenced') }}
    group by session_no, viewer_no, enters, leaves_before
    having not bool_and(is_leave)
)

select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    intervals.viewer_no,
    greatest(intervals.first_at, sessions.started_at) as start_at,
    greatest(least(intervals.last_at, sessions.ended_at), intervals.first_at, sessions.started_at) as end_at
from intervals
inner join {{ ref('int_sessions_dated') }} as sessions on intervals.session_no = sessions.session_no
