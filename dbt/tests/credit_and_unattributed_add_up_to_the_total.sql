-- Per session, role and shared measure: what people are credited with and what nobody is, is all there is.
select *
from {{ ref('attribution') }}
where total <> credited + unattributed
