-- One row per session × viewer with a playback sample there, of the affected dates.
select
    session_id,
    viewer_no,
    sum(stall_ms) as stall_ms,
    sum(play_ms) as play_ms
from {{ ref('int_samples_placed') }}
group by session_id, viewer_no
