-- One row per session × measure: every per-session measure, zeros left out. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_measures() }}") }}
with people as (
    select
        present.session_id,
        count(*) as viewers,
        count_if(first_seen.session_id = present.session_id) as new_viewers
    from {{ ref('int_first_visits') }} as present
    inner join {{ ref('int_viewers_first_seen') }} as first_seen
        on present.room_id = first_seen.room_id and present.viewer_no = first_seen.viewer_no
    where {{ is_affected('present.business_date') }}
    group by present.session_id
),

acting as (
    select
        session_id,
        viewer_no,
        sum(chats) as chats,
        sum(chats + like_events + follows + shares + gifts) as interactions,
        sum(red_packet_claims + votes + mic_joins) as features,
        sum(exposures) as exposures,
        sum(clicks) as clicks,
        sum(carts) as carts
    from {{ ref('int_viewer_pieces_counted') }}
    group by session_id, viewer_no
),

actors as (
    select
        session_id,
        count_if(chats > 0) as commenters,
        count_if(interactions > 0) as engaged_viewers,
        count_if(features > 0) as feature_viewers,
        count_if(exposures > 0) as exposed_viewers,
        count_if(clicks > 0) as click_viewers,
        count_if(carts > 0) as cart_viewers
    from acting
    group by session_id
),

orders as (
    select
        session_id,
        count(distinct viewer_no) as order_viewers,
        count(distinct viewer_no) filter (where is_paid) as buyers,
        count(distinct order_id) as orders_created,
        count(distinct order_id) filter (where is_paid) as orders_paid,
        count(distinct order_id) filter (where is_complained) as complained_orders
    from {{ ref('int_lines_valued') }}
    where session_id is not null and {{ is_touched() }}
    group by session_id
),

peaks as (
    select
        session_id,
        max(level) as peak_online
    from {{ ref('int_concurrency_levelled') }}
    group by session_id
),

lengths as (
    select
        session_id,
        cast(live_ms * cast(0.001 as decimal(4, 3)) as decimal(38, 6)) as live_seconds
    from {{ ref('int_sessions_dated') }}
    where {{ is_affected() }}
),

amounts as (
    select
        session_id,
        measure,
        sum(amount) as amount
    from {{ ref('int_piece_measures_summed') }}
    group by session_id, measure
    {% for part in ['people', 'actors', 'orders', 'peaks', 'lengths'] %}
        union all
        select
            session_id,
            measure,
            amount
        from (
            unpivot (select session_id, cast(columns(* exclude (session_id)) as decimal(38, 6)) from {{ part }})
            on columns(* exclude (session_id))
            into name measure value amount
        )
        where amount <> 0
    {% endfor %}
)

select
    amounts.session_id,
    sessions.room_id,
    sessions.business_date,
    amounts.measure,
    amounts.amount
from amounts
inner join {{ ref('int_sessions_dated') }} as sessions on amounts.session_id = sessions.session_id
