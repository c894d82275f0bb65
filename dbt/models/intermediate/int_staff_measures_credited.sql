-- One row per session × role × person × measure, kept for all dates: the share (amount) and the whole (amount_whole).
-- Plainly additive measures are shared per slice: trunc(total / k, 6 decimals), the smallest staff_id also the rest.
-- Distinct people, orders and peaks are never shared: there the share is the whole.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_measures() }}") }}
with slice_totals as (
    select
        slices.session_id,
        slices.role,
        slices.slice_no,
        measures.measure,
        cast(sum(measures.amount) * 1000000 as hugeint) as micros
    from {{ ref('int_pieces_sliced') }} as slices
    inner join {{ ref('int_piece_measures_summed') }} as measures
        on slices.session_id = measures.session_id and slices.piece_no = measures.piece_no
    where slices.on_duty_count > 0
    group by slices.session_id, slices.role, slices.slice_no, measures.measure
),

slice_staff as (
    select distinct
        session_id,
        role,
        slice_no,
        staff_id,
        on_duty_count,
        takes_rest
    from {{ ref('int_pieces_staffed') }}
),

additive as (
    select
        staff.session_id,
        staff.role,
        staff.staff_id,
        totals.measure,
        {{ from_micros('sum(
            totals.micros // staff.on_duty_count
            + case when staff.takes_rest then totals.micros % staff.on_duty_count else 0 end
        )') }} as amount,
        {{ from_micros('sum(totals.micros)') }} as amount_whole
    from slice_staff as staff
    inner join slice_totals as totals
        on staff.session_id = totals.session_id and staff.role = totals.role and staff.slice_no = totals.slice_no
    group by staff.session_id, staff.role, staff.staff_id, totals.measure
),

-- People on duty in the very same pieces share their counts of distinct viewers, so those are counted once per set of pieces.
stints as (
    select
        session_id,
        role,
        staff_id,
        dense_rank() over (order by session_id, pieces) as stint_no
    from (
        select
            session_id,
            role,
            staff_id,
            string_agg(cast(piece_no as varchar), ',' order by piece_no) as pieces
        from {{ ref('int_pieces_staffed') }}
        group by session_id, role, staff_id
    )
),

stint_pieces as (
    select distinct
        stints.session_id,
        stints.stint_no,
        staff.piece_no
    from stints
    inner join {{ ref('int_pieces_staffed') }} as staff
        on stints.session_id = staff.session_id and stints.role = staff.role and stints.staff_id = staff.staff_id
),

viewers_met as (
    select
        pieces.stint_no,
        present.viewer_no,
        bool_or(first_seen.session_id = pieces.session_id) as is_new
    from stint_pieces as pieces
    inner join {{ ref('int_viewers_present') }} as present
        on pieces.session_id = present.session_id and pieces.piece_no = present.piece_no
    inner join {{ ref('int_viewers_first_seen') }} as first_seen
        on present.room_id = first_seen.room_id and present.viewer_no = first_seen.viewer_no
    group by pieces.stint_no, present.viewer_no
),

viewers_acting as (
    select
        pieces.stint_no,
        counted.viewer_no,
        bool_or(counted.chats > 0) as has_chatted,
        bool_or(counted.chats + counted.like_events + counted.follows + counted.shares + counted.gifts > 0) as has_engaged,
        bool_or(counted.red_packet_claims + counted.votes + counted.mic_joins > 0) as has_used_feature,
        bool_or(counted.exposures > 0) as has_seen_product,
        bool_or(counted.clicks > 0) as has_clicked,
        bool_or(counted.carts > 0) as has_carted
    from stint_pieces as pieces
    inner join {{ ref('int_viewer_pieces_counted') }} as counted
        on pieces.session_id = counted.session_id and pieces.piece_no = counted.piece_no
    group by pieces.stint_no, counted.viewer_no
),

stints_met as (
    select
        stint_no,
        count(*) as viewers,
        count_if(is_new) as new_viewers
    from viewers_met
    group by stint_no
),

stints_acting as (
    select
        stint_no,
        count_if(has_chatted) as commenters,
        count_if(has_engaged) as engaged_viewers,
        count_if(has_used_feature) as feature_viewers,
        count_if(has_seen_product) as exposed_viewers,
        count_if(has_clicked) as click_viewers,
        count_if(has_carted) as cart_viewers
    from viewers_acting
    group by stint_no
),

present as (
    select
        stints.session_id,
        stints.role,
        stints.staff_id,
        stints_met.* exclude (stint_no)
    from stints
    inner join stints_met on stints.stint_no = stints_met.stint_no
),

actors as (
    select
        stints.session_id,
        stints.role,
        stints.staff_id,
        stints_acting.* exclude (stint_no)
    from stints
    inner join stints_acting on stints.stint_no = stints_acting.stint_no
),

orders as (
    select
        staff.session_id,
        staff.role,
        staff.staff_id,
        count(distinct lines.viewer_no) as order_viewers,
        count(distinct lines.viewer_no) filter (where lines.is_paid) as buyers,
        count(distinct lines.order_id) as orders_created,
        count(distinct lines.order_id) filter (where lines.is_paid) as orders_paid,
        count(distinct lines.order_id) filter (where lines.is_complained) as complained_orders
    from {{ ref('int_pieces_staffed') }} as staff
    inner join {{ ref('int_lines_valued') }} as lines
        on staff.session_id = lines.session_id and staff.piece_no = lines.piece_no
    group by staff.session_id, staff.role, staff.staff_id
),

peaks as (
    select
        staff.session_id,
        staff.role,
        staff.staff_id,
        max(levels.level) as peak_online
    from {{ ref('int_pieces_staffed') }} as staff
    inner join {{ ref('int_concurrency_levelled') }} as levels
        on staff.session_id = levels.session_id and staff.piece_no = levels.piece_no
    group by staff.session_id, staff.role, staff.staff_id
),

time_on_duty as (
    select
        session_id,
        role,
        staff_id,
        cast(sum({{ milliseconds_between('on_at', 'off_at') }}) * cast(0.001 as decimal(4, 3)) as decimal(38, 6))
            as live_seconds
    from {{ ref('int_duty_resolved') }}
    where {{ is_affected() }}
    group by session_id, role, staff_id
),

credited as (
    select
        session_id,
        role,
        staff_id,
        measure,
        amount,
        amount_whole
    from additive
    {% for part in ['present', 'actors', 'orders', 'peaks', 'time_on_duty'] %}
        union all
        select
            session_id,
            role,
            staff_id,
            measure,
            amount,
            amount as amount_whole
        from (
            unpivot (
                select session_id, role, staff_id, cast(columns(* exclude (session_id, role, staff_id)) as decimal(38, 6))
                from {{ part }}
            )
            on columns(* exclude (session_id, role, staff_id))
            into name measure value amount
        )
    {% endfor %}
)

select
    credited.session_id,
    sessions.room_id,
    sessions.business_date,
    credited.role,
    credited.staff_id,
    credited.measure,
    credited.amount,
    credited.amount_whole
from credited
inner join {{ ref('int_sessions_dated') }} as sessions on credited.session_id = sessions.session_id
