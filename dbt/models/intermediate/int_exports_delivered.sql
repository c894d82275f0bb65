-- One row per export that was ever delivered (a file of it was accepted); others are not measured.
select distinct export
from {{ source('raw', 'files') }}
where verdict = 'accepted'
