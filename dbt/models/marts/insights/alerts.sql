-- One row per alert: a stretch of minutes in which one rule holds for one subject of a session. The same SQL runs over the micro-batches of
-- a running session (make watch), so every rule looks back only, and only at minutes that what has landed knows to their end.
-- Rules: engagement_falls and online_falls against the session's own trailing 15 minutes, region_stalls against the region's own earlier
-- share, clicked_not_bought against the session's own earlier lines per click. Integers throughout: no threshold hangs on a rounding.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with sessions as (
    select
        sessions.session_id,
        sessions.room_id,
        sessions.business_date,
        sessions.started_at,
        -- Whole minutes known to their end. A viewer who is still there shows by the next heartbeat, so levels wait five minutes more.
        epoch_ms(marks.known_until) - epoch_ms(sessions.started_at) as known_ms
    from {{ ref('fct_session') }} as sessions
    inner join {{ ref('int_session_watermarks_noted') }} as marks on sessions.session_id = marks.session_id
    where {{ is_affected('sessions.business_date') }}
),

minutes as (
    select
        scene.session_id,
        scene.minute,
        scene.phase,
        scene.segment_type,
        scene.product_id,
        {{ interactions('scene') }} as interactions,
        cast(scene.watch_seconds * 1000 as bigint) as watch_ms,
        (scene.minute + 1) * 60000 <= sessions.known_ms as is_known,
        (scene.minute + 6) * 60000 <= sessions.known_ms as is_settled
    from {{ ref('fct_scene') }} as scene
    inner join sessions on scene.session_id = sessions.session_id
),

looked_back as (
    select
        *,
        sum(interactions) over (partition by session_id order by minute rows between 2 preceding and current row) as interactions_3,
        sum(interactions) over (partition by session_id order by minute rows between 17 preceding and 3 preceding) as interactions_15,
        sum(cast(watch_ms as hugeint)) over (partition by session_id order by minute rows between 15 preceding and 1 preceding) as watch_ms_15
    from minutes
),

-- Three minutes against the fifteen before them: less than half, and more than four times the scatter of counting below.
engagement as (
    select
        session_id,
        minute,
        'engagement_falls' as rule,
        '' as subject,
        interactions_3 as observed,
        interactions_15 as base,
        cast(5 as bigint) as base_divisor,
        phase <> 'closing' and minute >= 17 and is_known
        and interactions_15 >= 100
        and interactions_3 * 10 <= interactions_15
        and (interactions_15 - 5 * interactions_3) * (interactions_15 - 5 * interactions_3) >= 16 * 5 * interactions_15 as holds
    from looked_back
),

