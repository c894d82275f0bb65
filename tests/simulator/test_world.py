"""The simulated exports keep the contract, are the same for a seed, and show the causes planted in them."""

import hashlib
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.settings import SAMPLE_EXPORTS, UserError
from dagster_project.simulator.world import PLANTS, simulate, write_sample

ENUMS = {
    ("rooms", "stage"): "startup growth mature",
    ("sessions", "mode"): "single co_host pk handoff multi",
    ("segments", "segment_type"): "explain lottery red_packet vote co_host pk handoff talk",
    ("staff", "role"): "host operations floor_control customer_service technical",
    ("shifts", "role"): "host operations floor_control customer_service technical",
    ("products", "product_role"): "traffic profit hero clearance",
    ("viewer_events", "event_type"): (
        "enter leave heartbeat chat like follow unfollow share gift product_exposure product_click "
        "add_to_cart red_packet_claim vote mic_join"
    ),
    ("refunds", "refund_type"): "refund_only return",
    ("service_messages", "sender"): "customer agent ai",
    ("playback_qos", "network"): "wifi 5g 4g 3g wired",
    ("targets", "scope_type"): "staff room_role role room",
}
KEYS = {
    "viewer_events": "session_id, event_id",
    "playback_qos": "session_id, sample_id",
    "reviews": "review_id",
    "service_messages": "conversation_id, message_id",
    "complaints": "complaint_id",
    "segments": "segment_id",
    "shifts": "shift_id",
    "products": "product_id",
    "rooms": "room_id, effective_from",
    "fx_rates": "rate_date, currency",
    "targets": "month, scope_type, scope_id, kpi_id",
    "award_nominations": "nomination_id, staff_id",
    "leaves": "staff_id, from_date",
}
LOCAL_ZONES = (
    "(values ('0071', 'Asia/Shanghai'), ('0102', 'Asia/Kuala_Lumpur'), ('US-03', 'America/New_York'))"
)


