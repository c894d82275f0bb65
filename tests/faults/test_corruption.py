"""Truncated files and flipped bits: what landing notices, beside what DuckDB alone notices.

A damaged file is *detected* when it is rejected or any of its rows is quarantined, *harmless* when its typed rows
are those of the sound file, and *silent* otherwise. Text without a checksum cannot tell a flipped digit from
another digit, nor an end after a whole row from the end: there `.sha256` beside the file is what detects.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.landing.delivery import CHECKSUM_MISMATCH, judge_file
from dagster_project.landing.discovery import Delivery
from dagster_project.landing.readers import FileRejected
from tests.adapters.sheets import workbook
from tests.faults.conftest import Record
from tests.landing.delivered import ORDER, World, csv_bytes, json_bytes

ROWS = 60


def rows() -> list[dict]:
    rng = random.Random(60)
    start = datetime(2026, 10, 1, 12, tzinfo=UTC)
    made = []
    for number in range(ROWS):
        at = start + timedelta(seconds=rng.randrange(7000), milliseconds=rng.randrange(1000))
        price = str(Decimal(rng.randrange(100, 99999)).scaleb(-2))
        made.append(
            {**ORDER, "order_line_id": f"L{number:05}", "order_id": f"O{number // 2:05}",
             "viewer_id": f"V{rng.randrange(30)}",
             "product_id": f"商品{rng.randrange(9)}", "quantity": str(rng.randint(1, 9)), "unit_price": price,
             "paid_amount": price, "created_at": at.isoformat(), "paid_at": (at + timedelta(minutes=1)).isoformat(),
             "updated_at": at.isoformat()}
        )  # fmt: skip
    return made


def parquet(checksums: bool) -> bytes:
    sink = io.BytesIO()
    typed = {
        name: pa.array([Decimal(row[name]) for row in rows()], pa.decimal128(18, 2)) for name in ("unit_price", "paid_amount")
    } | {name: pa.array([datetime.fromisoformat(row[name]) for row in rows()], pa.timestamp("us", "UTC"))
         for name in ("created_at", "paid_at", "updated_at")}  # fmt: skip
    table = pa.Table.from_pylist([{name: value for name, value in row.items() if name not in typed} for row in rows()])
    for name, values in typed.items():
        table = table.append_column(name, values)
    pq.write_table(table, sink, write_page_checksum=checksums, compression="none", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


SHEET = [
    "主订单编号", "子订单编号", "选购商品", "商品ID", "商品数量", "商品金额", "订单提交时间", "支付完成时间", "订单完成时间",
    "订单状态", "取消原因", "售后状态", "订单应付金额", "平台优惠", "商家优惠", "达人优惠", "达人ID", "达人昵称", "流量来源",
    "流量类型", "流量体裁",
]  # fmt: skip


def sheet() -> bytes:
    lines = [
        dict.fromkeys(SHEET, "-") | {
            "主订单编号": row["order_id"], "子订单编号": row["order_line_id"], "商品ID": "36",
            "商品数量": int(row["quantity"]),
            "商品金额": row["unit_price"], "订单提交时间": row["created_at"][:19].replace("T", " "),
            "订单应付金额": row["paid_amount"],
            "支付完成时间": row["paid_at"][:19].replace("T", " "),
        }
        for row in rows()
    ]  # fmt: skip
    return workbook([SHEET, *(line.values() for line in lines)])


def document() -> bytes:
    orders = [
        {"order_id": row["order_id"], "open_id": row["viewer_id"], "create_time": 1790856000 + number, "update_time": 1790857000,
         "sku_order_list": [{"order_id": row["order_line_id"], "product_id_str": "36", "item_num": int(row["quantity"]),
                             "goods_price": int(Decimal(row["unit_price"]) * 100), "create_time": 1790856000 + number,
                             "update_time": 1790857000 + number}]}
        for number, row in enumerate(rows())
    ]  # fmt: skip
    return json.dumps({"code": 10000, "data": {"shop_order_list": orders}}).encode()


# form → (file name, the sound bytes, whether damage can be told from the bytes alone)
FORMS: dict[str, tuple[str, Callable[[], bytes], bool]] = {
    "csv": ("f.csv", lambda: csv_bytes(rows()), False),
    "csv.gz": ("f.csv.gz", lambda: gzip.compress(csv_bytes(rows()), mtime=0), True),
    "jsonl": ("f.jsonl", lambda: json_bytes(rows()), False),
    "jsonl.gz": ("f.jsonl.gz", lambda: gzip.compress(json_bytes(rows()), mtime=0), True),
    "parquet": ("f.parquet", lambda: parquet(False), False),
    # Its pages have checksums, its footer has none.
    "parquet, page checksums": ("f.parquet", lambda: parquet(True), False),
    "xlsx": ("f.xlsx", sheet, True),
    "json": ("f.json", document, False),
}
BARE = {
    "csv": "read_csv('{}', all_varchar = true)", "csv.gz": "read_csv('{}', all_varchar = true)", "jsonl": "read_json('{}')",
    "jsonl.gz": "read_json('{}')", "parquet": "read_parquet('{}')", "parquet, page checksums": "read_parquet('{}')",
    "json": "read_json('{}')",
}  # fmt: skip


def damaged(sound: bytes, count: int, rng: random.Random) -> list[tuple[str, bytes]]:
    """`count` damages, no two alike: one in four cuts the file, the others flip one bit."""
    places = set()
    while len(places) < count:
        places.add(
            ("cut", rng.randrange(len(sound)), 0)
            if len(places) % 4 == 0
            else ("flip", rng.randrange(len(sound)), rng.randrange(8))
        )
    made = []
    for kind, place, bit in sorted(places):
        content = sound[:place] if kind == "cut" else sound[:place] + bytes([sound[place] ^ 1 << bit]) + sound[place + 1 :]
        made.append((f"{kind} at {place}" + (f" bit {bit}" if kind == "flip" else ""), content))
    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    world = World(tmp_path_factory.mktemp("corruption"))
    world.set(quarantine_limit=0.0)
    world.put_required()
    world.land()
    return world


def landed(world: World, file: Path) -> tuple[str, list]:
    """(verdict, typed rows) of a file judged apart; the warehouse is as before."""
    relative = f"orders/room_id=R1/{file.name}"
    world.con.execute("begin")
    try:
        row = judge_file(
            world.con, world.settings, Delivery("orders", file, relative, file.stat().st_size, folder_values=(("room_id", "R1"),))
        )
        stored = world.rows(
            "select * exclude (_file_no, viewer_no), viewer_id from raw.orders join raw.viewers using (viewer_no) "
            f"where _file_no = {row.file_no} order by all"
        )
        return ("detected" if row.verdict != "accepted" or row.quarantined else "accepted"), stored
    except FileRejected:
        return "detected", []
    finally:
        world.con.execute("rollback")


def bare(file: Path, form: str) -> tuple[str, list]:
    """What DuckDB's own reader makes of the file."""
    try:
        with duckdb.connect(config={"threads": 1}) as con:
            return "accepted", con.execute(f"select * from {BARE[form].format(file)} order by all").fetchall()
    except (duckdb.Error, RuntimeError, UnicodeDecodeError, ValueError, OverflowError):
        return "detected", []


