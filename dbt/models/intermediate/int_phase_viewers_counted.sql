-- One row per session × phase: distinct viewers who watch in it or act in it, and those of them who interact. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with phases as (
    select
        session_id,
        room_id,
        business_date,
        phase,
        min(minute_at) as from_at,
        max(minute_at) + interval 1 minute as to_at,
        min(minute) as first_minute,
        max(minute) as last_minute
    from {{ ref('int_minutes_phased') }}
    group by session_id, room_id, business_date, phase
),

present as (
    select
        phases.session_id,
        phases.phase,
        visits.viewer_no,
        false as is_engaged
    from phases
    inner join {{ ref('int_visits_sessionised') }} as visits
        on
            phases.session_id = visits.session_id
            and visits.start_at < visits.end_at
            and visits.start_at < phases.to_at
            and visits.end_at > phases.from_at
    union all
    select
        phases.session_id,
        phases.phase,
        events.viewer_no,
        events.event_type in ('chat', 'like', 'follow', 'share', 'gift') as is_engaged
    from phases
    inner join {{ ref('int_sessions_dated') }} as sessions on phases.session_id = sessions.session_id
    inner join {{ ref('int_events_placed') }} as events
        on
            sessions.session_no = events.session_no
            and events.minute between phases.first_minute and phases.last_minute
    where events.event_type <> 'leave'
)

select
    phases.session_id,
    phases.room_id,
    phases.business_date,
    phases.phase,
    count(distinct present.viewer_no) as viewers,
    count(distinct present.viewer_no) filter (where present.is_engaged) as engaged_viewers
from phases
left join present on phases.session_id = present.session_id and phases.phase = present.phase
group by phases.session_id, phases.room_id, phases.business_date, phases.phase
