-- One row per session × is_new; is_new is null for people who only ordered there.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with lines as (
    select
        session_id,
        viewer_key,
        bool_or(paid_at is not null and paid_amount is not null) as has_paid
    from {{ ref('fct_order_line') }}
    where session_id is not null and {{ is_affected() }}
    group by session_id, viewer_key
)

select
    people.session_id,
    people.is_new,
    cast(count_if(people.views > 0) as bigint) as viewers,
    cast(count_if(people.exposures > 0) as bigint) as exposed_viewers,
    cast(count_if(people.clicks > 0) as bigint) as click_viewers,
    count(lines.viewer_key) as order_viewers,
    cast(count_if(coalesce(lines.has_paid, false)) as bigint) as buyers,
    people.room_id,
    people.business_date
from {{ ref('fct_person') }} as people
left join lines on people.session_id = lines.session_id and people.viewer_key = lines.viewer_key
where {{ is_affected('people.business_date') }}
group by people.session_id, people.is_new, people.room_id, people.business_date
