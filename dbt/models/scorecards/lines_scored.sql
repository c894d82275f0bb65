-- One row per subject × month × weighted KPI: a person's own (personal) lines, a room's (team) lines, against their targets.
-- A person's team part is made of their rooms' lines, which stand here once.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with subjects as (
    select
        'staff' as subject_type,
        people.staff_id as subject_id,
        people.role,
        people.month,
        'personal' as part,
        people.role as weighted_role,
        people.room_id,
        people.eligible_days,
        policy.days,
        policy.first_day
    from {{ ref('people_eligible') }} as people
    inner join {{ ref('policy_by_month') }} as policy on people.month = policy.month
    where people.room_id is not null
    union all
    select
        'room' as subject_type,
        rooms.room_id as subject_id,
        null as role,
        rooms.month,
        'team' as part,
        'room' as weighted_role,
        rooms.room_id,
        null as eligible_days,
        policy.days,
        policy.first_day
    from (select distinct room_id, month from {{ ref('fct_session') }}) as rooms
    inner join {{ ref('policy_by_month') }} as policy on rooms.month = policy.month
),

valued as (
    select
        subjects.*,
        weights.kpi_id,
        weights.scope,
        weights.weight,
        registry.category,
        case registry.direction when 'up' then 1 else -1 end as direction_sign,
        weights.scope = 'own' and registry.denominator is null and registry.numerator <> 'peak_online' as is_prorated,
        kpi_month.value,
        kpi_month.numerator,
        kpi_month.denominator,
        case when kpi_month.value is null then coalesce(kpi_month.reason, 'no_base') end as value_reason
    from subjects
    inner join {{ ref('weights_averaged') }} as weights
        on
            subjects.room_id = weights.room_id
            and subjects.weighted_role = weights.role
            and subjects.month = weights.month
    inner join {{ ref('kpi_registry') }} as registry on weights.kpi_id = registry.kpi_id
    left join {{ ref('kpi_month') }} as kpi_month
        on
            subjects.month = kpi_month.month
            and weights.kpi_id = kpi_month.kpi_id
            and kpi_month.subject_type = case weights.scope when 'own' then 'staff' else 'room' end
            and kpi_month.subject_id = case weights.scope when 'own' then subjects.subject_id else subjects.room_id end
            and kpi_month.role is not distinct from case weights.scope when 'own' then subjects.role end
            and kpi_month.room_id is not distinct from case weights.scope when 'room' then subjects.room_id end
),

-- The nearest target goes first: the person's, then the role's in the room, then the role's; a room has its own only.
looked_up as (
    select
        subject_type,
        subject_id,
        month,
        kpi_id,
        scope,
        unnest(
            case subject_type
                when 'room' then [{'scope_type': 'room', 'scope_id': subject_id, 'distance': 1}]
                else [
                    {'scope_type': 'staff', 'scope_id': subject_id, 'distance': 1},
                    {'scope_type': 'room_role', 'scope_id': room_id || ':' || role, 'distance': 2},
                    {'scope_type': 'role', 'scope_id': role, 'distance': 3}
                ]
            end,
            recursive := true
        )
    from valued
),

nearest as (
    select
        looked_up.*,
        targets.floor,
        targets.target,
        targets.stretch,
        targets.landed_at
    from looked_up
    inner join {{ ref('int_targets_current') }} as targets
        on
            looked_up.month = targets.month
            and looked_up.kpi_id = targets.kpi_id
            and looked_up.scope_type = targets.scope_type
            and looked_up.scope_id = targets.scope_id
    qualify
        row_number() over (
            partition by
                looked_up.subject_type, looked_up.subject_id, looked_up.month, looked_up.kpi_id, looked_up.scope
            order by looked_up.distance
        ) = 1
),

targeted as (
    select
        valued.*,
        nearest.scope_type as target_scope,
        nearest.floor as month_floor,
        nearest.target as month_target,
        nearest.stretch as month_stretch,
        cast(nearest.landed_at as date) > valued.first_day as is_target_late
    from valued
    left join nearest
        on
            valued.subject_type = nearest.subject_type
            and valued.subject_id = nearest.subject_id
            and valued.month = nearest.month
            and valued.kpi_id = nearest.kpi_id
            and valued.scope = nearest.scope
),

-- A total's target is for the whole month: who was there for a part of it is asked for that part.
prorated as (
    select
        *,
        {%- for figure in ['floor', 'target', 'stretch'] %}
        cast(
            case
                when is_prorated
                    then {{ exact_ratio('month_' ~ figure ~ ' * eligible_days', 'days', 6) }}
                else month_{{ figure }}
            end as decimal(18, 6)
        ) as {{ figure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from targeted
),

scored as (
    select
        *,
        cast({{ line_score('value', 'floor', 'target', 'stretch', 'direction_sign') }} as decimal(18, 6)) as line_score,
        {{ to_micros('weight') }} as weight_micros
    from prorated
),

by_category as (
    select
        *,
        coalesce(
            sum(weight_micros) filter (where line_score is not null) over category_lines, 0
        ) as category_scored,
        coalesce(
            sum(weight_micros) filter (where line_score is null) over category_lines, 0
        ) as category_unscored
    from scored
    window category_lines as (partition by subject_type, subject_id, month, category)
),

by_subject as (
    select
        *,
        sum(weight_micros) over subject_lines as all_weight,
        coalesce(sum(weight_micros) filter (where line_score is not null) over subject_lines, 0) as all_scored,
        -- Weight of categories without any scored line: it goes to all scored lines.
        coalesce(
            sum(weight_micros) filter (where category_scored = 0) over subject_lines, 0
        ) as homeless
    from by_category
    window subject_lines as (partition by subject_type, subject_id, month)
)

select
    subject_type,
    subject_id,
    role,
    month,
    part,
    case scope when 'room' then room_id end as room_id,
    kpi_id,
    category,
    scope,
    value,
    numerator,
    denominator,
    floor,
    target,
    stretch,
    target_scope,
    coalesce(is_target_late, false) as is_target_late,
    line_score,
    weight,
    cast(
        case
            when line_score is null then 0
            -- weight × (1 + category_unscored / category_scored + homeless / all_scored), over one denominator
            when weight_micros = 0 then 0
            else {{ whole_ratio(
                'weight_micros * (category_scored * all_scored + category_unscored * all_scored + homeless * category_scored)',
                'category_scored * all_scored * 1000000',
                6,
            ) }}
        end as decimal(18, 6)
    ) as effective_weight,
    case when target is null then 'no_target' else value_reason end as reason,
    all_weight as subject_weight_micros,
    all_scored as subject_scored_micros
from by_subject
