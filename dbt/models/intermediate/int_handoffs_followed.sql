-- One row per handoff segment: viewers online at its start, and how many of them are online 60 s after its end. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with handoffs as (
    select
        segments.segment_id,
        segments.session_id,
        sessions.room_id,
        sessions.business_date,
        segments.started_at as start_at,
        segments.ended_at + interval 60 second as after_at
    from {{ ref('int_segments_current') }} as segments
    inner join {{ ref('int_sessions_dated') }} as sessions on segments.session_id = sessions.session_id
    where
        segments.segment_type = 'handoff'
        and segments.started_at >= sessions.started_at
        and segments.ended_at + interval 60 second < sessions.ended_at
        and {{ is_affected('sessions.business_date') }}
),

online_at_start as (
    select distinct
        handoffs.segment_id,
        visits.viewer_no
    from handoffs
    inner join {{ ref('int_visits_sessionised') }} as visits
        on handoffs.session_id = visits.session_id and handoffs.start_at >= visits.start_at and handoffs.start_at < visits.end_at
),

online_after as (
    select distinct
        handoffs.segment_id,
        visits.viewer_no
    from handoffs
    inner join {{ ref('int_visits_sessionised') }} as visits
        on handoffs.session_id = visits.session_id and handoffs.after_at >= visits.start_at and handoffs.after_at < visits.end_at
)

select
    handoffs.segment_id,
    handoffs.session_id,
    handoffs.room_id,
    handoffs.business_date,
    count(online_at_start.viewer_no) as online_at_start,
    count(online_after.viewer_no) as still_online
from handoffs
left join online_at_start on handoffs.segment_id = online_at_start.segment_id
left join online_after
    on online_at_start.segment_id = online_after.segment_id and online_at_start.viewer_no = online_after.viewer_no
group by handoffs.segment_id, handoffs.session_id, handoffs.room_id, handoffs.business_date
