"""Each platform's file as it is handed out, ugly parts and all, gives the rows worked out by hand."""

from __future__ import annotations

import json
from datetime import datetime, time

import pytest

from dagster_project.landing.contracts import AMBIGUOUS, UNPARSABLE_NUMBER
from tests.adapters.sheets import workbook
from tests.landing.delivered import World

DOUYIN_HEADER = (
    "主订单编号,子订单编号,选购商品,商品ID,商品数量,商品金额,订单提交时间,支付完成时间,订单完成时间,订单状态,取消原因,"
    "售后状态,订单应付金额,平台优惠,商家优惠,达人优惠,达人ID,达人昵称,流量来源,流量类型,流量体裁\n"
)
DOUYIN = DOUYIN_HEADER + (
    # 22:30 in Beijing is 14:30 UTC; ids behind a tab; thousands commas; the traffic is not known yet.
    '"\t6919560000000000001","\t00919560000000000011",羽绒服（加厚）,\t3600000000000000001,2,"1,299.50",2026/10/01 22:30:05,'
    '2026/10/01 22:31:00,2026-10-08 09:00:00,已完成,-,-,"2,599.00",0,0,0,"\t7001",小明,短视频,自然,数据将于第二天更新\n'
    # Not paid: what is due is no payment. No product; a quote before the ids.
    "'6919560000000000002,'00919560000000000012,袜子,-,1,9.90,2026-10-01 23:59:59,-,-,已取消,不想要了,-,9.90,0,0,0,-,-,-,-,"
    "数据将于第二天更新\n"
    # Paid, the day after, just past midnight in Beijing.
    "6919560000000000003,00919560000000000013,帽子,3600000000000000002,1,59,2026/10/02 00:05:00,2026/10/02 00:05:30,-,"
    "已发货,-,-,49.00,0,10.00,0,-,-,-,-,-\n"
)
DOUYIN_ROWS = [
    ("00919560000000000011", "6919560000000000001", "R1", "order:6919560000000000001", "3600000000000000001", 2,
     "1299.500000", "2599.000000", "CNY", "2026-10-01 14:30:05", "2026-10-01 14:31:00", "2026-10-08 01:00:00"),
    ("00919560000000000012", "6919560000000000002", "R1", "order:6919560000000000002", "unknown", 1,
     "9.900000", None, "CNY", "2026-10-01 15:59:59", None, "2026-10-01 15:59:59"),
    ("00919560000000000013", "6919560000000000003", "R1", "order:6919560000000000003", "3600000000000000002", 1,
     "59.000000", "49.000000", "CNY", "2026-10-01 16:05:00", "2026-10-01 16:05:30", "2026-10-01 16:05:30"),
]  # fmt: skip
ORDERS_OF = (
    "SELECT order_line_id, order_id, room_id, viewer_id, product_id, quantity, CAST(unit_price AS VARCHAR), "
    "CAST(paid_amount AS VARCHAR), currency, CAST(created_at AS VARCHAR), CAST(paid_at AS VARCHAR), "
    "CAST(updated_at AS VARCHAR) FROM raw.orders JOIN raw.viewers USING (viewer_no) "
    "JOIN raw.files ON file_no = _file_no WHERE adapter = '{}' ORDER BY _row_no"
)


def told(world: World, path: str) -> tuple:
    """(adapter, verdict, reason, rows in, accepted, quarantined) of a file."""
    return world.con.execute(
        "SELECT adapter, verdict, reason, rows_in, rows_accepted, rows_quarantined FROM raw.files WHERE path = ?", [path]
    ).fetchall()[0]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-8"])
def test_douyin_orders_come_in_whatever_the_encoding(world, encoding):
    world.put("orders/room_id=R1/抖店.csv", DOUYIN.encode(encoding))
    world.land()
    assert told(world, "orders/room_id=R1/抖店.csv") == ("douyin_orders", "accepted", None, 3, 3, 0)
    assert world.rows(ORDERS_OF.format("douyin_orders")) == DOUYIN_ROWS


