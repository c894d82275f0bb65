-- One row per room × month × viewer region × network: how playback was, and how many left at once. Percentiles are nearest rank over
-- values counted to 10 ms. Rates under 30 samples or viewers are null.
with people as (
    select
        room_id,
        strftime(business_date, '%Y-%m') as month,
        region,
        network,
        count(*) filter (where first_stay_ms is not null) as viewers,
        count(*) filter (where first_stay_ms < 30000) as left_within_30s
    from {{ ref('int_visits_rated') }}
    group by all
),

played as (
    select
        room_id,
        strftime(business_date, '%Y-%m') as month,
        region,
        network,
        sum(samples) as samples,
        sum(play_ms) as play_ms,
        sum(stall_ms) as stall_ms
    from {{ ref('int_region_minutes_summed') }}
    group by all
),

binned as (
    select
        room_id,
        strftime(business_date, '%Y-%m') as month,
        region,
        network,
        metric,
        value_ms,
        sum(samples) as samples
    from {{ ref('int_quality_binned') }}
    group by all
),

ranked as (
    select
        *,
        sum(samples) over (partition by room_id, month, region, network, metric order by value_ms) as up_to,
        sum(samples) over (partition by room_id, month, region, network, metric) as of_all
    from binned
),

percentiles as (
    select
        room_id,
        month,
        region,
        network,
        {% for metric in ['first_frame_ms', 'latency_ms'] -%}
            {% for percent in [50, 95] -%}
                min(value_ms) filter (where metric = '{{ metric }}' and up_to * 100 >= of_all * {{ percent }}) as {{ metric }}_p{{ percent }},
            {% endfor -%}
            coalesce(max(of_all) filter (where metric = '{{ metric }}'), 0) as {{ metric }}_samples{{ "," if not loop.last }}
        {% endfor %}
    from ranked
    group by room_id, month, region, network
)

select
    people.room_id,
    people.month,
    rooms.market,
    people.region,
    people.network,
    people.viewers,
    people.left_within_30s,
    case when people.viewers >= 30 then {{ exact_ratio('people.left_within_30s', 'people.viewers', 6) }} end as left_within_30s_rate,
    case when people.viewers >= 30 then {{ wilson('people.left_within_30s', 'people.viewers', '-') }} end as left_within_30s_low,
    case when people.viewers >= 30 then {{ wilson('people.left_within_30s', 'people.viewers', '+') }} end as left_within_30s_high,
    cast(coalesce(played.samples, 0) as bigint) as samples,
    case when played.samples >= 30 then {{ exact_ratio('played.stall_ms', 'played.play_ms + played.stall_ms', 6) }} end as stall_rate,
    {% for metric in ['first_frame_ms', 'latency_ms'] -%}
        cast(coalesce(percentiles.{{ metric }}_samples, 0) as bigint) as {{ metric }}_samples,
        {% for percent in [50, 95] -%}
            case when percentiles.{{ metric }}_samples >= 30 then percentiles.{{ metric }}_p{{ percent }} end as {{ metric }}_p{{ percent }},
        {% endfor -%}
    {% endfor -%}
    case
        when people.network = 'unknown' and coalesce(played.samples, 0) = 0 then 'no playback samples'
        when coalesce(played.samples, 0) < 30 or people.viewers < 30 then 'fewer than 30 samples or viewers'
    end as reason
from people
inner join {{ ref('dim_room') }} as rooms on people.room_id = rooms.room_id
left join played
    on people.room_id = played.room_id and people.month = played.month
    and people.region = played.region and people.network = played.network
left join percentiles
    on people.room_id = percentiles.room_id and people.month = percentiles.month
    and people.region = percentiles.region and people.network = percentiles.network
