-- One row per room × month × dimension × part × measure: the sums over its viewers that mix_shift takes apart. People who never
-- watched are not in it; a viewer counts once per session.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_affected_months() }}") }}
with people as (
    select
        people.room_id,
        strftime(people.business_date, '%Y-%m') as month,
        parts.dimension,
        parts.part,
        count(*) as viewers,
        count_if(people.is_new) as new_viewers,
        {% for measure in ['views', 'watch_seconds', 'chats', 'likes', 'follows', 'unfollows', 'shares', 'gifts', 'exposures', 'clicks',
                           'carts', 'orders_paid', 'units_sold', 'gmv', 'stall_ms', 'play_ms'] -%}
            sum(people.{{ measure }}) as {{ measure }},
        {% endfor -%}
        sum(people.stall_ms + people.play_ms) as playback_ms,
        count_if(people.chats > 0) as commenters,
        count_if(people.chats + people.likes + people.follows + people.shares + people.gifts > 0) as engaged_viewers,
        count_if(people.exposures > 0) as exposed_viewers,
        count_if(people.clicks > 0) as click_viewers,
        count_if(people.carts > 0) as cart_viewers,
        count_if(people.orders_paid > 0) as buyers
    from {{ ref('fct_person') }} as people
    cross join lateral (
        values
        ('new_or_returning', case when people.is_new then 'new' else 'returning' end),
        ('traffic_source', coalesce(people.traffic_source, 'unknown'))
    ) as parts (dimension, part)
    where people.is_new is not null and {{ is_in_affected_month('people.business_date') }}
    group by all
)

select
    room_id,
    month,
    dimension,
    part,
    measure,
    amount
from (
    unpivot (
        select
            room_id,
            month,
            dimension,
            part,
            cast(columns(* exclude (room_id, month, dimension, part)) as decimal(38, 6))
        from people
    )
    on columns(* exclude (room_id, month, dimension, part))
    into name measure value amount
)
