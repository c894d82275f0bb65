-- One row per viewer: the warehouse's number and the published key. The raw id stays in raw.viewers.
select
    viewer_no,
    viewer_key
from {{ source('raw', 'viewers') }}
