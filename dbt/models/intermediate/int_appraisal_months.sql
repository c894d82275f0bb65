-- One row per month that is scored: one with a session. An order without a session opens no month for pay.
select months.*
from {{ ref('int_months_loaded') }} as months
where months.month in (select sessions.month from {{ ref('int_sessions_dated') }} as sessions)
