-- One row per session × product × stretch of explaining time, clipped to the session, overlaps merged; of the affected dates.
-- is_union marks the union over all products of the session (product_id null).
with segments as (
    select
        segments.session_id,
        segments.product_id,
        greatest(segments.started_at, sessions.started_at) as from_at,
        least(segments.ended_at, sessions.ended_at) as to_at
    from {{ ref('stg_segments') }} as segments
    inner join {{ ref('int_sessions_dated') }} as sessions on segments.session_id = sessions.session_id
    where segments.segment_type = 'explain' and {{ is_affected('sessions.business_date') }}
),

scoped as (
    select
        session_id,
        product_id,
        false as is_union,
        from_at,
        to_at
    from segments
    where from_at < to_at and product_id is not null
    union all
    select
        session_id,
        null as product_id,
        true as is_union,
        from_at,
        to_at
    from segments
    where from_at < to_at
),

started as (
    select
        *,
        coalesce(
            from_at > max(to_at) over (
                partition by session_id, is_union, product_id
                order by from_at, to_at
                rows between unbounded preceding and 1 preceding
            ),
            true
        ) as is_start
    from scoped
),

numbered as (
    select
        *,
        count_if(is_start) over (
            partition by session_id, is_union, product_id order by from_at, to_at rows unbounded preceding
        ) as stretch_no
    from started
)

select
    session_id,
    is_union,
    product_id,
    min(from_at) as from_at,
    max(to_at) as to_at
from numbered
group by session_id, is_union, product_id, stretch_no