def test_the_columns_of_an_order_sheet_that_we_do_not_use_are_kept_aside_byte_exact(world):
    world.put("orders/room_id=R1/a.csv", DOUYIN.encode("gb18030"))
    world.land()
    kept = json.loads(world.one("SELECT content FROM raw.extra_values WHERE row_no = 1"))
    assert kept["选购商品"] == "羽绒服（加厚）"
    assert "流量体裁" in world.one("SELECT extra_columns FROM raw.files WHERE adapter = 'douyin_orders'")


def test_older_headers_of_the_order_sheet_are_read_as_well(world):
    older = DOUYIN.replace("选购商品", "商品名称").replace("商品金额", "商品单价")
    world.put("orders/room_id=R1/a.csv", older.encode())
    world.land()
    assert world.rows(ORDERS_OF.format("douyin_orders")) == DOUYIN_ROWS


def test_ids_of_a_workbook_survive_as_text_and_a_number_that_lost_digits_is_quarantined(world):
    header = DOUYIN_HEADER.strip().split(",")
    good = dict.fromkeys(header, "-")
    good |= {
        "主订单编号": "00000000000000000042", "子订单编号": "00123456789012345678", "商品ID": 3600001, "商品数量": 2,
        "商品金额": 19.9, "订单提交时间": datetime(2026, 10, 1, 20, 0, 0), "支付完成时间": "2026/10/01 20:00:30",
        "订单应付金额": "39.80",
    }  # fmt: skip
    lost = good | {"子订单编号": 69195600000000000000}
    world.put("orders/room_id=R1/a.xlsx", workbook([["抖店订单"], [], header, good.values(), lost.values()]))
    world.land()
    rows = world.rows(ORDERS_OF.format("douyin_orders"))
    assert rows == [
        ("00123456789012345678", "00000000000000000042", "R1", "order:00000000000000000042", "3600001", 2, "19.900000",
         "39.800000", "CNY", "2026-10-01 12:00:00", "2026-10-01 12:00:30", "2026-10-01 12:00:30")
    ]  # fmt: skip
    assert world.rows("SELECT row_no, reason FROM raw.quarantine") == [(2, UNPARSABLE_NUMBER)]


def test_the_open_api_of_douyin_counts_in_cents_and_epoch_seconds(world):
    order = {
        "order_id": "6919560000000000009", "create_time": 1790859600, "pay_time": 1790859660, "update_time": 1790860000,
        "sku_order_list": [
            {"order_id": "6919560000000000091", "product_id": 3600000000000000009, "item_num": 3,
             "goods_price": 1990, "pay_amount": 5970},
            {"order_id": "6919560000000000092", "product_id": 3600000000000000010, "item_num": 1,
             "goods_price": 5, "pay_amount": 5, "pay_time": 0},
        ],
    }  # fmt: skip
    world.put("orders/room_id=R1/api.json", json.dumps({"code": 10000, "data": {"shop_order_list": [order]}}))
    world.land()
    # 1790859600 = 2026-10-01T13:00:00Z; a time of 0 is how the API says that it never happened.
    assert world.rows(ORDERS_OF.format("douyin_orders_api")) == [
        ("6919560000000000091", "6919560000000000009", "R1", "order:6919560000000000009", "3600000000000000009", 3,
         "19.900000", "59.700000", "CNY", "2026-10-01 13:00:00", "2026-10-01 13:01:00", "2026-10-01 13:06:40"),
        ("6919560000000000092", "6919560000000000009", "R1", "order:6919560000000000009", "3600000000000000010", 1,
         "0.050000", None, "CNY", "2026-10-01 13:00:00", None, "2026-10-01 13:06:40"),
    ]  # fmt: skip


