-- One row per session × kind × position (复盘). Kinds: figure (every KPI that one session can have, against the room's last ten sessions),
-- strong and weak (the three furthest above and below, in the KPI's own direction), try_next (one thing to try per weak point).
-- Its minute curve is core.fct_scene, its alerts insights.alerts. Under five earlier sessions with a value nothing is called strong or weak.
{%- set measures = session_measures() %}
with measured as (
    unpivot (
        select
            session_id,
            room_id,
            business_date,
            started_at,
            {% for measure, _ in measures -%}
                cast({{ measure }} as decimal(38, 6)) as {{ measure }}{{ "," if not loop.last }}
            {% endfor %}
        from {{ ref('fct_session') }}
    )
    on {% for measure, _ in measures %}{{ measure }}{{ ", " if not loop.last }}{% endfor %}
    into name measure value amount
),

figures as (
    select
        numerators.session_id,
        numerators.room_id,
        numerators.business_date,
        numerators.started_at,
        registry.kpi_id,
        registry.category,
        registry.direction,
        numerators.amount as numerator,
        denominators.amount as denominator,
        case
            when registry.denominator is null then cast(numerators.amount * registry.factor as decimal(24, 6))
            when denominators.amount >= coalesce(registry.min_base, 1)
                then {{ exact_ratio('cast(numerators.amount * registry.factor as decimal(38, 6))', 'denominators.amount', 6) }}
        end as value,
        case
            when registry.denominator is not null and denominators.amount < coalesce(registry.min_base, 1)
                then 'fewer than the KPI''s min_base in the denominator'
        end as reason
    from {{ ref('kpi_registry') }} as registry
    inner join measured as numerators on registry.numerator = numerators.measure
    left join measured as denominators
        on numerators.session_id = denominators.session_id and registry.denominator = denominators.measure
    -- What ripens later says nothing the morning after.
    where registry.maturity_days = 0 and (registry.denominator is null or denominators.measure is not null)
),

-- The room's last ten sessions before it.
against as (
    select
        *,
        list(value) filter (where value is not null) over (
            partition by room_id, kpi_id order by started_at, session_id rows between 10 preceding and 1 preceding
        ) as earlier
    from figures
),

baselines as (
    select
        *,
        coalesce(len(earlier), 0) as baseline_sessions,
        list_median(earlier) as baseline
    from against
),

scattered as (
    select
        *,
        list_median(list_transform(earlier, lambda x: abs(x - baseline))) as mad
    from baselines
),

judged as (
    select
        *,
        case
            when baseline_sessions >= 5 and value is not null and mad > 0
                then {{ stated("case direction when 'up' then 1 else -1 end * 0.6745::double * (value - baseline) / mad") }}
        end as robust_z
    from scattered
),

ranked as (
    select
        *,
        row_number() over (partition by session_id order by robust_z desc nulls last, kpi_id) as from_top,
        row_number() over (partition by session_id order by robust_z asc nulls last, kpi_id) as from_bottom,
        row_number() over (partition by session_id order by kpi_id) as any_order
    from judged
),

items as (
    select
        'figure' as kind,
        any_order as position,
        *
    from ranked
    union all
    select
        'strong' as kind,
        from_top as position,
        *
    from ranked
    where from_top <= 3 and robust_z > 0
    union all
    select
        'weak' as kind,
        from_bottom as position,
        *
    from ranked
    where from_bottom <= 3 and robust_z < 0
    union all
    select
        'try_next' as kind,
        from_bottom as position,
        *
    from ranked
    where from_bottom <= 3 and robust_z < 0
)

select
    session_id,
    room_id,
    business_date,
    kind,
    position,
    kpi_id,
    value,
    cast(numerator as decimal(38, 6)) as numerator,
    cast(denominator as decimal(38, 6)) as denominator,
    case when baseline_sessions >= 5 then {{ stated('baseline') }} end as baseline,
    cast(baseline_sessions as bigint) as baseline_sessions,
    robust_z,
    case when kind = 'try_next' then
        case
            when kpi_id in ('stall_rate', 'smoothness_rate', 'picture_quality_rate') then
                'see quality_by_region for where it stalled, and have technical try another CDN or a lower default picture there'
            when category = 'technical' then 'rehearse the stream''s start and encoder settings before the next session'
            when kpi_id in ('viewers', 'new_viewer_rate', 'peak_online', 'average_online') then
                'announce the session earlier, and compare traffic sources with the last ten sessions in mix_shift'
            when kpi_id = 'average_watch_seconds' then
                'open with the run sheet and a reason to stay; see watch_time_diagnosis for content or technology'
            when kpi_id = 'explained_share' then 'plan an explain segment for every product shown'
            when category = 'engagement' then 'ask one question per product, and put a red packet or a vote where engagement fell'
            when kpi_id in ('product_click_rate', 'add_to_cart_rate') then
                'explain the products in the order of product_actions, and show the link while explaining'
            when category = 'conversion' then 'see product_actions for what was clicked and not bought, and test its price or its offer'
            when category = 'retention' then 'ask for the follow at the peak of the session, and announce the next one'
            else 'see the minute curve for where it fell, and change one thing there'
        end
    end as suggestion,
    case
        when reason is not null then reason
        when baseline_sessions < 5 then 'fewer than 5 earlier sessions with a value'
        when mad = 0 then 'the last ten sessions do not differ'
    end as reason
from items
