-- One row per viewer_key: who to bring back, and who to advertise to. Buyers are scored 1 (least) to 5 on days since the last purchase,
-- on frequency and on money, by their rank (equal figures, equal score); not-yet-buyers by what they did in their last 30 days.
-- Under 30 buyers there are no scores.
with buyers as (
    select
        *,
        datediff('day', last_paid_date, data_through) as days_since_purchase,
        count(*) over () as buyers,
        cast(1 + 5 * (rank() over (order by last_paid_date) - 1) // count(*) over () as integer) as recency_score,
        cast(1 + 5 * (rank() over (order by frequency) - 1) // count(*) over () as integer) as frequency_score,
        cast(1 + 5 * (rank() over (order by monetary) - 1) // count(*) over () as integer) as monetary_score
    from {{ ref('buyer_rfm') }}
),

data_through as (
    select max(business_date) as date from {{ ref('fct_session') }}
),

-- Thirty days up to the end of the data.
lately as (
    select
        people.viewer_key,
        count(*) as sessions,
        sum(people.clicks) as clicks,
        sum(people.carts) as carts,
        sum(people.watch_seconds) as watch_seconds
    from {{ ref('fct_person') }} as people
    cross join data_through
    where people.business_date > data_through.date - 30 and people.is_new is not null
    group by people.viewer_key
)

select
    viewers.viewer_key,
    case
        when buyers.viewer_key is not null and buyers.buyers < 30 then 'buyer_unscored'
        when buyers.viewer_key is not null then
            case
                when buyers.recency_score >= 4 and buyers.frequency >= 1 and buyers.monetary_score >= 4 then 'champion'
                when buyers.recency_score >= 3 and buyers.frequency >= 1 then 'loyal'
                when buyers.recency_score >= 4 then 'recent_buyer'
                when buyers.recency_score <= 2 and (buyers.frequency >= 1 or buyers.monetary_score >= 4) then 'bring_back'
                when buyers.recency_score <= 2 then 'lost'
                else 'cooling'
            end
        when lately.carts > 0 then 'potential_high'
        when lately.clicks > 0 then 'potential'
        when lately.viewer_key is not null then 'watching'
        else 'away'
    end as segment,
    buyers.viewer_key is not null as has_bought,
    case when buyers.buyers >= 30 then buyers.recency_score end as recency_score,
    case when buyers.buyers >= 30 then buyers.frequency_score end as frequency_score,
    case when buyers.buyers >= 30 then buyers.monetary_score end as monetary_score,
    cast(buyers.days_since_purchase as bigint) as days_since_purchase,
    buyers.frequency,
    buyers.monetary,
    cast(coalesce(lately.sessions, 0) as bigint) as sessions_30d,
    cast(coalesce(lately.clicks, 0) as bigint) as clicks_30d,
    cast(coalesce(lately.carts, 0) as bigint) as carts_30d,
    cast(coalesce(lately.watch_seconds, 0) as decimal(38, 3)) as watch_seconds_30d,
    viewers.last_seen_date,
    case when buyers.buyers < 30 then 'fewer than 30 buyers' end as reason
from {{ ref('dim_viewer') }} as viewers
left join buyers on viewers.viewer_key = buyers.viewer_key
left join lately on viewers.viewer_key = lately.viewer_key
