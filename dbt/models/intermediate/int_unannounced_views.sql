-- One row per viewer × session with a sign of life but no enter (of the affected dates): their one view, at the first of those signs.
select
    session_no,
    viewer_no,
    min(event_at) as viewed_at,
    min(minute) as minute
from {{ ref('int_events_placed') }}
where event_type <> 'leave'
group by session_no, viewer_no
having not bool_or(event_type = 'enter')
