"""What a file must be to be landed, what is recorded of it, and what is never opened."""

from __future__ import annotations

import gzip
import hashlib
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.landing import ahead, clear_changes, delivery
from dagster_project.landing.discovery import place_of
from dagster_project.landing.readers import FileRejected, open_source
from dagster_project.settings import UserError
from tests.landing.delivered import EVENT, ORDER, ROOM, SESSION, World, csv_bytes, json_bytes, many


def test_every_format_lands_the_same_rows_at_any_depth(world: World):
    world.put_required(viewer_events=False)
    deliveries = {
        "a.csv": csv_bytes, "c.jsonl": json_bytes,
        "deep/er/b.csv.gz": lambda rows: gzip.compress(csv_bytes(rows)),
        "dt=2026-10-01/d.jsonl.gz": lambda rows: gzip.compress(json_bytes(rows)),
    }  # fmt: skip
    for name, form in deliveries.items():
        world.put(f"viewer_events/{name}", form([{**EVENT, "event_id": name, "text": "你好"}]))
    pq.write_table(pa.Table.from_pylist([{**EVENT, "event_id": "e", "text": "你好"}]),
                   world.exports / "viewer_events/e.parquet")  # fmt: skip
    world.land()
    rows = world.rows("SELECT DISTINCT event_at, event_type, text, viewer_no, _status FROM raw.viewer_events")
    assert len(rows) == 1 and rows[0][2] == "你好" and rows[0][4] == "current"
    assert world.one("SELECT count(*) FROM raw.viewer_events") == 5


@pytest.mark.parametrize("in_a_chunk", [1, 3, 7, 40, 1000])
def test_rows_and_verdicts_do_not_depend_on_how_many_rows_are_stored_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch, in_a_chunk: int
):
    monkeypatch.setattr("dagster_project.landing.readers.BATCH_ROWS", 1)
    monkeypatch.setattr(ahead, "CHUNK_ROWS", in_a_chunk)
    world.put_required(viewer_events=False)
    events = [{**EVENT, "event_id": f"e{number}", "viewer_id": f"v{number % 5}"} for number in range(40)]
    events[17]["event_type"] = "teleport"
    events.append(events[3])
    file = world.exports / "viewer_events/e.parquet"
    file.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(events), file)
    world.land()
    rows = world.rows("SELECT event_id, _row_no, _status FROM raw.viewer_events ORDER BY _row_no")
    assert rows == [
        (event["event_id"], number, "duplicate" if number == 41 else "current")
        for number, event in enumerate(events, start=1) if number != 18
    ]  # fmt: skip
    assert world.rows("SELECT row_no, reason FROM raw.quarantine") == [(18, "unknown enum value")]
    assert world.one("SELECT count(DISTINCT viewer_no) FROM raw.viewer_events") == 5


def test_a_second_run_finds_nothing_new(world: World):
    world.put_required()
    first = world.land()
    assert [len(first.with_verdict(verdict)) for verdict in ("accepted", "rejected", "duplicate")] == [
        4,
        0,
        0,
    ]
    clear_changes(world.con)
    second = world.land()
    assert (second.files, second.rows_in, second.changed) == ([], 0, False)
    assert second.late_exports == ["orders", "rooms", "sessions", "viewer_events"]


def test_an_untouched_old_file_is_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch):
    world.put_required()
    for file in world.exports.rglob("*.csv"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    world.land()
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("the file was read"))
    assert world.land().files == []


def test_the_same_bytes_under_another_name_are_recorded_and_not_loaded_again(world: World):
    world.put_required()
    world.land()
    world.put("orders/copy.csv", [ORDER])
    summary = world.land()
    assert world.verdict("orders/copy.csv") == ("duplicate", "same bytes as orders/first.csv")
    assert world.rows("SELECT rows_in FROM raw.files WHERE path = 'orders/copy.csv'") == [(0,)]
    assert world.one("SELECT count(*) FROM raw.orders") == 1
    assert [file.path for file in summary.with_verdict("duplicate")] == ["orders/copy.csv"]


