-- One row per staff × session × on-duty interval of a role; half-open [on_at, off_at), clipped and merged.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
select
    staff_id,
    role,
    session_id,
    on_at,
    off_at,
    source,
    room_id,
    business_date
from {{ ref('int_duty_resolved') }}
where {{ is_affected() }}
