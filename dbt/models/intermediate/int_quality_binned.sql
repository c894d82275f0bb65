-- One row per session × region × network × metric × value: how many samples had that first frame or latency, to the nearest 10 ms.
-- Percentiles of a month need every sample's value; counted by value they are small enough to keep for all dates.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_dates() }}") }}
with samples as (
    select
        session_id,
        room_id,
        business_date,
        coalesce(region, 'unknown') as region,
        coalesce(network, 'unknown') as network,
        first_frame_ms,
        latency_ms
    from {{ ref('int_samples_placed') }}
)

{% for metric in ['first_frame_ms', 'latency_ms'] %}
select
    session_id,
    room_id,
    business_date,
    region,
    network,
    '{{ metric }}' as metric,
    cast(round({{ metric }} / 10) as bigint) * 10 as value_ms,
    count(*) as samples
from samples
where {{ metric }} is not null
group by all
{% if not loop.last %}union all{% endif %}
{% endfor %}
