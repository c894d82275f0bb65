-- One row per live session (场次) with every per-session measure. Amounts add up over sessions, but peak_online (a maximum).
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched_dates() }}") }}
{%- set measures = session_measures() %}
select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    sessions.month,
    sessions.mode,
    sessions.started_at,
    sessions.ended_at,
    {% for measure, type in measures -%}
        cast(coalesce(sum(amounts.amount) filter (where amounts.measure = '{{ measure }}'), 0) as {{ type }}) as {{ measure }}
        {{- "," if not loop.last }}
    {% endfor %}
from {{ ref('int_sessions_dated') }} as sessions
left join {{ ref('int_session_measures_summed') }} as amounts on sessions.session_id = amounts.session_id
where {{ is_touched('sessions.business_date') }}
group by all
