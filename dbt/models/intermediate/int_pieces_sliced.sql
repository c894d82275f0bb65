-- One row per session × role × piece: the slice of that role it lies in (the role's own cuts only), and how many are on duty.
-- A slice's total is what is shared, so pieces of one slice are added up before they are divided.
with roles as (
    select unnest(['host', 'operations', 'floor_control', 'customer_service', 'technical']) as role
),

role_cuts as (
    select
        session_id,
        role,
        on_at as cut_at
    from {{ ref('int_duty_resolved') }}
    union
    select
        session_id,
        role,
        off_at as cut_at
    from {{ ref('int_duty_resolved') }}
),

pieces as (
    select
        pieces.session_id,
        pieces.room_id,
        pieces.business_date,
        pieces.piece_no,
        pieces.piece_from,
        pieces.piece_to,
        roles.role
    from {{ ref('int_pieces_cut') }} as pieces
    cross join roles
),

on_duty as (
    select
        pieces.session_id,
        pieces.piece_no,
        pieces.role,
        count(distinct duty.staff_id) as on_duty_count
    from pieces
    inner join {{ ref('int_duty_resolved') }} as duty
        on
            pieces.session_id = duty.session_id
            and pieces.role = duty.role
            and pieces.piece_from >= duty.on_at
            and pieces.piece_from < duty.off_at
    group by pieces.session_id, pieces.piece_no, pieces.role
)

select
    pieces.session_id,
    pieces.room_id,
    pieces.business_date,
    pieces.role,
    pieces.piece_no,
    count(role_cuts.cut_at) over (
        partition by pieces.session_id, pieces.role
        order by pieces.piece_from
        rows between unbounded preceding and current row
    ) as slice_no,
    coalesce(on_duty.on_duty_count, 0) as on_duty_count
from pieces
left join role_cuts
    on
        pieces.session_id = role_cuts.session_id
        and pieces.role = role_cuts.role
        and pieces.piece_from = role_cuts.cut_at
left join on_duty
    on
        pieces.session_id = on_duty.session_id
        and pieces.piece_no = on_duty.piece_no
        and pieces.role = on_duty.role
