from pathlib import Path

import pytest

from tests.landing.delivered import World

ROOM = (
    "room_id,effective_from,name,platform,market,timezone,currency,stage\n"
    "R1,2026-01-01,一号房,douyin,CN,Asia/Shanghai,CNY,growth\n"
)
SESSIONS = (
    "session_id,room_id,mode,started_at,ended_at\n"
    "S1,R1,single,2026-10-01T12:00:00Z,2026-10-01T18:30:00Z\n"
    "S2,R1,single,2026-10-02T12:00:00Z,2026-10-02T14:00:00Z\n"
    "S3,R1,single,2026-10-02T14:00:00Z,2026-10-02T16:00:00Z\n"
)
STAFF = (
    "staff_id,name,role,room_id,hired_on\n"
    "H1,王小明,host,R1,2026-01-01\nH2,李雷,host,R1,2026-01-01\nF1,韩梅梅,floor_control,R1,2026-01-01\n"
    "H3,张伟,host,R1,2026-01-01\nH4,张伟,host,R1,2026-01-01\n"
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A landing folder with a room, three sessions and staff of whom two share a name."""
    world = World(tmp_path)
    world.put("rooms/rooms.csv", ROOM)
    world.put("sessions/sessions.csv", SESSIONS)
    world.put("staff/staff.csv", STAFF)
    world.put(
        "viewer_events/first.csv",
        "session_id,event_id,viewer_id,event_type,event_at\nS1,E0,V0,enter,2026-10-01T12:30:00Z\n",
    )
    world.put(
        "orders/first.csv",
        "order_line_id,order_id,room_id,viewer_id,product_id,quantity,unit_price,paid_amount,currency,"
        "created_at,paid_at,updated_at\n"
        "0069195600000000000001,A,R1,V0,P1,1,19.90,19.90,CNY,2026-10-01T13:00:00Z,2026-10-01T13:01:00Z,"
        "2026-10-01T13:01:00Z\n",
    )
    world.set(quarantine_limit=1.0)
    return world
