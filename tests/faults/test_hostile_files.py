"""Files as a hostile or careless hand delivers them: each gets the verdict that the pages promise, and no row is lost."""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.faults.conftest import Record
from tests.landing.delivered import EVENT, ORDER, REFUND, REVIEW, ROOM, SESSION, World, csv_bytes, json_bytes

AT_LEAST = 60
RATIO_CAP, ROW_CAP = 200, 1 << 20


@dataclass(frozen=True)
class Case:
    """A file and what must become of it: (accepted, quarantined, duplicate, pending), reasons of rows or of the file."""

    path: str
    content: bytes
    counts: tuple[int, int, int, int] | None
    reasons: tuple[str, ...] = ()


def order(key: str, **changes: object) -> dict:
    return {**ORDER, "order_line_id": key, "order_id": f"O-{key}", **changes}


def event(key: str, **changes: object) -> dict:
    return {**EVENT, "event_id": key, **changes}


def taken(name: str, content: bytes, rows: int = 1) -> Case:
    return Case(f"orders/{name}", content, (rows, 0, 0, 0))


def refused(name: str, content: bytes, reason: str) -> Case:
    return Case(f"orders/{name}", content, None, (reason,))


def quarantined(name: str, reason: str, **changes: object) -> Case:
    """An order with one bad cell, beside a good one."""
    rows = [order(f"{name}-good"), order(f"{name}-bad", **changes)]
    content = json_bytes(rows) if ".jsonl" in name else csv_bytes(rows)
    return Case(f"orders/{name}", content, (1, 1, 0, 0), (reason,))


def other(export: str, name: str, rows: Iterable[dict], counts: tuple[int, int, int, int], *reasons: str) -> Case:
    return Case(f"{export}/{name}", csv_bytes(rows), counts, reasons)


def raw_row(key: str, **cells: str) -> bytes:
    """One JSON line in which some cells are JSON of one's own."""
    text = json.dumps(order(key) | {name: f"@{name}@" for name in cells}, ensure_ascii=False)
    for name, cell in cells.items():
        text = text.replace(f'"@{name}@"', cell)
    return text.encode() + b"\n"


def parquet(rows: list[dict], **columns: pa.Array) -> bytes:
    table = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.append_column(name, values) if place < 0 else table.set_column(place, name, values)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


NUMBER, INSTANT = "unparsable number", "unparsable instant"
RANGE, AMOUNT = "instant before 2015 or over one day after the file landed", "negative or non-finite amount or duration"
HEADER, LINE = csv_bytes([order("x")]).splitlines(keepends=True)
FLOOD = zlib.compressobj(9, zlib.DEFLATED, 31)

