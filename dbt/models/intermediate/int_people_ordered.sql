-- One row per session × viewer with an order line there, of the affected dates.
select
    session_id,
    viewer_no,
    count(distinct order_id) filter (where is_paid) as orders_paid,
    cast(sum(units_sold) as bigint) as units_sold,
    sum(gmv) as gmv
from {{ ref('int_lines_valued') }}
where session_id is not null and {{ is_affected() }}
group by session_id, viewer_no
