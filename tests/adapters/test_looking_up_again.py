"""A file that names people and sessions without ids reads the same whether they landed before it or after."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.adapters.conftest import ROOM, SESSIONS, STAFF
from tests.adapters.sheets import workbook
from tests.landing.delivered import EVENT, ORDER, World

HEADER = ["日期", "上播时间", "下播时间", "主播姓名", "场控姓名"]
ROSTER = workbook([
    HEADER,
    ["2026-10-01", "20:00", "02:30", "王小明", "韩梅梅"],
    ["2026-10-02", "20:00", "22:00", "李雷", None],
    # On a day without any session.
    ["2026-10-09", "20:00", "22:00", "李雷", None],
])  # fmt: skip
# The same shift of 李雷 once more, in a file of its own.
CORRECTION = workbook([HEADER, ["2026-10-02", "20:00", "22:00", "李雷", None]])
A_SECOND_LI_LEI = "staff_id,name,role,room_id,hired_on\nH9,李雷,host,R1,2026-01-01\n"
FILES = {
    "sessions/sessions.csv": SESSIONS,
    "staff/staff.csv": STAFF,
    "shifts/room_id=R1/roster.xlsx": ROSTER,
    "shifts/room_id=R1/correction.xlsx": CORRECTION,
}


def landed(folder: Path, deliveries: list[list[tuple[str, str | bytes]]]) -> World:
    """A world that got these files, one list a night."""
    folder.mkdir()
    world = World(folder)
    world.set(quarantine_limit=1.0)
    world.put("rooms/rooms.csv", ROOM)
    # Something of what must be there; its session comes when the sessions come.
    world.put("sessions/other.csv", SESSIONS.splitlines()[0] + "\nS0,R1,single,2026-09-01T12:00:00Z,2026-09-01T13:00:00Z\n")
    world.put("viewer_events/first.csv", [EVENT])
    world.put("orders/first.csv", [{**ORDER, "session_id": None}])
    for night in deliveries:
        for path, content in night:
            world.put(path, content)
        world.land()
    return world


def shifts(world: World) -> list[tuple]:
    return world.rows(
        "SELECT shift_id, session_id, staff_id, role, _status FROM raw.shifts WHERE _status <> 'duplicate' ORDER BY ALL"
    )


# 20:00 in Shanghai is 12:00 UTC.
EXPECTED = [
    ("floor_control:F1:2026-10-01T12:00:00.000Z", "S1", "F1", "floor_control", "current"),
    ("host:H1:2026-10-01T12:00:00.000Z", "S1", "H1", "host", "current"),
    ("host:H2:2026-10-02T12:00:00.000Z", "S2", "H2", "host", "current"),
    ("host:H2:2026-10-09T12:00:00.000Z", "R1@2026-10-09T12:00:00.000Z", "H2", "host", "pending"),
]


@pytest.mark.parametrize("order", list(itertools.permutations(FILES))[::4], ids=lambda order: "-".join(p[:2] for p in order))
def test_a_roster_gives_the_same_shifts_whatever_lands_first(tmp_path, order):
    world = landed(tmp_path / "w", [[(path, FILES[path])] for path in order])
    assert shifts(world) == EXPECTED
    assert world.rows("SELECT count(*) FROM raw.shifts WHERE _status = 'duplicate'") == [(1,)]
    assert world.rows("SELECT verdict FROM raw.files WHERE export = 'shifts'") == [("accepted",), ("accepted",)]
    assert world.rows("SELECT count(*) FROM raw.quarantine") == [(0,)]


@pytest.mark.parametrize("last", ["staff/second.csv", "shifts/room_id=R1/roster.xlsx"])
def test_a_namesake_makes_a_name_ambiguous_whether_hired_before_the_roster_or_after(tmp_path, last):
    files = {**FILES, "staff/second.csv": A_SECOND_LI_LEI}
    first = [(path, content) for path, content in files.items() if path != last]
    world = landed(tmp_path / "w", [first, [(last, files[last])]])
    assert shifts(world) == EXPECTED[:2]
    # 李雷 stands in three rows of two files.
    assert world.rows("SELECT count(*) FROM raw.quarantine WHERE reason = 'ambiguous session or person'") == [(3,)]


def test_what_a_roster_no_longer_says_is_told_to_the_night_as_a_change(tmp_path):
    world = landed(tmp_path / "w", [list(FILES.items())])
    world.con.execute("DELETE FROM raw.changes")
    world.put("staff/second.csv", A_SECOND_LI_LEI)
    world.land()
    assert world.rows("SELECT DISTINCT session_id FROM raw.changes WHERE export = 'shifts' ORDER BY 1") == [("S1",), ("S2",)]


def test_a_roster_is_left_as_it_was_read_where_nothing_it_names_changed(tmp_path):
    world = landed(tmp_path / "w", [list(FILES.items())])
    world.con.execute("DELETE FROM raw.changes")
    world.put("sessions/far.csv", SESSIONS.splitlines()[0] + "\nS8,R1,single,2026-11-20T12:00:00Z,2026-11-20T13:00:00Z\n")
    world.land()
    assert world.rows("SELECT count(*) FROM raw.changes WHERE export = 'shifts'") == [(0,)]


def test_a_roster_that_is_gone_keeps_the_rows_it_gave(tmp_path):
    world = landed(tmp_path / "w", [list(FILES.items())])
    (world.exports / "shifts/room_id=R1/roster.xlsx").unlink()
    world.put("staff/second.csv", A_SECOND_LI_LEI)
    world.land()
    assert [row for row in shifts(world) if row[2] == "H1"] == EXPECTED[1:2]
