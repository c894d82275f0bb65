-- One row per innovation nomination × person named, in the order of staff_id (the first get the cents that do not divide).
select
    nomination_id,
    staff_id,
    row_number() over (partition by nomination_id order by staff_id) as person_no
from {{ ref('stg_award_nominations') }}
