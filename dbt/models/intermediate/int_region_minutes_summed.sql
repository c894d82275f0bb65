-- One row per session × minute × viewer region with a playback sample: time played and stalled. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
select
    session_id,
    room_id,
    business_date,
    minute,
    coalesce(region, 'unknown') as region,
    coalesce(network, 'unknown') as network,
    count(*) as samples,
    sum(play_ms) as play_ms,
    sum(stall_ms) as stall_ms
from {{ ref('int_samples_placed') }}
group by all
