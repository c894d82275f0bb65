"""What a row is worth among the others, whatever came first."""

from __future__ import annotations

import random

import pytest

from dagster_project.landing import clear_changes, relations
from dagster_project.landing.contracts import (
    CONTRACTS,
    EVENT_OUTSIDE_SESSION,
    ORDER_OTHER_ROOM,
    REFUND_CURRENCY,
)
from tests.landing.delivered import EVENT, ORDER, REFUND, REVIEW, ROOM, SESSION, World, many

AFTER = "2026-10-02T00:00:00Z"


def standings(world: World, export: str) -> list[tuple]:
    key = ", ".join(CONTRACTS[export].key)
    return world.rows(f"SELECT {key}, _status, count(*) FROM raw.{export} GROUP BY ALL ORDER BY ALL")


def test_pending_rows_resolve_down_the_whole_line_of_parents(world: World):
    world.put_required()
    world.put("sessions/late-room.csv", [{**SESSION, "session_id": "S2", "room_id": "R2"}])
    world.put("viewer_events/v.csv", [{**EVENT, "session_id": "S2"}])
    world.put("orders/o.csv", [{**ORDER, "order_line_id": "L2", "session_id": "S2", "room_id": "R2"}])
    world.put("refunds/f.csv", [{**REFUND, "order_line_id": "L2"}])
    world.put("reviews/w.csv", [{**REVIEW, "order_line_id": "L2"}])
    summary = world.land()
    waiting = ["sessions", "viewer_events", "orders", "refunds", "reviews"]
    assert {row["export"] for row in summary.pending} == set(waiting)
    assert all(row["rows"] == 1 and row["age_seconds"] >= 0 for row in summary.pending)
    assert summary.rejected == []
    world.put("rooms/second.csv", [{**ROOM, "room_id": "R2"}])
    assert world.land().pending == []
    assert world.one("SELECT sum(rows_pending) FROM raw.files") == 0
    for export in waiting:
        assert world.one(f"SELECT count(*) FROM raw.{export} WHERE _status <> 'current'") == 0


def test_a_row_waits_for_each_of_its_parents(world: World):
    world.put_required()
    world.put("orders/o.csv", [{**ORDER, "order_line_id": "L2", "session_id": "S2", "room_id": "R2"}])
    world.land()
    world.put("rooms/second.csv", [{**ROOM, "room_id": "R2"}])
    world.land()
    assert standings(world, "orders") == [("L1", "current", 1), ("L2", "pending", 1)]
    world.put("sessions/second.csv", [{**SESSION, "session_id": "S2", "room_id": "R2"}])
    world.land()
    assert standings(world, "orders") == [("L1", "current", 1), ("L2", "current", 1)]


def test_an_order_without_a_session_waits_for_no_session(world: World):
    world.put_required(orders=False)
    world.put("orders/o.csv", [{**ORDER, "session_id": ""}])
    world.land()
    assert standings(world, "orders") == [("L1", "current", 1)]


def test_the_same_content_again_is_a_duplicate_also_in_another_notation(world: World):
    world.put_required()
    world.put(
        "orders/later.jsonl", [{**ORDER, "unit_price": "9.900", "created_at": "2026-10-01T20:40:00+08:00"}]
    )
    world.land()
    assert standings(world, "orders") == [("L1", "current", 1), ("L1", "duplicate", 1)]
    assert world.one("SELECT rows_duplicate FROM raw.files WHERE path = 'orders/later.jsonl'") == 1


def test_two_pending_copies_become_one_row_and_one_duplicate(world: World):
    world.put_required()
    world.put("viewer_events/v.csv", [{**EVENT, "session_id": "S2"}, {**EVENT, "session_id": "S2"}])
    world.land()
    assert ("S2", "E1", "pending", 2) in standings(world, "viewer_events")
    world.put("sessions/second.csv", [{**SESSION, "session_id": "S2"}])
    world.land()
    assert {("S2", "E1", "current", 1), ("S2", "E1", "duplicate", 1)} <= set(
        standings(world, "viewer_events")
    )


