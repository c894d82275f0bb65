-- One row per one viewer's playback over one sampling window: the accepted row that won its key (landing decides; see exports).
select
    session_id,
    sample_id,
    viewer_no,
    region,
    network,
    sampled_at,
    play_ms,
    stall_ms,
    stall_count,
    first_frame_ms,
    height,
    fps,
    bitrate_kbps,
    latency_ms,
    packet_loss
from {{ source('raw', 'playback_qos') }}
where _status = 'current'
