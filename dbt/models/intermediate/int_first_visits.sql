-- One row per viewer × session with a non-leave event: the first one, as delivered and as credited. Kept for all dates,
-- because whether a viewer is new, and whether they come back the next day, is asked of other dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with firsts as (
    select
        session_no,
        viewer_no,
        min(event_at) as first_event_at,
        arg_min(placed_at, seq) as placed_at,
        -- Of events at one instant the smallest id is the first here; seq has an enter before any other.
        case
            when min(event_at) filter (where event_type = 'enter') = min(event_at) filter (where event_type <> 'enter')
                then least(
                    arg_min(event_id, seq) filter (where event_type = 'enter'),
                    arg_min(event_id, seq) filter (where event_type <> 'enter')
                )
            else arg_min(event_id, seq)
        end as event_id,
        arg_min(region, seq) filter (where region is not null) as region,
        arg_min(device, seq) filter (where device is not null) as device,
        arg_min(traffic_source, seq) filter (where traffic_source is not null) as traffic_source
    from {{ ref('int_events_sequenced') }}
    where not is_leave
    group by session_no, viewer_no
)

select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    firsts.* exclude (session_no)
from firsts
inner join {{ ref('int_sessions_dated') }} as sessions on firsts.session_no = sessions.session_no