# (export, rows of one key, the winner's position): by hand from the rules of exports.md.
CONTESTS = [
    ("orders", [{"updated_at": AFTER, "paid_amount": "1"}, {"paid_amount": "9"}], 0),
    ("orders", [{"paid_amount": None}, {"paid_amount": "0"}], 1),
    ("orders", [{"viewer_id": "V10"}, {"viewer_id": "V9"}], 1),
    ("orders", [{"product_id": "Z"}, {"product_id": "a"}], 1),
    ("orders", [{"product_id": "\uffff"}, {"product_id": "\U00010000"}], 1),
    ("orders", [{"quantity": "9"}, {"quantity": "10"}], 1),
    ("orders", [{"quantity": "2", "unit_price": "1"}, {"quantity": "1", "unit_price": "9"}], 0),
    ("sessions", [{"updated_at": None, "title": "z"}, {"title": "a"}], 1),
    ("sessions", [{"updated_at": None, "title": None}, {"updated_at": None, "title": "a"}], 1),
    ("viewer_events", [{"event_at": "2026-10-01T12:00:01Z"}, {"event_at": "2026-10-01T12:00:00Z"}], 1),
    ("viewer_events", [{"quantity": "1"}, {"quantity": None}], 0),
    ("reviews", [{"rating": "1"}, {"rating": "2"}], 1),
    ("reviews", [{"rating": "1", "reviewed_at": "2026-10-04T00:00:00Z"}, {"rating": "5"}], 0),
    ("rooms", [{"stage": "growth"}, {"stage": "startup"}, {"stage": "mature"}], 1),
    ("rooms", [{"name": "b", "stage": "growth"}, {"name": "a", "stage": "startup"}], 0),
]
FIRST = {"rooms": ROOM, "sessions": SESSION, "viewer_events": EVENT, "orders": ORDER, "reviews": REVIEW}


@pytest.mark.parametrize(("export", "versions", "winner"), CONTESTS)
@pytest.mark.parametrize("order", ["as listed", "reversed"])
def test_one_winner_of_a_key_whatever_came_first(world: World, export, versions, winner, order):
    world.put_required(**{export: False})
    if export != "rooms":
        world.put("sessions/long.csv", [{**SESSION, "session_id": "S0"}])
    rows = [{**FIRST[export], **version} for version in versions]
    for number, row in enumerate(rows if order == "as listed" else rows[::-1]):
        world.put(f"{export}/{number}.jsonl", [row])
    summary = world.land()
    changed = list(versions[winner])
    viewers = "JOIN raw.viewers USING (viewer_no)" if "viewer_id" in changed else ""
    where = f"_status = 'current' AND {CONTRACTS[export].key[0]} = '{rows[0][CONTRACTS[export].key[0]]}'"
    current = world.rows(f"SELECT count(*) FROM raw.{export} WHERE {where}")
    assert current == [(1,)]
    for name in changed:
        found = world.one(f"SELECT CAST({name} AS VARCHAR) FROM raw.{export} {viewers} WHERE {where}")
        expected = versions[winner][name]
        if name.endswith("_at") and expected:
            expected = expected.replace("T", " ").removesuffix("Z")
        assert found == expected or float(found) == float(expected)
    assert world.one(f"SELECT count(*) FROM raw.{export} WHERE _status = 'superseded'") == len(versions) - 1
    assert (export in summary.key_conflicts) == (CONTRACTS[export].earliest is not None)


def test_a_later_version_of_a_session_opens_quarantined_events_and_shuts_others(world: World):
    world.put_required(viewer_events=False)
    days_later = {**EVENT, "event_id": "late", "event_at": "2026-10-05T12:00:00Z"}
    world.put("viewer_events/v.csv", [*many(EVENT, "event_id"), days_later])
    world.land()
    assert world.reasons("viewer_events/v.csv") == [EVENT_OUTSIDE_SESSION]
    assert world.one("SELECT _reason FROM raw.viewer_events WHERE event_id = 'late'") == EVENT_OUTSIDE_SESSION
    clear_changes(world.con)
    moved = {"started_at": "2026-10-02T00:00:00Z", "ended_at": "2026-10-02T20:00:00Z", "updated_at": AFTER}
    world.put("sessions/moved.csv", [{**SESSION, **moved}])
    world.put("viewer_events/edge.csv", [{**EVENT, "event_id": "edge", "event_at": "2026-10-03T20:00:00Z"}])
    world.land()
    assert world.one("SELECT _status FROM raw.viewer_events WHERE event_id = 'late'") == "quarantined"
    moved = {
        "started_at": "2026-10-04T13:00:00Z",
        "ended_at": "2026-10-04T20:00:00Z",
        "updated_at": "2026-10-09",
    }
    world.put("sessions/again.csv", [{**SESSION, **moved, "updated_at": "2026-10-09T00:00:00Z"}])
    world.set(quarantine_limit=1.0)
    world.land()
    assert world.one("SELECT _status FROM raw.viewer_events WHERE event_id = 'late'") == "current"
    assert world.one("SELECT count(*) FROM raw.viewer_events WHERE _status = 'quarantined'") == 40
    assert (
        world.one(
            "SELECT count(*) FROM raw.quarantine WHERE reason = 'event more than 24 h outside its session'"
        )
        == 40
    )
    assert ("viewer_events", "S1") in world.rows("SELECT export, session_id FROM raw.changes")


