"""Which adapter takes a file, what is said of one that none takes, and how a new platform is added."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from dagster_project.landing import documents
from dagster_project.landing.declarations import declarations
from dagster_project.settings import REPOSITORY, UserError
from tests.adapters.sheets import workbook
from tests.adapters.test_platform_formats import DOUYIN, tiktok_order, told

MADE_UP = """
name: moon_shop
title: Moon Shop orders, a made-up platform
export: orders
priority: 10
formats: [csv, json]
time_zone: America/New_York
rows: [payload.sales]
leave_out:
  - {column: Kind, in: [TEST], why: test order}
columns:
  order_id: {from: [Sale No, saleNo], as: id}
  order_line_id: {from: [Item No, itemNo], as: id}
  viewer_id: {else: "order:{order_id}"}
  product_id: {else: unknown}
  quantity: {from: [Units, units], as: number}
  unit_price: {from: [Cents Each, centsEach], as: number, times: "0.01"}
  paid_amount: {multiply: [unit_price, quantity]}
  currency: {from: [Money, money], map: {dollars: USD}}
  created_at: {from: [Sold, sold], as: instant}
  paid_at: {latest: [created_at]}
  updated_at: {latest: [created_at]}
"""
MADE_UP_FILE = (
    "Sale No,Item No,Units,Cents Each,Money,Sold,Kind\n"
    "007,0071,3,\"1,250\",dollars,2026-10-01 09:00:00,LIVE\n"
    "008,0081,1,100,dollars,2026-10-01 09:00:00,TEST\n"
)


def add_declaration(world, text: str, name: str = "moon_shop.yml") -> None:
    folder = world.exports.parent / "adapters"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    world.set(adapters=folder)


def test_one_declaration_file_adds_a_platform(world):
    add_declaration(world, MADE_UP)
    world.put("orders/room_id=R1/moon.csv", MADE_UP_FILE)
    world.land()
    assert told(world, "orders/room_id=R1/moon.csv") == ("moon_shop", "accepted", "1 left out: test order", 1, 1, 0)
    # 09:00 in New York in October is 13:00 UTC; 3 × 12.50 = 37.50.
    assert world.rows(
        "SELECT order_line_id, order_id, quantity, CAST(unit_price AS VARCHAR), CAST(paid_amount AS VARCHAR), currency, "
        "CAST(created_at AS VARCHAR) FROM raw.orders WHERE order_id = '007'"
    ) == [("0071", "007", 3, "12.500000", "37.500000", "USD", "2026-10-01 13:00:00")]


def test_the_page_that_explains_how_to_add_a_platform_shows_this_very_declaration():
    page = (REPOSITORY / "docs" / "adapters.md").read_text(encoding="utf-8")
    assert MADE_UP.strip() in page


def test_of_two_adapters_that_fit_the_declared_priority_decides_and_the_ledger_says_so(world):
    add_declaration(world, MADE_UP)
    add_declaration(world, MADE_UP.replace("moon_shop", "moon_old").replace("priority: 10", "priority: 5"), "old.yml")
    world.put("orders/room_id=R1/moon.csv", MADE_UP_FILE)
    world.land()
    adapter, verdict, reason, *_ = told(world, "orders/room_id=R1/moon.csv")
    assert (adapter, verdict) == ("moon_shop", "accepted")
    assert "moon_shop by priority 10; moon_old (priority 5) fits too" in reason


def test_an_unknown_file_is_told_the_nearest_adapter_and_the_columns_it_misses(world):
    world.put("orders/room_id=R1/a.csv", DOUYIN.replace("子订单编号", "编号").replace("商品数量", "件数"))
    world.land()
    assert world.verdict("orders/room_id=R1/a.csv") == (
        "rejected",
        "no adapter takes this file; the nearest is douyin_orders, for which 子订单编号, 商品数量 is missing",
    )


def test_a_file_with_only_some_of_a_platforms_columns_still_learns_what_it_is_nearest_to(world):
    world.put("orders/room_id=R1/a.csv", "主订单编号,商品ID,备注\n1,2,3\n")
    world.land()
    assert world.verdict("orders/room_id=R1/a.csv") == (
        "rejected",
        "no adapter takes this file; the nearest is douyin_orders, for which "
        "子订单编号, 商品数量, 商品金额, 订单提交时间, 支付完成时间, 订单状态 is missing",
    )


def test_a_file_in_the_folder_of_another_export_is_told_where_it_belongs(world):
    world.put("sessions/room_id=R1/tt.json", json.dumps({"data": {"orders": [tiktok_order(1)]}}))
    world.land()
    verdict, reason = world.verdict("sessions/room_id=R1/tt.json")
    assert verdict == "rejected"
    assert reason == (
        "no adapter of sessions takes this file, tiktok_shop_orders of orders does: put it into EXPORTS/orders/"
    )


def test_a_room_that_neither_file_nor_folder_names_is_asked_for(world):
    world.put("orders/a.csv", DOUYIN)
    world.land()
    assert world.verdict("orders/a.csv") == (
        "rejected",
        "required column room_id is missing: douyin_orders files do not say it, "
        "put the file below a folder room_id=…",
    )


def test_a_canonical_file_with_a_column_missing_is_told_in_the_words_of_its_contract(world):
    world.put("staff/a.csv", "staff_id,name,role\nX,Y,host\n")
    world.land()
    assert world.verdict("staff/a.csv") == ("rejected", "required column hired_on is missing")


def test_the_same_roster_in_another_rooms_folder_is_another_file(world):
    roster = workbook([["日期", "上播时间", "下播时间", "主播姓名", "场控姓名"], ["2026-10-02", "20:00", "22:00", "李雷", "-"]])
    world.put("rooms/two.csv", world.exports.joinpath("rooms/rooms.csv").read_text().replace("R1", "R2"))
    world.put("shifts/room_id=R1/a.xlsx", roster)
    world.put("shifts/room_id=R2/a.xlsx", roster)
    world.land()
    assert world.verdict("shifts/room_id=R1/a.xlsx")[0] == "accepted"
    # In R2 there is no session at that time: its row waits for one, it is not taken for the row of R1.
    assert told(world, "shifts/room_id=R2/a.xlsx") == ("feishu_roster", "accepted", None, 1, 0, 0)
    assert world.rows("SELECT session_id, _status FROM raw.shifts ORDER BY _file_no") == [
        ("S2", "current"),
        ("R2@2026-10-02T12:00:00.000Z", "pending"),
    ]


@pytest.mark.parametrize("change", ["export: orderz", "priority: 10\nspeed: 3", "time_zone: Mars/Base"])
def test_a_wrong_declaration_is_one_clear_line_that_names_the_file(world, change):
    key = change.split(":")[0]
    old = next(line for line in MADE_UP.splitlines() if line.startswith(key))
    add_declaration(world, MADE_UP.replace(old, change))
    with pytest.raises(UserError, match=r"moon_shop\.yml: "):
        declarations(world.settings)


def test_every_shipped_declaration_can_be_read(world):
    assert len(declarations(world.settings)) >= 12


def zipped(parts: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return held.getvalue()


def test_a_workbook_that_unzips_to_very_much_is_rejected(world):
    world.put("orders/room_id=R1/bomb.xlsx", zipped({"xl/worksheets/sheet1.xml": b"\0" * (64 << 20)}))
    world.land()
    verdict, reason = world.verdict("orders/room_id=R1/bomb.xlsx")
    assert verdict == "rejected"
    assert "expands more than 200 times" in reason


def test_two_cells_at_the_far_ends_of_a_sheet_are_rejected_before_the_sheet_is_laid_out(world):
    sheet = b'<sheetData><row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"/></row></sheetData>'
    world.put("orders/room_id=R1/far.xlsx", zipped({"xl/worksheets/sheet1.xml": sheet}))
    world.land()
    assert world.verdict("orders/room_id=R1/far.xlsx") == ("rejected", "a sheet spans more than 20000000 cells")


def test_a_json_document_over_the_cap_and_one_cut_short_are_rejected(world, monkeypatch):
    world.put("orders/room_id=R1/cut.json", '{"data": {"orders": [{"id": "1"')
    world.land()
    assert world.verdict("orders/room_id=R1/cut.json")[1].startswith("JSON document is cut short or broken")
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 100)
    world.put("orders/room_id=R1/big.json", json.dumps({"data": {"orders": [tiktok_order(1)]}}))
    world.land()
    assert world.verdict("orders/room_id=R1/big.json") == ("rejected", "JSON document is larger than 100 bytes")
