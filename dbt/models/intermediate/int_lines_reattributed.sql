-- One row per order line to attribute again tonight: changed lines, lines that are or were of a session that changed,
-- and lines without a platform session in reach (24 h) of the clicks of a session whose events changed.
{{ config(materialized='table') }}
select distinct orders.order_line_id
from {{ ref('stg_orders') }} as orders
where
    orders.order_line_id in (select order_line_id from {{ source('raw', 'changes') }} where export = 'orders')
    or orders.session_id in (select session_id from {{ source('raw', 'changes') }} where export in ('sessions', 'viewer_events'))
union
select orders.order_line_id
from {{ ref('stg_orders') }} as orders
inner join {{ ref('int_sessions_dated') }} as sessions
    on
        orders.room_id = sessions.room_id
        and orders.created_at >= sessions.started_at - interval 24 hour
        and orders.created_at <= sessions.ended_at + interval 48 hour
where
    orders.session_id is null
    and sessions.session_id in (
        select session_id from {{ source('raw', 'changes') }} where export in ('sessions', 'viewer_events')
    )
{%- if attributed_before() %}
union
select order_line_id
from {{ built_before('intermediate', 'int_orders_attributed') }}
where session_id in (select session_id from {{ source('raw', 'changes') }} where export in ('sessions', 'viewer_events'))
{%- endif %}
