-- One row per total of a platform's own sheet × measure: theirs, ours, the difference, and its likely reason.
select
    platform,
    total_id,
    session_id,
    room_id,
    business_date,
    label,
    measure,
    ours,
    cast(theirs as decimal(38, 6)) as theirs,
    cast(ours - theirs as decimal(38, 6)) as difference,
    case
        when not is_ours then 'no measure of ours counts this'
        when not is_measured then 'the exports behind ours were never delivered'
        when ours is null and started_at is not null then 'no session of ours in the room at that time'
        when ours is null then 'no employee, or more than one, of that name'
        when ours = theirs then 'agree'
        when measure = 'live_seconds' and abs(ours - theirs) < 60 then 'the platform cuts to whole minutes'
        when measure in ('refunded_amount', 'net_gmv')
            then 'theirs counts refunds until the sheet was made, ours those completed within 15 days'
        when measure = 'gmv' then 'subsidies, or orders attributed by another rule'
        when measure in ('orders_paid', 'units_sold', 'buyers')
            then 'orders attributed to the session by another rule'
        when ours < theirs then 'events that did not reach us, or a wider definition on the platform'
        else 'a narrower definition on the platform, or events it filters out'
    end as likely_reason,
    definition
from {{ ref('int_platform_totals_placed') }}
