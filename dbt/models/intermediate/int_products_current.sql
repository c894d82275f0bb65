-- One row per product.
select * from {{ ref('stg_products') }}
