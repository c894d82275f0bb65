-- One row per viewer × session with a non-leave event: the first one, as delivered and as credited. Kept for all dates,
-- because whether a viewer is new, and whether they come back the next day, is asked of other dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
select
    session_id,
    room_id,
    business_date,
    viewer_no,
    min(event_at) as first_event_at,
    arg_min(placed_at, seq) as placed_at,
    arg_min(event_id, seq) as event_id,
    arg_min(region, seq) filter (where region is not null) as region,
    arg_min(device, seq) filter (where device is not null) as device,
    arg_min(traffic_source, seq) filter (where traffic_source is not null) as traffic_source
from {{ ref('int_events_sequenced') }}
where not is_leave
group by session_id, room_id, business_date, viewer_no
