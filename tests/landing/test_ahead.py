"""Files read ahead of their storing land as if each were opened at its turn."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path

import pytest

from dagster_project.landing import ahead, delivery
from tests.landing.delivered import EVENT, ORDER, World


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """(path, whether the reading thread opened it) in order."""
    seen: list[tuple[str, bool]] = []
    canonical = ahead.canonical_batches

    def noted(path: Path, *arguments: object) -> object:
        seen.append((f"{path.parent.name}/{path.name}", threading.current_thread() is not threading.main_thread()))
        return canonical(path, *arguments)

    monkeypatch.setattr(ahead, "canonical_batches", noted)
    return seen


def orders(*ids: str) -> list[dict[str, object]]:
    return [{**ORDER, "order_line_id": line} for line in ids]


def stored(world: World) -> list[tuple[str, int]]:
    return world.rows("SELECT order_line_id, _row_no FROM raw.orders ORDER BY ALL")


def test_each_file_but_the_first_is_opened_once_and_ahead(world: World, opened: list[tuple[str, bool]]):
    world.put_required()
    for number in range(4):
        world.put(f"orders/{number}.csv", orders(f"L{number}a", f"L{number}b"))
    world.land()
    names = [name for name, _ in opened]
    assert len(names) == len(set(names)) > 5, "a file was opened twice"
    assert [is_ahead for _, is_ahead in opened] == [False] + [True] * (len(names) - 1)
    expected = [(f"L{number}{row}", place) for number in range(4) for place, row in enumerate("ab", start=1)]
    assert stored(world) == sorted([*expected, ("L1", 1)])


def test_a_file_that_is_broken_is_refused_at_its_own_turn_and_the_next_is_whole(world: World):
    world.put_required()
    world.put("orders/a.csv", orders("A"))
    world.put("orders/b.csv", 'order_line_id,order_id\nB,"never closed\n')
    world.put("orders/c.csv", orders("C"))
    world.land()
    assert world.verdict("orders/a.csv") == world.verdict("orders/c.csv") == ("accepted", None)
    assert world.verdict("orders/b.csv") == ("rejected", "a quoted field is not closed before the end of the file")
    assert {"A", "C"} <= {line for line, _ in stored(world)}


def test_a_copy_that_was_read_ahead_is_not_stored(world: World):
    world.put_required()
    world.put("orders/a.csv", orders("A"))
    world.put("orders/b.csv", orders("A"))
    world.put("orders/c.csv", orders("C"))
    world.land()
    assert world.verdict("orders/b.csv") == ("duplicate", "same bytes as orders/a.csv")
    assert [line for line, _ in stored(world)].count("A") == 1 and ("C", 1) in stored(world)


@pytest.mark.parametrize("becomes", ["other", "gone"])
def test_a_file_that_changes_after_it_was_read_ahead_waits_for_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch, becomes: str
):
    world.put_required()
    world.put("orders/a.csv", orders("A"))
    second = world.put("orders/b.csv", orders("B"))
    recorded = delivery._record

    def changing(con, row, *arguments):
        recorded(con, row, *arguments)
        if row.path == "orders/a.csv":
            # Time enough for the thread to have read it.
            threading.Event().wait(0.5)
            second.unlink()
            if becomes == "other":
                world.put("orders/b.csv", orders("B", "B2", "B3"))

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "_record", changing)
        world.land()
    assert [line for line, _ in stored(world) if line.startswith("B")] == []
    world.put("orders/b.csv", orders("B", "B2", "B3"))
    world.land()
    assert [line for line, _ in stored(world) if line.startswith("B")] == ["B", "B2", "B3"]


def test_what_an_adapter_reads_is_opened_again_at_its_turn(
    world: World, opened: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
):
    """It may name people or sessions of files that are stored only now."""
    canonical = ahead.canonical_batches

    def of_a_platform(path: Path, *arguments: object) -> tuple[str, object]:
        adapter, source = canonical(path, *arguments)
        return ("a platform" if path.name == "b.csv" else adapter), source

    monkeypatch.setattr(ahead, "canonical_batches", of_a_platform)
    world.put_required()
    for name in "abc":
        world.put(f"orders/{name}.csv", orders(name))
    world.land()
    assert [is_ahead for path, is_ahead in opened if path == "orders/b.csv"] == [True, False]
    assert world.rows("SELECT path, adapter FROM raw.files WHERE path LIKE 'orders/_.csv' ORDER BY 1") == [
        ("orders/a.csv", "canonical"), ("orders/b.csv", "a platform"), ("orders/c.csv", "canonical"),
    ]  # fmt: skip
    assert {("a", 1), ("b", 1), ("c", 1)} <= set(stored(world))


@pytest.mark.parametrize("kind", ["text", "numbers", "dictionary", "small decimals", "nothing"])
def test_a_viewer_has_one_number_however_a_file_writes_the_id(world: World, kind: str):
    import pyarrow as pa
    import pyarrow.parquet as pq

    world.put_required()
    ids = [*["7", "8"] * 20, None]
    column = {
        "text": pa.array(ids, pa.string()),
        "numbers": pa.array([None if one is None else int(one) for one in ids], pa.int64()),
        "dictionary": pa.array(ids, pa.string()).dictionary_encode(),
        "small decimals": pa.array([None if one is None else Decimal(one) for one in ids], pa.decimal32(3, 0)),
        "nothing": pa.array([None] * len(ids), pa.null()),
    }[kind]
    table = pa.Table.from_pylist([{**EVENT, "event_id": f"e{number}"} for number in range(len(ids))])
    file = world.exports / "viewer_events/more.parquet"
    pq.write_table(table.set_column(table.schema.get_field_index("viewer_id"), "viewer_id", column), file)
    world.land()
    if kind == "nothing":
        assert world.verdict("viewer_events/more.parquet")[0] == "rejected"
        assert set(world.reasons("viewer_events/more.parquet")) == {"null required value"}
        return
    found = world.rows(
        "SELECT e._row_no, v.viewer_id FROM raw.viewer_events AS e JOIN raw.viewers AS v USING (viewer_no) "
        "WHERE e.event_id LIKE 'e%' ORDER BY 1"
    )
    assert found == [(number, "78"[(number - 1) % 2]) for number in range(1, 41)]
    assert world.rows("SELECT row_no, reason FROM raw.quarantine") == [(41, "null required value")]
    assert world.one("SELECT count(*) FROM raw.viewers WHERE viewer_id IN ('7', '8')") == 2


@pytest.mark.parametrize("name", ["_viewer_no", "_VIEWER_NO"])
def test_a_column_named_as_the_viewer_number_is_only_kept(world: World, name: str):
    world.put_required()
    world.put("orders/a.csv", [{**ORDER, "order_line_id": "A", "viewer_id": "V9", name: "77"}])
    world.land()
    of_a = "SELECT viewer_id FROM raw.orders JOIN raw.viewers USING (viewer_no) WHERE order_line_id = 'A'"
    assert world.one(of_a) == "V9"
    assert world.rows("SELECT content FROM raw.extra_values") == [(f'{{"{name}":"77"}}',)]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("_row_no",), "column _row_no has the name by which landing numbers rows; rename it"),
        (("_Row_No",), "column _Row_No has the name by which landing numbers rows; rename it"),
        (("VIEWER_ID",), "column viewer_id stands there as VIEWER_ID too"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_that_would_be_taken_for_others_reject_the_file(world: World, names: tuple[str, ...], reason: str, kind: str):
    world.put_required()
    row = {**dict.fromkeys(names, "9"), **ORDER, "order_line_id": "A"}
    if kind == "csv":
        world.put("orders/a.csv", [row])
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([row]), world.exports / "orders/a.parquet")
    world.land()
    assert world.verdict(f"orders/a.{kind}") == ("rejected", reason)
