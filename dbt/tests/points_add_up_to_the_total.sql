-- The points of a subject's lines add up to its total score exactly; returns those that do not.
select
    cards.subject_type,
    cards.subject_id,
    cards.month,
    cards.total_score,
    sum(lines.points) as points
from {{ ref('scorecards') }} as cards
left join {{ ref('scorecard_lines') }} as lines
    on cards.subject_type = lines.subject_type and cards.subject_id = lines.subject_id and cards.month = lines.month
where cards.total_score is not null
group by cards.subject_type, cards.subject_id, cards.month, cards.total_score
having sum(lines.points) is distinct from cards.total_score
