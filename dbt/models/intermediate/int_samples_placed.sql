-- One row per playback sample of the affected dates, at its minute and piece.
with placed as (
    select
        samples.session_id,
        samples.sample_id,
        samples.viewer_no,
        samples.region,
        samples.network,
        samples.sampled_at,
        samples.play_ms,
        samples.stall_ms,
        samples.first_frame_ms,
        samples.height,
        samples.fps,
        samples.latency_ms,
        sessions.room_id,
        sessions.business_date,
        sessions.started_at,
        {{ placed_within('samples.sampled_at', 'sessions.started_at', 'sessions.ended_at') }} as placed_at
    from {{ ref('stg_playback_qos') }} as samples
    inner join {{ ref('int_sessions_dated') }} as sessions on samples.session_id = sessions.session_id
    where {{ is_affected('sessions.business_date') }}
)

select
    placed.* exclude (started_at, placed_at),
    pieces.piece_no,
    cast({{ minutes_between('placed.started_at', 'placed.placed_at') }} as integer) as minute
from placed
inner join {{ ref('int_pieces_cut') }} as pieces
    on
        placed.session_id = pieces.session_id
        and placed.placed_at >= pieces.piece_from
        and placed.placed_at < pieces.piece_to
