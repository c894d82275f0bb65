-- One row per viewer event of the affected dates, in the viewer's order: event_at, then leave < enter < any other.
-- The only sort of the event table: visits, views and every count of people read from here. enters and leaves_before tell the
-- intervals of watching apart, since an enter starts one and a leave ends one.
-- Text in a sort costs as much as three numbers, so the session stands here as its number; ids, products and what is asked of a
-- viewer's first events alone are read elsewhere (int_product_events_placed, int_first_visits). Of events alike in instant and
-- kind the id would decide; here none need, since they differ in nothing that intervals and counts are made of.
with sequenced as (
    select
        sessions.session_no,
        sessions.started_at,
        events.viewer_no,
        events.event_type,
        events.event_type = 'leave' as is_leave,
        events.event_at,
        {{ placed_within('events.event_at', 'sessions.started_at', 'sessions.ended_at') }} as placed_at,
        events.event_type = 'product_click' and {{ is_new_product('products.launched_on', 'sessions.business_date') }}
            as is_new_product_click,
        case when events.event_type = 'like' then coalesce(events.quantity, 1) else 0 end as likes,
        events.amount,
        row_number() over so_far as seq,
        count(*) filter (where events.event_type = 'enter') over so_far as enters,
        count(*) filter (where events.event_type = 'leave') over so_far as leaves,
        count(*) filter (where events.event_type = 'enter') over all_of_them as all_enters
    from {{ ref('stg_viewer_events') }} as events
    inner join {{ ref('int_sessions_dated') }} as sessions on events.session_id = sessions.session_id
    left join {{ ref('stg_products') }} as products on events.product_id = products.product_id
    where {{ is_affected('sessions.business_date') }}
    window
        so_far as (
            partition by cast(sessions.session_no as bigint) * 4294967296 + events.viewer_no
            order by
                epoch_ms(events.event_at) * 4 + case events.event_type when 'leave' then 0 when 'enter' then 1 else 2 end
            rows unbounded preceding
        ),
        all_of_them as (
            partition by cast(sessions.session_no as bigint) * 4294967296 + events.viewer_no
            order by
                epoch_ms(events.event_at) * 4 + case events.event_type when 'leave' then 0 when 'enter' then 1 else 2 end
            rows between unbounded preceding and unbounded following
        )
)

select
    * exclude (started_at, seq, leaves, all_enters),
    leaves - cast(is_leave as integer) as leaves_before,
    -- A viewer who was never seen to enter has one view, at the first sign of life.
    event_type = 'enter' or (all_enters = 0 and not is_leave and seq - leaves = 1) as is_view,
    cast({{ milliseconds_between('started_at', 'placed_at') }} // 60000 as integer) as minute
from sequenced
