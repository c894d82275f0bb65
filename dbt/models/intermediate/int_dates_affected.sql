-- One row per business date to rebuild; kept until a publish holds them, so a killed run loses none.
-- A full refresh affects all dates. Else: where anything a date is made of changed, on its old and its new date; where only
-- refunds, reviews or complaints of its lines did, the date stands in int_dates_followed_up.
{{ config(materialized='incremental', incremental_strategy='append') }}
-- depends_on: {{ ref('int_duty_resolved') }}
-- depends_on: {{ ref('int_lines_reattributed') }}
-- depends_on: {{ ref('stg_orders') }}
-- depends_on: {{ ref('stg_viewer_events') }}
-- depends_on: {{ source('raw', 'changes') }}
{%- set line = [
    'order_line_id', 'order_id', 'viewer_no', 'room_id', 'session_id', 'attribution', 'product_id', 'business_date', 'timezone',
    'quantity', 'created_at', 'paid_at', 'currency', 'paid_amount', 'is_paid', 'is_inside_session', 'credited_at',
] %}
{%- if not is_incremental() %}
select distinct business_date from {{ ref('int_sessions_dated') }}
union
select distinct business_date from {{ ref('int_orders_attributed') }}
{%- else %}
with changed_sessions as (
    select distinct session_id
    from {{ source('raw', 'changes') }}
    where export in ('sessions', 'viewer_events', 'segments', 'playback_qos') and session_id is not null
),

-- Lines that are other than they were, whatever brought them in again.
changed_lines as (
    select order_line_id from (
        (
            select {{ line | join(', ') }} from {{ ref('int_orders_attributed') }}
            where order_line_id in (select order_line_id from {{ ref('int_lines_reattributed') }})
            except
            select {{ line | join(', ') }} from {{ built_before('intermediate', 'int_lines_valued') }}
            where order_line_id in (select order_line_id from {{ ref('int_lines_reattributed') }})
        )
    )
    union
    -- A rate serves the seven days after it.
    select lines.order_line_id
    from {{ ref('int_orders_attributed') }} as lines
    inner join {{ source('raw', 'changes') }} as changes
        on
            changes.export = 'fx_rates'
            and lines.currency = changes.currency
            and cast(lines.paid_at as date) between changes.rate_date - 1 and changes.rate_date + 8
    union
    select lines.order_line_id
    from {{ ref('int_orders_attributed') }} as lines
    inner join {{ source('raw', 'changes') }} as changes on changes.export = 'products' and lines.product_id = changes.product_id
),

-- Viewers of the changed sessions, as they were and as they are, per room.
viewers_of_changed_sessions as (
    select
        sessions.room_id,
        events.viewer_no,
        min(sessions.started_at) as changed_from
    from {{ ref('stg_viewer_events') }} as events
    inner join {{ ref('int_sessions_dated') }} as sessions on events.session_id = sessions.session_id
    where events.session_id in (select session_id from changed_sessions)
    group by sessions.room_id, events.viewer_no
    union all
    select
        visits.room_id,
        visits.viewer_no,
        min(sessions.started_at) as changed_from
    from {{ built_before('intermediate', 'int_first_visits') }} as visits
    inner join {{ built_before('core', 'fct_session') }} as sessions on visits.session_id = sessions.session_id
    where visits.session_id in (select session_id from changed_sessions)
    group by visits.room_id, visits.viewer_no
),

-- The first of their other sessions may win or lose the mark of a first visit, if something earlier changed.
flipped_dates as (
    select arg_min(visits.business_date, (sessions.started_at, visits.session_id)) as business_date
    from {{ built_before('intermediate', 'int_first_visits') }} as visits
    inner join {{ built_before('core', 'fct_session') }} as sessions on visits.session_id = sessions.session_id
    inner join (
        select room_id, viewer_no, min(changed_from) as changed_from
        from viewers_of_changed_sessions
        group by room_id, viewer_no
    ) as viewers on visits.room_id = viewers.room_id and visits.viewer_no = viewers.viewer_no
    where visits.session_id not in (select session_id from changed_sessions)
    group by visits.room_id, visits.viewer_no
    having min(sessions.started_at) >= min(viewers.changed_from)
),

-- Money moves the spend tier of the months after it.
spenders as (
    select
        lines.viewer_no,
        min(strftime(lines.business_date, '%Y-%m')) as month
    from {{ ref('int_orders_attributed') }} as lines
    inner join changed_lines on lines.order_line_id = changed_lines.order_line_id
    group by lines.viewer_no
    union all
    select
        lines.viewer_no,
        min(strftime(lines.business_date, '%Y-%m')) as month
    from {{ built_before('intermediate', 'int_lines_valued') }} as lines
    inner join changed_lines on lines.order_line_id = changed_lines.order_line_id
    group by lines.viewer_no
),

affected as (
    select business_date from {{ ref('int_sessions_dated') }}
    where session_id in (select session_id from changed_sessions)
    union
    select business_date from {{ built_before('core', 'fct_session') }}
    where session_id in (select session_id from changed_sessions)
    union
    select business_date from (
        (
            select staff_id, role, session_id, on_at, off_at, source, room_id, business_date from {{ ref('int_duty_resolved') }}
            except
            select staff_id, role, session_id, on_at, off_at, source, room_id, business_date from {{ built_before('core', 'fct_duty') }}
        )
        union all
        (
            select staff_id, role, session_id, on_at, off_at, source, room_id, business_date from {{ built_before('core', 'fct_duty') }}
            except
            select staff_id, role, session_id, on_at, off_at, source, room_id, business_date from {{ ref('int_duty_resolved') }}
        )
    )
    union
    select business_date from {{ ref('int_orders_attributed') }}
    where order_line_id in (select order_line_id from changed_lines)
    union
    select business_date from {{ built_before('core', 'fct_order_line') }}
    where order_line_id in (select order_line_id from changed_lines)
    union
    select products.business_date
    from {{ built_before('core', 'fct_product') }} as products
    inner join {{ source('raw', 'changes') }} as changes on changes.export = 'products' and products.product_id = changes.product_id
    union
    select business_date from flipped_dates
    union
    select visits.business_date
    from {{ built_before('intermediate', 'int_first_visits') }} as visits
    inner join spenders on visits.viewer_no = spenders.viewer_no and strftime(visits.business_date, '%Y-%m') > spenders.month
    union
    -- A session that is gone, and a line that is gone, leave their old dates behind.
    select business_date from {{ built_before('core', 'fct_session') }}
    where session_id not in (select session_id from {{ ref('int_sessions_dated') }})
    union
    select business_date from {{ built_before('core', 'fct_order_line') }}
    where order_line_id not in (select order_line_id from {{ ref('int_orders_attributed') }})
)

select business_date from affected
where business_date not in (select business_date from {{ this }})
{%- endif %}
