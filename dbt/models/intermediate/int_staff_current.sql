-- One row per employee, pay included: only scorecards may read that column.
select * from {{ ref('stg_staff') }}