online as (
    select
        session_id,
        minute,
        'online_falls' as rule,
        '' as subject,
        cast(watch_ms // 1000 as bigint) as observed,
        cast(watch_ms_15 // 1000 as bigint) as base,
        cast(15 as bigint) as base_divisor,
        phase <> 'closing' and minute >= 15 and is_settled
        and watch_ms_15 >= 15 * 20 * 60000
        and watch_ms * 15 * 10 <= 6 * watch_ms_15
        and (watch_ms_15 - 15 * watch_ms) * (watch_ms_15 - 15 * watch_ms) >= 16 * 15 * 60000 * watch_ms_15 as holds
    from looked_back
),

regions as (
    select
        minutes.session_id,
        minutes.minute,
        minutes.phase,
        minutes.is_settled,
        played.region,
        coalesce(sum(stalls.play_ms + stalls.stall_ms), 0) as playback_ms,
        coalesce(sum(stalls.stall_ms), 0) as stall_ms,
        coalesce(sum(stalls.samples), 0) as samples
    from minutes
    inner join (select distinct session_id, region from {{ ref('int_region_minutes_summed') }}) as played
        on minutes.session_id = played.session_id
    left join {{ ref('int_region_minutes_summed') }} as stalls
        on minutes.session_id = stalls.session_id and minutes.minute = stalls.minute and played.region = stalls.region
    group by all
),

region_trailing as (
    select
        *,
        sum(playback_ms) over (partition by session_id, region order by minute rows between 4 preceding and current row) as playback_5,
        sum(stall_ms) over (partition by session_id, region order by minute rows between 4 preceding and current row) as stall_5,
        sum(samples) over (partition by session_id, region order by minute rows between 4 preceding and current row) as samples_5,
        sum(playback_ms) over (partition by session_id, region order by minute rows between unbounded preceding and 10 preceding)
            as playback_before,
        sum(stall_ms) over (partition by session_id, region order by minute rows between unbounded preceding and 10 preceding) as stall_before,
        sum(samples) over (partition by session_id, region order by minute rows between unbounded preceding and 10 preceding) as samples_before
    from regions
),

region_stalls as (
    select
        session_id,
        minute,
        'region_stalls' as rule,
        region as subject,
        cast(round_even(stall_5 / 1000, 0) as bigint) as observed,
        cast(round_even(playback_5 / 1000, 0) as bigint) as base,
        cast(null as bigint) as base_divisor,
        -- A tenth of the time stands still, five samples or more, and at least thrice the region's own share until ten minutes ago.
        is_settled and samples_5 >= 5 and samples_before >= 5
        and stall_5 * 10 >= playback_5
        and stall_5 * playback_before >= 3 * stall_before * playback_5 as holds
    from region_trailing
),

-- What the session made of its clicks so far, product by product and all in all.
products as (
    select
        minutes.session_id,
        minutes.minute,
        minutes.is_known,
        clicked.product_id,
        coalesce(sum(happened.clicks), 0) as clicks,
        coalesce(sum(happened.lines_created), 0) as lines_created
    from minutes
    inner join (
        select distinct session_id, product_id from {{ ref('int_product_minutes_counted') }} where clicks > 0
    ) as clicked on minutes.session_id = clicked.session_id
    left join {{ ref('int_product_minutes_counted') }} as happened
        on
            minutes.session_id = happened.session_id and minutes.minute = happened.minute
            and clicked.product_id = happened.product_id
    group by all
),

product_trailing as (
    select
        *,
        sum(clicks) over (partition by session_id, product_id order by minute rows between 14 preceding and current row) as clicks_15,
        sum(lines_created) over (partition by session_id, product_id order by minute rows between 14 preceding and current row) as lines_15,
        sum(clicks) over (partition by session_id order by minute range between unbounded preceding and current row) as clicks_all,
        sum(lines_created) over (partition by session_id order by minute range between unbounded preceding and current row) as lines_all
    from products
),

not_bought as (
    select
        session_id,
        minute,
        'clicked_not_bought' as rule,
        product_id as subject,
        cast(lines_15 as bigint) as observed,
        cast(clicks_15 as bigint) as base,
        cast(null as bigint) as base_divisor,
        -- Five lines were to be expected of these clicks: none at all then comes about by chance once in 150 times.
        is_known and lines_15 = 0 and clicks_15 >= 20 and clicks_15 * lines_all >= 5 * clicks_all as holds
    from product_trailing
),

rules as (
    select * from engagement
    union all
    select * from online
    union all
    select * from region_stalls
    union all
    select * from not_bought
),

held as (
    select
        *,
        minute - row_number() over (partition by session_id, rule, subject order by minute) as stretch
    from rules
    where holds
),

stretches as (
    select
        session_id,
        rule,
        subject,
        min(minute) as first_minute,
        max(minute) as last_minute,
        arg_min(observed, minute) as observed,
        arg_min(base, minute) as base,
        any_value(base_divisor) as base_divisor
    from held
    group by session_id, rule, subject, stretch
),

-- A rule that lets go for a moment has not ended: a stretch within ten minutes of the one before goes on with it.
joined as (
    select
        *,
        coalesce(
            first_minute - lag(last_minute) over (partition by session_id, rule, subject order by first_minute) > 10, true
        ) as is_first
    from stretches
),

numbered as (
    select
        *,
        count_if(is_first) over (partition by session_id, rule, subject order by first_minute rows unbounded preceding) as alert_no
    from joined
),

alerts as (
    select
        session_id,
        rule,
        subject,
        min(first_minute) as first_minute,
        max(last_minute) as last_minute,
        arg_min(observed, first_minute) as observed,
        arg_min(base, first_minute) as base,
        any_value(base_divisor) as base_divisor
    from numbered
    group by session_id, rule, subject, alert_no
)

select
    alerts.session_id || '|' || alerts.rule || '|' || alerts.subject || '|' || alerts.first_minute as alert_id,
    alerts.session_id,
    sessions.room_id,
    sessions.business_date,
    alerts.rule,
    nullif(alerts.subject, '') as subject,
    alerts.first_minute as minute,
    sessions.started_at + to_minutes(alerts.first_minute + 1) as start_at,
    sessions.started_at + to_minutes(alerts.last_minute + 1) as end_at,
    cast(alerts.observed as bigint) as observed,
    cast(alerts.base as bigint) as base,
    case when alerts.base_divisor is not null then {{ exact_ratio('alerts.base', 'alerts.base_divisor', 6) }} end as expected,
    scene.segment_type,
    scene.product_id,
    case alerts.rule
        when 'engagement_falls' then 'interactions of 3 minutes against what the 15 minutes before would give'
        when 'online_falls' then 'seconds watched in the minute against the mean of the 15 minutes before'
        when 'region_stalls' then 'seconds stalled of the seconds of playback in 5 minutes, at least three times the region''s own share before'
        else 'order lines created against product clicks in 15 minutes'
    end as evidence,
    case alerts.rule
        when 'engagement_falls' then 'ask a question, draw a prize or move on to the next product'
        when 'online_falls' then 'announce what comes next and bring a red packet or a hero product forward'
        when 'region_stalls' then 'have technical check the CDN of this region and lower its default picture'
        else 'check price, stock and page of the product, and explain what keeps people from buying'
    end as suggested_action
from alerts
inner join sessions on alerts.session_id = sessions.session_id
left join {{ ref('fct_scene') }} as scene
    on alerts.session_id = scene.session_id and alerts.first_minute = scene.minute
