-- One row per product.
select
    product_id,
    name,
    category,
    product_role,
    list_price,
    launched_on
from {{ ref('int_products_current') }}
