-- One row per subject × role × room × month × KPI: every KPI of the registry. A person has a row per room and always one with
-- room_id null over all rooms; a room's rows have role null. Sums of numerators over sums of denominators, divided once, here.
with windows as (
    select
        months.month,
        kpis.maturity_days,
        cast(months.first_day - kpis.maturity_days as date) as from_date,
        cast(months.last_day - kpis.maturity_days as date) as to_date
    from {{ ref('int_months_loaded') }} as months
    cross join (select distinct maturity_days from {{ ref('kpi_registry') }}) as kpis
),

by_room as (
    select
        days.subject_type,
        days.subject_id,
        days.role,
        days.room_id,
        windows.month,
        windows.maturity_days,
        days.measure,
        case when catalogue.additive = 'max' then max(days.amount) else sum(days.amount) end as amount,
        case when catalogue.additive = 'max' then max(days.amount_whole) else sum(days.amount_whole) end as amount_whole
    from {{ ref('kpi_measure_day') }} as days
    inner join windows on days.business_date between windows.from_date and windows.to_date
    inner join {{ ref('int_measures_catalogued') }} as catalogue on days.measure = catalogue.measure
    group by
        days.subject_type, days.subject_id, days.role, days.room_id,
        windows.month, windows.maturity_days, days.measure, catalogue.additive
),

totals as (
    select * from by_room
    union all
    select
        by_room.subject_type,
        by_room.subject_id,
        by_room.role,
        null as room_id,
        by_room.month,
        by_room.maturity_days,
        by_room.measure,
        case when catalogue.additive = 'max' then max(by_room.amount) else sum(by_room.amount) end as amount,
        case when catalogue.additive = 'max' then max(by_room.amount_whole) else sum(by_room.amount_whole) end as amount_whole
    from by_room
    inner join {{ ref('int_measures_catalogued') }} as catalogue on by_room.measure = catalogue.measure
    where by_room.subject_type = 'staff'
    group by
        by_room.subject_type, by_room.subject_id, by_room.role,
        by_room.month, by_room.maturity_days, by_room.measure, catalogue.additive
    union all
    select
        'room' as subject_type,
        targets.scope_id as subject_id,
        null as role,
        targets.scope_id as room_id,
        windows.month,
        windows.maturity_days,
        'gmv_target' as measure,
        cast(targets.target as decimal(38, 6)) as amount,
        cast(targets.target as decimal(38, 6)) as amount_whole
    from {{ ref('int_targets_current') }} as targets
    inner join windows on targets.month = windows.month
    where targets.scope_type = 'room' and targets.kpi_id = 'gmv'
),

subjects as (
    select
        'room' as subject_type,
        rooms.room_id as subject_id,
        null as role,
        rooms.room_id,
        months.month
    from {{ ref('dim_room') }} as rooms
    cross join {{ ref('int_months_loaded') }} as months
    union
    select
        'staff' as subject_type,
        staff.staff_id as subject_id,
        staff.role,
        null as room_id,
        months.month
    from {{ ref('dim_staff') }} as staff
    cross join {{ ref('int_months_loaded') }} as months
    union
    select
        days.subject_type,
        days.subject_id,
        days.role,
        rooms.room_id,
        months.month
    from {{ ref('kpi_measure_day') }} as days
    inner join {{ ref('int_months_loaded') }} as months
        on
            days.business_date <= months.last_day
            and days.business_date >= months.first_day - (select max(maturity_days) from {{ ref('kpi_registry') }})
    cross join lateral (select unnest([days.room_id, null]) as room_id) as rooms
    where days.subject_type = 'staff'
),

kpis as (
    select
        registry.*,
        coalesce(numerators.additive = 'month', false) or coalesce(denominators.additive = 'month', false) as is_rooms_only,
        not list_has_all(
            (select list(export) from {{ ref('int_exports_delivered') }}),
            list_concat(numerators.exports, coalesce(denominators.exports, []))
        ) as lacks_export
    from {{ ref('kpi_registry') }} as registry
    inner join {{ ref('int_measures_catalogued') }} as numerators on registry.numerator = numerators.measure
    left join {{ ref('int_measures_catalogued') }} as denominators on registry.denominator = denominators.measure
),

measured as (
    select
        subjects.subject_type,
        subjects.subject_id,
        subjects.role,
        subjects.room_id,
        subjects.month,
        kpis.kpi_id,
        windows.from_date,
        windows.to_date,
        kpis.factor,
        kpis.denominator is null as is_total,
        coalesce(case when kpis.denominator is null then numerators.amount else numerators.amount_whole end, 0) as numerator,
        case when kpis.denominator is not null then coalesce(denominators.amount_whole, 0) end as denominator,
        case
            when kpis.is_rooms_only and subjects.subject_type = 'staff' then 'not_applicable'
            when kpis.lacks_export then 'no_data'
            when kpis.denominator is null and duty.amount is null and coalesce(numerators.amount, 0) = 0 then 'no_base'
            when kpis.denominator is not null and coalesce(denominators.amount_whole, 0) = 0 then 'no_base'
            when kpis.denominator is not null and denominators.amount_whole < kpis.min_base then 'small_sample'
        end as reason
    from subjects
    cross join kpis
    inner join windows on subjects.month = windows.month and kpis.maturity_days = windows.maturity_days
    {%- for side, measure in [
        ('numerators', 'kpis.numerator'), ('denominators', 'kpis.denominator'), ('duty', "'live_seconds'"),
    ] %}
    left join totals as {{ side }}
        on
            subjects.subject_type = {{ side }}.subject_type
            and subjects.subject_id = {{ side }}.subject_id
            and subjects.role is not distinct from {{ side }}.role
            and subjects.room_id is not distinct from {{ side }}.room_id
            and subjects.month = {{ side }}.month
            and kpis.maturity_days = {{ side }}.maturity_days
            and {{ measure }} = {{ side }}.measure
    {%- endfor %}
)

select
    subject_type,
    subject_id,
    role,
    room_id,
    month,
    kpi_id,
    from_date,
    to_date,
    cast(case when reason in ('not_applicable', 'no_data') then null else numerator end as decimal(38, 6)) as numerator,
    cast(case when reason in ('not_applicable', 'no_data') then null else denominator end as decimal(38, 6)) as denominator,
    case
        when reason is not null then null
        when is_total then cast(round(numerator * factor, 6) as decimal(24, 6))
        else {{ exact_ratio('cast(numerator * factor as decimal(38, 6))', 'denominator', 6) }}
    end as value,
    reason
from measured
