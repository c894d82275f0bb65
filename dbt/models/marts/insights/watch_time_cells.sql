-- One row per session × traffic source × new or returning × playback tier: viewers and their watch time, the cells of
-- watch_time_diagnosis. People who never watched (orders or samples alone) are not viewers and not here.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
select
    people.session_id,
    people.room_id,
    people.business_date,
    strftime(people.business_date, '%Y-%m') as month,
    coalesce(people.traffic_source, 'unknown') as traffic_source,
    people.is_new,
    coalesce(rated.playback_tier, 'none') as playback_tier,
    count(*) as viewers,
    cast(sum(people.watch_seconds) as decimal(38, 3)) as watch_seconds
from {{ ref('fct_person') }} as people
left join {{ ref('int_visits_rated') }} as rated
    on people.session_id = rated.session_id and people.viewer_key = rated.viewer_key
where people.is_new is not null and {{ is_affected('people.business_date') }}
group by all
