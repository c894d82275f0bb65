-- One row per session × piece × plainly additive measure, of the touched dates. piece_no is null for what nobody can be
-- credited with (an order line created outside its session without a click before it).
with counted as (
    select
        session_id,
        room_id,
        business_date,
        piece_no,
        sum(views) as views,
        sum(chats) as chats,
        sum(likes) as likes,
        sum(follows) as follows,
        sum(unfollows) as unfollows,
        sum(follows) - sum(unfollows) as net_followers,
        sum(shares) as shares,
        sum(gifts) as gifts,
        sum(gift_amount) as gift_amount,
        sum(red_packet_claims) as red_packet_claims,
        sum(votes) as votes,
        sum(mic_joins) as mic_joins,
        sum(exposures) as exposures,
        sum(clicks) as clicks,
        sum(carts) as carts,
        sum(new_product_clicks) as new_product_clicks
    from {{ ref('int_viewer_pieces_counted') }}
    group by session_id, room_id, business_date, piece_no
),

events as (
    unpivot (
        select
            session_id,
            room_id,
            business_date,
            piece_no,
            cast(columns(* exclude (session_id, room_id, business_date, piece_no)) as decimal(38, 6))
        from counted
    )
    on columns(* exclude (session_id, room_id, business_date, piece_no))
    into name measure value amount
),

watched as (
    select
        session_id,
        room_id,
        business_date,
        piece_no,
        'watch_seconds' as measure,
        cast(sum(watch_ms) * cast(0.001 as decimal(4, 3)) as decimal(38, 6)) as amount
    from {{ ref('int_concurrency_levelled') }}
    group by session_id, room_id, business_date, piece_no
),

summed_lines as (
    select
        session_id,
        room_id,
        business_date,
        piece_no,
        sum(units_sold) as units_sold,
        sum(gmv) as gmv,
        sum(gmv - refunded_amount) as net_gmv,
        sum(refunded_amount) as refunded_amount,
        coalesce(sum(units_sold) filter (where is_new_product), 0) as new_product_units,
        sum(units_returned) as units_returned,
        sum(reviews_received) as reviews_received,
        sum(negative_reviews) as negative_reviews
    from {{ ref('int_lines_valued') }}
    where session_id is not null and {{ is_touched() }}
    group by session_id, room_id, business_date, piece_no
),

lines as (
    unpivot (
        select
            session_id,
            room_id,
            business_date,
            piece_no,
            cast(columns(* exclude (session_id, room_id, business_date, piece_no)) as decimal(38, 6))
        from summed_lines
    )
    on columns(* exclude (session_id, room_id, business_date, piece_no))
    into name measure value amount
),

summed_samples as (
    select
        session_id,
        room_id,
        business_date,
        piece_no,
        sum(play_ms + stall_ms) as playback_ms,
        sum(stall_ms) as stall_ms,
        sum(play_ms) as play_ms,
        coalesce(sum(play_ms) filter (where height is not null), 0) as rated_play_ms,
        coalesce(sum(play_ms) filter (
            where height >= 720 and stall_ms * 50 <= play_ms + stall_ms and (fps is null or fps >= 24)
        ), 0) as qualified_play_ms,
        count(first_frame_ms) as first_frames,
        coalesce(sum(first_frame_ms), 0) as first_frame_ms,
        count_if(first_frame_ms <= 1000) as instant_starts,
        coalesce(sum(cast(latency_ms as decimal(18, 3)) * cast(play_ms as decimal(18, 3))), 0) as latency_weighted_ms,
        coalesce(sum(play_ms) filter (where latency_ms is not null), 0) as latency_play_ms
    from {{ ref('int_samples_placed') }}
    group by session_id, room_id, business_date, piece_no
),

samples as (
    unpivot (
        select
            session_id,
            room_id,
            business_date,
            piece_no,
            cast(columns(* exclude (session_id, room_id, business_date, piece_no)) as decimal(38, 6))
        from summed_samples
    )
    on columns(* exclude (session_id, room_id, business_date, piece_no))
    into name measure value amount
),

explained as (
    select
        pieces.session_id,
        pieces.room_id,
        pieces.business_date,
        pieces.piece_no,
        'explained_seconds' as measure,
        cast(sum({{ milliseconds_between(
            'greatest(explained.from_at, pieces.piece_from)', 'least(explained.to_at, pieces.piece_to)'
        ) }}) * cast(0.001 as decimal(4, 3)) as decimal(38, 6)) as amount
    from {{ ref('int_pieces_cut') }} as pieces
    inner join {{ ref('int_explained_merged') }} as explained
        on
            pieces.session_id = explained.session_id
            and explained.is_union
            and explained.from_at < pieces.piece_to
            and explained.to_at > pieces.piece_from
    group by pieces.session_id, pieces.room_id, pieces.business_date, pieces.piece_no
)

{% for part in ['events', 'watched', 'lines', 'samples', 'explained'] %}
select
    session_id,
    room_id,
    business_date,
    piece_no,
    measure,
    amount
from {{ part }}
where amount <> 0
{% if not loop.last %}union all{% endif %}
{% endfor %}
