"""What a row must be to be accepted, and the reason it is quarantined for otherwise."""

from __future__ import annotations

import hmac
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_project.landing import contracts, ledger, readers
from dagster_project.landing.contracts import CONTRACTS
from dagster_project.settings import REPOSITORY
from tests.landing.delivered import EVENT, ORDER, REFUND, REVIEW, ROOM, SESSION, World, json_bytes, many

SEGMENT = {
    "segment_id": "G1", "session_id": "S1", "segment_type": "explain",
    "started_at": "2026-10-01T12:00:00Z", "ended_at": "2026-10-01T12:00:00Z",
}  # fmt: skip
SHIFT = {
    "shift_id": "D1", "session_id": "S1", "staff_id": "A1", "role": "host",
    "on_at": "2026-10-01T12:00:00Z", "off_at": "2026-10-01T12:00:00Z",
}  # fmt: skip
GOOD = {
    "rooms": ROOM,
    "leaves": {"staff_id": "A1", "from_date": "2026-10-01", "to_date": "2026-10-01"},
    "segments": SEGMENT,
    "shifts": SHIFT,
    "sessions": SESSION,
    "viewer_events": EVENT,
    "orders": ORDER,
    "refunds": REFUND,
    "reviews": REVIEW,
}
KEYS = {export: CONTRACTS[export].key[-1] for export in GOOD} | {"rooms": "room_id", "leaves": "staff_id"}
IN_THREE_DAYS = (datetime.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")

BAD_VALUES = [
    ("viewer_events", {"event_id": None}, contracts.NULL_KEY),
    ("viewer_events", {"session_id": "-"}, contracts.NULL_KEY),
    ("viewer_events", {"viewer_id": None}, contracts.NULL_REQUIRED),
    ("viewer_events", {"event_at": "yesterday"}, contracts.UNPARSABLE_INSTANT),
    ("viewer_events", {"event_at": "2026-02-30T10:00:00Z"}, contracts.UNPARSABLE_INSTANT),
    ("viewer_events", {"event_at": "2026-10-01T25:00:00Z"}, contracts.UNPARSABLE_INSTANT),
    ("viewer_events", {"event_at": "2026-10-01T12:00:00+99:00"}, contracts.UNPARSABLE_INSTANT),
    ("viewer_events", {"event_at": "1790856000"}, contracts.UNPARSABLE_INSTANT),
    ("viewer_events", {"event_at": "２０２６-10-01T12:00:00Z"}, contracts.UNPARSABLE_INSTANT),
    ("viewer_events", {"event_at": "2014-12-31T23:59:59Z"}, contracts.INSTANT_OUT_OF_RANGE),
    ("viewer_events", {"event_at": IN_THREE_DAYS}, contracts.INSTANT_OUT_OF_RANGE),
    ("viewer_events", {"event_type": "teleport"}, contracts.UNKNOWN_VALUE),
    ("viewer_events", {"event_type": "Enter"}, contracts.UNKNOWN_VALUE),
    ("viewer_events", {"event_type": "product_click"}, contracts.NULL_REQUIRED),
    ("viewer_events", {"quantity": "12.7"}, contracts.UNPARSABLE_NUMBER),
    ("viewer_events", {"quantity": "３"}, contracts.UNPARSABLE_NUMBER),
    ("viewer_events", {"quantity": "a dozen"}, contracts.UNPARSABLE_NUMBER),
    ("viewer_events", {"quantity": "-1"}, contracts.NEGATIVE_AMOUNT),
    ("viewer_events", {"amount": "NaN"}, contracts.NEGATIVE_AMOUNT),
    ("viewer_events", {"amount": "-inf"}, contracts.NEGATIVE_AMOUNT),
    ("viewer_events", {"amount": "1e400"}, contracts.UNPARSABLE_NUMBER),
    ("viewer_events", {"amount": "1,234.50"}, contracts.UNPARSABLE_NUMBER),
    ("viewer_events", {"amount": "-0.01"}, contracts.NEGATIVE_AMOUNT),
    ("viewer_events", {"event_at": "2026-09-30T11:59:59.999Z"}, contracts.EVENT_OUTSIDE_SESSION),
    ("viewer_events", {"event_at": "2026-10-02T14:00:00.001Z"}, contracts.EVENT_OUTSIDE_SESSION),
    ("viewer_events", {"text": "broken \ufffd text"}, contracts.INVALID_UTF8),
    ("sessions", {"ended_at": "2026-10-01T12:00:00Z"}, contracts.SESSION_LENGTH),
    ("sessions", {"ended_at": "2026-10-02T12:00:00.001Z"}, contracts.SESSION_LENGTH),
    ("orders", {"currency": "yuan"}, contracts.UNKNOWN_VALUE),
    ("orders", {"unit_price": None}, contracts.NULL_REQUIRED),
    ("orders", {"session_id": "S2"}, contracts.ORDER_OTHER_ROOM),
    ("refunds", {"currency": "USD"}, contracts.REFUND_CURRENCY),
    ("reviews", {"rating": "6"}, contracts.RATING_RANGE),
    ("reviews", {"rating": "0"}, contracts.RATING_RANGE),
    ("reviews", {"rating": "4.5"}, contracts.UNPARSABLE_NUMBER),
    ("rooms", {"timezone": "Asia/Atlantis"}, contracts.UNKNOWN_VALUE),
    ("rooms", {"timezone": "localtime"}, contracts.UNKNOWN_VALUE),
    ("segments", {"ended_at": "2026-10-01T11:59:59.999Z"}, contracts.NEGATIVE_AMOUNT),
    ("shifts", {"off_at": "2026-10-01T11:00:00Z"}, contracts.NEGATIVE_AMOUNT),
    ("leaves", {"to_date": "2026-09-30"}, contracts.NEGATIVE_AMOUNT),
]


@pytest.mark.parametrize("export", GOOD)
def test_bad_rows_are_quarantined_whole_with_their_reason_and_the_others_are_accepted(
    world: World, export: str
):
    cases = [(change, reason) for name, change, reason in BAD_VALUES if name == export]
    key = KEYS[export]
    bad = [{**GOOD[export], key: f"bad-{number}", **change} for number, (change, _) in enumerate(cases)]
    world.put_required()
    world.put("rooms/second.csv", [{**ROOM, "room_id": "R2"}])
    world.put("sessions/second.csv", [{**SESSION, "session_id": "S2", "room_id": "R2"}])
    good = many(GOOD[export], key, 20 * len(bad))
    world.put(f"{export}/tested.csv", [*good[:3], *bad, *good[3:]])
    world.land()
    assert world.verdict(f"{export}/tested.csv") == ("accepted", None)
    kept = world.rows("SELECT row_no, reason, content FROM raw.quarantine ORDER BY row_no")
    assert [(row_no, why) for row_no, why, _ in kept] == [(4 + at, why) for at, (_, why) in enumerate(cases)]
    for row, (_, _, content) in zip(bad, kept, strict=True):
        assert json.loads(content)[key] == (row[key] or "")
    assert world.one("SELECT rows_accepted FROM raw.files WHERE path LIKE '%tested.csv'") == len(good)


INSTANTS = {
    "2026-10-01T20:30:00+08:00": datetime(2026, 10, 1, 12, 30),
    "2026-10-01T20:30:00+0800": datetime(2026, 10, 1, 12, 30),
    "2026-10-01 20:30:00+08": datetime(2026, 10, 1, 12, 30),
    "2026-10-01T07:00:00-05:30": datetime(2026, 10, 1, 12, 30),
    "2026-10-01T12:30:00": datetime(2026, 10, 1, 12, 30),
    "2026-10-01 12:30": datetime(2026, 10, 1, 12, 30),
    "2026-10-01T20:30+08:00": datetime(2026, 10, 1, 12, 30),
    "2026-10-01T12:30:00.9999Z": datetime(2026, 10, 1, 12, 30, 0, 999000),
    "2026-10-01T12:30:00.5z": datetime(2026, 10, 1, 12, 30, 0, 500000),
    "2026-10-01T12:30:00,123456789Z": datetime(2026, 10, 1, 12, 30, 0, 123000),
}


def test_an_instant_is_utc_truncated_to_milliseconds(world: World):
    world.put_required(viewer_events=False)
    world.put("viewer_events/e.csv", [{**EVENT, "event_id": text, "event_at": text} for text in INSTANTS])
    world.land()
    assert dict(world.rows("SELECT event_id, event_at FROM raw.viewer_events")) == INSTANTS


def test_ids_stay_text_with_leading_zeros_and_twenty_digits(world: World):
    world.put_required(viewer_events=False)
    rows = [{**EVENT, "event_id": "007", "viewer_id": "12345678901234567890"}, {**EVENT, "event_id": "7"}]
    world.put("viewer_events/e.csv", rows)
    world.land()
    assert world.rows("SELECT event_id FROM raw.viewer_events ORDER BY 1") == [("007",), ("7",)]
    assert ("12345678901234567890",) in world.rows("SELECT viewer_id FROM raw.viewers")


def test_json_numbers_keep_their_digits(world: World):
    world.put_required(viewer_events=False, orders=False)
    line = json.dumps({**EVENT, "viewer_id": "@", "amount": "#"})
    world.put(
        "viewer_events/e.jsonl",
        line.replace('"@"', "12345678901234567890").replace('"#"', "123456789012.345678"),
    )
    world.put("orders/o.jsonl", [{**ORDER, "unit_price": 19.9, "quantity": 2}])
    world.land()
    assert world.one("SELECT amount FROM raw.viewer_events") == Decimal("123456789012.345678")
    assert world.one("SELECT unit_price FROM raw.orders") == Decimal("19.900000")
    assert ("12345678901234567890",) in world.rows("SELECT viewer_id FROM raw.viewers")


def test_empty_text_and_a_dash_are_null_in_a_csv_but_a_dash_stays_in_json(world: World):
    world.put_required(viewer_events=False)
    world.put("viewer_events/e.csv", [{**EVENT, "event_id": "1", "text": "-", "quantity": "-", "amount": ""}])
    world.put("viewer_events/e.jsonl", [{**EVENT, "event_id": "2", "text": "-"}])
    world.land()
    found = world.rows("SELECT text, quantity, amount FROM raw.viewer_events ORDER BY event_id")
    assert found == [(None, None, None), ("-", None, None)]


def test_nul_characters_are_removed_and_counted(world: World):
    world.put_required(viewer_events=False)
    world.put("viewer_events/e.csv", [{**EVENT, "event_id": "1", "text": "a\0b\0"}])
    world.put("viewer_events/e.jsonl", [{**EVENT, "event_id": "2", "text": "c\0d"}])
    rows = [{**EVENT, "event_id": "3", "text": "\0e"}]
    pq.write_table(pa.Table.from_pylist(rows), world.exports / "viewer_events/e.parquet")
    world.land()
    assert world.rows("SELECT text FROM raw.viewer_events ORDER BY event_id") == [("ab",), ("cd",), ("e",)]
    counted = world.rows("SELECT nul_removed FROM raw.files WHERE export = 'viewer_events' ORDER BY path")
    assert counted == [(2,), (1,), (1,)]


def test_parquet_columns_may_be_typed_or_text(world: World):
    world.put_required(viewer_events=False, orders=False)
    shanghai = pa.array([1_790_857_800_123_999], pa.timestamp("us", "Asia/Shanghai"))
    typed = {
        "session_id": pa.array(["S1"]).dictionary_encode(),
        "event_id": pa.array([17]),
        "viewer_id": pa.array([5.0]),
        "event_type": ["like"],
        "event_at": shanghai,
        "quantity": pa.array([3.0]),
        "amount": pa.array([19.9], pa.float32()),
        "text": pa.array([None]),
    }
    (world.exports / "viewer_events").mkdir()
    pq.write_table(pa.table(typed), world.exports / "viewer_events/typed.parquet")
    text = {name: [value] for name, value in {**ORDER, "paid_at": None, "quantity": "2"}.items()}
    (world.exports / "orders").mkdir()
    pq.write_table(pa.table(text), world.exports / "orders/text.parquet")
    world.land()
    assert world.rows("SELECT event_id, quantity, amount, event_at FROM raw.viewer_events") == [
        ("17", 3, Decimal("19.900000"), datetime(2026, 10, 1, 12, 30, 0, 123000)),
    ]  # fmt: skip
    assert world.rows("SELECT quantity, unit_price, created_at FROM raw.orders") == [
        (2, Decimal("9.900000"), datetime(2026, 10, 1, 12, 40)),
    ]  # fmt: skip
    assert ("5",) in world.rows("SELECT viewer_id FROM raw.viewers")


def test_parquet_numbers_that_are_not_finite_or_not_whole_are_quarantined(world: World):
    world.put_required(viewer_events=False)
    rows = many(EVENT, "event_id", 100)
    table = pa.Table.from_pylist([{**row, "quantity": 1.0, "amount": 1.0} for row in rows])
    quantity = pa.array([12.7, 1.0, 1.0, *[1.0] * 97])
    amount = pa.array([1.0, float("nan"), float("inf"), *[1.0] * 97])
    table = table.set_column(table.schema.get_field_index("quantity"), "quantity", quantity)
    table = table.set_column(table.schema.get_field_index("amount"), "amount", amount)
    (world.exports / "viewer_events").mkdir()
    pq.write_table(table, world.exports / "viewer_events/e.parquet")
    world.land()
    expected = [contracts.UNPARSABLE_NUMBER, contracts.NEGATIVE_AMOUNT, contracts.NEGATIVE_AMOUNT]
    assert world.reasons("viewer_events/e.parquet") == expected


def test_parquet_text_that_is_no_utf8_is_quarantined(world: World):
    world.put_required(viewer_events=False)
    rows = many(EVENT, "event_id")
    table = pa.Table.from_pylist(rows).drop_columns("text")
    texts = pa.array([b"\xff\xfe", "好".encode(), *[b"fine"] * 38], pa.binary())
    (world.exports / "viewer_events").mkdir()
    pq.write_table(table.append_column("text", texts), world.exports / "viewer_events/e.parquet")
    world.land()
    assert world.reasons("viewer_events/e.parquet") == [contracts.INVALID_UTF8]
    assert world.one("SELECT count(*) FROM raw.viewer_events WHERE text = '好'") == 1


def test_text_that_a_parquet_file_holds_once_is_judged_as_if_each_row_held_it(tmp_path: Path):
    # 3000 rows, of which a file with dictionaries keeps each text of these columns once.
    rows = [{**row, "region": ["浙江", "", "-", None][at % 4]} for at, row in enumerate(many(EVENT, "event_id", 3000))]
    for at, changed in {5: {"event_type": "teleport"}, 1700: {"session_id": None}, 2000: {"viewer_id": None}}.items():
        rows[at] |= changed
    texts = [[b"fine", "好".encode(), None][at % 3] for at in range(3000)]
    texts[100], texts[101], texts[2500] = b"\xff", "half \ufffd".encode(), b"a\0b\0"
    table = pa.Table.from_pylist(rows).drop_columns("text").append_column("text", pa.array(texts, pa.binary()))
    landed = []
    for name, use_dictionary in {"once": True, "each": False}.items():
        (tmp_path / name).mkdir()
        there = World(tmp_path / name)
        there.put_required(viewer_events=False)
        (there.exports / "viewer_events").mkdir()
        file = there.exports / "viewer_events/e.parquet"
        pq.write_table(table, file, use_dictionary=use_dictionary, row_group_size=1000)
        names = [column.name for column in CONTRACTS["viewer_events"].columns]
        wanted = ["session_id", "viewer_id", "event_type", "event_at", "text", "region"]
        assert readers._repeating(pq.ParquetFile(file).metadata, names) == (wanted if use_dictionary else [])
        there.land()
        stored = there.rows(
            "SELECT * EXCLUDE (viewer_no), viewer_id FROM raw.viewer_events LEFT JOIN raw.viewers USING (viewer_no) "
            "ORDER BY _row_no"
        )
        quarantined = there.rows("SELECT row_no, reason, content FROM raw.quarantine ORDER BY row_no")
        landed.append((stored, quarantined, there.rows("SELECT nul_removed FROM raw.files ORDER BY path")))
        assert len(stored) == 3000 - 5
        assert there.rows("SELECT _row_no FROM raw.viewer_events WHERE text = 'ab'") == [(2501,)]
    assert landed[0] == landed[1]
    assert [(row_no, why) for row_no, why, _ in landed[0][1]] == [
        (6, contracts.UNKNOWN_VALUE), (101, contracts.INVALID_UTF8), (102, contracts.INVALID_UTF8),
        (1701, contracts.NULL_KEY), (2001, contracts.NULL_REQUIRED),
    ]  # fmt: skip


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_row_past_the_cap_rejects_a_parquet_file_however_it_holds_its_text(world: World, use_dictionary: bool):
    world.put_required(viewer_events=False)
    world.set(max_row_bytes=1000)
    (world.exports / "viewer_events").mkdir()
    # In no row are both columns long, until one is.
    halves = ["x" * 700, None]
    rows = many(EVENT, "event_id", 3000)
    for name, both in {"apart": False, "together": True}.items():
        texts = [halves[at % 2] for at in range(3000)]
        regions = [halves[0 if both and at == 98 else (at + 1) % 2] for at in range(3000)]
        table = pa.Table.from_pylist([{**row, "event_id": name + row["event_id"]} for row in rows]).drop_columns("text")
        for column, values in {"text": texts, "region": regions}.items():
            table = table.append_column(column, pa.array(values, pa.string()))
        file = world.exports / f"viewer_events/{name}.parquet"
        pq.write_table(table, file, use_dictionary=use_dictionary)
        repeating = readers._repeating(pq.ParquetFile(file).metadata, ["text", "region"])
        assert repeating == (["text", "region"] if use_dictionary else [])
    world.land()
    assert world.verdict("viewer_events/together.parquet") == ("rejected", "a row is longer than 1000 bytes")
    assert world.verdict("viewer_events/apart.parquet")[0] == "accepted"


def test_half_a_surrogate_pair_in_json_is_quarantined(world: World):
    world.put_required(viewer_events=False)
    good = json_bytes(many(EVENT, "event_id"))
    world.put("viewer_events/e.jsonl", good + json.dumps({**EVENT, "text": "\ud83d"}).encode() + b"\n")
    world.land()
    assert world.reasons("viewer_events/e.jsonl") == [contracts.INVALID_UTF8]


def test_json_rows_that_are_no_flat_object_are_malformed(world: World):
    world.put_required(viewer_events=False)
    good = json_bytes(many(EVENT, "event_id", 100)).decode()
    nested = json.dumps({**EVENT, "text": {"a": 1}})
    world.put("viewer_events/e.jsonl", f'[1, 2]\n{good}{{"session_id": \n{nested}\n')
    world.land()
    assert world.reasons("viewer_events/e.jsonl") == [contracts.MALFORMED_ROW] * 3
    assert world.rows("SELECT row_no FROM raw.quarantine ORDER BY 1") == [(1,), (102,), (103,)]


def test_csv_rows_of_another_width_are_malformed_and_rows_keep_their_numbers(world: World):
    world.put_required(viewer_events=False)
    header = "session_id,event_id,viewer_id,event_type,event_at\n"
    good = [f"S1,E{number},V1,enter,2026-10-01T12:30:00Z\n" for number in range(60)]
    lines = [*good[:2], "S1,short\n", *good[2:], "S1,long,V1,enter,2026-10-01T12:30:00Z,more\n"]
    world.put("viewer_events/e.csv", header + "".join(lines))
    world.land()
    assert world.reasons("viewer_events/e.csv") == [contracts.MALFORMED_ROW] * 2
    assert world.rows("SELECT row_no FROM raw.quarantine ORDER BY 1") == [(3,), (62,)]
    numbers = world.rows("SELECT _row_no FROM raw.viewer_events WHERE event_id IN ('E1', 'E2') ORDER BY 1")
    assert numbers == [(2,), (4,)]


def test_line_ends_and_quotes_inside_a_quoted_field_are_text(world: World):
    world.put_required(viewer_events=False)
    world.put("viewer_events/e.csv", [{**EVENT, "text": 'first,\nthen "second"'}])
    world.land()
    assert world.one("SELECT text FROM raw.viewer_events") == 'first,\nthen "second"'


def test_dates_months_booleans_and_rates_are_typed(world: World):
    world.put_required()
    world.put("fx_rates/f.csv", [{"rate_date": "2026-10-01", "currency": "USD", "rate": "7.1234567891"}])
    world.put(
        "service_messages/m.jsonl",
        [{"conversation_id": "C", "message_id": "1", "room_id": "R1", "viewer_id": "V1", "sender": "agent",
          "ai_assisted": True, "sent_at": "2026-10-01T13:00:00Z"}],
    )  # fmt: skip
    target = {
        "month": "2026-10",
        "scope_type": "room",
        "scope_id": "R1",
        "kpi_id": "gmv",
        "floor": 1,
        "target": 2,
    }
    bad = many({**target, "stretch": None}, "scope_id")
    world.put("targets/t.jsonl", [{**target, "month": "2026-13"}, target, *bad])
    world.land()
    assert world.rows("SELECT * EXCLUDE (_file_no, _row_no) FROM raw.fx_rates") == [
        (date(2026, 10, 1), "USD", Decimal("7.1234567891"), "current", None)
    ]
    assert world.one("SELECT ai_assisted FROM raw.service_messages") is True
    assert world.reasons("targets/t.jsonl") == [contracts.UNPARSABLE_INSTANT]


def test_a_viewer_gets_one_number_and_a_key_of_32_hex_digits_from_the_secret(world: World):
    world.put_required()
    world.land()
    # echo -n V1 | openssl dgst -sha256 -hmac "a secret of this test"
    key = "a51b5a1625cb14cdfe5500afc3cc2600"
    assert world.rows("SELECT viewer_no, viewer_id, viewer_key FROM raw.viewers") == [(1, "V1", key)]
    world.put(
        "viewer_events/more.csv",
        [{**EVENT, "event_id": "E2"}, {**EVENT, "event_id": "E3", "viewer_id": "V2"}],
    )
    world.land()
    assert world.rows("SELECT viewer_no, viewer_id FROM raw.viewers ORDER BY 1") == [(1, "V1"), (2, "V2")]


IDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(secret=IDS, ids=st.lists(st.none() | IDS, max_size=30), before=st.lists(IDS, max_size=10))
@example(secret="k" * 64, ids=["V1"], before=[])
@example(secret="k" * 65, ids=["V1", "\U0001f600", "\uffee"], before=["V1"])
def test_viewers_are_numbered_in_the_order_of_their_ids_and_keyed_by_the_secret(
    secret: str, ids: list[str | None], before: list[str]
) -> None:
    with duckdb.connect() as con:
        ledger.create_tables(con)
        ledger.number_viewers(con, pa.array(before, pa.string()), secret)
        numbers = ledger.number_viewers(con, pa.array(ids, pa.string()), secret).to_pylist()
        stored = con.execute("SELECT viewer_id, viewer_no, viewer_key FROM raw.viewers").fetchall()
    later = sorted({one for one in ids if one is not None} - set(before))
    expected = {one: number for number, one in enumerate([*sorted(set(before)), *later], 1)}
    assert {one: number for one, number, _ in stored} == expected and len(stored) == len(expected)
    assert numbers == [None if one is None else expected[one] for one in ids]
    for one, _, key in stored:
        assert key == hmac.new(secret.encode(), one.encode(), "sha256").hexdigest()[:32]


def test_raw_tables_have_the_contract_columns_in_order_with_the_viewer_by_number(world: World):
    world.put_required()
    world.land()
    for contract in CONTRACTS.values():
        columns = [name for name, *_ in world.rows(f"DESCRIBE raw.{contract.export}")]
        expected = ["viewer_no" if column.name == "viewer_id" else column.name for column in contract.columns]
        assert columns == [*expected, "_file_no", "_row_no", "_status", "_reason"]


def test_every_reason_is_documented():
    page = (REPOSITORY / "docs/landing.md").read_text()
    assert [reason for reason in contracts.REASONS if f"| {reason} |" not in page] == []
