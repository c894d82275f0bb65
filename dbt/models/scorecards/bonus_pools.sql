-- One row per room × month × person on duty there (customer service: who answered there) of a room over its gmv target:
-- their part of the over-achievement pool. Amounts of a room and month add up to pool_amount.
with pools as (
    select
        targets.scope_id as room_id,
        targets.month,
        cast(sum(days.amount) as decimal(38, 2)) as net_gmv,
        targets.target as gmv_target,
        any_value(policy.overachievement_rate) as overachievement_rate
    from {{ ref('int_targets_current') }} as targets
    inner join {{ ref('policy_by_month') }} as policy on targets.month = policy.month
    inner join {{ ref('kpi_measure_day') }} as days
        on
            days.subject_type = 'room'
            and targets.scope_id = days.subject_id
            and days.measure = 'net_gmv'
            and days.business_date between policy.first_day and policy.last_day
    where
        targets.scope_type = 'room'
        and targets.kpi_id = 'gmv'
        -- Without refunds delivered net_gmv is not measured, so nothing is known to be over the target.
        and exists (select 1 from {{ ref('int_exports_delivered') }} as delivered where delivered.export = 'refunds')
    group by targets.scope_id, targets.month, targets.target
),

funded as (
    select
        *,
        cast(round((net_gmv - gmv_target) * overachievement_rate, 2) as decimal(18, 2)) as pool_amount
    from pools
    where net_gmv > gmv_target
),

-- A pool that rounds to nothing is none.
paid as (
    select * from funded
    where pool_amount > 0
),

answered as (
    select
        days.subject_id as staff_id,
        days.role,
        policy.month,
        days.room_id,
        cast(sum(days.amount_whole) as hugeint) as conversations
    from {{ ref('kpi_measure_day') }} as days
    inner join {{ ref('policy_by_month') }} as policy
        on days.business_date between policy.first_day and policy.last_day
    where
        days.subject_type = 'staff'
        and days.role = 'customer_service'
        and days.measure = 'answered_conversations'
    group by days.subject_id, days.role, policy.month, days.room_id
    having sum(days.amount_whole) > 0
),

-- What a person's score is multiplied by: time on duty in the room, or conversations answered there.
contributions as (
    select
        staff_id,
        role,
        month,
        room_id,
        cast(duty_ms as hugeint) as contribution
    from {{ ref('duty_summed') }}
    where role <> 'customer_service'
    union all
    select
        answered.staff_id,
        answered.role,
        answered.month,
        answered.room_id,
        answered.conversations as contribution
    from answered
    inner join {{ ref('dim_staff') }} as staff on answered.staff_id = staff.staff_id and answered.role = staff.role
),

bases as (
    select
        paid.*,
        contributions.staff_id,
        contributions.role,
        {{ to_micros('pool_shares.pool_share') }} as role_share,
        coalesce({{ to_cents('people.total_score') }}, 0) * contributions.contribution as basis
    from paid
    inner join contributions on paid.room_id = contributions.room_id and paid.month = contributions.month
    inner join {{ ref('pool_shares_in_force') }} as pool_shares
        on contributions.month = pool_shares.month and contributions.role = pool_shares.role
    left join {{ ref('people_totalled') }} as people
        on contributions.staff_id = people.staff_id and contributions.month = people.month
),

role_bases as (
    select
        *,
        sum(basis) over (partition by room_id, month, role) as role_basis
    from bases
),

-- Shares of the roles that have a basis, each once: the others' shares go to them pro rata.
paid_shares as (
    select
        room_id,
        month,
        sum(role_share) as paid_share
    from (
        select distinct
            room_id,
            month,
            role,
            role_share
        from role_bases
        where role_basis > 0
    ) as paying_roles
    group by room_id, month
    having sum(role_share) > 0
),

cut as (
    select
        role_bases.*,
        case
            when role_bases.role_basis > 0
                then {{ to_cents('role_bases.pool_amount') }} * role_bases.role_share * role_bases.basis
            else 0
        end as share_units,
        case when role_bases.role_basis > 0 then paid_shares.paid_share * role_bases.role_basis else 1 end as unit_count
    from role_bases
    inner join paid_shares on role_bases.room_id = paid_shares.room_id and role_bases.month = paid_shares.month
),

-- Roles have different denominators: remainders compare as fractions at 15 digits, equal fractions as equal.
ranked as (
    select
        *,
        share_units // unit_count as cents,
        row_number() over (
            partition by room_id, month
            order by (share_units % unit_count) * 1000000000000000 // unit_count desc, staff_id
        ) as remainder_rank,
        {{ to_cents('pool_amount') }} - sum(share_units // unit_count) over (partition by room_id, month) as rest
    from cut
)

select
    room_id,
    month,
    staff_id,
    role,
    net_gmv,
    gmv_target,
    pool_amount,
    {{ from_cents('cents + case when remainder_rank <= rest then 1 else 0 end') }} as amount
from ranked
