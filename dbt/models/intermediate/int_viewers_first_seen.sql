-- One row per room × viewer: the first session they were ever in (by started_at, session_id), over all history loaded.
select
    visits.room_id,
    visits.viewer_no,
    arg_min(visits.session_id, (sessions.started_at, visits.session_id)) as session_id
from {{ ref('int_first_visits') }} as visits
inner join {{ ref('int_sessions_dated') }} as sessions on visits.session_id = sessions.session_id
group by visits.room_id, visits.viewer_no
