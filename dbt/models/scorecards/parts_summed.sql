-- One row per subject × month: the score of its own lines (a person's personal part, a room's team part), 0-120 at 0.01;
-- null where less than the policy's share of the weight could be scored.
{{ config(schema='scorecards_work', contract={'enforced': false}) }}
select
    lines.subject_type,
    lines.subject_id,
    lines.month,
    case
        when
            any_value(lines.subject_scored_micros) > 0
            and any_value(lines.subject_scored_micros) * 1000000
            >= any_value(lines.subject_weight_micros * {{ to_micros('policy.min_scored_weight') }})
            then cast(round(sum(lines.line_score * lines.effective_weight), 2) as decimal(18, 2))
    end as score
from {{ ref('lines_scored') }} as lines
inner join {{ ref('policy_by_month') }} as policy on lines.month = policy.month
group by lines.subject_type, lines.subject_id, lines.month
