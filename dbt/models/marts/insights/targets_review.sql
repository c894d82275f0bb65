-- One row per KPI × role (room: the rooms themselves): whether its targets still tell anybody apart, over all months loaded.
-- Lines are scored as scorecards score them, without shortening a total's target to the days somebody was there; no person is in it.
with subjects as (
    select
        kpi_month.kpi_id,
        kpi_month.month,
        kpi_month.subject_id,
        coalesce(kpi_month.role, 'room') as role,
        kpi_month.value,
        case registry.direction when 'up' then 1 else -1 end as direction_sign,
        unnest(
            case kpi_month.subject_type
                when 'room' then [{'scope_type': 'room', 'scope_id': kpi_month.subject_id, 'distance': 1}]
                else [
                    {'scope_type': 'staff', 'scope_id': kpi_month.subject_id, 'distance': 1},
                    {'scope_type': 'room_role', 'scope_id': staff.room_id || ':' || kpi_month.role, 'distance': 2},
                    {'scope_type': 'role', 'scope_id': kpi_month.role, 'distance': 3}
                ]
            end,
            recursive := true
        )
    from {{ ref('kpi_month') }} as kpi_month
    inner join {{ ref('kpi_registry') }} as registry on kpi_month.kpi_id = registry.kpi_id
    left join {{ ref('dim_staff') }} as staff on kpi_month.subject_type = 'staff' and kpi_month.subject_id = staff.staff_id
    where
        kpi_month.value is not null
        and (kpi_month.subject_type = 'room' or (kpi_month.room_id is null and kpi_month.role = staff.role))
),

nearest as (
    select
        subjects.kpi_id,
        subjects.month,
        subjects.role,
        subjects.value,
        subjects.direction_sign,
        targets.floor,
        targets.target,
        targets.stretch
    from subjects
    inner join {{ ref('int_targets_current') }} as targets
        on
            subjects.month = targets.month and subjects.kpi_id = targets.kpi_id
            and subjects.scope_type = targets.scope_type and subjects.scope_id = targets.scope_id
    qualify row_number() over (
        partition by subjects.kpi_id, subjects.month, subjects.role, subjects.subject_id order by subjects.distance
    ) = 1
),

scored as (
    select
        *,
        cast({{ line_score('value', 'floor', 'target', 'stretch', 'direction_sign') }} as decimal(18, 6)) as score,
        case when stretch is null then 100 else 120 end as cap
    from nearest
),

summed as (
    select
        kpi_id,
        role,
        count(*) as lines,
        count(distinct month) as months,
        count(*) filter (where score >= cap) as capped,
        count(*) filter (where score = 0) as at_zero,
        count(distinct value) as distinct_values,
        max(score) as highest_score,
        min(score) as lowest_score,
        median(score) as median_score,
        quantile_disc(score, 0.1) as score_p10,
        quantile_disc(score, 0.9) as score_p90
    from scored
    group by kpi_id, role
)

select
    kpi_id,
    role,
    lines,
    months,
    capped,
    at_zero,
    {{ exact_ratio('capped', 'lines', 6) }} as capped_share,
    {{ exact_ratio('at_zero', 'lines', 6) }} as zero_share,
    case
        when lines < 6 then null
        when capped = lines then 'always_capped'
        when at_zero = lines then 'always_zero'
        when distinct_values = 1 or highest_score = lowest_score then 'no_variance'
        when capped * 10 >= lines * 8 then 'mostly_capped'
        when at_zero * 10 >= lines * 8 then 'mostly_zero'
        else 'tells_apart'
    end as verdict,
    case when lines >= 6 then {{ stated('median_score') }} end as median_score,
    case when lines >= 6 then cast(score_p10 as decimal(24, 6)) end as score_p10,
    case when lines >= 6 then cast(score_p90 as decimal(24, 6)) end as score_p90,
    case when lines < 6 then 'fewer than 6 lines with a target' end as reason
from summed
