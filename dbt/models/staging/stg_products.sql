-- One row per product: the accepted row that won its key (landing decides; see exports).
select
    product_id,
    name,
    category,
    product_role,
    list_price,
    unit_cost,
    currency,
    launched_on,
    updated_at
from {{ source('raw', 'products') }}
where _status = 'current'
