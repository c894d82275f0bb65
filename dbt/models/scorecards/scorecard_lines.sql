-- One row per subject × month × part × room × KPI of the score. A person's team lines are their rooms' lines, once for each
-- scored room of their team part (weights and scores as in the room's own card; only points carry the duty share).
-- Points add up to the total; they are null on a scored line where the subject has no total.
{%- set of_the_line = [
    'month', 'part', 'room_id', 'kpi_id', 'category', 'scope', 'value', 'numerator', 'denominator', 'floor', 'target', 'stretch',
    'target_scope', 'is_target_late', 'line_score', 'weight', 'effective_weight', 'reason',
] %}
with lines as (
    select
        subject_type,
        subject_id,
        role,
        {% for column in of_the_line -%}
            {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref('lines_scored') }}
    union all
    select
        'staff' as subject_type,
        people.staff_id as subject_id,
        people.role,
        {% for column in of_the_line -%}
            lines.{{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref('people_totalled') }} as people
    inner join {{ ref('people_rooms_shared') }} as rooms
        on people.staff_id = rooms.staff_id and people.month = rooms.month
    inner join {{ ref('lines_scored') }} as lines
        on lines.subject_type = 'room' and rooms.room_id = lines.subject_id and rooms.month = lines.month
)

select
    lines.subject_type,
    lines.subject_id,
    lines.role,
    lines.month,
    lines.part,
    lines.room_id,
    lines.kpi_id,
    lines.category,
    lines.scope,
    lines.value,
    lines.numerator,
    lines.denominator,
    lines.floor,
    lines.target,
    lines.stretch,
    lines.target_scope,
    lines.is_target_late,
    lines.line_score,
    lines.weight,
    lines.effective_weight,
    case when lines.line_score is null then cast(0 as decimal(18, 2)) else points_cut.points end as points,
    lines.reason
from lines
left join {{ ref('points_cut') }} as points_cut
    on
        lines.subject_type = points_cut.subject_type
        and lines.subject_id = points_cut.subject_id
        and lines.month = points_cut.month
        and lines.part = points_cut.part
        and lines.room_id is not distinct from points_cut.room_id
        and lines.kpi_id = points_cut.kpi_id
