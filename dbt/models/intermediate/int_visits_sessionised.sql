-- One row per interval of watching (viewer × session), clipped to the session; zero lengths are kept.
-- The only sort of events, of numbers alone: who, and the place in their order, which is event_at, then leave < enter < any
-- other. An enter starts an interval and a leave ends one, so how many there were so far, a leave itself not counted, numbers
-- the intervals; a leave alone in one is first or follows a leave, and is ignored.
with placed as (
    select
        session_no,
        viewer_no,
        event_at,
        epoch_us(event_at) * 4 + case event_type when 'leave' then 0 when 'enter' then 1 else 2 end as place,
        event_type = 'leave' as is_leave,
        event_type = 'enter' as is_enter
    from {{ ref('int_events_placed') }}
),

whole as (
    select
        session_no,
        viewer_no,
        min(event_at) as first_at,
        max(event_at) as last_at,
        min(place) as first_place,
        max(place) as last_place,
        min(place) filter (where is_enter) as enter_place,
        min(place) filter (where is_leave) as leave_place,
        count(*) filter (where is_enter) as enters,
        count(*) filter (where is_leave) as leaves
    from placed
    group by session_no, viewer_no
),

-- Who enters once, before all else, and leaves at most once, after all else, watches in one interval: most do, and need no sorting.
unbroken as (
    select
        session_no,
        viewer_no,
        first_at,
        last_at
    from whole
    where enters = 1 and first_place = enter_place and (leaves = 0 or (leaves = 1 and last_place = leave_place))
),

sequenced as (
    select
        session_no,
        viewer_no,
        event_at,
        is_leave,
        count(*) filter (where is_enter or is_leave) over so_far - cast(is_leave as integer) as interval_no
    from placed
    where
        not exists (
            select 1
            from unbroken
            where placed.session_no = unbroken.session_no and placed.viewer_no = unbroken.viewer_no
        )
    window so_far as (partition by session_no, viewer_no order by place rows unbounded preceding)
),

intervals as (
    select * from unbroken
    union all
    select
        session_no,
        viewer_no,
        min(event_at) as first_at,
        max(event_at) as last_at
    from sequenced
    group by session_no, viewer_no, interval_no
    having not bool_and(is_leave)
)

select
    sessions.session_id,
    sessions.session_no,
    sessions.room_id,
    sessions.business_date,
    intervals.viewer_no,
    greatest(intervals.first_at, sessions.started_at) as start_at,
    greatest(least(intervals.last_at, sessions.ended_at), intervals.first_at, sessions.started_at) as end_at
from intervals
inner join {{ ref('int_sessions_dated') }} as sessions on intervals.session_no = sessions.session_no
