-- One row per session × role × piece × person on duty in it; takes_rest marks the smallest staff_id, who also gets the rest.
select
    slices.session_id,
    slices.room_id,
    slices.business_date,
    slices.role,
    slices.piece_no,
    slices.slice_no,
    slices.on_duty_count,
    duty.staff_id,
    duty.staff_id = min(duty.staff_id) over (
        partition by slices.session_id, slices.role, slices.piece_no
    ) as takes_rest
from {{ ref('int_pieces_sliced') }} as slices
inner join {{ ref('int_pieces_cut') }} as pieces
    on slices.session_id = pieces.session_id and slices.piece_no = pieces.piece_no
inner join {{ ref('int_duty_resolved') }} as duty
    on
        slices.session_id = duty.session_id
        and slices.role = duty.role
        and pieces.piece_from >= duty.on_at
        and pieces.piece_from < duty.off_at
