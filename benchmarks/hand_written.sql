-- The yardstick: what one engineer would write by hand to land the same files and compute the same core facts and the
-- product funnel, and nothing else: no verdicts per row, no quarantine, no night after the first, no checks, no people on
-- duty beside the host of a minute. Ids stay text. getvariable('exports') is the landing folder.

-- step: read
create table rooms as
select room_id, cast(effective_from as date) as effective_from, timezone, currency
from read_csv(getvariable('exports') || '/rooms/**/*.csv*', all_varchar = true, union_by_name = true);

create table sessions as
select
    session_id, room_id, mode,
    cast(started_at as timestamptz) at time zone 'UTC' as started_at,
    cast(ended_at as timestamptz) at time zone 'UTC' as ended_at,
    cast(updated_at as timestamptz) as updated_at
from read_csv(getvariable('exports') || '/sessions/**/*.csv*', all_varchar = true, union_by_name = true);

create table staff as
select staff_id, role, room_id, cast(hired_on as date) as hired_on, cast(left_on as date) as left_on,
    cast(updated_at as timestamptz) as updated_at
from read_csv(getvariable('exports') || '/staff/**/*.csv*', all_varchar = true, union_by_name = true);

create table leaves as
select staff_id, cast(from_date as date) as from_date, cast(to_date as date) as to_date,
    cast(updated_at as timestamptz) as updated_at
from read_csv(getvariable('exports') || '/leaves/**/*.csv*', all_varchar = true, union_by_name = true);

create table shifts as
select
    shift_id, session_id, staff_id, role,
    cast(on_at as timestamptz) at time zone 'UTC' as on_at,
    cast(off_at as timestamptz) at time zone 'UTC' as off_at,
    cast(updated_at as timestamptz) as updated_at
from read_csv(getvariable('exports') || '/shifts/**/*.csv*', all_varchar = true, union_by_name = true);

create table segments as
select
    segment_id, session_id, segment_type, product_id,
    cast(started_at as timestamptz) at time zone 'UTC' as started_at,
    cast(ended_at as timestamptz) at time zone 'UTC' as ended_at,
    cast(updated_at as timestamptz) as updated_at
from read_csv(getvariable('exports') || '/segments/**/*.csv*', all_varchar = true, union_by_name = true);

create table products as
select product_id, cast(launched_on as date) as launched_on, cast(updated_at as timestamptz) as updated_at
from read_json(
    getvariable('exports') || '/products/**/*.jsonl*', format = 'newline_delimited',
    columns = {product_id: 'varchar', launched_on: 'varchar', updated_at: 'varchar'}
);

create table fx_rates as
select cast(rate_date as date) as rate_date, currency, cast(rate as decimal(18, 10)) as rate
from read_csv(getvariable('exports') || '/fx_rates/**/*.csv*', all_varchar = true, union_by_name = true);

create table orders as
select
    order_line_id, order_id, session_id, room_id, viewer_id, product_id, currency,
    cast(quantity as bigint) as quantity,
    cast(paid_amount as decimal(18, 6)) as paid_amount,
    cast(created_at as timestamptz) at time zone 'UTC' as created_at,
    cast(paid_at as timestamptz) at time zone 'UTC' as paid_at,
    cast(updated_at as timestamptz) as updated_at
from read_csv(getvariable('exports') || '/orders/**/*.csv*', all_varchar = true, union_by_name = true);

create table refunds as
select
    refund_id, order_line_id, refund_type,
    cast(quantity as bigint) as quantity,
    cast(amount as decimal(18, 6)) as amount,
    cast(completed_at as timestamptz) at time zone 'UTC' as completed_at,
    cast(updated_at as timestamptz) as updated_at
from read_json(
    getvariable('exports') || '/refunds/**/*.jsonl*', format = 'newline_delimited',
    columns = {
        refund_id: 'varchar', order_line_id: 'varchar', refund_type: 'varchar', quantity: 'varchar', amount: 'varchar',
        completed_at: 'varchar', updated_at: 'varchar'
    }
);

create table reviews as
select review_id, order_line_id, cast(rating as integer) as rating,
    cast(reviewed_at as timestamptz) at time zone 'UTC' as reviewed_at
from read_json(
    getvariable('exports') || '/reviews/**/*.jsonl*', format = 'newline_delimited',
    columns = {review_id: 'varchar', order_line_id: 'varchar', rating: 'varchar', reviewed_at: 'varchar'}
);

