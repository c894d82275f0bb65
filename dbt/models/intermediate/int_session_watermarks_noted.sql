-- One row per session with an event: the last instant any event of it tells of. What lies after is not known yet. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
select
    session_id,
    business_date,
    max(placed_at) as known_until
from {{ ref('int_events_sequenced') }}
group by session_id, business_date