def test_douyin_after_sales_count_once_they_succeeded(world):
    world.put(
        "refunds/after.csv",
        (
            "售后单号,订单号,商品单号,售后类型,退商品金额（元）,售后状态,售后申请时间,商家退款时间,用户到账时间,售后原因\n"
            '\t7200000000000000001,\tA,\t0069195600000000000001,退货退款,"1,019.90","同意退款，退款成功",2026/10/03 10:00:00,'
            "2026/10/04 08:00:00,2026/10/04 08:05:00,尺码不合适\n"
            "7200000000000000002,A,0069195600000000000001,仅退款,5.00,待商家处理,2026-10-03 10:00:00,-,-,-\n"
            "7200000000000000003,A,0069195600000000000001,换货,0,已完成,2026-10-03 10:00:00,-,-,-\n"
        ).encode("gb18030"),
    )
    world.land()
    assert told(world, "refunds/after.csv") == (
        "douyin_after_sales", "accepted", "1 left out: exchange or repair", 2, 2, 0
    )  # fmt: skip
    assert world.rows(
        "SELECT refund_id, order_line_id, refund_type, quantity, CAST(amount AS VARCHAR), CAST(requested_at AS VARCHAR), "
        "CAST(completed_at AS VARCHAR), reason, CAST(updated_at AS VARCHAR) FROM raw.refunds ORDER BY 1"
    ) == [
        ("7200000000000000001", "0069195600000000000001", "return", 1, "1019.900000", "2026-10-03 02:00:00",
         "2026-10-04 00:00:00", "尺码不合适", "2026-10-04 00:00:00"),
        ("7200000000000000002", "0069195600000000000001", "refund_only", 1, "5.000000", "2026-10-03 02:00:00",
         None, None, "2026-10-03 02:00:00"),
    ]  # fmt: skip


def test_taobao_live_orders_name_their_session(world):
    world.put(
        "orders/room_id=R1/tb.csv",
        "代播主播名称,代播id,场次id,父订单,子订单,下单时间,支付时间,支付金额,确认收货金额\n"
        "小红,901,S1,'0012345678901234567,'0012345678901234568,2026-10-01 21:00:00,2026-10-01 21:00:10,\"1,088.00\",-\n"
        "小红,901,S1,31,32,2026-10-01 21:05:00,-,-,-\n",
    )
    world.land()
    assert world.rows(ORDERS_OF.format("taobao_live_orders")) == [
        ("0012345678901234568", "0012345678901234567", "R1", "order:0012345678901234567", "unknown", 1, "1088.000000",
         "1088.000000", "CNY", "2026-10-01 13:00:00", "2026-10-01 13:00:10", "2026-10-01 13:00:10"),
        ("32", "31", "R1", "order:31", "unknown", 1, "0.000000", None, "CNY", "2026-10-01 13:05:00", None,
         "2026-10-01 13:05:00"),
    ]  # fmt: skip
    assert world.one("SELECT session_id FROM raw.orders WHERE order_line_id = '32'") == "S1"


def tiktok_order(number: int, **changes) -> dict:
    return {
        "id": f"57648000000000000{number:03d}", "status": "COMPLETED", "create_time": 1790859600, "paid_time": 1790859700,
        "update_time": 1790859800, "is_sample_order": False, "is_replacement_order": False,
        "payment": {"currency": "USD", "sub_total": "12.10", "total_amount": "12.10", "shipping_fee": "0"},
        "line_items": [{"id": f"9{number:03d}", "sku_id": "1", "product_id": "17", "sale_price": "12.10", "is_gift": False}],
        **changes,
    }  # fmt: skip