create table complaints as
select complaint_id, order_id, cast(filed_at as timestamptz) at time zone 'UTC' as filed_at
from read_json(
    getvariable('exports') || '/complaints/**/*.jsonl*', format = 'newline_delimited',
    columns = {complaint_id: 'varchar', order_id: 'varchar', filed_at: 'varchar'}
);

create table service_messages as
from read_json(getvariable('exports') || '/service_messages/**/*.jsonl*', format = 'newline_delimited');

create table targets as
from read_csv(getvariable('exports') || '/targets/**/*.csv*', all_varchar = true, union_by_name = true);

create table award_nominations as
from read_csv(getvariable('exports') || '/award_nominations/**/*.csv*', all_varchar = true, union_by_name = true);

create table playback_qos as
select session_id, sample_id, viewer_id, play_ms, stall_ms, first_frame_ms, height, fps, latency_ms,
    cast(sampled_at as timestamptz) at time zone 'UTC' as sampled_at
from read_parquet(getvariable('exports') || '/playback_qos/**/*.parquet', union_by_name = true);

create table viewer_events as
select session_id, event_id, viewer_id, event_type, product_id, quantity, amount, text, region, device, traffic_source,
    cast(event_at as timestamptz) at time zone 'UTC' as event_at
from read_parquet(getvariable('exports') || '/viewer_events/**/*.parquet', union_by_name = true);

-- step: dedupe
create table room as
select * from rooms qualify row_number() over (partition by room_id order by effective_from desc) = 1;

create table session as
with latest as (
    select * from sessions qualify row_number() over (partition by session_id order by updated_at desc nulls last) = 1
)

select
    latest.* exclude (updated_at),
    room.timezone,
    cast(timezone(room.timezone, timezone('UTC', latest.started_at)) as date) as business_date,
    epoch_ms(latest.ended_at) - epoch_ms(latest.started_at) as live_ms
from latest
inner join room on latest.room_id = room.room_id;

create table event as
select * from viewer_events qualify row_number() over (partition by session_id, event_id order by event_at) = 1;

create table sample as
select * from playback_qos qualify row_number() over (partition by session_id, sample_id order by sampled_at) = 1;

create table line as
select * from orders qualify row_number() over (partition by order_line_id order by updated_at desc) = 1;

create table refund as
select * from refunds qualify row_number() over (partition by refund_id order by updated_at desc) = 1;

create table product as
select * from products qualify row_number() over (partition by product_id order by updated_at desc nulls last) = 1;

create table segment as
select * from segments qualify row_number() over (partition by segment_id order by updated_at desc nulls last) = 1;

-- step: sequence
create table sequenced as
select
    event.session_id, session.room_id, session.business_date, session.started_at, session.ended_at,
    event.viewer_id, event.event_id, event.event_type, event.event_at, event.product_id, event.amount, event.region,
    event.device, event.traffic_source,
    greatest(session.started_at, least(event.event_at, session.ended_at - interval 1 millisecond)) as placed_at,
    case when event.event_type = 'like' then coalesce(event.quantity, 1) else 0 end as likes,
    row_number() over so_far as seq,
    count(*) filter (where event.event_type = 'enter') over so_far as enters,
    count(*) filter (where event.event_type = 'leave') over so_far
    - cast(event.event_type = 'leave' as integer) as leaves_before
from event
inner join session on event.session_id = session.session_id
window so_far as (
    partition by event.session_id, event.viewer_id
    order by event.event_at, case event.event_type when 'leave' then 0 when 'enter' then 1 else 2 end, event.event_id
    rows unbounded preceding
);

create table visit as
select
    session_id, viewer_id,
    greatest(min(event_at), any_value(started_at)) as start_at,
    greatest(least(max(event_at), any_value(ended_at)), min(event_at), any_value(started_at)) as end_at
from sequenced
group by session_id, viewer_id, enters, leaves_before
having not bool_and(event_type = 'leave');

