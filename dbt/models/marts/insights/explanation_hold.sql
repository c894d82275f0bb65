-- One row per room × month × product with an explanation of three minutes or more: how many of those online at its start are still there
-- three minutes later, beside the room's other products. loses_viewers: the upper bound is ten points under theirs.
with products as (
    select
        room_id,
        strftime(business_date, '%Y-%m') as month,
        product_id,
        count(*) as explanations,
        sum(online_at_start) as online_at_start,
        sum(still_online) as still_online
    from {{ ref('int_explanations_followed') }}
    group by all
),

beside as (
    select
        *,
        sum(online_at_start) over rooms - online_at_start as others_at_start,
        sum(still_online) over rooms - still_online as others_still_online
    from products
    window rooms as (partition by room_id, month)
),

rated as (
    select
        *,
        {{ exact_ratio('still_online', 'online_at_start', 6) }} as hold_rate,
        {{ wilson('still_online', 'online_at_start', '-') }} as hold_rate_low,
        {{ wilson('still_online', 'online_at_start', '+') }} as hold_rate_high,
        {{ exact_ratio('others_still_online', 'others_at_start', 6) }} as others_hold_rate,
        explanations >= 3 and online_at_start >= 30 and others_at_start >= 30 as is_judged
    from beside
)

select
    room_id,
    month,
    product_id,
    explanations,
    cast(online_at_start as bigint) as online_at_start,
    cast(still_online as bigint) as still_online,
    case when is_judged then hold_rate end as hold_rate,
    case when is_judged then hold_rate_low end as hold_rate_low,
    case when is_judged then hold_rate_high end as hold_rate_high,
    case when is_judged then others_hold_rate end as others_hold_rate,
    case when is_judged then hold_rate_high + 0.1 < others_hold_rate end as loses_viewers,
    case when not is_judged then 'fewer than 3 explanations or 30 viewers online at their start' end as reason
from rated
