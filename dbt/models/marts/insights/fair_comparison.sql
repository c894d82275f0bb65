-- One row per host × room × month × measure: what the viewers who came while they were on duty did, beside what viewers of the same
-- traffic source, new or returning, in the same four local hours did in that room and month (indirect standardisation).
-- The interval lets sessions vary as wholes. Where nobody else presents, expected is their own figure and the ratio says nothing.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_months() }}") }}
with people as (
    select
        people.session_id,
        people.room_id,
        strftime(people.business_date, '%Y-%m') as month,
        coalesce(people.traffic_source, 'unknown') as traffic_source,
        people.is_new,
        hour(timezone(rooms.timezone, timezone('UTC', people.first_event_at))) // 4 as hour_block,
        greatest(sessions.started_at, least(people.first_event_at, sessions.ended_at - interval 1 millisecond)) as came_at,
        people.watch_seconds,
        cast(people.chats + people.likes + people.follows + people.shares + people.gifts > 0 as integer) as engaged_viewers,
        cast(people.clicks > 0 as integer) as click_viewers,
        cast(people.orders_paid > 0 as integer) as buyers
    from {{ ref('fct_person') }} as people
    inner join {{ ref('fct_session') }} as sessions on people.session_id = sessions.session_id
    inner join {{ ref('dim_room') }} as rooms on people.room_id = rooms.room_id
    where people.is_new is not null and {{ is_in_affected_month('people.business_date') }}
),

{% set measures = ['watch_seconds', 'engaged_viewers', 'click_viewers', 'buyers'] -%}
-- Alike: in the same room and month, of the same source, new or not, in the same four hours.
expectations as (
    select
        room_id,
        month,
        traffic_source,
        is_new,
        hour_block
        {%- for measure in measures %},
        {{ stated('sum(' ~ measure ~ ')::double / count(*)', 9) }} as {{ measure }}
        {%- endfor %}
    from people
    group by room_id, month, traffic_source, is_new, hour_block
),

-- One row per host × session, all measures beside each other; told apart only once there are few rows.
on_duty as (
    select
        duty.staff_id as host_id,
        people.room_id,
        people.month,
        people.session_id,
        count(*) as viewers
        {%- for measure in measures %},
        sum(people.{{ measure }}) as {{ measure }},
        sum(expectations.{{ measure }}) as expected_{{ measure }}
        {%- endfor %}
    from people
    inner join {{ ref('fct_duty') }} as duty
        on
            people.session_id = duty.session_id and duty.role = 'host'
            and people.came_at >= duty.on_at and people.came_at < duty.off_at
    inner join expectations
        on
            people.room_id = expectations.room_id and people.month = expectations.month
            and people.traffic_source = expectations.traffic_source and people.is_new = expectations.is_new
            and people.hour_block = expectations.hour_block
    group by duty.staff_id, people.room_id, people.month, people.session_id
),

by_session as (
    {%- for measure in measures %}
    select
        host_id,
        room_id,
        month,
        '{{ measure }}' as measure,
        session_id,
        viewers,
        cast({{ measure }} as decimal(38, 3)) as observed,
        expected_{{ measure }} as expected
    from on_duty
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

hosts as (
    select
        host_id,
        room_id,
        month,
        measure,
        count(*) as sessions,
        sum(viewers) as viewers,
        sum(observed) as observed,
        sum(expected) as expected,
        sqrt(
            sum({{ stated('pow(observed::double - expected::double, 2)', 9) }})::double
        ) as standard_error
    from by_session
    group by host_id, room_id, month, measure
)

select
    host_id,
    room_id,
    month,
    measure,
    sessions,
    cast(viewers as bigint) as viewers,
    cast(observed as decimal(38, 3)) as observed,
    {{ stated('expected') }} as expected,
    case when viewers >= 100 and sessions >= 5 and expected > 0 then {{ stated('observed::double / expected::double') }} end as ratio,
    case when viewers >= 100 and sessions >= 5 and expected > 0
        then {{ stated('greatest(0, (observed::double - 1.959963984540054 * standard_error) / expected::double)') }} end as ratio_low,
    case when viewers >= 100 and sessions >= 5 and expected > 0
        then {{ stated('(observed::double + 1.959963984540054 * standard_error) / expected::double') }} end as ratio_high,
    case when viewers < 100 or sessions < 5 or expected = 0 then 'fewer than 100 viewers or 5 sessions, or nothing expected' end as reason
from hosts
