-- One row per session × instant at which the number of viewers online, the minute or the piece may change.
-- level holds from `at` until `until_at`; at one instant ends come before starts, so only the level after both counts.
with changes as (
    select
        session_no,
        start_at as changed_at,
        1 as change
    from {{ ref('int_visits_sessionised') }}
    where start_at < end_at
    union all
    select
        session_no,
        end_at as changed_at,
        -1 as change
    from {{ ref('int_visits_sessionised') }}
    where start_at < end_at
    union all
    select
        sessions.session_no,
        pieces.piece_from as changed_at,
        0 as change
    from {{ ref('int_pieces_cut') }} as pieces
    inner join {{ ref('int_sessions_dated') }} as sessions on pieces.session_id = sessions.session_id
    where {{ is_affected('pieces.business_date') }}
    union all
    select
        sessions.session_no,
        minutes.minute_at as changed_at,
        0 as change
    from {{ ref('int_minutes_cut') }} as minutes
    inner join {{ ref('int_sessions_dated') }} as sessions on minutes.session_id = sessions.session_id
),

-- A running sum of whole numbers, of doubles since that takes half the time and is as exact.
instants as (
    select
        session_no,
        changed_at,
        cast(sum(change) as double) as change
    from changes
    group by session_no, changed_at
),

levels as (
    select
        session_no,
        changed_at,
        sum(change) over (partition by session_no order by changed_at rows unbounded preceding) as level,
        lead(changed_at) over (partition by session_no order by changed_at) as until_at
    from instants
)

select
    sessions.session_id,
    sessions.room_id,
    sessions.business_date,
    pieces.piece_no,
    cast({{ minutes_between('sessions.started_at', 'levels.changed_at') }} as integer) as minute,
    levels.changed_at,
    cast(levels.level as bigint) as level,
    cast(cast(levels.level as bigint) * {{ milliseconds_between('levels.changed_at', 'coalesce(levels.until_at, sessions.ended_at)') }} as bigint)
        as watch_ms
from levels
inner join {{ ref('int_sessions_dated') }} as sessions on levels.session_no = sessions.session_no
inner join {{ ref('int_pieces_cut') }} as pieces
    on
        sessions.session_id = pieces.session_id
        and levels.changed_at >= pieces.piece_from
        and levels.changed_at < pieces.piece_to
where levels.changed_at < sessions.ended_at
