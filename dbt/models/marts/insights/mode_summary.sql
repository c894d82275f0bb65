-- One row per room × month × mode: sessions of that mode summed, and how many of the viewers of a handoff stayed over it.
with sessions as (
    select
        room_id,
        month,
        mode,
        count(*) as sessions,
        {% for sum in ['viewers', 'engaged_viewers', 'buyers', 'orders_paid', 'watch_seconds', 'live_seconds', 'gmv'] -%}
            sum({{ sum }}) as {{ sum }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref('fct_session') }}
    group by room_id, month, mode
),

handoffs as (
    select
        sessions.room_id,
        sessions.month,
        sessions.mode,
        count(*) as handoffs,
        sum(handoffs.online_at_start) as online_at_start,
        sum(handoffs.still_online) as still_online
    from {{ ref('int_handoffs_followed') }} as handoffs
    inner join {{ ref('fct_session') }} as sessions on handoffs.session_id = sessions.session_id
    group by sessions.room_id, sessions.month, sessions.mode
)

select
    sessions.room_id,
    sessions.month,
    sessions.mode,
    sessions.sessions,
    cast(sessions.viewers as bigint) as viewers,
    cast(sessions.engaged_viewers as bigint) as engaged_viewers,
    cast(sessions.buyers as bigint) as buyers,
    cast(sessions.orders_paid as bigint) as orders_paid,
    cast(sessions.gmv as decimal(38, 2)) as gmv,
    {% for rate, part in [('engagement_rate', 'engaged_viewers'), ('viewer_conversion_rate', 'buyers')] -%}
        case when sessions.viewers >= 30 then {{ exact_ratio('sessions.' ~ part, 'sessions.viewers', 6) }} end as {{ rate }},
        case when sessions.viewers >= 30 then {{ wilson('sessions.' ~ part, 'sessions.viewers', '-') }} end as {{ rate }}_low,
        case when sessions.viewers >= 30 then {{ wilson('sessions.' ~ part, 'sessions.viewers', '+') }} end as {{ rate }}_high,
    {% endfor -%}
    case when sessions.viewers >= 30 then {{ exact_ratio('sessions.watch_seconds', 'sessions.viewers', 6) }} end as average_watch_seconds,
    {{ exact_ratio('sessions.watch_seconds', 'sessions.live_seconds', 6) }} as average_online,
    cast(coalesce(handoffs.handoffs, 0) as bigint) as handoffs,
    cast(coalesce(handoffs.online_at_start, 0) as bigint) as online_at_handoff,
    cast(coalesce(handoffs.still_online, 0) as bigint) as still_online_after,
    case when handoffs.online_at_start >= 30 then {{ exact_ratio('handoffs.still_online', 'handoffs.online_at_start', 6) }} end
        as handoff_continuity,
    case when sessions.viewers < 30 then 'fewer than 30 viewers' end as reason
from sessions
left join handoffs
    on sessions.room_id = handoffs.room_id and sessions.month = handoffs.month and sessions.mode = handoffs.mode