def test_tiktok_orders_leave_out_samples_and_replacements_and_pay_nothing_for_gifts(world):
    gift = {"id": "9999", "sku_id": "2", "product_id": "18", "sale_price": "3.00", "is_gift": True}
    orders = [
        tiktok_order(1, line_items=[*tiktok_order(1)["line_items"], gift]),
        tiktok_order(2, is_sample_order=True),
        tiktok_order(3, is_replacement_order=True),
        tiktok_order(4, paid_time=0, cancel_time=1790859750, status="CANCELLED"),
    ]
    world.put("orders/room_id=R1/tt.json", json.dumps({"code": 0, "data": {"orders": orders, "total_count": 4}}))
    world.land()
    assert told(world, "orders/room_id=R1/tt.json") == (
        "tiktok_shop_orders", "accepted", "1 left out: replacement order; 1 left out: sample order", 3, 3, 0
    )  # fmt: skip
    rows = world.rows(
        "SELECT order_line_id, order_id, quantity, CAST(unit_price AS VARCHAR), CAST(paid_amount AS VARCHAR), currency, "
        "CAST(paid_at AS VARCHAR), CAST(cancelled_at AS VARCHAR) FROM raw.orders WHERE currency = 'USD' ORDER BY _row_no"
    )
    assert rows == [
        ("9001", "57648000000000000001", 1, "12.100000", "12.100000", "USD", "2026-10-01 13:01:40", None),
        ("9999", "57648000000000000001", 1, "3.000000", "0.000000", "USD", "2026-10-01 13:01:40", None),
        ("9004", "57648000000000000004", 1, "12.100000", None, "USD", None, "2026-10-01 13:02:30"),
    ]


def test_an_envelope_without_orders_is_an_empty_file_not_an_unknown_one(world):
    world.put("orders/room_id=R1/none.json", json.dumps({"data": {"orders": []}}))
    world.land()
    assert told(world, "orders/room_id=R1/none.json")[:4] == ("tiktok_shop_orders", "accepted", None, 0)


def test_tiktok_returns_refund_the_item_or_the_total_of_a_single_one(world):
    def returned(number: str, items: list[dict], status: str) -> dict:
        return {
            "return_id": number, "order_id": "A", "return_type": "RETURN_AND_REFUND", "return_status": status,
            "return_reason_text": "Wrong size", "create_time": 1790946000, "update_time": 1790949600,
            "refund_amount": {"currency": "CNY", "refund_total": "30.00"}, "return_line_items": items,
        }  # fmt: skip

    line = "0069195600000000000001"
    returns = [
        returned("40", [{"order_line_item_id": line}], "RETURN_OR_REFUND_REQUEST_COMPLETE"),
        returned("41", [{"order_line_item_id": line, "refund_amount": {"refund_total": "7.50"}}, {"order_line_item_id": "x"}],
                 "RETURN_OR_REFUND_REQUEST_PENDING"),
    ]  # fmt: skip
    world.put("refunds/tt.json", json.dumps({"data": {"return_orders": returns}}))
    world.land()
    assert world.rows(
        "SELECT refund_id, order_line_id, refund_type, quantity, CAST(amount AS VARCHAR), CAST(completed_at AS VARCHAR) "
        "FROM raw.refunds ORDER BY 1"
    ) == [
        (f"40:{line}", line, "return", 1, "30.000000", "2026-10-02 14:00:00"),
        (f"41:{line}", line, "return", 1, "7.500000", None),
    ]
    # 30.00 over two items cannot be split.
    assert world.rows("SELECT row_no, reason FROM raw.quarantine") == [(3, "null required value")]