def test_the_same_name_with_other_bytes_is_a_new_file(world: World):
    world.put_required()
    world.land()
    world.put("orders/first.csv", [ORDER, {**ORDER, "order_line_id": "L2"}])
    world.land()
    counts = world.rows(
        "SELECT rows_in, rows_accepted, rows_duplicate FROM raw.files "
        "WHERE export = 'orders' ORDER BY file_no"
    )
    assert counts == [(1, 1, 0), (2, 1, 1)]


def test_a_folder_fills_only_columns_that_the_file_lacks(world: World):
    world.put_required(viewer_events=False)
    world.put("sessions/two.csv", [{**SESSION, "session_id": "S 2"}])
    lacking = [{name: value for name, value in EVENT.items() if name != "session_id"}]
    world.put("viewer_events/session_id=S1/a.csv", lacking)
    world.put("viewer_events/session_id=S%202/a.csv", lacking)
    world.put("viewer_events/session_id=S9/a.csv", [{**EVENT, "event_id": "own"}])
    world.land()
    rows = world.rows("SELECT session_id, event_id FROM raw.viewer_events ORDER BY ALL")
    assert rows == [("S 2", "E1"), ("S1", "E1"), ("S1", "own")]


def test_a_file_whose_name_is_no_utf8_lands_like_any_other(world: World):
    world.put_required()
    named = os.fsencode(world.exports) + b"/orders/" + "订单".encode("gbk") + b"\x1b.csv"
    with open(named, "wb") as file:
        file.write(csv_bytes([{**ORDER, "order_line_id": "L2"}]))
    world.land()
    path = r"orders/\xb6\xa9\xb5\xa5\x1b.csv"
    assert world.verdict(path) == ("accepted", None)
    assert os.fsencode(place_of(world.exports, path)) == named
    assert world.rows("SELECT order_line_id FROM raw.orders ORDER BY 1") == [("L1",), ("L2",)]
    assert world.land().files == []


def test_a_folder_value_that_is_no_text_stays_as_it_is_written_and_an_empty_one_fills_nothing(world: World):
    world.put_required()
    for name, folder in (("odd", "session_id=%FF"), ("none", "session_id=")):
        row = {**EVENT, "event_id": name}
        del row["session_id"]
        world.put(f"viewer_events/{folder}/{name}.csv", [row])
    world.land()
    assert world.rows("SELECT session_id, _status FROM raw.viewer_events WHERE event_id = 'odd'") == [("%FF", "pending")]
    assert world.verdict("viewer_events/session_id=/none.csv") == ("rejected", "required column session_id is missing")


def test_undelivered_and_foreign_files_are_left_alone(world: World):
    world.put_required()
    for name in ("a.csv.tmp", "b.csv.part", ".c.csv", "_d.csv", "_later/e.csv"):
        world.put(f"orders/{name}", [{**ORDER, "order_line_id": name}])
    world.put("weather/today.csv", "a\n1\n")
    summary = world.land()
    assert world.one("SELECT count(*) FROM raw.files") == 4
    assert summary.unknown_folders == ["weather"]


def test_a_checksum_beside_the_file_is_honoured_and_a_corrected_one_lets_the_file_in(world: World):
    world.put_required(orders=False)
    file = world.put("orders/first.csv", [ORDER])
    good = hashlib.sha256(file.read_bytes()).hexdigest()
    world.put("orders/first.csv.sha256", f"{good}  first.csv\n")
    bad = world.put("orders/second.csv", [{**ORDER, "order_line_id": "L2"}])
    world.put("orders/second.csv.sha256", f"{good}  second.csv\n")
    summary = world.land()
    assert world.verdict("orders/first.csv")[0] == "accepted"
    assert world.verdict("orders/second.csv") == (
        "rejected",
        "bytes do not match the .sha256 beside the file",
    )
    assert [outcome.path for outcome in summary.rejected] == ["orders/second.csv"]
    assert world.land().rejected == []
    world.put("orders/second.csv.sha256", f"{hashlib.sha256(bad.read_bytes()).hexdigest()} *second.csv\n")
    world.land()
    assert world.verdict("orders/second.csv") == ("accepted", None)