def test_a_file_crosses_the_limit_with_its_parents_and_comes_back_with_them(world: World):
    world.put_required()
    world.put("viewer_events/s2.csv", [{**row, "session_id": "S2"} for row in many(EVENT, "event_id", 10)])
    world.land()
    elsewhere = {
        **SESSION,
        "session_id": "S2",
        "started_at": "2026-03-01T00:00:00Z",
        "ended_at": "2026-03-01T01:00:00Z",
    }
    world.put("sessions/wrong.csv", [elsewhere])
    summary = world.land()
    assert [(file.path, file.reason) for file in summary.rejected] == [
        ("viewer_events/s2.csv", "100.0% of its rows quarantined (10 of 10), limit 5.0%")
    ]
    world.put("sessions/right.csv", [{**SESSION, "session_id": "S2", "updated_at": AFTER}])
    world.land()
    assert world.verdict("viewer_events/s2.csv") == ("accepted", None)
    assert (
        world.one("SELECT count(*) FROM raw.viewer_events WHERE session_id = 'S2' AND _status = 'current'")
        == 10
    )
    assert world.one("SELECT count(*) FROM raw.quarantine") == 0


def test_a_line_that_vanishes_leaves_its_refund_pending_and_a_currency_correction_reopens_one(world: World):
    world.set(quarantine_limit=1.0)
    world.put_required()
    world.put("rooms/second.csv", [{**ROOM, "room_id": "R2"}])
    world.put("refunds/f.csv", [REFUND, {**REFUND, "refund_id": "F2", "currency": "USD"}])
    world.land()
    assert world.reasons("refunds/f.csv") == [REFUND_CURRENCY]
    world.put("sessions/moved.csv", [{**SESSION, "room_id": "R2", "updated_at": AFTER}])
    world.land()
    assert world.reasons("orders/first.csv") == [ORDER_OTHER_ROOM]
    assert standings(world, "refunds") == [("F1", "pending", 1), ("F2", "pending", 1)]
    world.put("orders/corrected.csv", [{**ORDER, "room_id": "R2", "currency": "USD", "updated_at": AFTER}])
    world.land()
    assert standings(world, "refunds") == [("F1", "quarantined", 1), ("F2", "current", 1)]


def test_changes_name_what_became_current_or_ceased_to_be(world: World):
    world.put_required()
    world.land()
    clear_changes(world.con)
    world.put("sessions/second.csv", [{**SESSION, "session_id": "S2"}])
    world.put("orders/moved.csv", [{**ORDER, "session_id": "S2", "updated_at": AFTER}])
    world.put("viewer_events/later.jsonl", [EVENT])
    world.land()
    changes = world.rows("SELECT DISTINCT export, session_id, room_id, order_line_id FROM raw.changes")
    assert sorted(changes, key=str) == [
        ("orders", "S1", "R1", "L1"),
        ("orders", "S2", "R1", "L1"),
        ("sessions", "S2", "R1", None),
    ]