ENCODINGS = [
    taken("utf8-bom.csv", csv_bytes([order("bom", product_id="货")]).decode().encode("utf-8-sig")),
    taken("gb18030.csv", csv_bytes([order("gb", product_id="货品𠀀")]).decode().encode("gb18030")),
    refused("utf16.csv", csv_bytes([order("u16")]).decode().encode("utf-16"), "text is neither UTF-8 nor GB18030"),
    refused(
        "latin1.csv", csv_bytes([order("l1", product_id="é")]).decode().encode("latin-1"), "text is neither UTF-8 nor GB18030"
    ),
    refused("damaged.csv", csv_bytes([order("dm", product_id="商品" * 50)]) + b"\xe9,\n", "text is damaged UTF-8"),
    refused("surrogate.csv", HEADER + LINE.replace(b"P1", b"\xed\xa0\x80"), "text is neither UTF-8 nor GB18030"),
    quarantined("replacement.csv", "invalid UTF-8", product_id="\ufffd"),
    taken("bom.jsonl", b"\xef\xbb\xbf" + json_bytes([order("jbom")])),
    refused("gbk.jsonl", json_bytes([order("jg", product_id="货")]).decode().encode("gbk"), "text is not UTF-8"),
    Case("orders/surrogate.jsonl", raw_row("sg-good") + raw_row("sg", product_id='"\\ud800"'), (1, 1, 0, 0), ("invalid UTF-8",)),
    taken("nul.csv", csv_bytes([order("nul", product_id="P\x001")])),
    taken("nul.jsonl", raw_row("nulj", product_id='"P\\u00001"')),
    taken("rtl.csv", csv_bytes([order("rtl", product_id="\u202egnp\u200b")])),
    taken("formula.csv", csv_bytes([order("fx", product_id="=cmd|' /C calc'!A0")])),
]
SHAPES = [
    taken("newline.csv", csv_bytes([order("nl", product_id="a\nb")])),
    taken("crlf.csv", csv_bytes([order("crlf"), order("crlf2")]).replace(b"\n", b"\r\n"), 2),
    refused("cr.csv", csv_bytes([order("cr")]).replace(b"\n", b"\r"), "lines of the file end in a carriage return alone"),
    refused("open.csv", csv_bytes([order("oq")]) + b'L2,"never closed,\n', "a quoted field is not closed"),
    taken("inch.csv", HEADER + LINE.replace(b"P1", b'17"').replace(b"x,", b"inch,", 1)),
    taken("doubled.csv", csv_bytes([order("dq", product_id='say "hi", twice')])),
    Case("orders/long.csv", csv_bytes([order("lr")]) + b"y" + b",1" * 16 + b"\n", (1, 1, 0, 0), ("malformed row",)),
    Case("orders/short.csv", csv_bytes([order("sr")]) + b"y,1,2\n", (1, 1, 0, 0), ("malformed row",)),
    taken("blank.csv", csv_bytes([order("bl")]) + b"\n\n"),
    taken("comma.csv", HEADER.rstrip(b"\n") + b",\n" + LINE.replace(b"x,", b"comma,", 1).rstrip(b"\n") + b",\n"),
    refused("semicolon.csv", csv_bytes([order("sc")]).replace(b",", b";"), "required column order_line_id"),
    refused("tab.csv", csv_bytes([order("tb")]).replace(b",", b"\t"), "required column order_line_id"),
    refused("twice.csv", b"order_line_id,order_id,order_id\n1,2,3\n", "column order_id stands twice in the header"),
    taken("header-only.csv", HEADER, 0),
    refused("nothing.csv", b"", "the file is empty"),
    refused("upper.csv", HEADER.upper() + LINE, "required column order_line_id"),
    taken("drop.csv", HEADER.rstrip(b"\n") + b',"x""; drop table raw.orders; --"\n'
          + LINE.replace(b"x,", b"dt,", 1).rstrip(b"\n") + b",1\n"),
    Case("orders/array.jsonl", raw_row("ar") + b"[1, 2]\n", (1, 1, 0, 0), ("malformed row",)),
    Case("orders/scalar.jsonl", raw_row("sca") + b"42\n", (1, 1, 0, 0), ("malformed row",)),
    Case("orders/nested.jsonl", raw_row("nes") + raw_row("nes2", product_id='{"id": "P1"}'), (1, 1, 0, 0), ("malformed row",)),
    Case("orders/deep.jsonl", raw_row("dee") + b"[" * 100_000 + b"]" * 100_000 + b"\n", (1, 1, 0, 0), ("malformed row",)),
    refused("cut.jsonl", json_bytes([order("cj"), order("cj2")])[:-30], "JSON Lines file is cut inside its last row"),
]  # fmt: skip
CELLS = [
    quarantined("nan.csv", AMOUNT, paid_amount="NaN"),
    quarantined("inf.csv", AMOUNT, paid_amount="inf"),
    quarantined("minus-inf.csv", AMOUNT, unit_price="-Infinity"),
    quarantined("huge.csv", NUMBER, paid_amount="1e400"),
    quarantined("negative.csv", AMOUNT, paid_amount="-0.01"),
    quarantined("fraction.csv", NUMBER, quantity="12.7"),
    quarantined("hex.csv", NUMBER, quantity="0x10"),
    quarantined("thousands.csv", NUMBER, paid_amount="1,234.50"),
    quarantined("underscore.csv", NUMBER, quantity="1_000"),
    quarantined("digits.csv", NUMBER, unit_price="9" * 40),
    quarantined("yuan.csv", NUMBER, paid_amount="¥9.90"),
    quarantined("full-width.csv", NUMBER, quantity="１２"),
    quarantined("arabic.csv", NUMBER, quantity="٣"),
    Case("orders/nan.jsonl", raw_row("jn") + raw_row("jn2", paid_amount="NaN"), (1, 1, 0, 0), (AMOUNT,)),
    Case("orders/huge.jsonl", raw_row("jh") + raw_row("jh2", paid_amount="1e400"), (1, 1, 0, 0), (NUMBER,)),
    Case("orders/true.jsonl", raw_row("jt") + raw_row("jt2", paid_amount="true"), (1, 1, 0, 0), (NUMBER,)),
    quarantined("1970.csv", RANGE, created_at="1970-01-01T00:00:00Z"),
    quarantined("future.csv", RANGE, paid_at="2099-01-01T00:00:00Z"),
    quarantined("february-30.csv", INSTANT, created_at="2026-02-30T10:00:00Z"),
    quarantined("date-only.csv", INSTANT, created_at="2026-10-01"),
    quarantined("epoch.csv", INSTANT, created_at="1760000000"),
    quarantined("offset.csv", INSTANT, created_at="2026-10-01T12:40:00+25:00"),
    quarantined("words.csv", INSTANT, created_at="yesterday"),
    taken("dst-gap.csv", csv_bytes([order("gap", created_at="2026-03-08T02:30:00", session_id="")])),
    taken(
        "dst-offset.csv",
        csv_bytes([order("gap2", created_at="2026-11-01T01:30:00-05:00", session_id="", paid_at="", paid_amount="")]),
    ),
    quarantined("currency.csv", "unknown enum value", currency="yuan"),
    quarantined("no-key.csv", "null key", order_line_id=""),
    quarantined("dash-key.csv", "null key", order_line_id="-"),
    quarantined("no-room.csv", "null required value", room_id=""),
    quarantined("other-room.csv", "order whose session is of another room", room_id="R2"),
    taken("zeros.csv", csv_bytes([order("00000000000000000001"), order("98765432109876543210")]), 2),
]
RELATIONS = [
    other("viewer_events", "upper.csv", [event("up"), event("up2", event_type="ENTER")], (1, 1, 0, 0), "unknown enum value"),
    other("viewer_events", "no-product.csv", [event("np"), event("np2", event_type="product_click")], (1, 1, 0, 0),
          "null required value"),
    other("viewer_events", "far.csv", [event("fa"), event("fa2", event_at="2026-10-02T14:00:01Z")], (1, 1, 0, 0),
          "event more than 24 h outside its session"),
    other("viewer_events", "orphan.csv", [event("or"), event("or2", session_id="S404")], (1, 0, 0, 1)),
    other("viewer_events", "again.csv", [event("ag"), event("ag")], (1, 0, 1, 0)),
    other("sessions", "backwards.csv", [{**SESSION, "session_id": "S8", "ended_at": "2026-10-01T11:00:00Z"}], (0, 1, 0, 0),
          "session does not end after it starts or lasts over 24 h"),
    other("sessions", "days.csv", [{**SESSION, "session_id": "S9", "ended_at": "2026-10-02T12:00:01Z"}], (0, 1, 0, 0),
          "session does not end after it starts or lasts over 24 h"),
    other("rooms", "mars.csv", [{**ROOM, "room_id": "R9", "timezone": "Mars/Olympus"}], (0, 1, 0, 0), "unknown enum value"),
    other("refunds", "over-paid.csv", [{**REFUND, "refund_id": "F2", "amount": "999999.00", "quantity": "40"}], (1, 0, 0, 0)),
    other("refunds", "dollars.csv", [{**REFUND, "refund_id": "F3", "currency": "USD"}], (0, 1, 0, 0),
          "refund in another currency than its line"),
    other("refunds", "orphan.csv", [{**REFUND, "refund_id": "F4", "order_line_id": "L404"}], (0, 0, 0, 1)),
    other("reviews", "six.csv", [{**REVIEW, "review_id": "W2", "rating": "6"}, {**REVIEW, "review_id": "W3", "rating": "0"}],
          (0, 2, 0, 0), "rating out of range", "rating out of range"),
    other("shifts", "overlap.csv", [
        {"shift_id": key, "session_id": "S1", "staff_id": "H1", "role": "host", "on_at": on_at, "off_at": "2026-10-01T13:30:00Z"}
        for key, on_at in (("T1", "2026-10-01T12:00:00Z"), ("T2", "2026-10-01T12:10:00Z"))
    ], (2, 0, 0, 0)),
]  # fmt: skip
FILES = [
    refused("bomb.csv.gz", FLOOD.compress(HEADER + b"0" * (96 << 20)) + FLOOD.flush(),
            f"gzip expands more than {RATIO_CAP} times"),
    refused("cut.csv.gz", gzip.compress(csv_bytes([order("cg")]) * 50)[:-20], "gzip file is cut short"),
    refused("crc.csv.gz", gzip.compress(csv_bytes([order("cc")]))[:-8] + b"\0\0\0\0\1\0\0\0", "gzip file is corrupt"),
    refused("tail.csv.gz", gzip.compress(csv_bytes([order("tl")])) + b"and more", "gzip file is corrupt"),
    refused("none.csv.gz", csv_bytes([order("ng")]), "gzip file is corrupt"),
    taken("members.csv.gz", gzip.compress(csv_bytes([order("mb")]))
          + gzip.compress(csv_bytes([order("mb2")]).split(b"\n", 1)[1]), 2),
    refused("wide.csv", csv_bytes([order("wd", product_id="w" * (ROW_CAP + 1))]), "a row is longer than"),
    refused("wide.jsonl", json_bytes([order("wj", product_id="w" * (ROW_CAP + 1))]), "a row is longer than"),
    taken("large.csv", csv_bytes([order("lg", product_id="w" * (ROW_CAP - 4096))])),
    refused("cut.parquet", parquet([order("cp")])[:-9], "Parquet file is cut short or corrupt"),
    refused("lacking.parquet", parquet([{"order_line_id": "lp"}]), "required column order_id"),
    Case("orders/nan.parquet", parquet([order("pn"), order("pn2")], paid_amount=pa.array([1.5, float("nan")])),
         (1, 1, 0, 0), (AMOUNT,)),
    taken("lists.parquet", parquet([order("pl")], tags=pa.array([["a", "b"]]))),
    Case("orders/bytes.parquet", parquet([order("pb"), order("pb2")], product_id=pa.array([b"P1", b"\xff\xfe"])), (1, 1, 0, 0),
         ("invalid UTF-8",)),
    refused("orders.xlsx", b"PK\x03\x04 and nothing", "no adapter takes this file"),
    refused("orders.exe", b"MZ", "no adapter takes this file"),
    taken("; drop table raw.orders; --.csv", csv_bytes([order("n1")])),
    taken("$(touch pwned)`id`.csv", csv_bytes([order("n2")])),
    taken("-rf.csv", csv_bytes([order("n3")])),
    taken("two\nlines.csv", csv_bytes([order("n4")])),
    taken("引号'与\".csv", csv_bytes([order("n5")])),
    taken("room_id=R1/{{ env_var('HOME') }}.csv", csv_bytes([order("n6")])),
]  # fmt: skip
CASES = [*ENCODINGS, *SHAPES, *CELLS, *RELATIONS, *FILES]
SPECIAL = {
    "orders/outside.csv": "symbolic link out of the landing folder",
    "orders/pipe.csv": "not a regular file",
    "complaints": "symbolic link out of the landing folder",
}


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> World:
    """All of them in one night; rows beside bad ones are wanted, so no share of bad ones rejects a file."""
    folder = tmp_path_factory.mktemp("hostile")
    world = World(folder)
    world.set(quarantine_limit=1.0, max_gzip_ratio=RATIO_CAP, max_row_bytes=ROW_CAP)
    world.put_required()
    world.put("rooms/second.csv", [{**ROOM, "room_id": "R2"}])
    for case in CASES:
        world.put(case.path, case.content)
    secret = folder / "secret.csv"
    secret.write_bytes(csv_bytes([order("stolen")]))
    os.symlink(secret, world.exports / "orders" / "outside.csv")
    os.symlink(world.exports / "orders" / "crlf.csv", world.exports / "orders" / "zz-inside.csv")
    os.mkfifo(world.exports / "orders" / "pipe.csv")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "r.csv").write_bytes(csv_bytes([{**REVIEW, "review_id": "stolen"}]))
    world.land()
    return world


