-- One row per room × month with a month before it: why average watch time moved. change = technical + traffic + content, exactly.
-- With s = traffic source × new/returning, t = playback tier, p = share of s, q = share of t within s, w = mean watch time:
-- traffic = sum dp(s) mean(m(s)); technical = sum mean(p(s)) sum dq(t|s) mean(w); content = sum mean(p(s)) sum mean(q) dw.
-- Where a cell is empty in one month it takes the other month's mean, so it moves shares and not content.
with months as (
    select distinct
        room_id,
        month,
        strftime(cast(month || '-01' as date) - interval 1 month, '%Y-%m') as month_before
    from {{ ref('watch_time_cells') }}
),

pairs as (
    select months.*
    from months
    inner join months as earlier on months.room_id = earlier.room_id and months.month_before = earlier.month
),

-- Both months of a pair side by side, for every cell that either has.
cells as (
    select
        pairs.room_id,
        pairs.month,
        cells.traffic_source,
        cells.is_new,
        cells.playback_tier,
        coalesce(sum(cells.viewers) filter (where cells.month = pairs.month_before), 0)::double as n0,
        coalesce(sum(cells.viewers) filter (where cells.month = pairs.month), 0)::double as n1,
        coalesce(sum(cells.watch_seconds) filter (where cells.month = pairs.month_before), 0)::double as seconds0,
        coalesce(sum(cells.watch_seconds) filter (where cells.month = pairs.month), 0)::double as seconds1
    from pairs
    inner join {{ ref('watch_time_cells') }} as cells
        on pairs.room_id = cells.room_id and cells.month in (pairs.month, pairs.month_before)
    group by all
),

shares as (
    select
        *,
        sum(n0) over streams as stream0,
        sum(n1) over streams as stream1,
        sum(n0) over (partition by room_id, month) as all0,
        sum(n1) over (partition by room_id, month) as all1,
        coalesce(seconds0 / nullif(n0, 0), seconds1 / nullif(n1, 0)) as w0,
        coalesce(seconds1 / nullif(n1, 0), seconds0 / nullif(n0, 0)) as w1
    from cells
    window streams as (partition by room_id, month, traffic_source, is_new)
),

-- A stream that one month lacks takes the other month's make-up.
weights as (
    select
        *,
        stream0 / all0 as p0,
        stream1 / all1 as p1,
        case when stream0 > 0 then n0 / stream0 else n1 / stream1 end as q0,
        case when stream1 > 0 then n1 / stream1 else n0 / stream0 end as q1
    from shares
),

effects as (
    select
        room_id,
        month,
        {{ stated('(p1 - p0) * (q0 * w0 + q1 * w1) / 2', 9) }} as traffic,
        {{ stated('(p0 + p1) / 2 * (q1 - q0) * (w0 + w1) / 2', 9) }} as technical,
        {{ stated('(p0 + p1) / 2 * (q0 + q1) / 2 * (w1 - w0)', 9) }} as content
    from weights
),

summed as (
    select
        room_id,
        month,
        cast(round(sum(traffic), 6) as decimal(24, 6)) as traffic_effect,
        cast(round(sum(technical), 6) as decimal(24, 6)) as technical_effect,
        cast(round(sum(content), 6) as decimal(24, 6)) as content_effect
    from effects
    group by room_id, month
),

session_means as (
    select
        room_id,
        month,
        session_id,
        viewers,
        watch_seconds
    from {{ ref('fct_session') }}
    where viewers > 0
),

averages as (
    select
        room_id,
        month,
        count(*) as sessions,
        sum(viewers) as viewers,
        sum(watch_seconds) as watch_seconds,
        {{ exact_ratio('sum(watch_seconds)', 'sum(viewers)', 6) }} as average
    from session_means
    group by room_id, month
),

-- What one viewer of a cell adds to a part when the shares move: the linearised parts, for their standard errors.
scores as (
    select
        *,
        sum({{ stated('(q0 * w0 + q1 * w1) / 2', 9) }}) over streams as traffic_score,
        (w0 + w1) / 2 as technical_score,
        sum({{ stated('q0 * (w0 + w1) / 2', 9) }}) over streams as technical_mean0,
        sum({{ stated('q1 * (w0 + w1) / 2', 9) }}) over streams as technical_mean1
    from weights
    window streams as (partition by room_id, month, traffic_source, is_new)
),

