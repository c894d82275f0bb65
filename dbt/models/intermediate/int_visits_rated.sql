-- One row per session × viewer who watched or whose player reported: how playback was for them and how long they first stayed.
-- Kept for all dates: samples and visits are only at hand on the night their date is affected.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with stays as (
    select
        session_id,
        viewer_no,
        arg_min({{ milliseconds_between('start_at', 'end_at') }}, (start_at, end_at)) as first_stay_ms
    from {{ ref('int_visits_sessionised') }}
    group by session_id, viewer_no
),

by_height as (
    select
        session_id,
        viewer_no,
        height,
        sum(play_ms) as play_ms
    from {{ ref('int_samples_placed') }}
    where height is not null
    group by session_id, viewer_no, height
),

pictures as (
    select
        session_id,
        viewer_no,
        arg_max(height, (play_ms, height)) as height
    from by_height
    group by session_id, viewer_no
),

samples as (
    select
        session_id,
        viewer_no,
        sum(stall_ms) as stall_ms,
        sum(play_ms + stall_ms) as playback_ms,
        max(first_frame_ms) as first_frame_ms,
        arg_min(region, (sampled_at, sample_id)) filter (where region is not null) as region,
        arg_min(network, (sampled_at, sample_id)) filter (where network is not null) as network
    from {{ ref('int_samples_placed') }}
    group by session_id, viewer_no
),

people as (
    select session_id, viewer_no from stays
    union
    select session_id, viewer_no from samples
)

select
    people.session_id,
    sessions.room_id,
    sessions.business_date,
    people.viewer_no,
    viewers.viewer_key,
    coalesce(samples.region, visits.region, 'unknown') as region,
    coalesce(samples.network, 'unknown') as network,
    case
        when samples.viewer_no is null then 'none'
        when samples.stall_ms * 50 > samples.playback_ms then 'stalled'
        when samples.first_frame_ms > 1000 then 'slow_start'
        else 'good'
    end as playback_tier,
    case
        when pictures.height is null then 'unknown'
        when pictures.height >= 1080 then '1080p'
        when pictures.height >= 720 then '720p'
        else 'below_720p'
    end as picture_tier,
    stays.first_stay_ms
from people
inner join {{ ref('int_sessions_dated') }} as sessions on people.session_id = sessions.session_id
inner join {{ ref('int_viewers_keyed') }} as viewers on people.viewer_no = viewers.viewer_no
left join stays on people.session_id = stays.session_id and people.viewer_no = stays.viewer_no
left join samples on people.session_id = samples.session_id and people.viewer_no = samples.viewer_no
left join pictures on people.session_id = pictures.session_id and people.viewer_no = pictures.viewer_no
left join {{ ref('int_first_visits') }} as visits
    on people.session_id = visits.session_id and people.viewer_no = visits.viewer_no
where {{ is_affected('sessions.business_date') }}
