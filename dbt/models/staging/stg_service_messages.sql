-- One row per message of a service conversation: the accepted row that won its key (landing decides; see exports).
select
    conversation_id,
    message_id,
    room_id,
    viewer_no,
    sender,
    staff_id,
    ai_assisted,
    sent_at,
    text
from {{ source('raw', 'service_messages') }}
where _status = 'current'
