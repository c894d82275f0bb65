"""Content hashes prove that a night equals a full rebuild, so they must see every difference and no order."""

from __future__ import annotations

import duckdb
import pytest

from dagster_project.warehouse.hashes import Fingerprint, columns_of, content_hash, fingerprint

ROWS = """
    create table things as
    select i as number, 'name ' || i as name, (i / 100)::decimal(18, 2) as money, i % 3 = 0 as is_third,
        date '2026-10-01' + (i % 30)::integer as day,
        timestamp '2026-10-01' + to_milliseconds(i * 37) as seen_at,
        case when i % 7 <> 0 then i % 5 end as sometimes
    from range(5000) as numbers (i)
"""


@pytest.fixture
def con():
    connection = duckdb.connect()
    connection.execute(ROWS)
    yield connection
    connection.close()


def hash_of(con, table):
    columns = columns_of(con, "main", table)
    return content_hash(columns, fingerprint(con, f'"{table}"', columns))


def test_row_order_and_threads_do_not_change_the_hash(con):
    con.execute("create table shuffled as from things order by hash(number)")
    con.execute("set threads = 1")
    alone = hash_of(con, "things")
    con.execute("set threads = 4")
    assert hash_of(con, "things") == alone
    assert hash_of(con, "shuffled") == alone


def test_column_order_and_number_width_do_not_change_the_hash(con):
    con.execute(
        "create table other as select sometimes::hugeint as sometimes, seen_at, day, is_third, "
        "money::decimal(38, 2) as money, name, number::integer as number from things"
    )
    assert hash_of(con, "other") == hash_of(con, "things")


@pytest.mark.parametrize(
    "change",
    [
        "update things set money = money + 0.01 where number = 4321",
        "update things set name = null where number = 17",
        "update things set name = '' where number = 17",
        "update things set sometimes = 0 where sometimes is null and number = 7",
        "update things set seen_at = seen_at + interval 1 millisecond where number = 0",
        "delete from things where number = 0",
        "insert into things from things limit 1",
        "alter table things rename column name to title",
    ],
)
def test_every_change_of_content_changes_the_hash(con, change):
    before = hash_of(con, "things")
    con.execute(change)
    assert hash_of(con, "things") != before


def test_text_cannot_imitate_its_neighbour_or_a_null(con):
    con.execute("create table a as select 'ab' as x, 'c' as y union all select 'null;', null")
    con.execute("create table b as select 'a' as x, 'bc' as y union all select null, 'null;'")
    assert hash_of(con, "a") != hash_of(con, "b")


def test_parts_of_a_table_add_up_to_the_whole(con):
    columns = columns_of(con, "main", "things")
    whole = fingerprint(con, "things", columns)
    parts = [fingerprint(con, f"(from things where number % 3 = {part})", columns) for part in range(3)]
    assert sum(parts, start=Fingerprint(0, 0, 0)) == whole


def test_a_known_row_has_the_sums_worked_out_with_another_md5(con):
    import hashlib

    con.execute("create table known as select 12 as amount, null::varchar as note")
    # amount before note: "2:12" (length, text), then the mark of a null
    digest = hashlib.md5(b"2:12null;").digest()
    # DuckDB reads the digest's halves as little-endian numbers, the first one as "upper"
    upper, lower = (int.from_bytes(half, "little") for half in (digest[:8], digest[8:]))
    assert fingerprint(con, "known", columns_of(con, "main", "known")) == Fingerprint(1, lower, upper)