def test_bilibili_chat_becomes_events_and_a_message_heard_twice_is_a_duplicate(world):
    def danmu(ms: int, number: int, text: str, user: int) -> dict:
        return {"cmd": "DANMU_MSG", "info": [[0, 1, 25, 16777215, ms, number, 0], text, [user, "name", 0]]}

    chats = [
        danmu(1790859600123, -77, "主播好！😀", 12345678901234567890),
        {"cmd": "INTERACT_WORD", "data": {"uid": 5}},
        danmu(1790859601000, 78, "买了", 2),
        danmu(1790859600123, -77, "主播好！😀", 12345678901234567890),
    ]
    lines = "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in chats)
    world.put("viewer_events/session_id=S1/chat.jsonl", lines)
    world.land()
    assert told(world, "viewer_events/session_id=S1/chat.jsonl")[:4] == (
        "bilibili_chat", "accepted", "1 left out: no chat message", 3
    )  # fmt: skip
    rows = world.rows(
        "SELECT session_id, event_id, viewer_id, event_type, CAST(event_at AS VARCHAR), text, _row_no, _status "
        "FROM raw.viewer_events JOIN raw.viewers USING (viewer_no) WHERE event_type = 'chat' ORDER BY _row_no"
    )
    first = ("S1", "1790859600123:-77", "12345678901234567890", "chat", "2026-10-01 13:00:00.123", "主播好！😀")
    assert [row[:6] for row in rows] == [
        first,
        ("S1", "1790859601000:78", "2", "chat", "2026-10-01 13:00:01", "买了"),
        first,
    ]
    # The row numbers are the lines of the file.
    assert [row[6] for row in rows] == [1, 3, 4]
    assert sorted(row[7] for row in rows) == ["current", "current", "duplicate"]


def test_recorded_chat_finds_its_session_by_room_and_time(world):
    def said(number: str, at: int, text: str = "hi") -> dict:
        common = {"message_id": number, "room_id": "7400000000000000001", "create_time": at}
        return {"common": common, "user": {"id": 9007199254740993}, "content": text}

    chats = [said("7400000000000000011", 1790859600), said("7400000000000000012", 1790859600500), said("13", 1790900000)]
    lines = "".join(json.dumps(chat) + "\n" for chat in chats)
    world.put("viewer_events/room_id=R1/chat.jsonl", lines)
    world.land()
    assert world.rows(
        "SELECT session_id, event_id, viewer_id, CAST(event_at AS VARCHAR) FROM raw.viewer_events "
        "JOIN raw.viewers USING (viewer_no) WHERE event_type = 'chat' AND _status = 'current' ORDER BY event_id"
    ) == [
        ("S1", "7400000000000000011", "9007199254740993", "2026-10-01 13:00:00"),
        ("S1", "7400000000000000012", "9007199254740993", "2026-10-01 13:00:00.5"),
    ]
    # A message hours after the last session waits for one that has not landed yet.
    assert told(world, "viewer_events/room_id=R1/chat.jsonl")[3:] == (3, 2, 0)
    assert world.rows("SELECT _row_no FROM raw.viewer_events WHERE _status = 'pending'") == [(3,)]


def test_agora_metrics_become_samples_and_say_which_freeze_they_count(world):
    def metric(mid: int, *points: list) -> dict:
        return {"mid": mid, "kvs": list(points), "peer_uid": 501}

    at = 1790859600
    document = {
        "sid": "CALL1",
        "data": [
            metric(20011, [at, 0], [at + 20, 1500], [at + 40, 0]),
            metric(20005, [at, 900], [at + 20, 900]),
            metric(20010, [at, 24], [at + 20, 12.5]),
            metric(20018, [at, 2.5]),
            metric(20020, [at, 720], [at + 20, 360]),
        ],
    }
    world.put("playback_qos/session_id=S1/call.json", json.dumps(document))
    world.land()
    assert world.rows(
        "SELECT session_id, sample_id, viewer_id, CAST(sampled_at AS VARCHAR), CAST(play_ms AS VARCHAR), "
        "CAST(stall_ms AS VARCHAR), CAST(fps AS VARCHAR), height, CAST(packet_loss AS VARCHAR) "
        "FROM raw.playback_qos JOIN raw.viewers USING (viewer_no) ORDER BY sampled_at"
    ) == [
        ("S1", f"CALL1:501:{at}", "501", "2026-10-01 13:00:00", "20000.000", "0.000", "24.000", 720, "0.025000"),
        ("S1", f"CALL1:501:{at + 20}", "501", "2026-10-01 13:00:20", "18500.000", "1500.000", "12.500", 360, None),
        ("S1", f"CALL1:501:{at + 40}", "501", "2026-10-01 13:00:40", "20000.000", "0.000", None, None, None),
    ]
    definitions = {json.loads(text)["stall_definition"] for (text,) in world.rows("SELECT content FROM raw.extra_values")}
    assert definitions == {"20011"}