def test_the_corpus_is_large_and_no_two_files_are_one():
    assert len(CASES) + len(SPECIAL) >= AT_LEAST
    assert len({case.path for case in CASES}) == len({case.content for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.path))
def test_a_hostile_file_gets_its_verdict(night: World, case: Case):
    # The ledger writes a control character of a name as its number, so that a name stays one line.
    path = case.path.replace("\n", "\\x0a")
    verdict, why = night.verdict(path)
    counts = night.con.execute(
        "select rows_accepted, rows_quarantined, rows_duplicate, rows_pending from raw.files where path = ?", [path]
    ).fetchall()
    if case.counts is None:
        assert (verdict, counts) == ("rejected", [(0, 0, 0, 0)])
        assert why.startswith(case.reasons), why
    else:
        assert (verdict, why) == ("accepted", None)
        assert counts == [case.counts]
        assert night.reasons(path) == list(case.reasons)


def test_what_is_no_file_inside_the_folder_is_never_opened(night: World):
    for path in ("orders/outside.csv", "orders/pipe.csv"):
        assert night.verdict(path) == ("rejected", SPECIAL[path])
    assert night.verdict("orders/zz-inside.csv") == ("duplicate", "same bytes as orders/crlf.csv")
    assert night.one("select count(*) from raw.orders where order_line_id = 'stolen'") == 0


