-- One row per session × phase: distinct viewers who watch in it or act in it, and those of them who interact. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with phases as (
    select
        minutes.session_id,
        sessions.session_no,
        minutes.room_id,
        minutes.business_date,
        minutes.phase,
        min(minutes.minute_at) as from_at,
        max(minutes.minute_at) + interval 1 minute as to_at,
        min(minutes.minute) as first_minute,
        max(minutes.minute) as last_minute
    from {{ ref('int_minutes_phased') }} as minutes
    inner join {{ ref('int_sessions_dated') }} as sessions on minutes.session_id = sessions.session_id
    group by minutes.session_id, sessions.session_no, minutes.room_id, minutes.business_date, minutes.phase
),

acting as (
    select
        phases.session_no,
        phases.first_minute,
        events.viewer_no,
        bool_or(events.event_type in ('chat', 'like', 'follow', 'share', 'gift')) as is_engaged
    from phases
    inner join {{ ref('int_events_placed') }} as events
        on
            phases.session_no = events.session_no
            and events.minute between phases.first_minute and phases.last_minute
    where events.event_type <> 'leave'
    group by phases.session_no, phases.first_minute, events.viewer_no
),

present as (
    select
        session_no,
        first_minute,
        viewer_no,
        bool_or(is_engaged) as is_engaged
    from (
        select * from acting
        union all
        select
            phases.session_no,
            phases.first_minute,
            visits.viewer_no,
            false as is_engaged
        from phases
        inner join {{ ref('int_visits_sessionised') }} as visits
            on
                phases.session_id = visits.session_id
                and visits.start_at < visits.end_at
                and visits.start_at < phases.to_at
                and visits.end_at > phases.from_at
    )
    group by session_no, first_minute, viewer_no
),

counted as (
    select
        session_no,
        first_minute,
        count(*) as viewers,
        count_if(is_engaged) as engaged_viewers
    from present
    group by session_no, first_minute
)

select
    phases.session_id,
    phases.room_id,
    phases.business_date,
    phases.phase,
    cast(coalesce(counted.viewers, 0) as bigint) as viewers,
    cast(coalesce(counted.engaged_viewers, 0) as bigint) as engaged_viewers
from phases
left join counted on phases.session_no = counted.session_no and phases.first_minute = counted.first_minute
