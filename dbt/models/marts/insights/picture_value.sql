-- One row per room × month × picture tier: mean watch time as it is, and as it would be with the room's mix of traffic source and new or
-- returning viewers (direct standardisation over streams that both tiers have), against the tier below 720p, with a 95 % interval.
-- A better picture goes with a better network, which this does not take out.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_months() }}") }}
with people as (
    select
        people.room_id,
        strftime(people.business_date, '%Y-%m') as month,
        rated.picture_tier,
        coalesce(people.traffic_source, 'unknown') as traffic_source,
        people.is_new,
        cast(people.watch_seconds as decimal(18, 3)) as watch_seconds
    from {{ ref('fct_person') }} as people
    inner join {{ ref('int_visits_rated') }} as rated
        on people.session_id = rated.session_id and people.viewer_key = rated.viewer_key
    where
        people.is_new is not null
        and rated.picture_tier <> 'unknown'
        and {{ is_in_affected_month('people.business_date') }}
),

streams as (
    select
        room_id,
        month,
        picture_tier,
        traffic_source,
        is_new,
        count(*) as viewers,
        sum(watch_seconds) as seconds,
        sum(cast(watch_seconds * watch_seconds as decimal(38, 6))) as seconds_squared
    from people
    group by all
),

-- A stream counts where the tier and its yardstick both have at least two viewers of it.
paired as (
    select
        streams.room_id,
        streams.month,
        streams.picture_tier,
        streams.viewers::double as n1,
        streams.seconds::double / streams.viewers as mean1,
        greatest((streams.seconds_squared::double - pow(streams.seconds::double, 2) / streams.viewers) / (streams.viewers - 1), 0) as variance1,
        base.viewers::double as n0,
        base.seconds::double / base.viewers as mean0,
        greatest((base.seconds_squared::double - pow(base.seconds::double, 2) / base.viewers) / (base.viewers - 1), 0) as variance0,
        (sum(streams.viewers) over room_streams + 0)::double as stream_viewers
    from streams
    inner join streams as base
        on
            streams.room_id = base.room_id and streams.month = base.month
            and streams.traffic_source = base.traffic_source and streams.is_new = base.is_new
            and base.picture_tier = 'below_720p'
    where streams.viewers >= 2 and base.viewers >= 2
    window room_streams as (partition by streams.room_id, streams.month, streams.traffic_source, streams.is_new)
),

weighted as (
    select
        *,
        stream_viewers / sum(stream_viewers) over (partition by room_id, month, picture_tier) as weight
    from paired
),

standardised as (
    select
        room_id,
        month,
        picture_tier,
        sum({{ stated('weight * mean1', 9) }}) as average,
        sum({{ stated('weight * (mean1 - mean0)', 9) }}) as difference,
        sum({{ stated('weight * weight * (variance1 / n1 + variance0 / n0)', 9) }}) as variance
    from weighted
    group by room_id, month, picture_tier
),

tiers as (
    select
        room_id,
        month,
        picture_tier,
        sum(viewers) as viewers,
        {{ exact_ratio('sum(seconds)', 'sum(viewers)', 6) }} as average
    from streams
    group by room_id, month, picture_tier
),

judged as (
    select
        tiers.*,
        standardised.average as standardised_average,
        standardised.difference,
        standardised.variance,
        tiers.viewers >= 30 and coalesce(below.viewers, 0) >= 30 as is_judged
    from tiers
    left join tiers as below
        on tiers.room_id = below.room_id and tiers.month = below.month and below.picture_tier = 'below_720p'
    left join standardised
        on
            tiers.room_id = standardised.room_id and tiers.month = standardised.month
            and tiers.picture_tier = standardised.picture_tier
)

select
    room_id,
    month,
    picture_tier,
    cast(viewers as bigint) as viewers,
    case when viewers >= 30 then average end as average_watch_seconds,
    case when is_judged then cast(round(standardised_average, 6) as decimal(24, 6)) end as standardised_watch_seconds,
    case when is_judged and picture_tier <> 'below_720p' then cast(round(difference, 6) as decimal(24, 6)) end as difference_seconds,
    case when is_judged and picture_tier <> 'below_720p'
        then {{ stated('difference::double - 1.959963984540054 * sqrt(variance::double)') }} end as difference_low,
    case when is_judged and picture_tier <> 'below_720p'
        then {{ stated('difference::double + 1.959963984540054 * sqrt(variance::double)') }} end as difference_high,
    case
        when not is_judged then 'fewer than 30 viewers in this tier or below 720p'
        when picture_tier = 'below_720p' then 'the tier that the others are held against'
    end as reason
from judged