def open_exports(folder: Path) -> duckdb.DuckDBPyConnection:
    """One view per export over the files of a folder, everything but Parquet and JSON numbers as text."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    for export in sorted(path for path in folder.iterdir() if path.is_dir()):
        file = next(path for path in sorted(export.rglob("*")) if path.is_file())
        pattern = f"{export}/**/*{''.join(part for part in file.suffixes)}"
        reader = {".csv": "read_csv('{}', all_varchar = true)", ".jsonl": "read_json('{}')"}.get(
            file.suffixes[0], "read_parquet('{}')"
        )
        con.execute(f"create view {export.name} as select * from {reader.format(pattern)}")
    con.execute("""create view held as select session_id, room_id, mode, started_at::timestamptz as began,
        arg_max(ended_at, updated_at)::timestamptz as ended from sessions group by all""")
    return con


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sample() -> duckdb.DuckDBPyConnection:
    return open_exports(SAMPLE_EXPORTS)


def test_the_committed_sample_is_what_the_simulator_writes(tmp_path: Path) -> None:
    write_sample(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(SAMPLE_EXPORTS)


def test_another_seed_gives_another_world(tmp_path: Path) -> None:
    span = {"start": date(2026, 10, 1), "end": date(2026, 10, 3), "events": 3000}
    simulate(tmp_path / "a", seed=1, **span)
    simulate(tmp_path / "b", seed=2, **span)
    assert digests(tmp_path / "a") != digests(tmp_path / "b")


def test_the_sample_is_small_enough_to_commit() -> None:
    sizes = [path.stat().st_size for path in SAMPLE_EXPORTS.rglob("*") if path.is_file()]
    assert sum(sizes) < 6_000_000
    assert max(sizes) < 3_000_000


def test_all_three_formats_occur_plain_and_gzipped() -> None:
    names = [path.name for path in SAMPLE_EXPORTS.rglob("*") if path.is_file()]
    for ending in (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"):
        assert any(name.endswith(ending) for name in names), ending


@pytest.mark.parametrize(("export", "column"), ENUMS)
def test_every_enum_value_occurs_and_no_other(
    sample: duckdb.DuckDBPyConnection, export: str, column: str
) -> None:
    found = {row[0] for row in sample.execute(f"select distinct {column} from {export}").fetchall()}
    assert found == set(ENUMS[export, column].split())


@pytest.mark.parametrize("export", KEYS)
def test_no_key_occurs_twice(sample: duckdb.DuckDBPyConnection, export: str) -> None:
    total, distinct = sample.execute(
        f"select count(*), count(distinct ({KEYS[export]})) from {export}"
    ).fetchone() or (0, 1)
    assert total == distinct > 0


def test_orders_change_status_with_a_growing_updated_at(sample: duckdb.DuckDBPyConnection) -> None:
    lines, changed, cancelled, ties = sample.execute("""
        select count(*), count(*) filter (n > 1), count(*) filter (gone), count(*) filter (n > instants)
        from (
            select order_line_id, count(*) as n, count(distinct updated_at) as instants,
                   bool_or(cancelled_at is not null) as gone
            from orders group by 1)""").fetchone() or (0, 0, 0, 0)
    assert lines > 1000 and changed > 0.8 * lines and cancelled > 50 and ties == 0
    unnamed = sample.execute("select avg((session_id is null)::int) from orders").fetchone()
    assert unnamed is not None and 0.15 < unnamed[0] < 0.5


def test_nothing_in_the_sample_would_be_quarantined_or_left_pending(
    sample: duckdb.DuckDBPyConnection,
) -> None:
    faults = {
        "event far outside its session": """select count(*) from viewer_events join held using (session_id)
            where event_at < began - interval 24 hour or event_at > ended + interval 24 hour""",
        "product event without product": """select count(*) from viewer_events where product_id is null
            and event_type in ('product_exposure', 'product_click', 'add_to_cart')""",
        "session that does not end after it starts": "select count(*) from held where ended <= began",
        "event of an unknown session": "select count(*) from viewer_events anti join held using (session_id)",
        "sample of an unknown session": "select count(*) from playback_qos anti join held using (session_id)",
        "order of another room's session": """select count(*) from orders join held using (session_id)
            where orders.room_id <> held.room_id""",
        "refund in another currency": """select count(*) from refunds
            join (select distinct order_line_id, currency from orders) as line using (order_line_id)
            where refunds.currency <> line.currency""",
        "refund without line": "select count(*) from refunds anti join orders using (order_line_id)",
        "review without line": "select count(*) from reviews anti join orders using (order_line_id)",
        "negative playback": "select count(*) from playback_qos where play_ms < 0 or stall_ms < 0",
        "too late": "select count(*) from orders where updated_at::timestamptz >= '2026-11-20'",
    }
    assert {name: sample.execute(query).fetchall()[0][0] for name, query in faults.items()} == dict.fromkeys(
        faults, 0
    )


def test_nobody_is_in_two_sessions_at_once(sample: duckdb.DuckDBPyConnection) -> None:
    # duty by shift, and by home room where a role has no shift row in the session
    overlaps = sample.execute(f"""
        with person as (select distinct on (staff_id) * from staff order by staff_id, updated_at desc),
        night as (select held.*, (began at time zone zone)::date as day from held
                  join {LOCAL_ZONES} as zones(room_id, zone) using (room_id)),
        duty as (
            select staff_id, session_id, greatest(on_at::timestamp, began at time zone 'UTC') as lo,
                   least(off_at::timestamp, ended at time zone 'UTC') as hi
            from shifts join held using (session_id)
            union all
            select staff_id, session_id, began at time zone 'UTC', ended at time zone 'UTC'
            from night join person using (room_id)
            where hired_on::date <= day and (left_on is null or left_on::date >= day)
              and not exists (select 1 from leaves where leaves.staff_id = person.staff_id
                              and day between from_date::date and to_date::date)
              and not exists (select 1 from shifts where shifts.session_id = night.session_id
                              and shifts.role = person.role))
        select a.staff_id, a.session_id, b.session_id from duty as a join duty as b using (staff_id)
        where a.session_id < b.session_id and a.lo < b.hi and b.lo < a.hi""").fetchall()
    assert overlaps == []


def test_some_sessions_cross_midnight_and_the_end_of_each_month(sample: duckdb.DuckDBPyConnection) -> None:
    crossing = sample.execute(f"""select (began at time zone zone)::date as day from held
        join {LOCAL_ZONES} as zones(room_id, zone) using (room_id)
        where (began at time zone zone)::date < (ended at time zone zone)::date""").fetchall()
    days = {row[0] for row in crossing}
    assert {date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31)} < days


def test_a_joiner_a_leaver_a_raise_and_a_person_without_home_room_are_there(
    sample: duckdb.DuckDBPyConnection,
) -> None:
    joined, left, raised, homeless = sample.execute("""select count(*) filter (hired_on >= '2026-08-15'),
        count(*) filter (left_on is not null), count(*) - count(distinct staff_id),
        count(*) filter (room_id is null) from staff""").fetchone() or (0, 0, 0, 0)
    assert min(joined, left, raised, homeless) >= 1


def test_targets_are_strictly_monotonic_and_name_known_subjects(sample: duckdb.DuckDBPyConnection) -> None:
    crooked = sample.execute("""select * from targets
        where not (floor::decimal(18, 6) < target::decimal(18, 6)
                   and coalesce(target::decimal(18, 6) < stretch::decimal(18, 6), true))
          and not (floor::decimal(18, 6) > target::decimal(18, 6)
                   and coalesce(target::decimal(18, 6) > stretch::decimal(18, 6), true))""").fetchall()
    assert crooked == []
    unknown = sample.execute("""select distinct scope_id from targets where scope_type = 'staff'
        and scope_id not in (select staff_id from staff)""").fetchall()
    assert unknown == []


def test_viewers_whose_playback_stalls_leave_sooner(sample: duckdb.DuckDBPyConnection) -> None:
    stalled, smooth = sample.execute("""
        with played as (select session_id, viewer_id, sum(stall_ms) / sum(play_ms + stall_ms) as stall,
                               sum(play_ms + stall_ms) as watched from playback_qos group by all)
        select median(watched) filter (stall > 0.05), median(watched) filter (stall < 0.02) from played
        """).fetchone() or (0, 0)
    assert stalled < 0.7 * smooth


def chat_per_minute(con: duckdb.DuckDBPyConnection, inside: bool) -> float:
    """Chats per minute and viewer online at the start, in red packets or (outside) in explain blocks."""
    kind = "red_packet" if inside else "explain"
    row = con.execute(f"""
        with block as (select session_id, started_at::timestamptz as lo, ended_at::timestamptz as hi
                       from segments where segment_type = '{kind}'),
        said as (select block.lo, session_id, date_diff('second', lo, hi) / 60 as minutes,
                        count(*) filter (event_type = 'chat' and event_at >= lo and event_at < hi) as chats,
                        count(*) filter (event_type = 'enter' and event_at < lo)
                        - count(*) filter (event_type = 'leave' and event_at < lo) as online
                 from block join viewer_events using (session_id) group by all)
        select sum(chats) / sum(minutes * online) from said where online > 3""").fetchone()
    assert row is not None
    return float(row[0])


def test_a_planted_red_packet_lifts_chat_above_the_same_world_without_it(tmp_path: Path) -> None:
    span = {"seed": 5, "start": date(2026, 10, 1), "end": date(2026, 10, 2), "events": 40_000}
    lifts = {}
    for name, plant in (("planted", frozenset({"red_packet_lift"})), ("plain", frozenset[str]())):
        simulate(tmp_path / name, plant=plant, **span)
        con = open_exports(tmp_path / name)
        lifts[name] = chat_per_minute(con, True) / chat_per_minute(con, False)
    # the same seed gives both worlds the same hosts, run sheets and moods: what differs is the planted cause
    assert lifts["planted"] > 1.8 * lifts["plain"]


def test_the_product_that_looks_good_is_clicked_and_comes_back(sample: duckdb.DuckDBPyConnection) -> None:
    rows = dict(
        sample.execute("""
        with line as (select distinct on (order_line_id) * from orders
                      where paid_at is not null and room_id = '0071' order by order_line_id, updated_at desc),
        back as (select order_line_id from refunds where completed_at is not null group by 1)
        select product_id = '000008', avg((back.order_line_id is not null)::int)
        from line left join back using (order_line_id) group by 1""").fetchall()
    )
    assert rows[True] > 2 * rows[False]


def test_click_rate_falls_in_total_while_it_rises_for_new_and_for_known_viewers(
    sample: duckdb.DuckDBPyConnection,
) -> None:
    rows = sample.execute("""
        with visit as (select session_id, viewer_id, began,
                              count(*) filter (event_type = 'product_click') as clicks,
                              count(*) filter (event_type = 'product_exposure') as exposures
                       from viewer_events join held using (session_id) where room_id = '0102' group by all),
        aged as (select *, began >= '2026-10-01' as late,
                        row_number() over (partition by viewer_id order by began) = 1 as is_new from visit)
        select is_new, late, sum(clicks) / sum(exposures) from aged where began >= '2026-09-01'
        group by cube (is_new), late""").fetchall()
    rate = {(is_new, late): value for is_new, late, value in rows}
    assert rate[None, True] < rate[None, False]
    assert rate[True, True] > rate[True, False]
    assert rate[False, True] > rate[False, False]


def test_the_number_of_events_asked_for_is_about_what_comes(tmp_path: Path) -> None:
    world = simulate(tmp_path / "x", seed=9, start=date(2026, 10, 1), end=date(2026, 10, 1), events=120_000)
    assert 100_000 < world.rows["viewer_events"] < 140_000


def test_a_mistaken_setting_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="end 2026-10-01 is before start 2026-10-02"):
        simulate(tmp_path / "x", seed=1, start=date(2026, 10, 2), end=date(2026, 10, 1))
    with pytest.raises(UserError, match="unknown causes rain"):
        simulate(
            tmp_path / "x", seed=1, start=date(2026, 10, 1), end=date(2026, 10, 1), plant=frozenset({"rain"})
        )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        simulate(tmp_path / "full", seed=1, start=date(2026, 10, 1), end=date(2026, 10, 1))


def test_the_sample_plants_every_cause(tmp_path: Path) -> None:
    world = simulate(
        tmp_path / "x", seed=1, start=date(2026, 9, 20), end=date(2026, 10, 12), events=20_000, plant=PLANTS
    )
    assert set(world.planted) == PLANTS