def outcome(sound: tuple[str, list], found: tuple[str, list]) -> str:
    if found[0] == "detected":
        return "detected"
    return "harmless" if found[1] == sound[1] else "silent"


def tally(world: World, form: str, count: int, seed: int, folder: Path) -> dict:
    """Outcomes of one form's damages: ours, bare DuckDB's, and which of ours passed unnoticed."""
    name, make, _ = FORMS[form]
    sound = make()
    file = folder / name
    file.write_bytes(sound)
    ours, theirs = landed(world, file), bare(file, form) if form in BARE else None
    assert ours[0] == "accepted" and len(ours[1]) == ROWS
    found: Counter[str] = Counter()
    of_duckdb: Counter[str] = Counter()
    silent = []
    for what, content in damaged(sound, count, random.Random(f"{seed}/{form}")):
        file.write_bytes(content)
        mine = outcome(ours, landed(world, file))
        found[mine] += 1
        if mine == "silent":
            silent.append(what)
        if theirs:
            of_duckdb[outcome(theirs, bare(file, form))] += 1
    return {"count": count, "ours": dict(found), "duckdb": dict(of_duckdb), "silent": silent, "bytes": len(sound)}


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_detected_or_harmless_wherever_its_bytes_can_tell(world, tmp_path, form, seed):
    told = tally(world, form, 12, seed, tmp_path)
    assert sum(told["ours"].values()) == 12 and told["ours"].get("detected", 0) > 0
    if FORMS[form][2]:
        assert told["silent"] == []


def checked(world: World, form: str, count: int, seed: int) -> None:
    """Every damage of a form is rejected where the checksum of the sound file lies beside."""
    name, make, _ = FORMS[form]
    sound = make()
    digest = hashlib.sha256(sound).hexdigest()
    for number, (_, content) in enumerate(damaged(sound, count, random.Random(f"{seed}/{form}"))):
        path = f"orders/room_id=R1/{number:04}-{name}"
        world.put(path, content)
        world.put(f"{path}.sha256", f"{digest}  {name}\n")
    world.land()
    files = world.rows("select verdict, reason, count(*) from raw.files where path like 'orders/room_id=R1/%' group by all")
    assert files == [("rejected", CHECKSUM_MISMATCH, count)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_any_damage_is_detected_where_a_checksum_lies_beside(tmp_path, form, seed):
    world = World(tmp_path)
    world.put_required()
    checked(world, form, 40, seed)


@pytest.mark.slow
def test_two_hundred_damages_of_each_format(world, tmp_path, seed, asked_for, record: Record):
    count = asked_for("DAMAGES", 200)
    told = {}
    for form in FORMS:
        told[form] = tally(world, form, count, seed, tmp_path)
        record("corruption", count=sum(entry["count"] for entry in told.values()), forms=told)
    for number, form in enumerate(FORMS):
        (tmp_path / str(number)).mkdir()
        apart = World(tmp_path / str(number))
        apart.put_required()
        checked(apart, form, count, seed)
        told[form]["with_sha256"] = {"detected": count}
        record("corruption", count=sum(entry["count"] for entry in told.values()), forms=told)
    assert [(form, told[form]["silent"]) for form in FORMS if FORMS[form][2] and told[form]["silent"]] == []
