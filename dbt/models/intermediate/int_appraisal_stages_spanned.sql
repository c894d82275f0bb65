-- One row per room × effective row: the days [from_date, until_date) its stage holds; the first one holds for all days before it too.
select
    room_id,
    stage,
    case
        when row_number() over (partition by room_id order by effective_from) = 1 then date '0001-01-01'
        else effective_from
    end as from_date,
    coalesce(lead(effective_from) over (partition by room_id order by effective_from), date '9999-12-31') as until_date
from {{ ref('stg_rooms') }}
