-- One row per viewer × session (人). People with only an order or playback samples there have views 0 and is_new null.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with counted as (
    select
        session_id,
        viewer_no,
        sum(views) as views,
        sum(chats) as chats,
        sum(likes) as likes,
        sum(follows) as follows,
        sum(unfollows) as unfollows,
        sum(shares) as shares,
        sum(gifts) as gifts,
        sum(exposures) as exposures,
        sum(clicks) as clicks,
        sum(carts) as carts
    from {{ ref('int_viewer_pieces_counted') }}
    group by session_id, viewer_no
    having sum(signs_of_life) > 0
),

people as (
    select session_id, viewer_no from counted
    union
    select session_id, viewer_no from {{ ref('int_people_ordered') }}
    union
    select session_id, viewer_no from {{ ref('int_people_played') }}
)

select
    people.session_id,
    viewers.viewer_key,
    sessions.room_id,
    sessions.business_date,
    visits.region,
    visits.device,
    visits.traffic_source,
    case when visits.viewer_no is not null then first_seen.session_id = people.session_id end as is_new,
    cast(coalesce(counted.views, 0) as bigint) as views,
    cast(coalesce(watched.watch_ms, 0) * cast(0.001 as decimal(4, 3)) as decimal(18, 3)) as watch_seconds,
    visits.first_event_at,
    {% for action in ['chats', 'likes', 'follows', 'unfollows', 'shares', 'gifts', 'exposures', 'clicks', 'carts'] -%}
        cast(coalesce(counted.{{ action }}, 0) as bigint) as {{ action }},
    {% endfor -%}
    cast(coalesce(ordered.orders_paid, 0) as bigint) as orders_paid,
    cast(coalesce(ordered.units_sold, 0) as bigint) as units_sold,
    cast(coalesce(ordered.gmv, 0) as decimal(38, 2)) as gmv,
    {{ spend_tier('coalesce(spent.gmv_to_date, 0)', 'low.value', 'high.value') }} as spend_tier_before,
    cast(coalesce(played.stall_ms, 0) as decimal(38, 3)) as stall_ms,
    cast(coalesce(played.play_ms, 0) as decimal(38, 3)) as play_ms
from people
inner join {{ ref('int_sessions_dated') }} as sessions on people.session_id = sessions.session_id
inner join {{ ref('int_viewers_keyed') }} as viewers on people.viewer_no = viewers.viewer_no
left join counted on people.session_id = counted.session_id and people.viewer_no = counted.viewer_no
left join {{ ref('int_first_visits') }} as visits
    on people.session_id = visits.session_id and people.viewer_no = visits.viewer_no
left join {{ ref('int_viewers_first_seen') }} as first_seen
    on sessions.room_id = first_seen.room_id and people.viewer_no = first_seen.viewer_no
left join {{ ref('int_people_watched') }} as watched
    on people.session_id = watched.session_id and people.viewer_no = watched.viewer_no
left join {{ ref('int_people_ordered') }} as ordered
    on people.session_id = ordered.session_id and people.viewer_no = ordered.viewer_no
left join {{ ref('int_people_played') }} as played
    on people.session_id = played.session_id and people.viewer_no = played.viewer_no
left join {{ ref('int_spend_before_month') }} as spent
    on
        people.viewer_no = spent.viewer_no
        and sessions.month > spent.month
        and (spent.next_month is null or sessions.month <= spent.next_month)
left join {{ ref('int_rules_in_force') }} as low on sessions.month = low.month and low.rule = 'spend_tier_low'
left join {{ ref('int_rules_in_force') }} as high on sessions.month = high.month and high.rule = 'spend_tier_high'
