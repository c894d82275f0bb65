-- One row per room × business date × person (null: nobody) × service measure. A conversation belongs to the room and the
-- local date of its first customer message; a reply to its own local date; a person's are those they were first to answer.
with messages as (
    select
        messages.conversation_id,
        messages.message_id,
        messages.room_id,
        messages.sender,
        messages.staff_id,
        coalesce(messages.ai_assisted, false) as is_ai_assisted,
        messages.sent_at,
        rooms.timezone
    from {{ ref('stg_service_messages') }} as messages
    inner join {{ ref('int_rooms_current') }} as rooms on messages.room_id = rooms.room_id
),

first_questions as (
    select
        conversation_id,
        room_id,
        sent_at as asked_at,
        {{ local_date('sent_at', 'timezone') }} as business_date
    from messages
    where sender = 'customer'
    qualify row_number() over (partition by conversation_id order by sent_at, message_id) = 1
),

first_answers as (
    select
        questions.conversation_id,
        messages.staff_id,
        messages.sent_at as answered_at
    from first_questions as questions
    inner join messages
        on questions.conversation_id = messages.conversation_id
    where messages.sender = 'agent' and messages.sent_at > questions.asked_at
    qualify row_number() over (partition by questions.conversation_id order by messages.sent_at, messages.message_id) = 1
),

conversations as (
    select
        questions.room_id,
        questions.business_date,
        answers.staff_id,
        answers.conversation_id is not null as is_answered,
        {{ milliseconds_between('questions.asked_at', 'answers.answered_at') }} as delay_ms
    from first_questions as questions
    left join first_answers as answers on questions.conversation_id = answers.conversation_id
),

-- A reply's room is the conversation's, where a customer ever wrote in it.
replies as (
    select
        messages.staff_id,
        messages.is_ai_assisted,
        rooms.room_id,
        {{ local_date('messages.sent_at', 'rooms.timezone') }} as business_date
    from messages
    left join first_questions as questions on messages.conversation_id = questions.conversation_id
    inner join {{ ref('int_rooms_current') }} as rooms on coalesce(questions.room_id, messages.room_id) = rooms.room_id
    where messages.sender = 'agent'
),

bot_only as (
    select
        conversation_id,
        arg_min(room_id, (sent_at, message_id)) filter (where sender = 'ai') as room_id,
        arg_min({{ local_date('sent_at', 'timezone') }}, (sent_at, message_id)) filter (where sender = 'ai') as business_date
    from messages
    group by conversation_id
    having count_if(sender = 'ai') > 0 and count_if(sender = 'agent') = 0
),

bot_only_dated as (
    select
        coalesce(questions.room_id, bot_only.room_id) as room_id,
        coalesce(questions.business_date, bot_only.business_date) as business_date
    from bot_only
    left join first_questions as questions on bot_only.conversation_id = questions.conversation_id
),

counted as (
    select
        room_id,
        business_date,
        staff_id,
        'conversations' as measure,
        cast(count(*) as decimal(38, 6)) as amount
    from conversations
    group by room_id, business_date, staff_id
    union all
    select
        room_id,
        business_date,
        staff_id,
        'answered_conversations' as measure,
        cast(count(*) as decimal(38, 6)) as amount
    from conversations
    where is_answered
    group by room_id, business_date, staff_id
    union all
    select
        room_id,
        business_date,
        staff_id,
        'answered_within_3min' as measure,
        cast(count(*) as decimal(38, 6)) as amount
    from conversations
    where delay_ms <= 180000
    group by room_id, business_date, staff_id
    union all
    select
        room_id,
        business_date,
        staff_id,
        'first_response_seconds' as measure,
        cast(sum(delay_ms) * cast(0.001 as decimal(4, 3)) as decimal(38, 6)) as amount
    from conversations
    where is_answered
    group by room_id, business_date, staff_id
    union all
    select
        room_id,
        business_date,
        staff_id,
        'human_replies' as measure,
        cast(count(*) as decimal(38, 6)) as amount
    from replies
    group by room_id, business_date, staff_id
    union all
    select
        room_id,
        business_date,
        staff_id,
        'ai_assisted_replies' as measure,
        cast(count(*) as decimal(38, 6)) as amount
    from replies
    where is_ai_assisted
    group by room_id, business_date, staff_id
    union all
    select
        room_id,
        business_date,
        null as staff_id,
        'bot_only_conversations' as measure,
        cast(count(*) as decimal(38, 6)) as amount
    from bot_only_dated
    group by room_id, business_date
)

select
    room_id,
    business_date,
    staff_id,
    measure,
    amount
from counted
