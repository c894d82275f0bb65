-- One row per room × month × KPI × dimension: how much of the KPI's change against the month before is mix and how much is rate.
-- change = mix_effect + rate_effect, exactly; over the sessions' viewers (orders of people who never watched are not in it).
-- The formula of a KPI is the registry's; mix_parts holds the measures that a person has.
with values_by_part as (
    select
        numerators.room_id,
        numerators.month,
        numerators.dimension,
        numerators.part,
        registry.kpi_id,
        registry.factor,
        registry.min_base,
        registry.unit = 'rate' and registry.numerator <> 'units_sold' as is_share,
        numerators.amount * registry.factor as numerator,
        denominators.amount as denominator
    from {{ ref('kpi_registry') }} as registry
    inner join {{ ref('mix_parts') }} as numerators on registry.numerator = numerators.measure
    inner join {{ ref('mix_parts') }} as denominators
        on
            registry.denominator = denominators.measure
            and numerators.room_id = denominators.room_id and numerators.month = denominators.month
            and numerators.dimension = denominators.dimension and numerators.part = denominators.part
    where registry.maturity_days = 0
),

months as (
    select distinct
        room_id,
        month,
        strftime(cast(month || '-01' as date) - interval 1 month, '%Y-%m') as month_before
    from values_by_part
),

parts as (
    select
        months.room_id,
        months.month,
        months.month_before,
        found.kpi_id,
        found.dimension,
        found.part,
        any_value(found.min_base) as min_base,
        any_value(found.is_share) as is_share,
        coalesce(sum(found.numerator) filter (where found.month = months.month_before), 0) as numerator0,
        coalesce(sum(found.numerator) filter (where found.month = months.month), 0) as numerator1,
        coalesce(sum(found.denominator) filter (where found.month = months.month_before), 0) as denominator0,
        coalesce(sum(found.denominator) filter (where found.month = months.month), 0) as denominator1
    from months
    inner join values_by_part as found
        on months.room_id = found.room_id and found.month in (months.month, months.month_before)
    where exists (
        select 1 from months as earlier where months.room_id = earlier.room_id and months.month_before = earlier.month
    )
    group by months.room_id, months.month, months.month_before, found.kpi_id, found.dimension, found.part
),

weighted as (
    select
        *,
        denominator0::double / nullif(sum(denominator0) over wholes, 0)::double as share0,
        denominator1::double / nullif(sum(denominator1) over wholes, 0)::double as share1,
        coalesce(numerator0::double / nullif(denominator0, 0)::double, numerator1::double / nullif(denominator1, 0)::double) as rate0,
        coalesce(numerator1::double / nullif(denominator1, 0)::double, numerator0::double / nullif(denominator0, 0)::double) as rate1
    from parts
    window wholes as (partition by room_id, month, kpi_id, dimension)
),

summed as (
    select
        room_id,
        month,
        month_before,
        kpi_id,
        dimension,
        any_value(is_share) as is_share,
        any_value(min_base) as min_base,
        count(*) filter (where denominator0 >= 30 and denominator1 >= 30) as parts,
        count(*) filter (where denominator0 >= 30 and denominator1 >= 30 and rate1 > rate0) as parts_up,
        count(*) filter (where denominator0 >= 30 and denominator1 >= 30 and rate1 < rate0) as parts_down,
        sum(denominator0) as denominator_before,
        sum(denominator1) as denominator,
        {{ exact_ratio('sum(numerator0)', 'sum(denominator0)', 6) }} as value_before,
        {{ exact_ratio('sum(numerator1)', 'sum(denominator1)', 6) }} as value,
        cast(round(sum({{ stated('coalesce((share1 - share0) * (rate0 + rate1) / 2, 0)', 9) }}), 6) as decimal(24, 6)) as mix_effect,
        sqrt(sum({{ stated(
            'coalesce(pow((share0 + share1) / 2, 2) * (greatest(rate0 * (1 - rate0), 0) / nullif(denominator0, 0)::double'
            ~ ' + greatest(rate1 * (1 - rate1), 0) / nullif(denominator1, 0)::double), 0)', 12) }})::double) as rate_error
    from weighted
    group by room_id, month, month_before, kpi_id, dimension
),

judged as (
    select
        *,
        least(denominator_before, denominator) >= greatest(coalesce(min_base, 0), 30) as is_judged,
        value - value_before - mix_effect as rate_effect
    from summed
)

select
    room_id,
    month,
    month_before,
    kpi_id,
    dimension,
    cast(denominator_before as decimal(38, 6)) as denominator_before,
    cast(denominator as decimal(38, 6)) as denominator,
    case when is_judged then value_before end as value_before,
    case when is_judged then value end as value,
    case when is_judged then cast(value - value_before as decimal(24, 6)) end as change,
    case when is_judged then mix_effect end as mix_effect,
    case when is_judged then cast(rate_effect as decimal(24, 6)) end as rate_effect,
    case when is_judged and is_share then {{ stated('rate_error') }} end as rate_error,
    parts,
    parts_up,
    parts_down,
    -- Against every part, and by more than counting alone would give.
    coalesce(is_judged and parts >= 2 and (
        (value < value_before and parts_up = parts) or (value > value_before and parts_down = parts)
    ) and (not is_share or abs(rate_effect) > 1.959963984540054 * rate_error), false) as moves_against_every_part,
    case when not is_judged then 'fewer than 30 (or the KPI''s min_base) in the denominator of one of the months' end as reason
from judged