create table acted as
select
    sequenced.session_id, sequenced.viewer_id, any_value(sequenced.room_id) as room_id,
    count(*) filter (where event_type <> 'leave') as signs_of_life,
    greatest(count(*) filter (where event_type = 'enter'), 1) as views,
    min(event_at) filter (where event_type <> 'leave') as first_event_at,
    arg_min(placed_at, seq) filter (where event_type <> 'leave') as first_placed_at,
    arg_min(region, seq) filter (where event_type <> 'leave' and region is not null) as region,
    arg_min(device, seq) filter (where event_type <> 'leave' and device is not null) as device,
    arg_min(traffic_source, seq) filter (where event_type <> 'leave' and traffic_source is not null) as traffic_source,
    count(*) filter (where event_type = 'enter') as enters,
    count(*) filter (where event_type = 'chat') as chats,
    sum(likes) as likes,
    count(*) filter (where event_type = 'like') as like_events,
    count(*) filter (where event_type = 'follow') as follows,
    count(*) filter (where event_type = 'unfollow') as unfollows,
    count(*) filter (where event_type = 'share') as shares,
    count(*) filter (where event_type = 'gift') as gifts,
    coalesce(sum(amount) filter (where event_type = 'gift'), 0) as gift_amount,
    count(*) filter (where event_type = 'red_packet_claim') as red_packet_claims,
    count(*) filter (where event_type = 'vote') as votes,
    count(*) filter (where event_type = 'mic_join') as mic_joins,
    count(*) filter (where event_type = 'product_exposure') as exposures,
    count(*) filter (where event_type = 'product_click') as clicks,
    count(*) filter (where event_type = 'add_to_cart') as carts,
    count(*) filter (
        where event_type = 'product_click' and sequenced.business_date - product.launched_on between 0 and 30
    ) as new_product_clicks
from sequenced
left join product on sequenced.product_id = product.product_id
group by sequenced.session_id, sequenced.viewer_id;

create table first_session as
select session.room_id, acted.viewer_id, arg_min(acted.session_id, (session.started_at, acted.session_id)) as session_id
from acted
inner join session on acted.session_id = session.session_id
where acted.signs_of_life > 0
group by session.room_id, acted.viewer_id;

-- step: online
create table minute as
select
    session_id, room_id, business_date, live_ms, ended_at,
    cast(minutes.minute as integer) as minute,
    started_at + to_minutes(minutes.minute) as minute_at
from session
cross join unnest(range(cast(ceil(live_ms / 60000) as bigint))) as minutes (minute);

create table online as
with changes as (
    select session_id, start_at as changed_at, 1 as change from visit where start_at < end_at
    union all
    select session_id, end_at as changed_at, -1 as change from visit where start_at < end_at
    union all
    select session_id, minute_at as changed_at, 0 as change from minute
),

instants as (select session_id, changed_at, sum(change) as change from changes group by session_id, changed_at),

levels as (
    select
        session_id, changed_at,
        sum(change) over (partition by session_id order by changed_at rows unbounded preceding) as level,
        lead(changed_at) over (partition by session_id order by changed_at) as until_at
    from instants
)