def test_an_export_folder_that_is_a_link_out_is_refused_whole(night: World):
    outside = night.exports.parent / "elsewhere"
    (night.exports / "complaints").symlink_to(outside)
    night.land()
    assert night.verdict("complaints") == ("rejected", "symbolic link out of the landing folder")
    assert night.one("select count(*) from raw.complaints") == 0


def test_the_accounts_of_every_file_add_up_and_nothing_is_kept_twice(night: World, record: Record):
    night.check_accounts()
    assert night.one("select count(*) from raw.orders where _status = 'current'") == night.one(
        "select count(distinct order_line_id) from raw.orders where _status = 'current'"
    )
    assert night.one("select sum(nul_removed) from raw.files") == 2
    assert not list(night.exports.parent.rglob("pwned"))
    files = dict(night.rows("select verdict, count(*) from raw.files group by 1"))
    record("hostile_files", count=len(CASES) + len(SPECIAL), files=files, rows=night.rows(
        "select sum(rows_in)::int, sum(rows_accepted)::int, sum(rows_quarantined)::int, sum(rows_duplicate)::int, "
        "sum(rows_pending)::int from raw.files")[0])  # fmt: skip


def test_text_is_kept_as_it_came(night: World):
    kept = dict(night.rows("select order_line_id, product_id from raw.orders where _status = 'current'"))
    assert kept["gb"] == "货品𠀀" and kept["bom"] == "货" and kept["nul"] == kept["nulj"] == "P1"
    assert kept["nl"] == "a\nb" and kept["inch"] == '17"' and kept["dq"] == 'say "hi", twice'
    assert kept["fx"] == "=cmd|' /C calc'!A0" and kept["rtl"] == "\u202egnp\u200b"
    assert {"00000000000000000001", "98765432109876543210"} <= kept.keys()


def test_no_hostile_name_is_more_than_a_name(night: World):
    assert night.one("select count(*) from raw.files where path like '%drop table%'") == 1
    assert night.one("select count(*) from raw.files where path = 'orders/two\\x0alines.csv'") == 1
    assert Path(night.exports, "orders", "-rf.csv").exists()