def random_deliveries(seed: int) -> list[tuple[str, dict]]:
    """(export, row) of a small world in which keys, parents and versions collide."""
    chance = random.Random(seed)
    pick = chance.choice
    hours = [f"2026-10-0{day}T{hour:02}:00:00Z" for day in (1, 2, 3, 4) for hour in (0, 8, 16)]
    rows: list[tuple[str, dict]] = []
    for room in ("R1", "R2"):
        rows += [("rooms", {**ROOM, "room_id": room, "stage": stage}) for stage in ("startup", "mature")]
    for _ in range(12):
        start = pick(hours)
        times = {
            "started_at": start,
            "ended_at": start[:11] + "22:00:00Z",
            "updated_at": pick([None, *hours]),
        }
        named = {
            "session_id": pick(["S1", "S2", "S3"]),
            "room_id": pick(["R1", "R2", "R3"]),
            "title": pick("ab"),
        }
        rows.append(("sessions", {**SESSION, **named, **times}))
    for _ in range(40):
        named = {
            "session_id": pick(["S1", "S2", "S3", "S4"]),
            "event_id": pick("xyz"),
            "viewer_id": pick("vw"),
        }
        rows.append(
            ("viewer_events", {**EVENT, **named, "event_at": pick(hours), "quantity": pick([None, 1])})
        )
    for _ in range(30):
        named = {"order_line_id": pick(["L1", "L2", "L3"]), "viewer_id": pick(["V1", "V9", "V10"])}
        placed = {"room_id": pick(["R1", "R2"]), "session_id": pick([None, "S1", "S2"])}
        told = {"currency": pick(["CNY", "USD"]), "updated_at": pick(hours)}
        rows.append(("orders", {**ORDER, **named, **placed, **told}))
    for _ in range(12):
        named = {"refund_id": pick(["F1", "F2"]), "order_line_id": pick(["L1", "L2", "L9"])}
        told = {"currency": pick(["CNY", "USD"]), "updated_at": pick(hours)}
        rows.append(("refunds", {**REFUND, **named, **told}))
        named = {"review_id": pick(["W1", "W2"]), "order_line_id": pick(["L1", "L2"])}
        rows.append(("reviews", {**REVIEW, **named, "rating": pick("15"), "reviewed_at": pick(hours)}))
    return rows


def outcome(world: World) -> dict[str, list[tuple]]:
    """Every row of every export with its status, without file and row number.

    Duplicates are left out: a part that is the same bytes as another is a duplicate file, without rows.
    """
    found = {}
    for contract in CONTRACTS.values():
        viewer = "JOIN raw.viewers USING (viewer_no)" if contract.has_viewer else ""
        names = ", ".join(f'"{column.name}"' for column in contract.columns)
        found[contract.export] = world.rows(
            f"SELECT {names}, _status, _reason FROM raw.{contract.export} {viewer} "
            f"WHERE _status <> 'duplicate' ORDER BY ALL"
        )
    return found


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_result_does_not_depend_on_order_or_split_of_delivery(tmp_path, monkeypatch, seed: int):
    rows = random_deliveries(seed)
    outcomes = []
    for attempt in range(3):
        # Nor on how many keys are held at a time.
        monkeypatch.setattr(relations, "HASHES_AT_A_TIME", (16_000_000, 20, 3)[attempt])
        chance = random.Random(100 * seed + attempt)
        folder = tmp_path / str(attempt)
        folder.mkdir()
        world = World(folder)
        world.set(quarantine_limit=1.0)
        world.put_required()
        world.land()
        shuffled = chance.sample(rows, len(rows)) if attempt else rows
        parts = [shuffled[at : at + 45] for at in range(0, len(rows), 45)] if attempt else [shuffled]
        for number, part in enumerate(parts):
            for export in {export for export, _ in part}:
                world.put(f"{export}/{number}.jsonl", [row for name, row in part if name == export])
            world.land()
        outcomes.append(outcome(world))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    statuses = {row[-2] for rows in outcomes[0].values() for row in rows}
    assert statuses == {"current", "superseded", "pending", "quarantined"}


@pytest.mark.parametrize("killed_at", ["sessions", "orders", "refunds"])
def test_a_run_killed_between_two_transactions_is_completed_by_the_next(
    tmp_path, monkeypatch, killed_at: str
):
    rows = random_deliveries(77)
    outcomes = []
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        world.set(quarantine_limit=1.0)
        world.put_required()
        world.land()
        for export in ("rooms", "sessions", "viewer_events", "orders", "refunds", "reviews"):
            world.put(f"{export}/all.jsonl", [row for name_, row in rows if name_ == export])
        if name == "killed":
            with monkeypatch.context() as patch:
                settled = relations.resolve

                def dies(con, contract, limit, settled=settled):
                    if contract.export == killed_at:
                        raise KeyboardInterrupt
                    return settled(con, contract, limit)

                patch.setattr(relations, "resolve", dies)
                with pytest.raises(KeyboardInterrupt):
                    world.land()
        world.land()
        outcomes.append((outcome(world), sorted(set(world.rows("FROM raw.changes")), key=str)))
    assert outcomes[0] == outcomes[1]
