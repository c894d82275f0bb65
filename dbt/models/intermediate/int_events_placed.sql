-- One row per viewer event of the affected dates: whose, what and when it was, in numbers, for all that is counted of events.
-- Its text (ids, region, device, source) is read where it is asked for: int_first_visits, int_orders_attributed.
select
    sessions.session_no,
    events.viewer_no,
    events.event_type,
    events.event_at,
    cast(
        {{ minutes_between('sessions.started_at', placed_within('events.event_at', 'sessions.started_at', 'sessions.ended_at')) }}
        as integer
    ) as minute,
    events.product_id,
    events.event_type = 'product_click' and {{ is_new_product('products.launched_on', 'sessions.business_date') }}
        as is_new_product_click,
    case when events.event_type = 'like' then coalesce(events.quantity, 1) else 0 end as likes,
    events.amount
from {{ ref('stg_viewer_events') }} as events
inner join {{ ref('int_sessions_dated') }} as sessions on events.session_id = sessions.session_id
left join {{ ref('stg_products') }} as products on events.product_id = products.product_id
where {{ is_affected('sessions.business_date') }}