centred as (
    select
        *,
        sum({{ stated('p0 * q0 * traffic_score', 9) }}) over months as traffic_mean0,
        sum({{ stated('p1 * q1 * traffic_score', 9) }}) over months as traffic_mean1
    from scores
    window months as (partition by room_id, month)
),

-- Sessions are what varies: viewers of one session share its evening.
session_parts as (
    select
        centred.room_id,
        centred.month,
        cells.month = centred.month as is_now,
        cells.session_id,
        sum({{ stated(
            'cells.viewers * (centred.traffic_score - case when cells.month = centred.month then centred.traffic_mean1 '
            ~ 'else centred.traffic_mean0 end)', 9) }}) as traffic,
        sum({{ stated(
            'cells.viewers * (centred.technical_score - case when cells.month = centred.month then centred.technical_mean1 '
            ~ 'else centred.technical_mean0 end)', 9) }}) as technical,
        sum({{ stated(
            'cells.watch_seconds::double - cells.viewers * case when cells.month = centred.month then centred.w1 '
            ~ 'else centred.w0 end', 9) }}) as content
    from centred
    inner join pairs on centred.room_id = pairs.room_id and centred.month = pairs.month
    inner join {{ ref('watch_time_cells') }} as cells
        on
            centred.room_id = cells.room_id
            and cells.month in (pairs.month, pairs.month_before)
            and centred.traffic_source = cells.traffic_source
            and centred.is_new = cells.is_new
            and centred.playback_tier = cells.playback_tier
    group by centred.room_id, centred.month, cells.month = centred.month, cells.session_id
),

variances as (
    select
        session_parts.room_id,
        session_parts.month,
        session_parts.is_now,
        {%- for part in ['traffic', 'technical', 'content'] %}
        sum({{ stated('pow(session_parts.' ~ part ~ '::double / totals.viewers, 2)', 9) }})::double
        * totals.sessions / nullif(totals.sessions - 1, 0) as {{ part }}{{ ',' if not loop.last }}
        {%- endfor %}
    from session_parts
    inner join pairs on session_parts.room_id = pairs.room_id and session_parts.month = pairs.month
    inner join averages as totals
        on
            session_parts.room_id = totals.room_id
            and totals.month = case when session_parts.is_now then pairs.month else pairs.month_before end
    group by session_parts.room_id, session_parts.month, session_parts.is_now, totals.viewers, totals.sessions
),

part_errors as (
    select
        room_id,
        month,
        {%- for part in ['traffic', 'technical', 'content'] %}
        sqrt(
            coalesce(max({{ part }}) filter (where is_now), 0) + coalesce(max({{ part }}) filter (where not is_now), 0)
        ) as {{ part }}_error{{ ',' if not loop.last }}
        {%- endfor %}
    from variances
    group by room_id, month
),

errors as (
    select
        averages.room_id,
        averages.month,
        sum(cast(round(
            pow((session_means.watch_seconds - session_means.viewers * averages.average)::double / averages.viewers, 2), 9
        ) as decimal(38, 9))) * averages.sessions / nullif(averages.sessions - 1, 0) as variance
    from averages
    inner join session_means on averages.room_id = session_means.room_id and averages.month = session_means.month
    group by averages.room_id, averages.month, averages.sessions
),

tiers as (
    select
        room_id,
        month,
        {{ exact_ratio("coalesce(sum(viewers) filter (where playback_tier in ('stalled', 'slow_start')), 0)",
                       "sum(viewers) filter (where playback_tier <> 'none')", 6) }} as troubled_share
    from {{ ref('watch_time_cells') }}
    group by room_id, month
),

-- Products whose explanations lose viewers now and did not the month before: content seen at work, most viewers lost first.
losing as (
    select
        pairs.room_id,
        pairs.month,
        arg_max(
            now.product_id, (now.others_hold_rate * now.online_at_start - now.still_online, now.product_id)
        ) as losing_product_id
    from pairs
    inner join {{ ref('explanation_hold') }} as now on pairs.room_id = now.room_id and pairs.month = now.month
    left join {{ ref('explanation_hold') }} as before
        on pairs.room_id = before.room_id and pairs.month_before = before.month and now.product_id = before.product_id
    where now.loses_viewers and not coalesce(before.loses_viewers, false)
    group by pairs.room_id, pairs.month
),