select
    levels.session_id,
    cast((epoch_ms(levels.changed_at) - epoch_ms(session.started_at)) // 60000 as integer) as minute,
    max(levels.level) as peak_online,
    sum(levels.level * (epoch_ms(coalesce(levels.until_at, session.ended_at)) - epoch_ms(levels.changed_at))) as watch_ms
from levels
inner join session on levels.session_id = session.session_id
where levels.changed_at < session.ended_at
group by all;

-- step: orders
create table attributed as
with clicks as (
    select line.order_line_id, event.session_id, event.event_at, event.event_id
    from line
    inner join event
        on
            line.viewer_id = event.viewer_id and line.product_id = event.product_id
            and event.event_type = 'product_click'
            and event.event_at between line.created_at - interval 24 hour and line.created_at
    inner join session on event.session_id = session.session_id and line.room_id = session.room_id
    where line.session_id is null
),

last_clicks as (
    select order_line_id, arg_max(session_id, (event_at, event_id, session_id)) as session_id
    from clicks
    group by order_line_id
)

select
    line.* exclude (session_id, updated_at),
    coalesce(line.session_id, last_clicks.session_id) as session_id,
    case
        when line.session_id is not null then 'platform'
        when last_clicks.session_id is not null then 'last_click'
        else 'unattributed'
    end as attribution,
    room.timezone,
    coalesce(session.business_date, cast(timezone(room.timezone, timezone('UTC', line.created_at)) as date)) as business_date,
    line.paid_at is not null and line.paid_amount is not null as is_paid,
    case when line.created_at >= session.started_at and line.created_at < session.ended_at
        then cast((epoch_ms(line.created_at) - epoch_ms(session.started_at)) // 60000 as integer)
    end as minute
from line
inner join room on line.room_id = room.room_id
left join last_clicks on line.order_line_id = last_clicks.order_line_id
left join session on coalesce(line.session_id, last_clicks.session_id) = session.session_id;

create table valued as
with rated as (
    select
        attributed.*,
        case
            when attributed.currency = 'CNY' then 1
            when fx_rates.rate_date >= cast(timezone(attributed.timezone, timezone('UTC', attributed.paid_at)) as date) - 7
                then fx_rates.rate
        end as rate
    from attributed
    asof left join fx_rates
        on
            attributed.currency = fx_rates.currency
            and cast(timezone(attributed.timezone, timezone('UTC', attributed.paid_at)) as date) >= fx_rates.rate_date
),

returned as (
    select
        rated.order_line_id,
        sum(refund.amount) as amount,
        coalesce(sum(refund.quantity) filter (where refund.refund_type = 'return'), 0) as units
    from rated
    inner join refund on rated.order_line_id = refund.order_line_id
    where rated.is_paid
        and cast(timezone(rated.timezone, timezone('UTC', refund.completed_at)) as date) <= rated.business_date + 15
    group by rated.order_line_id
),

reviewed as (
    select rated.order_line_id, count(*) as reviews_received, count_if(reviews.rating <= 2) as negative_reviews
    from rated
    inner join reviews on rated.order_line_id = reviews.order_line_id
    where rated.is_paid
        and cast(timezone(rated.timezone, timezone('UTC', reviews.reviewed_at)) as date) <= rated.business_date + 15
    group by rated.order_line_id
),

complained as (
    select distinct rated.order_line_id
    from rated
    inner join complaints on rated.order_id = complaints.order_id
    where rated.is_paid
        and cast(timezone(rated.timezone, timezone('UTC', complaints.filed_at)) as date) <= rated.business_date + 15
)

select
    rated.*,
    case when is_paid then quantity else 0 end as units_sold,
    case when is_paid then cast(round(paid_amount * rate, 2) as decimal(18, 2)) else 0 end as gmv,
    case
        when is_paid
            then cast(round(least(cast(coalesce(returned.amount, 0) as decimal(18, 6)), paid_amount) * rate, 2) as decimal(18, 2))
        else 0
    end as refunded_amount,
    least(coalesce(returned.units, 0), quantity) as units_returned,
    coalesce(reviewed.reviews_received, 0) as reviews_received,
    coalesce(reviewed.negative_reviews, 0) as negative_reviews,
    complained.order_line_id is not null as is_complained,
    coalesce(rated.business_date - product.launched_on between 0 and 30, false) as is_new_product
from rated
left join returned on rated.order_line_id = returned.order_line_id
left join reviewed on rated.order_line_id = reviewed.order_line_id
left join complained on rated.order_line_id = complained.order_line_id
left join product on rated.product_id = product.product_id;

create table fct_order_line as
select
    order_line_id, order_id, viewer_id, room_id, session_id, attribution, product_id, business_date, quantity, created_at,
    paid_at, currency, paid_amount, gmv, refunded_amount, units_returned
from valued;

-- step: people
create table fct_person as
with watched as (
    select session_id, viewer_id, sum(epoch_ms(end_at) - epoch_ms(start_at)) as watch_ms from visit group by session_id, viewer_id
),

ordered as (
    select
        session_id, viewer_id, count(distinct order_id) filter (where is_paid) as orders_paid,
        sum(units_sold) as units_sold, sum(gmv) as gmv
    from valued
    where session_id is not null
    group by session_id, viewer_id
),

played as (
    select session_id, viewer_id, sum(stall_ms) as stall_ms, sum(play_ms) as play_ms from sample group by session_id, viewer_id
),

people as (
    select session_id, viewer_id from acted where signs_of_life > 0
    union
    select session_id, viewer_id from ordered
    union
    select session_id, viewer_id from played
),

spent as (
    select
        viewer_id, date_trunc('month', business_date) as month,
        sum(sum(gmv)) over (partition by viewer_id order by date_trunc('month', business_date) rows unbounded preceding) as gmv_to_date
    from valued
    group by viewer_id, date_trunc('month', business_date)
)

select
    people.session_id, people.viewer_id, session.room_id, session.business_date,
    acted.region, acted.device, acted.traffic_source,
    case when acted.viewer_id is not null then first_session.session_id = people.session_id end as is_new,
    coalesce(acted.views, 0) as views,
    coalesce(watched.watch_ms, 0) * 0.001 as watch_seconds,
    acted.first_event_at,
    coalesce(acted.chats, 0) as chats, coalesce(acted.likes, 0) as likes, coalesce(acted.follows, 0) as follows,
    coalesce(acted.unfollows, 0) as unfollows, coalesce(acted.shares, 0) as shares, coalesce(acted.gifts, 0) as gifts,
    coalesce(acted.exposures, 0) as exposures, coalesce(acted.clicks, 0) as clicks, coalesce(acted.carts, 0) as carts,
    coalesce(ordered.orders_paid, 0) as orders_paid, coalesce(ordered.units_sold, 0) as units_sold,
    coalesce(ordered.gmv, 0) as gmv,
    case
        when coalesce(spent.gmv_to_date, 0) <= 0 then 'none' when spent.gmv_to_date < 200 then 'low'
        when spent.gmv_to_date < 1000 then 'mid' else 'high'
    end as spend_tier_before,
    coalesce(played.stall_ms, 0) as stall_ms, coalesce(played.play_ms, 0) as play_ms
from people
inner join session on people.session_id = session.session_id
left join acted on people.session_id = acted.session_id and people.viewer_id = acted.viewer_id and acted.signs_of_life > 0
left join first_session on session.room_id = first_session.room_id and people.viewer_id = first_session.viewer_id
left join watched on people.session_id = watched.session_id and people.viewer_id = watched.viewer_id
left join ordered on people.session_id = ordered.session_id and people.viewer_id = ordered.viewer_id
left join played on people.session_id = played.session_id and people.viewer_id = played.viewer_id
asof left join spent on people.viewer_id = spent.viewer_id and date_trunc('month', session.business_date) > spent.month;

-- step: products
create table explained as
with clipped as (
    select segment.session_id, segment.product_id,
        greatest(segment.started_at, session.started_at) as from_at, least(segment.ended_at, session.ended_at) as to_at
    from segment
    inner join session on segment.session_id = session.session_id
    where segment.segment_type = 'explain'
),

scoped as (
    select session_id, product_id, false as is_union, from_at, to_at from clipped where product_id is not null and from_at < to_at
    union all
    select session_id, null, true, from_at, to_at from clipped where from_at < to_at
),

started as (
    select *, coalesce(from_at > max(to_at) over (
        partition by session_id, is_union, product_id order by from_at, to_at
        rows between unbounded preceding and 1 preceding
    ), true) as is_start
    from scoped
),

numbered as (
    select *, count_if(is_start) over (
        partition by session_id, is_union, product_id order by from_at, to_at rows unbounded preceding
    ) as stretch
    from started
),

stretches as (
    select session_id, is_union, product_id, epoch_ms(max(to_at)) - epoch_ms(min(from_at)) as ms
    from numbered
    group by session_id, is_union, product_id, stretch
)

select session_id, is_union, product_id, sum(ms) as ms from stretches group by session_id, is_union, product_id;

create table fct_product as
with events as (
    select
        session_id, product_id,
        count_if(event_type = 'product_exposure') as exposures,
        count_if(event_type = 'product_click') as clicks,
        count_if(event_type = 'add_to_cart') as carts,
        count(distinct viewer_id) filter (where event_type = 'product_exposure') as exposed_viewers,
        count(distinct viewer_id) filter (where event_type = 'product_click') as click_viewers,
        count(distinct viewer_id) filter (where event_type = 'add_to_cart') as cart_viewers
    from sequenced
    where event_type in ('product_exposure', 'product_click', 'add_to_cart')
    group by session_id, product_id
),

lines as (
    select
        session_id, product_id,
        count(distinct viewer_id) as order_viewers, count(distinct viewer_id) filter (where is_paid) as buyers,
        count(distinct order_id) as orders_created, count(distinct order_id) filter (where is_paid) as orders_paid,
        sum(units_sold) as units_sold, sum(gmv) as gmv, sum(units_returned) as units_returned
    from valued
    where session_id is not null
    group by session_id, product_id
),

shown as (select session_id, product_id, ms from explained where not is_union),

keys as (
    select session_id, product_id from events
    union
    select session_id, product_id from lines
    union
    select session_id, product_id from shown
)

select
    keys.session_id, keys.product_id, session.room_id, session.business_date,
    coalesce(exposures, 0) as exposures, coalesce(clicks, 0) as clicks, coalesce(carts, 0) as carts,
    coalesce(exposed_viewers, 0) as exposed_viewers, coalesce(click_viewers, 0) as click_viewers,
    coalesce(cart_viewers, 0) as cart_viewers, coalesce(order_viewers, 0) as order_viewers, coalesce(buyers, 0) as buyers,
    coalesce(orders_created, 0) as orders_created, coalesce(orders_paid, 0) as orders_paid,
    coalesce(units_sold, 0) as units_sold, coalesce(gmv, 0) as gmv, coalesce(units_returned, 0) as units_returned,
    coalesce(shown.ms, 0) * 0.001 as explained_seconds
from keys
inner join session on keys.session_id = session.session_id
left join events on keys.session_id = events.session_id and keys.product_id = events.product_id
left join lines on keys.session_id = lines.session_id and keys.product_id = lines.product_id
left join shown on keys.session_id = shown.session_id and keys.product_id = shown.product_id;

create table product_funnel as
with exposed as (
    select session_id, product_id, viewer_id, min(event_at) as exposed_at
    from sequenced
    where event_type = 'product_exposure'
    group by session_id, product_id, viewer_id
),

clicked as (
    select exposed.session_id, exposed.product_id, exposed.viewer_id, min(events.event_at) as clicked_at
    from exposed
    inner join sequenced as events using (session_id, product_id, viewer_id)
    where events.event_type = 'product_click' and events.event_at >= exposed.exposed_at
    group by exposed.session_id, exposed.product_id, exposed.viewer_id
),

carted as (
    select distinct clicked.session_id, clicked.product_id, clicked.viewer_id
    from clicked
    inner join sequenced as events using (session_id, product_id, viewer_id)
    where events.event_type = 'add_to_cart' and events.event_at >= clicked.clicked_at
),

ordered as (
    select clicked.session_id, clicked.product_id, clicked.viewer_id, min(valued.created_at) as ordered_at
    from clicked
    inner join valued using (session_id, product_id, viewer_id)
    where valued.created_at >= clicked.clicked_at
    group by clicked.session_id, clicked.product_id, clicked.viewer_id
),

paid as (
    select distinct ordered.session_id, ordered.product_id, ordered.viewer_id
    from ordered
    inner join valued using (session_id, product_id, viewer_id)
    where valued.is_paid and valued.paid_at >= ordered.ordered_at
),

reached as (
    select
        exposed.session_id, exposed.product_id,
        count(*) as reached_exposure, count(clicked.viewer_id) as reached_click, count(carted.viewer_id) as reached_cart,
        count(ordered.viewer_id) as reached_order, count(paid.viewer_id) as reached_paid
    from exposed
    left join clicked using (session_id, product_id, viewer_id)
    left join carted using (session_id, product_id, viewer_id)
    left join ordered using (session_id, product_id, viewer_id)
    left join paid using (session_id, product_id, viewer_id)
    group by exposed.session_id, exposed.product_id
)

select
    fct_product.*,
    round(clicks / nullif(exposures, 0), 6) as click_rate,
    round(cart_viewers / nullif(click_viewers, 0), 6) as cart_rate,
    round(order_viewers / nullif(click_viewers, 0), 6) as order_rate,
    round(orders_paid / nullif(orders_created, 0), 6) as payment_rate,
    round(units_sold / nullif(clicks, 0), 6) as units_per_click,
    coalesce(reached_exposure, 0) as reached_exposure, coalesce(reached_click, 0) as reached_click,
    coalesce(reached_cart, 0) as reached_cart, coalesce(reached_order, 0) as reached_order,
    coalesce(reached_paid, 0) as reached_paid
from fct_product
left join reached on fct_product.session_id = reached.session_id and fct_product.product_id = reached.product_id;

-- step: scenes
create table viewed as
select
    sequenced.session_id,
    cast((epoch_ms(placed_at) - epoch_ms(started_at)) // 60000 as integer) as minute,
    count_if(
        event_type = 'enter' or (acted.enters = 0 and event_type <> 'leave' and seq - leaves_before = 1)
    ) as views,
    count_if(event_type = 'chat') as chats, sum(sequenced.likes) as likes, count_if(event_type = 'follow') as follows,
    count_if(event_type = 'share') as shares, count_if(event_type = 'gift') as gifts,
    count_if(event_type = 'product_exposure') as exposures, count_if(event_type = 'product_click') as clicks,
    count_if(event_type = 'add_to_cart') as carts
from sequenced
inner join acted on sequenced.session_id = acted.session_id and sequenced.viewer_id = acted.viewer_id
group by all;

create table fct_scene as
with lines as (
    select session_id, minute, count(distinct order_id) filter (where is_paid) as orders_paid,
        sum(units_sold) as units_sold, sum(gmv) as gmv
    from valued
    where minute is not null
    group by session_id, minute
),

samples as (
    select
        sample.session_id,
        cast((epoch_ms(greatest(session.started_at, least(sampled_at, session.ended_at - interval 1 millisecond)))
            - epoch_ms(session.started_at)) // 60000 as integer) as minute,
        sum(play_ms) as play_ms, sum(stall_ms) as stall_ms
    from sample
    inner join session on sample.session_id = session.session_id
    group by all
),

active as (
    select minute.session_id, minute.minute, segment.segment_id, segment.segment_type, segment.product_id
    from minute
    inner join segment
        on
            minute.session_id = segment.session_id and minute.minute_at >= segment.started_at
            and minute.minute_at < segment.ended_at
    qualify row_number() over (
        partition by minute.session_id, minute.minute order by segment.started_at desc, segment.segment_id
    ) = 1
),

shift as (
    select * from shifts qualify row_number() over (partition by shift_id order by updated_at desc nulls last) = 1
),

hosting as (
    select session_id, staff_id, on_at, off_at from shift where role = 'host'
    union all
    select session.session_id, staff.staff_id, session.started_at, session.ended_at
    from session
    inner join staff
        on
            session.room_id = staff.room_id and staff.role = 'host' and staff.hired_on <= session.business_date
            and coalesce(staff.left_on, session.business_date) >= session.business_date
    where
        session.session_id not in (select session_id from shift where role = 'host')
        and not exists (
            select 1 from leaves
            where leaves.staff_id = staff.staff_id and session.business_date between leaves.from_date and leaves.to_date
        )
),

hosts as (
    select minute.session_id, minute.minute, min(hosting.staff_id) as host_id
    from minute
    inner join hosting
        on
            minute.session_id = hosting.session_id and minute.minute_at >= hosting.on_at
            and minute.minute_at < hosting.off_at
    group by minute.session_id, minute.minute
)

select
    minute.session_id, minute.minute, minute.minute_at, minute.room_id, minute.business_date,
    case
        when minute.minute < 30 then 'opening'
        when minute.live_ms > 3600000 and minute.minute_at >= minute.ended_at - interval 30 minute then 'closing'
        else 'middle'
    end as phase,
    active.segment_type, active.segment_id, active.product_id, hosts.host_id,
    coalesce(online.peak_online, 0) as peak_online, coalesce(online.watch_ms, 0) * 0.001 as watch_seconds,
    coalesce(views, 0) as views, coalesce(chats, 0) as chats, coalesce(likes, 0) as likes, coalesce(follows, 0) as follows,
    coalesce(shares, 0) as shares, coalesce(gifts, 0) as gifts, coalesce(exposures, 0) as exposures,
    coalesce(clicks, 0) as clicks, coalesce(carts, 0) as carts,
    coalesce(orders_paid, 0) as orders_paid, coalesce(units_sold, 0) as units_sold, coalesce(gmv, 0) as gmv,
    coalesce(play_ms, 0) as play_ms, coalesce(stall_ms, 0) as stall_ms
from minute
left join viewed on minute.session_id = viewed.session_id and minute.minute = viewed.minute
left join online on minute.session_id = online.session_id and minute.minute = online.minute
left join lines on minute.session_id = lines.session_id and minute.minute = lines.minute
left join samples on minute.session_id = samples.session_id and minute.minute = samples.minute
left join active on minute.session_id = active.session_id and minute.minute = active.minute
left join hosts on minute.session_id = hosts.session_id and minute.minute = hosts.minute;

-- step: sessions
create table fct_session as
with actions as (
    select
        acted.session_id,
        sum(cast(signs_of_life > 0 as integer)) as viewers,
        sum(cast(signs_of_life > 0 and first_session.session_id = acted.session_id as integer)) as new_viewers,
        sum(case when signs_of_life > 0 then views else 0 end) as views,
        sum(chats) as chats, sum(likes) as likes, sum(follows) as follows, sum(unfollows) as unfollows, sum(shares) as shares,
        sum(gifts) as gifts, sum(gift_amount) as gift_amount, sum(red_packet_claims) as red_packet_claims,
        sum(votes) as votes, sum(mic_joins) as mic_joins,
        count_if(chats > 0) as commenters,
        count_if(chats + like_events + follows + shares + gifts > 0) as engaged_viewers,
        count_if(red_packet_claims + votes + mic_joins > 0) as feature_viewers,
        sum(exposures) as exposures, sum(clicks) as clicks, sum(carts) as carts,
        count_if(exposures > 0) as exposed_viewers, count_if(clicks > 0) as click_viewers, count_if(carts > 0) as cart_viewers,
        sum(new_product_clicks) as new_product_clicks
    from acted
    left join first_session on acted.room_id = first_session.room_id and acted.viewer_id = first_session.viewer_id
    group by acted.session_id
),

watched as (
    select session_id, max(peak_online) as peak_online, sum(watch_ms) as watch_ms from online group by session_id
),

lines as (
    select
        session_id,
        count(distinct viewer_id) as order_viewers, count(distinct viewer_id) filter (where is_paid) as buyers,
        count(distinct order_id) as orders_created, count(distinct order_id) filter (where is_paid) as orders_paid,
        sum(units_sold) as units_sold, sum(gmv) as gmv, sum(gmv - refunded_amount) as net_gmv,
        sum(refunded_amount) as refunded_amount, sum(units_sold) filter (where is_new_product) as new_product_units,
        sum(units_returned) as units_returned, sum(reviews_received) as reviews_received,
        sum(negative_reviews) as negative_reviews,
        count(distinct order_id) filter (where is_complained) as complained_orders
    from valued
    where session_id is not null
    group by session_id
),

samples as (
    select
        session_id, sum(play_ms + stall_ms) as playback_ms, sum(stall_ms) as stall_ms, sum(play_ms) as play_ms,
        sum(play_ms) filter (where height is not null) as rated_play_ms,
        sum(play_ms) filter (
            where height >= 720 and stall_ms * 50 <= play_ms + stall_ms and (fps is null or fps >= 24)
        ) as qualified_play_ms,
        count(first_frame_ms) as first_frames, sum(first_frame_ms) as first_frame_ms,
        count_if(first_frame_ms <= 1000) as instant_starts,
        sum(cast(latency_ms as hugeint) * play_ms) as latency_weighted_ms,
        sum(play_ms) filter (where latency_ms is not null) as latency_play_ms
    from sample
    group by session_id
)

select
    session.session_id, session.room_id, session.business_date, strftime(session.business_date, '%Y-%m') as month,
    session.mode, session.started_at, session.ended_at,
    coalesce(views, 0) as views, coalesce(watch_ms, 0) * 0.001 as watch_seconds, coalesce(viewers, 0) as viewers,
    coalesce(new_viewers, 0) as new_viewers, session.live_ms * 0.001 as live_seconds, coalesce(peak_online, 0) as peak_online,
    coalesce(chats, 0) as chats, coalesce(likes, 0) as likes, coalesce(follows, 0) as follows,
    coalesce(unfollows, 0) as unfollows, coalesce(shares, 0) as shares, coalesce(gifts, 0) as gifts,
    coalesce(gift_amount, 0) as gift_amount, coalesce(red_packet_claims, 0) as red_packet_claims,
    coalesce(votes, 0) as votes, coalesce(mic_joins, 0) as mic_joins, coalesce(commenters, 0) as commenters,
    coalesce(engaged_viewers, 0) as engaged_viewers, coalesce(feature_viewers, 0) as feature_viewers,
    coalesce(exposures, 0) as exposures, coalesce(clicks, 0) as clicks, coalesce(carts, 0) as carts,
    coalesce(exposed_viewers, 0) as exposed_viewers, coalesce(click_viewers, 0) as click_viewers,
    coalesce(cart_viewers, 0) as cart_viewers, coalesce(order_viewers, 0) as order_viewers, coalesce(buyers, 0) as buyers,
    coalesce(orders_created, 0) as orders_created, coalesce(orders_paid, 0) as orders_paid,
    coalesce(units_sold, 0) as units_sold, coalesce(gmv, 0) as gmv, coalesce(net_gmv, 0) as net_gmv,
    coalesce(refunded_amount, 0) as refunded_amount, coalesce(new_product_clicks, 0) as new_product_clicks,
    coalesce(new_product_units, 0) as new_product_units, coalesce(explained.ms, 0) * 0.001 as explained_seconds,
    coalesce(follows, 0) - coalesce(unfollows, 0) as net_followers, coalesce(units_returned, 0) as units_returned,
    coalesce(reviews_received, 0) as reviews_received, coalesce(negative_reviews, 0) as negative_reviews,
    coalesce(complained_orders, 0) as complained_orders,
    coalesce(playback_ms, 0) as playback_ms, coalesce(stall_ms, 0) as stall_ms, coalesce(play_ms, 0) as play_ms,
    coalesce(rated_play_ms, 0) as rated_play_ms, coalesce(qualified_play_ms, 0) as qualified_play_ms,
    coalesce(first_frames, 0) as first_frames, coalesce(first_frame_ms, 0) as first_frame_ms,
    coalesce(instant_starts, 0) as instant_starts, coalesce(latency_weighted_ms, 0) as latency_weighted_ms,
    coalesce(latency_play_ms, 0) as latency_play_ms
from session
left join actions on session.session_id = actions.session_id
left join watched on session.session_id = watched.session_id
left join lines on session.session_id = lines.session_id
left join samples on session.session_id = samples.session_id
left join explained on session.session_id = explained.session_id and explained.is_union;
