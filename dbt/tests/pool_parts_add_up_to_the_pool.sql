-- The parts of an over-achievement pool add up to it exactly; returns the pools where they do not.
select
    room_id,
    month,
    pool_amount,
    sum(amount) as amount
from {{ ref('bonus_pools') }}
group by room_id, month, pool_amount
having sum(amount) <> pool_amount
