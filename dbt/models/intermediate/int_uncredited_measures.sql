-- One row per session × role × measure that no person is credited with; role null: no role at all (lines without a piece).
-- Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_measures() }}") }}
select
    measures.session_id,
    measures.business_date,
    slices.role,
    measures.measure,
    sum(measures.amount) as amount
from {{ ref('int_piece_measures_summed') }} as measures
inner join {{ ref('int_pieces_sliced') }} as slices
    on measures.session_id = slices.session_id and measures.piece_no = slices.piece_no
where slices.on_duty_count = 0
group by measures.session_id, measures.business_date, slices.role, measures.measure
union all
select
    session_id,
    business_date,
    null as role,
    measure,
    sum(amount) as amount
from {{ ref('int_piece_measures_summed') }}
where piece_no is null
group by session_id, business_date, measure
