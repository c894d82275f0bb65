-- One row per viewer × month with a purchase: gmv of the month, and of all months up to and including it.
with months as (
    select
        viewer_no,
        strftime(business_date, '%Y-%m') as month,
        sum(gmv) as gmv
    from {{ ref('int_lines_valued') }}
    group by viewer_no, strftime(business_date, '%Y-%m')
)

select
    viewer_no,
    month,
    lead(month) over (partition by viewer_no order by month) as next_month,
    gmv,
    sum(gmv) over (partition by viewer_no order by month rows unbounded preceding) as gmv_to_date
from months
