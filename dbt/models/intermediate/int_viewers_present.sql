-- One row per session × piece × viewer who is there: an interval of watching overlaps the piece, or a non-leave event lies in it.
select
    session_id,
    room_id,
    business_date,
    piece_no,
    viewer_no
from {{ ref('int_viewer_pieces_counted') }}
where signs_of_life > 0
union
select
    visits.session_id,
    visits.room_id,
    visits.business_date,
    pieces.piece_no,
    visits.viewer_no
from {{ ref('int_visits_sessionised') }} as visits
inner join {{ ref('int_pieces_cut') }} as pieces
    on
        visits.session_id = pieces.session_id
        and visits.start_at < pieces.piece_to
        and visits.end_at > pieces.piece_from
where visits.start_at < visits.end_at
