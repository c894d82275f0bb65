-- One row per room × role × loaded month × KPI × scope: the mean over the month's calendar days of that day's weights,
-- those of the room's stage of the day times the overrides of the day, renormalised to 1. The role room is the room's own table.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with tables_in_force as (
    select
        months.month,
        weights.role,
        weights.stage,
        max(weights.valid_from) as valid_from
    from {{ ref('int_appraisal_months') }} as months
    inner join {{ source('policy', 'weights') }} as weights on weights.valid_from <= months.first_day
    group by months.month, weights.role, weights.stage
),

days as (
    select
        month,
        unnest(generate_series(first_day, last_day, interval 1 day)) as day
    from {{ ref('int_appraisal_months') }}
),

overrides as (
    select
        *,
        row_number() over (order by room_id, role, kpi_id, valid_from, valid_to) as override_no
    from {{ source('policy', 'weight_overrides') }}
),

-- Days of one month on which stage and overrides are the same have the same weights: one span.
role_days as (
    select
        stages.room_id,
        tables_in_force.role,
        days.month,
        days.day,
        stages.stage,
        tables_in_force.valid_from,
        coalesce(
            list_sort(list(overrides.override_no) filter (where overrides.override_no is not null)), []
        ) as override_nos
    from days
    inner join {{ ref('int_appraisal_stages_spanned') }} as stages
        on days.day >= stages.from_date and days.day < stages.until_date
    inner join tables_in_force on days.month = tables_in_force.month and stages.stage = tables_in_force.stage
    left join overrides
        on
            stages.room_id = overrides.room_id
            and tables_in_force.role = overrides.role
            and days.day >= overrides.valid_from
            and (overrides.valid_to is null or days.day <= overrides.valid_to)
    group by
        stages.room_id, tables_in_force.role, days.month, days.day, stages.stage, tables_in_force.valid_from
),

spans as (
    select
        room_id,
        role,
        month,
        stage,
        valid_from,
        override_nos,
        count(*) as span_days
    from role_days
    group by room_id, role, month, stage, valid_from, override_nos
),

-- Several matching overrides multiply; a product of two 6-decimal multipliers is exact in 12 decimals.
factors as (
    select
        spans.room_id,
        spans.role,
        spans.month,
        spans.stage,
        spans.override_nos,
        overrides.kpi_id,
        list_reduce(
            list(cast(overrides.multiplier as decimal(38, 12)) order by overrides.override_no),
            lambda product, multiplier: cast(product * multiplier as decimal(38, 12))
        ) as factor
    from spans
    inner join overrides on list_contains(spans.override_nos, overrides.override_no)
    group by spans.room_id, spans.role, spans.month, spans.stage, spans.override_nos, overrides.kpi_id
),

weighted as (
    select
        spans.*,
        weights.kpi_id,
        weights.scope,
        {{ to_micros('weights.weight') }}
        * cast(coalesce(factors.factor, 1) * cast(1000000000000 as decimal(13, 0)) as hugeint) as weight_units
    from spans
    inner join {{ source('policy', 'weights') }} as weights
        on
            spans.role = weights.role
            and spans.stage = weights.stage
            and spans.valid_from = weights.valid_from
    left join factors
        on
            spans.room_id = factors.room_id
            and spans.role = factors.role
            and spans.month = factors.month
            and spans.stage = factors.stage
            and spans.override_nos = factors.override_nos
            and weights.kpi_id = factors.kpi_id
),

-- A day's weight at 14 decimals, far finer than the 6 that are stored.
renormalised as (
    select
        *,
        {{ whole_ratio(
            'weight_units', 'sum(weight_units) over (partition by room_id, role, month, stage, override_nos)', 14
        ) }} as day_weight
    from weighted
),

averaged as (
    select
        renormalised.room_id,
        renormalised.role,
        renormalised.month,
        renormalised.kpi_id,
        renormalised.scope,
        sum(cast(renormalised.day_weight * cast(100000000000000 as decimal(15, 0)) as hugeint) * renormalised.span_days)
            as weight_days,
        any_value(datediff('day', months.first_day, months.last_day) + 1) as days
    from renormalised
    inner join {{ ref('int_appraisal_months') }} as months on renormalised.month = months.month
    group by renormalised.room_id, renormalised.role, renormalised.month, renormalised.kpi_id, renormalised.scope
)

-- Rounding in two steps lets a mean that is exactly half a millionth round up although its days do not divide.
select
    room_id,
    role,
    month,
    kpi_id,
    scope,
    cast(round({{ whole_ratio('weight_days', 'cast(days as hugeint) * 100000000000000', 12) }}, 6) as decimal(18, 6)) as weight
from averaged
