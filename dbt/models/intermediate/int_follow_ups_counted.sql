-- One row per room × business date × role and person (null: the room) × follow-up measure: who came back the next day,
-- who bought again within 7. They ask of later dates, so they live apart from the facts of the date itself: an affected date
-- counts itself and the day before again for returns, and the seven days before for repurchases. Kept for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_followed_dates() }}") }}
with room_dates as (
    select distinct
        room_id,
        business_date
    from {{ ref('int_sessions_dated') }}
),

visits as (
    select
        room_id,
        business_date,
        viewer_no,
        session_id,
        placed_at as credited_at
    from {{ ref('int_first_visits') }}
    {% if is_incremental() %}
        where business_date in ({{ dates_around_affected(1, 1) }})
    {% endif %}
    qualify row_number() over (
        partition by room_id, business_date, viewer_no order by first_event_at, event_id, session_id
    ) = 1
),

returns as (
    select
        visits.room_id,
        visits.business_date,
        visits.session_id,
        visits.credited_at,
        1 as in_base,
        cast(next_day.viewer_no is not null as integer) as came_back
    from visits
    inner join room_dates
        on visits.room_id = room_dates.room_id and visits.business_date + 1 = room_dates.business_date
    left join visits as next_day
        on
            visits.room_id = next_day.room_id
            and visits.viewer_no = next_day.viewer_no
            and visits.business_date + 1 = next_day.business_date
    {% if is_incremental() %}
        where visits.business_date in ({{ dates_around_affected(1, 0) }})
    {% endif %}
),

paid_lines as (
    select
        room_id,
        business_date,
        viewer_no,
        order_id,
        order_line_id,
        session_id,
        created_at,
        credited_at
    from {{ ref('int_lines_valued') }}
    where
        is_paid
        {% if is_incremental() %}
            and business_date in ({{ dates_around_affected(7, 7) }})
        {% endif %}
),

buyers as (
    select
        room_id,
        business_date,
        viewer_no,
        arg_min(order_line_id, (created_at, order_line_id)) as first_line_id
    from paid_lines
    {% if is_incremental() %}
        where business_date in ({{ dates_around_affected(7, 0) }})
    {% endif %}
    group by room_id, business_date, viewer_no
),

bought_again as (
    select distinct
        buyers.room_id,
        buyers.business_date,
        buyers.viewer_no
    from buyers
    inner join paid_lines as later
        on
            buyers.room_id = later.room_id
            and buyers.viewer_no = later.viewer_no
            and later.business_date between buyers.business_date + 1 and buyers.business_date + 7
    where not exists (
        select 1
        from paid_lines as same_day
        where
            same_day.room_id = buyers.room_id
            and same_day.viewer_no = buyers.viewer_no
            and same_day.business_date = buyers.business_date
            and same_day.order_id = later.order_id
    )
),

repurchases as (
    select
        buyers.room_id,
        buyers.business_date,
        first_lines.session_id,
        first_lines.credited_at,
        1 as in_base,
        cast(bought_again.viewer_no is not null as integer) as came_back
    from buyers
    inner join paid_lines as first_lines
        on buyers.first_line_id = first_lines.order_line_id
    left join bought_again
        on
            buyers.room_id = bought_again.room_id
            and buyers.business_date = bought_again.business_date
            and buyers.viewer_no = bought_again.viewer_no
),

follow_ups as (
    select
        'return_base' as base_measure,
        'returned_next_day' as back_measure,
        *
    from returns
    union all
    select
        'repurchase_base' as base_measure,
        'repurchased_7d' as back_measure,
        *
    from repurchases
),

summed as (
    select
        room_id,
        business_date,
        null as role,
        null as staff_id,
        base_measure,
        back_measure,
        sum(in_base) as in_base,
        sum(came_back) as came_back
    from follow_ups
    group by room_id, business_date, base_measure, back_measure
    union all
    select
        follow_ups.room_id,
        follow_ups.business_date,
        duty.role,
        duty.staff_id,
        follow_ups.base_measure,
        follow_ups.back_measure,
        sum(follow_ups.in_base) as in_base,
        sum(follow_ups.came_back) as came_back
    from follow_ups
    inner join {{ ref('int_duty_resolved') }} as duty
        on
            follow_ups.session_id = duty.session_id
            and follow_ups.credited_at >= duty.on_at
            and follow_ups.credited_at < duty.off_at
    group by
        follow_ups.room_id, follow_ups.business_date, duty.role, duty.staff_id,
        follow_ups.base_measure, follow_ups.back_measure
)

select
    room_id,
    business_date,
    role,
    staff_id,
    base_measure as measure,
    cast(in_base as decimal(38, 6)) as amount
from summed
union all
select
    room_id,
    business_date,
    role,
    staff_id,
    back_measure as measure,
    cast(came_back as decimal(38, 6)) as amount
from summed
