-- One row per currency × day: the accepted row that won its key (landing decides; see exports).
select
    rate_date,
    currency,
    rate
from {{ source('raw', 'fx_rates') }}
where _status = 'current'
