-- One row per room × month × feature (red_packet, vote, co_host): interactions per minute watched while it is on, against the ten minutes
-- before it in which no feature was on. lift = sum of what happened / sum of what the minutes before would have given (ratio estimate).
with minutes as (
    select
        scene.session_id,
        scene.room_id,
        strftime(scene.business_date, '%Y-%m') as month,
        scene.minute_at,
        scene.segment_id,
        scene.segment_type,
        scene.watch_seconds,
        {{ interactions('scene') }} as interactions
    from {{ ref('fct_scene') }} as scene
),

features as (
    select
        room_id,
        month,
        session_id,
        segment_id,
        segment_type as feature,
        min(minute_at) as from_at,
        sum(watch_seconds) as watch_seconds,
        sum(interactions) as interactions
    from minutes
    where segment_type in ('red_packet', 'vote', 'co_host')
    group by room_id, month, session_id, segment_id, segment_type
),

earlier as (
    select
        features.segment_id,
        sum(minutes.watch_seconds) as watch_seconds,
        sum(minutes.interactions) as interactions
    from features
    inner join minutes
        on
            features.session_id = minutes.session_id
            and minutes.minute_at >= features.from_at - interval 11 minute
            -- The minute in which the segment began is neither before nor in it.
            and minutes.minute_at < features.from_at - interval 1 minute
    where coalesce(minutes.segment_type, 'talk') not in ('red_packet', 'vote', 'co_host', 'lottery', 'pk')
    group by features.segment_id
),

compared as (
    select
        features.*,
        {{ stated('earlier.interactions::double * features.watch_seconds::double / earlier.watch_seconds::double', 9) }} as expected
    from features
    inner join earlier on features.segment_id = earlier.segment_id
    where features.watch_seconds > 0 and earlier.watch_seconds > 0
),

lifts as (
    select
        room_id,
        month,
        feature,
        count(*) as segments,
        sum(interactions) as interactions,
        sum(expected) as expected,
        sum(interactions)::double / nullif(sum(expected)::double, 0) as lift
    from compared
    group by room_id, month, feature
),

errors as (
    select
        lifts.room_id,
        lifts.month,
        lifts.feature,
        lifts.segments,
        lifts.interactions,
        lifts.expected,
        lifts.lift,
        sqrt(
            sum({{ stated('pow(compared.interactions - lifts.lift * compared.expected::double, 2)', 9) }})::double
            * lifts.segments / nullif(lifts.segments - 1, 0)
        ) / nullif(lifts.expected::double, 0) as standard_error
    from lifts
    inner join compared
        on lifts.room_id = compared.room_id and lifts.month = compared.month and lifts.feature = compared.feature
    group by lifts.room_id, lifts.month, lifts.feature, lifts.segments, lifts.interactions, lifts.expected, lifts.lift
)

select
    room_id,
    month,
    feature,
    segments,
    cast(interactions as bigint) as interactions,
    {{ stated('expected') }} as expected_interactions,
    case when segments >= 5 and expected >= 30 then {{ stated('lift') }} end as lift,
    case when segments >= 5 and expected >= 30 then {{ stated('lift - 1.959963984540054 * standard_error') }} end as lift_low,
    case when segments >= 5 and expected >= 30 then {{ stated('lift + 1.959963984540054 * standard_error') }} end as lift_high,
    case when segments < 5 or coalesce(expected, 0) < 30 then 'fewer than 5 segments or 30 expected interactions' end as reason
from errors
