-- One row per line of a total: its points at 0.01, so cut that they add up to the total.
-- A line's exact share is share × duty share of the room × line_score × effective_weight; all lines of a subject have it over the
-- same denominator, so whole parts and remainders compare exactly. Largest remainder first; a negative rest is taken from the
-- smallest remainders, in the reverse order.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
with shares as (
    select
        lines.subject_type,
        lines.subject_id,
        lines.month,
        lines.part,
        lines.room_id,
        lines.kpi_id,
        totals.total_score,
        totals.personal_micros
        * {{ to_micros('lines.line_score') }}
        * {{ to_micros('lines.effective_weight') }}
        * totals.all_ms as share_units,
        totals.all_ms
    from {{ ref('lines_scored') }} as lines
    inner join (
        select
            people.staff_id,
            people.month,
            people.total_score,
            {{ to_micros('people.personal_share') }} as personal_micros,
            any_value(rooms.all_ms) as all_ms
        from {{ ref('people_totalled') }} as people
        inner join {{ ref('people_rooms_shared') }} as rooms
            on people.staff_id = rooms.staff_id and people.month = rooms.month
        where people.total_score is not null
        group by people.staff_id, people.month, people.total_score, people.personal_share
    ) as totals
        on lines.subject_id = totals.staff_id and lines.month = totals.month
    where lines.subject_type = 'staff' and lines.line_score is not null
    union all
    select
        'staff' as subject_type,
        people.staff_id as subject_id,
        people.month,
        lines.part,
        lines.room_id,
        lines.kpi_id,
        people.total_score,
        (1000000 - {{ to_micros('people.personal_share') }})
        * {{ to_micros('lines.line_score') }}
        * {{ to_micros('lines.effective_weight') }}
        * rooms.share_ms as share_units,
        rooms.all_ms
    from {{ ref('people_totalled') }} as people
    inner join {{ ref('people_rooms_shared') }} as rooms
        on people.staff_id = rooms.staff_id and people.month = rooms.month
    inner join {{ ref('lines_scored') }} as lines
        on lines.subject_type = 'room' and rooms.room_id = lines.subject_id and rooms.month = lines.month
    where people.total_score is not null and lines.line_score is not null
    union all
    select
        lines.subject_type,
        lines.subject_id,
        lines.month,
        lines.part,
        lines.room_id,
        lines.kpi_id,
        rooms.team_score as total_score,
        1000000 * {{ to_micros('lines.line_score') }} * {{ to_micros('lines.effective_weight') }} as share_units,
        cast(1 as hugeint) as all_ms
    from {{ ref('lines_scored') }} as lines
    inner join {{ ref('rooms_totalled') }} as rooms on lines.subject_id = rooms.room_id and lines.month = rooms.month
    where lines.subject_type = 'room' and lines.line_score is not null and rooms.team_score is not null
),

-- share × line score × weight, each in millionths: 10^18 units are a point, 10^16 a hundredth.
cut as (
    select
        *,
        share_units // (all_ms * 10000000000000000) as cents,
        share_units % (all_ms * 10000000000000000) as remainder
    from shares
),

ranked as (
    select
        *,
        row_number() over (
            partition by subject_type, subject_id, month
            order by remainder desc, part, room_id nulls first, kpi_id
        ) as remainder_rank,
        count(*) over (partition by subject_type, subject_id, month) as line_count,
        {{ to_cents('total_score') }} - sum(cents) over (partition by subject_type, subject_id, month) as rest
    from cut
)

select
    subject_type,
    subject_id,
    month,
    part,
    room_id,
    kpi_id,
    {{ from_cents('cents + sign(rest) * (abs(rest) // line_count + case
        when rest >= 0 and remainder_rank <= abs(rest) % line_count then 1
        when rest < 0 and line_count + 1 - remainder_rank <= abs(rest) % line_count then 1
        else 0
    end)') }} as points
from ranked
