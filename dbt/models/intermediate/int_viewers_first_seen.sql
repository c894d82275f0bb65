-- One row per room × viewer: the first session they were ever in (by started_at, session_id), over all history loaded.
with numbered as (
    select
        session_id,
        row_number() over (order by started_at, session_id) as place
    from {{ ref('int_sessions_dated') }}
),

firsts as (
    select
        visits.room_id,
        visits.viewer_no,
        min(numbered.place) as place
    from {{ ref('int_first_visits') }} as visits
    inner join numbered on visits.session_id = numbered.session_id
    group by visits.room_id, visits.viewer_no
)

select
    firsts.room_id,
    firsts.viewer_no,
    numbered.session_id
from firsts
inner join numbered on firsts.place = numbered.place
