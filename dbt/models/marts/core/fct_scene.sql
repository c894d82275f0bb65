-- One row per minute × session (场), empty minutes included. peak_online is a maximum and does not add up.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with events as (
    select
        session_no,
        minute,
        count_if(event_type = 'enter') as enters,
        count_if(event_type = 'chat') as chats,
        sum(likes) as likes,
        count_if(event_type = 'follow') as follows,
        count_if(event_type = 'share') as shares,
        count_if(event_type = 'gift') as gifts,
        count_if(event_type = 'product_exposure') as exposures,
        count_if(event_type = 'product_click') as clicks,
        count_if(event_type = 'add_to_cart') as carts
    from {{ ref('int_events_placed') }}
    group by session_no, minute
),

unannounced as (
    select
        session_no,
        minute,
        count(*) as views
    from {{ ref('int_unannounced_views') }}
    group by session_no, minute
),

online as (
    select
        session_id,
        minute,
        max(level) as peak_online,
        sum(watch_ms) as watch_ms
    from {{ ref('int_concurrency_levelled') }}
    group by session_id, minute
),

lines as (
    select
        lines.session_id,
        {{ minutes_between('sessions.started_at', 'lines.created_at') }} as minute,
        count(distinct lines.order_id) filter (where lines.is_paid) as orders_paid,
        sum(lines.units_sold) as units_sold,
        sum(lines.gmv) as gmv
    from {{ ref('int_lines_valued') }} as lines
    inner join {{ ref('int_sessions_dated') }} as sessions on lines.session_id = sessions.session_id
    where lines.is_inside_session and {{ is_affected('lines.business_date') }}
    group by all
),

samples as (
    select
        session_id,
        minute,
        sum(play_ms) as play_ms,
        sum(stall_ms) as stall_ms
    from {{ ref('int_samples_placed') }}
    group by session_id, minute
),

-- The segment active at the minute's start: the latest started wins, then the smallest id.
active_segments as (
    select
        minutes.session_id,
        minutes.minute,
        segments.segment_id,
        segments.segment_type,
        segments.product_id
    from {{ ref('int_minutes_cut') }} as minutes
    inner join {{ ref('int_segments_current') }} as segments
        on
            minutes.session_id = segments.session_id
            and minutes.minute_at >= segments.started_at
            and minutes.minute_at < segments.ended_at
    qualify row_number() over (
        partition by minutes.session_id, minutes.minute
        order by segments.started_at desc, segments.segment_id
    ) = 1
),

hosts as (
    select
        minutes.session_id,
        minutes.minute,
        min(duty.staff_id) as host_id
    from {{ ref('int_minutes_cut') }} as minutes
    inner join {{ ref('int_duty_resolved') }} as duty
        on
            minutes.session_id = duty.session_id
            and duty.role = 'host'
            and minutes.minute_at >= duty.on_at
            and minutes.minute_at < duty.off_at
    group by minutes.session_id, minutes.minute
)

select
    minutes.session_id,
    minutes.minute,
    minutes.minute_at,
    minutes.room_id,
    minutes.business_date,
    case
        when minutes.minute < 30 then 'opening'
        when sessions.live_ms > 3600000 and minutes.minute_at >= sessions.ended_at - interval 30 minute then 'closing'
        else 'middle'
    end as phase,
    active_segments.segment_type,
    active_segments.segment_id,
    active_segments.product_id,
    hosts.host_id,
    cast(coalesce(online.peak_online, 0) as bigint) as peak_online,
    cast(coalesce(online.watch_ms, 0) * cast(0.001 as decimal(4, 3)) as decimal(18, 3)) as watch_seconds,
    cast(coalesce(events.enters, 0) + coalesce(unannounced.views, 0) as bigint) as views,
    {% for count in ['chats', 'likes', 'follows', 'shares', 'gifts', 'exposures', 'clicks', 'carts'] -%}
        cast(coalesce(events.{{ count }}, 0) as bigint) as {{ count }},
    {% endfor -%}
    cast(coalesce(lines.orders_paid, 0) as bigint) as orders_paid,
    cast(coalesce(lines.units_sold, 0) as bigint) as units_sold,
    cast(coalesce(lines.gmv, 0) as decimal(38, 2)) as gmv,
    cast(coalesce(samples.play_ms, 0) as decimal(38, 3)) as play_ms,
    cast(coalesce(samples.stall_ms, 0) as decimal(38, 3)) as stall_ms
from {{ ref('int_minutes_cut') }} as minutes
inner join {{ ref('int_sessions_dated') }} as sessions on minutes.session_id = sessions.session_id
left join events on sessions.session_no = events.session_no and minutes.minute = events.minute
left join unannounced on sessions.session_no = unannounced.session_no and minutes.minute = unannounced.minute
left join online on minutes.session_id = online.session_id and minutes.minute = online.minute
left join lines on minutes.session_id = lines.session_id and minutes.minute = lines.minute
left join samples on minutes.session_id = samples.session_id and minutes.minute = samples.minute
left join active_segments on minutes.session_id = active_segments.session_id and minutes.minute = active_segments.minute
left join hosts on minutes.session_id = hosts.session_id and minutes.minute = hosts.minute