stated as (
    select
        pairs.room_id,
        pairs.month,
        pairs.month_before,
        before.viewers as viewers_before,
        now.viewers,
        before.sessions as sessions_before,
        now.sessions,
        before.average as average_before,
        now.average,
        now.average - before.average as change,
        summed.technical_effect,
        summed.traffic_effect,
        -- The last half of a millionth that rounding leaves goes to the largest part of the sum.
        now.average - before.average - summed.technical_effect - summed.traffic_effect as content_effect,
        {{ stated('sqrt(errors_before.variance::double + errors_now.variance::double)') }} as standard_error,
        part_errors.traffic_error,
        part_errors.technical_error,
        part_errors.content_error,
        tiers_before.troubled_share as troubled_share_before,
        tiers_now.troubled_share,
        losing.losing_product_id,
        before.viewers < 200 or now.viewers < 200 or before.sessions < 4 or now.sessions < 4 as is_small
    from pairs
    inner join summed on pairs.room_id = summed.room_id and pairs.month = summed.month
    inner join part_errors on pairs.room_id = part_errors.room_id and pairs.month = part_errors.month
    left join losing on pairs.room_id = losing.room_id and pairs.month = losing.month
    {%- for side, month in [('before', 'month_before'), ('now', 'month')] %}
    inner join averages as {{ side }} on pairs.room_id = {{ side }}.room_id and pairs.{{ month }} = {{ side }}.month
    inner join errors as errors_{{ side }} on pairs.room_id = errors_{{ side }}.room_id and pairs.{{ month }} = errors_{{ side }}.month
    inner join tiers as tiers_{{ side }} on pairs.room_id = tiers_{{ side }}.room_id and pairs.{{ month }} = tiers_{{ side }}.month
    {%- endfor %}
),

-- A part counts where it is beyond 2.58 of its own standard errors and 2 % of the average; a loss of content beyond 1.28 of them
-- where explanations were seen to lose viewers, since that is evidence from elsewhere.
counted as (
    select
        *,
        {%- for part in ['traffic', 'technical', 'content'] %}
        case
            when abs({{ part }}_effect) > 2.58 * {{ part }}_error and abs({{ part }}_effect) * 50 >= average_before
                then abs({{ part }}_effect)
            {%- if part == 'content' %}
            when losing_product_id is not null and -content_effect > 1.28 * content_error and -content_effect * 50 >= average_before
                then -content_effect
            {%- endif %}
            else 0
        end as {{ part }}_size{{ ',' if not loop.last }}
        {%- endfor %}
    from stated
)

select
    room_id,
    month,
    month_before,
    cast(viewers_before as bigint) as viewers_before,
    cast(viewers as bigint) as viewers,
    cast(sessions_before as bigint) as sessions_before,
    cast(sessions as bigint) as sessions,
    case when not is_small then average_before end as average_before,
    case when not is_small then average end as average,
    case when not is_small then cast(change as decimal(24, 6)) end as change,
    case when not is_small then technical_effect end as technical_effect,
    case when not is_small then traffic_effect end as traffic_effect,
    case when not is_small then cast(content_effect as decimal(24, 6)) end as content_effect,
    case when not is_small then standard_error end as standard_error,
    troubled_share_before,
    troubled_share,
    {%- for part in ['technical', 'traffic', 'content'] %}
    case when not is_small then {{ stated(part ~ '_error') }} end as {{ part }}_error,
    {%- endfor %}
    losing_product_id,
    case
        when is_small then null
        {%- for part in ['technical', 'traffic', 'content'] %}
        when {{ part }}_size * 5 >= 3 * (technical_size + traffic_size + content_size) and {{ part }}_size > 0 then '{{ part }}'
        {%- endfor %}
        else 'undetermined'
    end as verdict,
    case
        when is_small then 'fewer than 200 viewers or 4 sessions in one of the months'
        when technical_size + traffic_size + content_size = 0 then 'no part goes beyond 2.58 standard errors and 2 % of the average'
        when greatest(technical_size, traffic_size, content_size) * 5 < 3 * (technical_size + traffic_size + content_size)
            then 'several parts moved, and none makes up 60 % of the movement'
        when content_size = greatest(technical_size, traffic_size, content_size) and losing_product_id is not null and content_effect < 0
            then 'content makes up at least 60 % of what moved, and explanations lost viewers that did not the month before'
        else 'this part makes up at least 60 % of what moved beyond 2.58 standard errors'
    end as reason
from counted
