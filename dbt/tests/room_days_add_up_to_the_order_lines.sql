-- A room's gmv over all days is the sum of its order lines, attributed or not.
with days as (
    select room_id, sum(amount_whole) as gmv
    from {{ ref('kpi_measure_day') }}
    where subject_type = 'room' and measure = 'gmv'
    group by room_id
),

lines as (
    select room_id, sum(gmv) as gmv
    from {{ ref('fct_order_line') }}
    group by room_id
)

select lines.room_id
from lines
left join days on lines.room_id = days.room_id
where lines.gmv <> coalesce(days.gmv, 0)