def test_a_roster_finds_people_by_unique_name_and_carries_a_shift_over_midnight(world):
    roster = workbook([
        ["日期", "上播时间", "下播时间", "主播姓名", "场控姓名"],
        [datetime(2026, 10, 1), time(20, 0), time(2, 30), "王小明", "韩梅梅"],
        ["2026/10/02", "20:00", "22:00", "李雷、王小明", "-"],
        ["2026-10-02", "20:00", "22:00", "张伟", None],
        ["2026-10-02", "21:00", "23:00", "李雷", None],
    ])  # fmt: skip
    world.put("shifts/room_id=R1/十月.xlsx", roster)
    world.land()
    assert world.rows(
        "SELECT session_id, staff_id, role, CAST(on_at AS VARCHAR), CAST(off_at AS VARCHAR) FROM raw.shifts ORDER BY _row_no"
    ) == [
        ("S1", "H1", "host", "2026-10-01 12:00:00", "2026-10-01 18:30:00"),
        ("S1", "F1", "floor_control", "2026-10-01 12:00:00", "2026-10-01 18:30:00"),
        ("S2", "H2", "host", "2026-10-02 12:00:00", "2026-10-02 14:00:00"),
        ("S2", "H1", "host", "2026-10-02 12:00:00", "2026-10-02 14:00:00"),
    ]
    # Two of that name; two sessions under one shift.
    assert world.rows("SELECT row_no, reason FROM raw.quarantine ORDER BY 1") == [(5, AMBIGUOUS), (6, AMBIGUOUS)]


def test_a_platforms_own_totals_land_beside_the_facts_never_among_them(world):
    sheet = workbook([
        ["主播昵称", "主播抖音号", "直播开始时间", "直播结束时间", "直播时长(分钟)", "直播间观看人数", "直播间成交金额",
         "1小时退款金额", "流量体裁"],
        ["小明", "xm001", "2026/10/01 20:00:12", "2026/10/02 02:30:40", 390, "12,345", "98,765.43", "-",
         "数据将于第二天更新"],
    ])  # fmt: skip
    world.put("platform_totals/room_id=R1/场次.xlsx", sheet)
    world.land()
    assert world.rows(
        "SELECT platform, total_id, measure, room_id, label, CAST(started_at AS VARCHAR), CAST(theirs AS VARCHAR) "
        "FROM raw.platform_totals ORDER BY _row_no"
    ) == [
        ("douyin", "xm001:2026/10/01 20:00:12", measure, "R1", "小明", "2026-10-01 12:00:12", theirs)
        for measure, theirs in (("live_seconds", "23400.000000"), ("viewers", "12345.000000"), ("gmv", "98765.430000"))
    ]
    assert world.one("SELECT count(*) FROM raw.sessions") == 3


def test_a_feige_day_takes_its_date_from_the_folder(world):
    sheet = workbook([
        ["客服昵称", "人工已接待会话量", "3分钟人工回复率", "首次响应时长（秒）", "平均响应时长", "不满意率"],
        ["王小明", 120, "98.50%", 12.5, "21.7", "-"],
    ])  # fmt: skip
    world.put("platform_totals/room_id=R1/dt=2026-10-01/飞鸽.xlsx", sheet)
    world.land()
    assert world.rows(
        "SELECT total_id, measure, label, CAST(total_date AS VARCHAR), CAST(theirs AS VARCHAR) FROM raw.platform_totals "
        "ORDER BY _row_no"
    ) == [
        ("R1:2026-10-01:王小明", measure, "王小明", "2026-10-01", theirs)
        for measure, theirs in (
            ("answered_conversations", "120.000000"),
            ("response_within_3min_rate", "0.985000"),
            ("first_response_seconds_average", "12.500000"),
            ("response_seconds_average", "21.700000"),
        )
    ]
