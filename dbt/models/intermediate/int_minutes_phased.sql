-- One row per session × minute of the affected dates, with its phase: the first 30 minutes open; the last 30 of a session over an
-- hour close.
select
    minutes.session_id,
    minutes.room_id,
    minutes.business_date,
    minutes.minute,
    minutes.minute_at,
    case
        when minutes.minute < 30 then 'opening'
        when sessions.live_ms > 3600000 and minutes.minute_at >= sessions.ended_at - interval 30 minute then 'closing'
        else 'middle'
    end as phase
from {{ ref('int_minutes_cut') }} as minutes
inner join {{ ref('int_sessions_dated') }} as sessions on minutes.session_id = sessions.session_id
