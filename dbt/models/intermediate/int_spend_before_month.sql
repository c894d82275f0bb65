-- One row per viewer × month with a purchase: gmv of the month, and of all months up to and including it.
select
    viewer_no,
    strftime(business_date, '%Y-%m') as month,
    sum(gmv) as gmv,
    sum(sum(gmv)) over (
        partition by viewer_no order by strftime(business_date, '%Y-%m') rows unbounded preceding
    ) as gmv_to_date
from {{ ref('int_lines_valued') }}
group by viewer_no, strftime(business_date, '%Y-%m')
