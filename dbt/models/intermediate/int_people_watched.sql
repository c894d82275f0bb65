-- One row per viewer × session of the affected dates: time watched in ms (clipped intervals, summed).
select
    session_id,
    viewer_no,
    cast(sum({{ milliseconds_between('start_at', 'end_at') }}) as bigint) as watch_ms
from {{ ref('int_visits_sessionised') }}
group by session_id, viewer_no