LACKING = {"order_line_id": "L2", "order_id": "O2"}
BROKEN = {
    "cut.csv.gz": (gzip.compress(csv_bytes([ORDER]) * 50)[:-20], "gzip file is cut short"),
    "crc.csv.gz": (gzip.compress(csv_bytes([ORDER]))[:-8] + b"\0\0\0\0\1\0\0\0", "gzip file is corrupt"),
    "empty.jsonl.gz": (b"", "gzip file is cut short"),
    "none.csv.gz": (b"no gzip at all", "gzip file is corrupt"),
    "cut.jsonl": (json_bytes([ORDER, ORDER])[:-30], "JSON Lines file is cut inside its last row"),
    "gbk.jsonl": (json_bytes([{**ORDER, "product_id": "货"}]).decode().encode("gbk"), "text is not UTF-8"),
    "quote.csv": (csv_bytes([ORDER]) + b'L2,"never closed,\n', "a quoted field is not closed"),
    "bytes.csv": (csv_bytes([ORDER]) + b"L2,\xff\xff\xff\n", "text is neither UTF-8 nor GB18030"),
    "damaged.csv": (csv_bytes([{**ORDER, "product_id": "商品" * 50}]) + b"\xe9,\n", "text is damaged UTF-8"),
    "utf16.csv": (csv_bytes([ORDER]).decode().encode("utf-16"), "text is neither UTF-8 nor GB18030"),
    "twice.csv": (b"order_line_id,order_id,order_id\n1,2,3\n", "column order_id stands twice in the header"),
    "empty.csv": (b"", "the file is empty"),
    "lacking.csv": (csv_bytes([LACKING]), "required column room_id, viewer_id"),
    "lacking.jsonl": (json_bytes([LACKING]), "required column room_id, viewer_id"),
    "semicolons.csv": (csv_bytes([ORDER]).replace(b",", b";"), "required column order_line_id"),
    "mac.csv": (csv_bytes([ORDER]).replace(b"\n", b"\r"), "lines of the file end in a carriage return alone"),
    "short.parquet": (b"PAR1 and then nothing", "Parquet file is cut short or corrupt"),
    "orders.xlsx": (b"PK", "no adapter takes this file"),
    "orders.json": (b"{}", "no adapter takes this file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_rejected_whole_and_the_night_goes_on(world: World, name: str):
    content, reason = BROKEN[name]
    world.put_required()
    world.put(f"orders/{name}", content)
    world.put("orders/z-good.csv", [{**ORDER, "order_line_id": "L9"}])
    summary = world.land()
    verdict, why = world.verdict(f"orders/{name}")
    assert verdict == "rejected" and why.startswith(reason), why
    assert world.rows(f"SELECT rows_in FROM raw.files WHERE path = 'orders/{name}'") == [(0,)]
    assert world.rows("SELECT order_line_id FROM raw.orders ORDER BY 1") == [("L1",), ("L9",)]
    assert [(file.path, file.reason) for file in summary.rejected] == [(f"orders/{name}", why)]
    assert world.one("SELECT count(*) FROM raw.quarantine") == 0


def test_a_cut_or_flipped_parquet_file_is_rejected_whole(world: World):
    world.put_required()
    table = pa.Table.from_pylist([{**ORDER, "order_line_id": f"L{number}"} for number in range(2, 2000)])
    good = world.exports / "orders/good.parquet"
    pq.write_table(table, good, write_page_checksum=True, compression="none", use_dictionary=False)
    content = good.read_bytes()
    good.unlink()
    at = content.index(b"L1000")
    world.put("orders/flipped.parquet", content[:at] + b"M" + content[at + 1 :])
    world.put("orders/cut.parquet", content[:-500])
    world.land()
    assert world.verdict("orders/flipped.parquet")[0] == "rejected"
    assert "corrupt" in world.verdict("orders/flipped.parquet")[1]
    assert world.verdict("orders/cut.parquet")[0] == "rejected"
    assert world.one("SELECT count(*) FROM raw.orders") == 1


def test_no_flipped_bit_of_a_parquet_file_loses_rows_or_ends_the_night(world: World):
    # The kind of a page and the names of columns stand outside what a checksum covers.
    table = pa.Table.from_pylist([{**ORDER, "order_line_id": f"L{number}"} for number in range(200)])
    file = world.exports / "orders.parquet"
    pq.write_table(table, file, write_page_checksum=True)
    content = file.read_bytes()
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(0)
    heads = range(chunk.dictionary_page_offset, chunk.dictionary_page_offset + 12)
    named = content.index(b"order_line_id", chunk.data_page_offset + chunk.total_compressed_size)
    for place, bit in [(at, bit) for at in [*heads, named] for bit in range(8)]:
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        try:
            read = list(open_source(file, world.settings).batches)
        except FileRejected:
            continue
        assert sum(batch.table.num_rows for batch in read) == 200, (place, bit)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig"])
def test_chinese_csv_exports_are_read_in_their_encoding(world: World, encoding: str):
    world.put_required(rooms=False)
    world.put("rooms/r.csv", csv_bytes([{**ROOM, "name": '"旗舰"店𠀀'}]).decode().encode(encoding))
    world.land()
    assert world.one("SELECT name FROM raw.rooms") == '"旗舰"店𠀀'


def test_more_than_five_percent_quarantined_rejects_the_file_and_keeps_all_its_rows(world: World):
    world.put_required()
    rows = [{**row, "session_id": ""} for row in many(ORDER, "order_line_id", 94)]
    at_limit = [*rows, *many({**ORDER, "order_line_id": "bad", "quantity": "x"}, "order_line_id", 5)]
    over = [{**row, "order_line_id": "o" + row["order_line_id"]} for row in at_limit]
    at_limit = [{**at_limit[0], "order_line_id": "one more"}, *at_limit]
    world.put("orders/at.csv", at_limit)
    world.put("orders/over.csv", over)
    world.land()
    assert world.verdict("orders/at.csv") == ("accepted", None)
    assert world.verdict("orders/over.csv") == (
        "rejected",
        "5.1% of its rows quarantined (5 of 99), limit 5.0%",
    )
    assert world.rows("SELECT rows_in, rows_quarantined FROM raw.files WHERE path = 'orders/over.csv'") == [
        (99, 99)
    ]
    assert (
        world.one("SELECT count(*) FROM raw.quarantine WHERE reason = 'file over the quarantine limit'") == 94
    )
    world.set(quarantine_limits={"orders": 0.06})
    world.put("orders/over-again.csv", over)
    world.land()
    assert world.verdict("orders/over-again.csv") == ("accepted", None)


def test_a_rejected_file_is_not_tried_again(world: World):
    world.put_required()
    world.put("orders/x.csv", "order_line_id\n")
    assert len(world.land().rejected) == 1
    assert world.land().files == []


def test_unknown_columns_are_kept_aside_and_reported(world: World):
    world.put_required(orders=False)
    world.put("orders/o.csv", [{**ORDER, "coupon": "C9"}])
    world.put("orders/o.jsonl", [{**ORDER, "order_line_id": "L2", "gift": {"a": [1]}}])
    summary = world.land()
    assert summary.schema_drift == {"orders": ["coupon", "gift"]}
    assert world.rows("SELECT extra_columns FROM raw.files WHERE export = 'orders' ORDER BY path") == [
        ("coupon",), ("gift",)
    ]  # fmt: skip
    kept = [
        json.loads(content) for (content,) in world.rows("SELECT content FROM raw.extra_values ORDER BY 1")
    ]
    assert kept == [{"coupon": "C9"}, {"gift": {"a": ["1"]}}]


def test_an_unknown_column_is_never_fatal_whatever_it_holds(world: World):
    world.put_required(orders=False)
    table = pa.table({name: [value] for name, value in ORDER.items()})
    table = table.append_column("picture", pa.array([b"\xff\xd8\x00"], pa.binary()))
    table = table.append_column("tags", pa.array([[{"a": 1}]]))
    (world.exports / "orders").mkdir()
    pq.write_table(table, world.exports / "orders/o.parquet")
    world.put("orders/o.csv", [{**ORDER, "order_line_id": "L2", "note": "half \ufffd read"}])
    world.land()
    assert world.one("SELECT count(*) FROM raw.orders WHERE _status = 'current'") == 2
    assert world.one("SELECT count(*) FROM raw.extra_values WHERE contains(content, chr(65533))") == 0
    assert world.one("SELECT count(*) FROM raw.extra_values") == 2


def test_links_out_of_the_folder_and_pipes_are_refused_unopened(world: World, tmp_path):
    world.put_required()
    outside = tmp_path / "outside.csv"
    outside.write_bytes(csv_bytes([{**ORDER, "order_line_id": "secret"}]))
    (world.exports / "orders/link.csv").symlink_to(outside)
    os.mkfifo(world.exports / "orders/pipe.csv")
    (world.exports / "refunds").symlink_to(tmp_path)
    assert {(file.path, file.reason) for file in world.land().rejected} == {
        ("orders/link.csv", "symbolic link out of the landing folder"),
        ("orders/pipe.csv", "not a regular file"),
        ("refunds", "symbolic link out of the landing folder"),
    }
    assert world.land().files == []
    assert world.one("SELECT count(*) FROM raw.orders") == 1


def test_caps_on_size_ratio_and_row_reject_a_file(world: World):
    world.put_required()
    world.set(max_file_bytes=3_000_000, max_gzip_ratio=100, max_row_bytes=1024 * 1024)
    world.put("orders/large.csv", b"x" * 3_000_001)
    world.put("orders/bomb.csv.gz", gzip.compress(b"0" * 100_000_000))
    world.put("orders/row.jsonl", json_bytes([{**ORDER, "product_id": "p" * 1_100_000}]))
    world.put("viewer_events/row.csv", [{**EVENT, "event_id": "E2", "text": "p" * 1_000_000}])
    world.land()
    assert world.verdict("orders/large.csv") == ("rejected", "file is larger than 3000000 bytes")
    assert world.verdict("orders/bomb.csv.gz") == ("rejected", "gzip expands more than 100 times")
    assert world.verdict("orders/row.jsonl") == ("rejected", "a row is longer than 1048576 bytes")
    assert world.one("SELECT max(length(text)) FROM raw.viewer_events") == 1_000_000


@pytest.mark.parametrize("size", [1_050_000, 12_000_000])
def test_a_csv_row_over_the_cap_rejects_the_file(world: World, size: int):
    world.put_required()
    world.set(max_row_bytes=1024 * 1024)
    world.put("viewer_events/row.csv", [{**EVENT, "event_id": "E2", "text": "p" * size}])
    world.land()
    assert world.verdict("viewer_events/row.csv") == ("rejected", "a row is longer than 1048576 bytes")


def test_exports_that_must_be_there_are_named_in_one_line(world: World):
    with pytest.raises(UserError, match="^never delivered: rooms, sessions, viewer_events, orders; .*$"):
        world.land()
    world.put_required(orders=False)
    with pytest.raises(UserError, match="^never delivered: orders; "):
        world.land()
    world.put("orders/o.csv", "order_line_id\n")
    with pytest.raises(
        UserError, match="never delivered: orders; .* orders/o.csv was rejected: required column"
    ):
        world.land()


def test_a_folder_that_does_not_exist_is_a_clear_error(world: World):
    world.set(exports=world.exports / "nowhere")
    with pytest.raises(UserError, match="^EXPORTS is no folder: "):
        world.land()


def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    world.put_required()
    growing = world.put("orders/growing.csv", [{**ORDER, "order_line_id": "L2"}])
    with monkeypatch.context() as patch:
        checked = delivery._has_changed
        seen = []

        def changes_at_the_second_look(item):
            seen.append(item.relative)
            return checked(item) or (item.path == growing and seen.count(item.relative) == 2)

        patch.setattr(delivery, "_has_changed", changes_at_the_second_look)
        assert world.land().still_written == ["orders/growing.csv"]
    assert world.one("SELECT count(*) FROM raw.orders") == 1
    world.land()
    assert world.one("SELECT count(*) FROM raw.orders") == 2


def test_an_export_without_rows_counts_as_delivered(world: World):
    world.put_required()
    world.put(
        "refunds/none.csv",
        "refund_id,order_line_id,refund_type,quantity,amount,currency,requested_at,updated_at\n",
    )
    world.put("reviews/none.jsonl", "")
    world.land()
    assert world.verdict("refunds/none.csv") == ("accepted", None)
    assert world.verdict("reviews/none.jsonl") == ("accepted", None)
