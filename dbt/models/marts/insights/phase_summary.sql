-- One row per session × phase (level session), and per room × month × phase over its sessions (level room_month).
-- Viewers are distinct within a session's phase and then summed; peak_online is a maximum.
with minutes as (
    select
        session_id,
        room_id,
        business_date,
        phase,
        count(*) as minutes,
        sum(watch_seconds) as watch_seconds,
        max(peak_online) as peak_online,
        {% for count in ['views', 'chats', 'likes', 'follows', 'shares', 'gifts', 'exposures', 'clicks', 'orders_paid', 'units_sold', 'gmv'] -%}
            sum({{ count }}) as {{ count }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref('fct_scene') }}
    group by session_id, room_id, business_date, phase
),

sessions as (
    select
        minutes.*,
        viewers.viewers,
        viewers.engaged_viewers
    from minutes
    inner join {{ ref('int_phase_viewers_counted') }} as viewers
        on minutes.session_id = viewers.session_id and minutes.phase = viewers.phase
)

select
    case when grouping(session_id) = 0 then 'session' else 'room_month' end as level,
    room_id,
    strftime(business_date, '%Y-%m') as month,
    session_id,
    phase,
    count(*) as sessions,
    cast(sum(minutes) as bigint) as minutes,
    cast(sum(viewers) as bigint) as viewers,
    cast(sum(engaged_viewers) as bigint) as engaged_viewers,
    cast(max(peak_online) as bigint) as peak_online,
    cast(sum(watch_seconds) as decimal(38, 3)) as watch_seconds,
    {{ exact_ratio('sum(watch_seconds)', '60 * sum(minutes)', 6) }} as average_online,
    {% for count in ['views', 'chats', 'likes', 'follows', 'shares', 'gifts', 'exposures', 'clicks', 'orders_paid', 'units_sold'] -%}
        cast(sum({{ count }}) as bigint) as {{ count }},
    {% endfor -%}
    cast(sum(gmv) as decimal(38, 2)) as gmv,
    case when sum(viewers) >= 30 then {{ exact_ratio('sum(engaged_viewers)', 'sum(viewers)', 6) }} end as engagement_rate,
    case when sum(viewers) >= 30 then {{ exact_ratio('1000 * sum(orders_paid)', 'sum(viewers)', 6) }} end as orders_per_thousand_viewers,
    case when sum(viewers) < 30 then 'fewer than 30 viewers' end as reason
from sessions
group by grouping sets (
    (room_id, strftime(business_date, '%Y-%m'), session_id, phase),
    (room_id, strftime(business_date, '%Y-%m'), phase)
)
