-- One row per explain segment of three minutes or more: viewers online at its start, and how many of them are online three minutes
-- later. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with explanations as (
    select
        segments.segment_id,
        segments.session_id,
        segments.product_id,
        sessions.room_id,
        sessions.business_date,
        segments.started_at as start_at,
        segments.started_at + interval 180 second as after_at
    from {{ ref('int_segments_current') }} as segments
    inner join {{ ref('int_sessions_dated') }} as sessions on segments.session_id = sessions.session_id
    where
        segments.segment_type = 'explain'
        and segments.product_id is not null
        and segments.started_at >= sessions.started_at
        and segments.ended_at >= segments.started_at + interval 180 second
        and segments.started_at + interval 180 second < sessions.ended_at
        and {{ is_affected('sessions.business_date') }}
),

online_at_start as (
    select distinct
        explanations.segment_id,
        visits.viewer_no
    from explanations
    inner join {{ ref('int_visits_sessionised') }} as visits
        on
            explanations.session_id = visits.session_id
            and explanations.start_at >= visits.start_at
            and explanations.start_at < visits.end_at
),

online_after as (
    select distinct
        explanations.segment_id,
        visits.viewer_no
    from explanations
    inner join {{ ref('int_visits_sessionised') }} as visits
        on
            explanations.session_id = visits.session_id
            and explanations.after_at >= visits.start_at
            and explanations.after_at < visits.end_at
)

select
    explanations.segment_id,
    explanations.session_id,
    explanations.product_id,
    explanations.room_id,
    explanations.business_date,
    count(online_at_start.viewer_no) as online_at_start,
    count(online_after.viewer_no) as still_online
from explanations
left join online_at_start on explanations.segment_id = online_at_start.segment_id
left join online_after
    on online_at_start.segment_id = online_after.segment_id and online_at_start.viewer_no = online_after.viewer_no
group by
    explanations.segment_id, explanations.session_id, explanations.product_id, explanations.room_id, explanations.business_date
