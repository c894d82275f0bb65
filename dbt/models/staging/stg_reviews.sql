-- One row per review: the accepted row that won its key (landing decides; see exports).
select
    review_id,
    order_line_id,
    rating,
    reviewed_at,
    text
from {{ source('raw', 'reviews') }}
where _status = 'current'
