-- What the people, the products and the minutes of a session sum to is the session's own figure.
-- Orders created outside their session are in no minute, so scenes may only fall short.
with people as (
    select session_id, sum(views) as views, sum(watch_seconds) as watch_seconds, sum(chats) as chats, sum(likes) as likes, sum(gmv) as gmv,
        sum(units_sold) as units_sold, sum(play_ms) as play_ms, sum(cast(views > 0 as integer)) as viewers,
        sum(cast(coalesce(is_new, false) as integer)) as new_viewers
    from {{ ref('fct_person') }}
    group by session_id
),

products as (
    select session_id, sum(exposures) as exposures, sum(clicks) as clicks, sum(gmv) as gmv, sum(units_sold) as units_sold
    from {{ ref('fct_product') }}
    group by session_id
),

scenes as (
    select session_id, sum(views) as views, sum(watch_seconds) as watch_seconds, sum(chats) as chats, sum(exposures) as exposures,
        sum(gmv) as gmv, max(peak_online) as peak_online, sum(play_ms) as play_ms
    from {{ ref('fct_scene') }}
    group by session_id
)

select sessions.session_id
from {{ ref('fct_session') }} as sessions
left join people on sessions.session_id = people.session_id
left join products on sessions.session_id = products.session_id
left join scenes on sessions.session_id = scenes.session_id
where
    sessions.views <> coalesce(people.views, 0)
    or sessions.viewers <> coalesce(people.viewers, 0)
    or sessions.new_viewers <> coalesce(people.new_viewers, 0)
    or sessions.watch_seconds <> coalesce(people.watch_seconds, 0)
    or sessions.chats <> coalesce(people.chats, 0)
    or sessions.likes <> coalesce(people.likes, 0)
    or sessions.gmv <> coalesce(people.gmv, 0)
    or sessions.units_sold <> coalesce(people.units_sold, 0)
    or sessions.play_ms <> coalesce(people.play_ms, 0)
    or sessions.exposures <> coalesce(products.exposures, 0)
    or sessions.clicks <> coalesce(products.clicks, 0)
    or sessions.gmv <> coalesce(products.gmv, 0)
    or sessions.units_sold <> coalesce(products.units_sold, 0)
    or sessions.views <> coalesce(scenes.views, 0)
    or sessions.watch_seconds <> coalesce(scenes.watch_seconds, 0)
    or sessions.chats <> coalesce(scenes.chats, 0)
    or sessions.exposures <> coalesce(scenes.exposures, 0)
    or sessions.peak_online <> coalesce(scenes.peak_online, 0)
    or sessions.play_ms <> coalesce(scenes.play_ms, 0)
    or sessions.gmv < coalesce(scenes.gmv, 0)
