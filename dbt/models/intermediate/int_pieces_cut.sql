-- One row per session × piece: the session cut at every on and off of any role, of the touched dates.
-- Inside a piece nobody comes or goes, so whatever happens in it belongs to the same people in every role.
with cuts as (
    select
        session_id,
        started_at as piece_from
    from {{ ref('int_sessions_dated') }}
    where {{ is_touched() }}
    union
    select
        session_id,
        on_at as piece_from
    from {{ ref('int_duty_resolved') }}
    where {{ is_touched() }}
    union
    select
        session_id,
        off_at as piece_from
    from {{ ref('int_duty_resolved') }}
    where {{ is_touched() }}
)

select
    cuts.session_id,
    sessions.room_id,
    sessions.business_date,
    row_number() over (partition by cuts.session_id order by cuts.piece_from) as piece_no,
    cuts.piece_from,
    coalesce(
        lead(cuts.piece_from) over (partition by cuts.session_id order by cuts.piece_from), sessions.ended_at
    ) as piece_to
from cuts
inner join {{ ref('int_sessions_dated') }} as sessions on cuts.session_id = sessions.session_id
where cuts.piece_from < sessions.ended_at
