-- One row per viewer × session with a non-leave event: the first one, as delivered and as credited. Kept for all dates,
-- because whether a viewer is new, and whether they come back the next day, is asked of other dates.
-- An enter stands before others of its instant, then the smaller id is first; but the event named is of all the smallest id.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
-- Read twice: kept, the rows of a night's events would fill the memory.
with signs as not materialized (
    select
        sessions.session_no,
        events.viewer_no,
        events.event_id,
        events.event_at,
        epoch_us(events.event_at) * 2 + case events.event_type when 'enter' then 0 else 1 end as place,
        events.region,
        events.device,
        events.traffic_source
    from {{ ref('stg_viewer_events') }} as events
    inner join {{ ref('int_sessions_dated') }} as sessions on events.session_id = sessions.session_id
    where events.event_type <> 'leave' and {{ is_affected('sessions.business_date') }}
),

firsts as (
    select
        session_no,
        viewer_no,
        min(event_at) as first_event_at,
        min(place) filter (where region is not null) as region_place,
        min(place) filter (where device is not null) as device_place,
        min(place) filter (where traffic_source is not null) as source_place
    from signs
    group by session_no, viewer_no
),

chosen as (
    select
        firsts.session_no,
        firsts.viewer_no,
        firsts.first_event_at,
        min(signs.event_id) filter (where signs.event_at = firsts.first_event_at) as event_id,
        arg_min(signs.region, signs.event_id) filter (
            where signs.region is not null and signs.place = firsts.region_place
        ) as region,
        arg_min(signs.device, signs.event_id) filter (
            where signs.device is not null and signs.place = firsts.device_place
        ) as device,
        arg_min(signs.traffic_source, signs.event_id) filter (
            where signs.traffic_source is not null and signs.place = firsts.source_place
        ) as traffic_source
    from firsts
    inner join signs
        on
            firsts.session_no = signs.session_no
            and firsts.viewer_no = signs.viewer_no
            and (
                signs.event_at = firsts.first_event_at
                or signs.place = firsts.region_place
                or signs.place = firsts.device_place
                or signs.place = firsts.source_place
            )
    group by firsts.session_no, firsts.viewer_no, firsts.first_event_at
)

select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    chosen.viewer_no,
    chosen.first_event_at,
    {{ placed_within('chosen.first_event_at', 'sessions.started_at', 'sessions.ended_at') }} as placed_at,
    chosen.event_id,
    chosen.region,
    chosen.device,
    chosen.traffic_source
from chosen
inner join {{ ref('int_sessions_dated') }} as sessions on chosen.session_no = sessions.session_no
