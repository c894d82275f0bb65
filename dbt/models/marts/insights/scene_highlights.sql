-- One row per session × minute × metric that stands out of its own session's phase: robust z = 0.6745 (x - median) / MAD, at least
-- 3.5 away from 0, and four times the scatter of mere counting. Phases under 10 whole minutes say nothing.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with minutes as (
    select
        scene.session_id,
        scene.room_id,
        scene.business_date,
        scene.minute,
        scene.minute_at,
        scene.phase,
        scene.segment_type,
        scene.segment_id,
        scene.product_id,
        scene.host_id,
        metrics.metric,
        metrics.value
    from {{ ref('fct_scene') }} as scene
    inner join {{ ref('fct_session') }} as sessions on scene.session_id = sessions.session_id
    cross join lateral (
        values
        ('engagement', {{ interactions('scene') }}),
        ('clicks', scene.clicks),
        ('orders', scene.orders_paid)
    ) as metrics (metric, value)
    where scene.minute_at + interval 1 minute <= sessions.ended_at and {{ is_affected('scene.business_date') }}
),

medians as (
    select
        session_id,
        phase,
        metric,
        count(*) as minutes,
        median(value) as median
    from minutes
    group by session_id, phase, metric
),

scatters as (
    select
        medians.session_id,
        medians.phase,
        medians.metric,
        medians.minutes,
        medians.median,
        median(abs(minutes.value - medians.median)) as mad
    from medians
    inner join minutes
        on medians.session_id = minutes.session_id and medians.phase = minutes.phase and medians.metric = minutes.metric
    group by all
)

select
    minutes.session_id,
    minutes.room_id,
    minutes.business_date,
    minutes.minute,
    minutes.minute_at,
    minutes.phase,
    minutes.metric,
    case when minutes.value > scatters.median then 'peak' else 'fall' end as direction,
    cast(minutes.value as bigint) as value,
    {{ stated('scatters.median') }} as phase_median,
    {{ stated('scatters.mad') }} as phase_mad,
    scatters.minutes as phase_minutes,
    {{ stated('0.6745::double * (minutes.value - scatters.median) / scatters.mad') }} as robust_z,
    case when scatters.median > 0 then {{ stated('minutes.value / scatters.median') }} end as lift,
    minutes.segment_type,
    minutes.segment_id,
    minutes.product_id,
    minutes.host_id,
    cast(null as varchar) as top_terms
from minutes
inner join scatters
    on minutes.session_id = scatters.session_id and minutes.phase = scatters.phase and minutes.metric = scatters.metric
where
    scatters.minutes >= 10
    and scatters.mad > 0
    and abs(0.6745::double * (minutes.value - scatters.median) / scatters.mad) >= 3.5
    and abs(minutes.value - scatters.median) >= 4 * sqrt(greatest(scatters.median, 1))
