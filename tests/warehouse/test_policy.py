"""The policy files are checked whole before use, and what is shipped says what the page says."""

from __future__ import annotations

import csv
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dagster_project.settings import REPOSITORY, UserError
from dagster_project.warehouse.policy import (
    ROLES,
    STAGES,
    check_policy_covers,
    check_targets,
    load_policy,
    policy_hash,
    read_policy,
)
from tests.oracle.registry import registry_of_the_page

SHIPPED = REPOSITORY / "dbt" / "seeds"
# traffic and engagement, conversion, retention, quality: percent of the room's table by stage
ROOM_SHARES = {"startup": (45, 25, 20, 10), "growth": (30, 35, 20, 15), "mature": (20, 30, 28, 22)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policy to spoil."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policy"))


def edit(folder: Path, name: str, before: str, after: str) -> None:
    path = folder / f"{name}.csv"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def append(folder: Path, name: str, line: str) -> None:
    with (folder / f"{name}.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        read_policy(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what is shipped -------------------------------------------------------------------------------------


def test_the_shipped_registry_is_the_table_of_the_page() -> None:
    with (SHIPPED / "kpis.csv").open(encoding="utf-8", newline="") as file:
        shipped = list(csv.DictReader(file))
    page = registry_of_the_page()
    assert [row["kpi_id"] for row in shipped] == [row["kpi_id"] for row in page]
    for row, expected in zip(shipped, page, strict=True):
        assert {name: row[name] for name in expected} == expected


def test_the_rooms_table_has_the_category_shares_of_its_stage() -> None:
    policy = read_policy(SHIPPED)
    category = {kpi.kpi_id: kpi.category for kpi in policy.kpis}
    for stage, (audience, conversion, retention, quality) in ROOM_SHARES.items():
        shares = dict.fromkeys(("traffic", "engagement", "conversion", "retention", "quality"), Decimal(0))
        for row in policy.weights:
            if (row.role, row.stage) == ("room", stage):
                shares[category[row.kpi_id]] += row.weight * 100
        assert shares["traffic"] + shares["engagement"] == audience
        rest = (shares["conversion"], shares["retention"], shares["quality"])
        assert rest == (conversion, retention, quality)


def test_the_gmv_target_counts_ten_percent_in_every_stage_and_gmv_nowhere_over_a_quarter() -> None:
    weights = read_policy(SHIPPED).weights
    for stage in STAGES:
        (attainment,) = [
            row.weight
            for row in weights
            if (row.role, row.stage, row.kpi_id) == ("room", stage, "gmv_target_attainment")
        ]
        assert attainment >= Decimal("0.10")
    assert max(row.weight for row in weights if row.kpi_id == "gmv") <= Decimal("0.25")


def test_roles_are_weighed_on_what_the_page_names_for_them() -> None:
    weights = read_policy(SHIPPED).weights
    named = {
        "operations": {("picture_quality_rate", "own")},
        "customer_service": {
            ("response_within_3min_rate", "room"),
            ("complaint_rate", "room"),
            ("negative_review_rate", "room"),
        },
        "floor_control": {
            (kpi_id, "own")
            for kpi_id in ("engagement_rate", "feature_rate", "explained_share", "average_watch_seconds")
        },
        "technical": {
            *((kpi_id, "own") for kpi_id in ("smoothness_rate", "first_frame_ms", "instant_start_rate")),
            ("latency_ms", "own"),
            ("picture_quality_rate", "own"),
            ("ai_assisted_reply_rate", "room"),
        },
    }
    for role, kpis in named.items():
        for stage in STAGES:
            table = [row for row in weights if (row.role, row.stage) == (role, stage)]
            assert kpis <= {(row.kpi_id, row.scope) for row in table}


def test_weights_are_there_for_every_role_and_stage_and_add_up_to_one() -> None:
    weights = read_policy(SHIPPED).weights
    for role in (*ROLES, "room"):
        for stage in STAGES:
            assert sum(row.weight for row in weights if (row.role, row.stage) == (role, stage)) == 1


# --- what is refused -------------------------------------------------------------------------------------


def test_weights_that_do_not_add_up_name_their_group(folder: Path) -> None:
    edit(folder, "weights", "host,growth,engagement_rate,own,0.14,", "host,growth,engagement_rate,own,0.13,")
    message = refused(folder)
    assert "role host, stage growth" in message
    assert "0.99" in message


def test_a_later_table_is_checked_at_its_own_date(folder: Path) -> None:
    append(folder, "weights", "technical,mature,smoothness_rate,own,0.9,2026-12-01")
    message = refused(folder)
    assert "role technical, stage mature, valid_from 2026-12-01" in message


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("kpis", "chats,,1,count", "chatter,,1,count", "unknown numerator 'chatter'"),
        ("kpis", "watch_seconds,live_seconds,1,", "watch_seconds,live_seconds,0,", "factor"),
        ("kpis", "gmv_per_thousand_views,", "gmv per thousand,", "kpi_id"),
        ("kpis", ",count,up,0,\n", ",count,sideways,0,\n", "unknown direction 'sideways'"),
        ("kpis", ",count,up,0,\n", ",count,up,0,30\n", "min_base"),
        ("weights", "host,startup,gmv,own,", "guest,startup,gmv,own,", "unknown role 'guest'"),
        ("weights", "host,startup,gmv,own,", "host,launch,gmv,own,", "unknown stage 'launch'"),
        ("weights", "host,startup,gmv,own,", "host,startup,gmvv,own,", "unknown kpi_id 'gmvv'"),
        ("weights", "host,startup,gmv,own,", "host,startup,gmv,team,", "unknown scope 'team'"),
        ("weights", "room,startup,viewers,room,", "room,startup,viewers,own,", "scope"),
        ("weights", "host,startup,gmv,own,0.10", "host,startup,gmv,own,ten", "no number"),
        ("weights", "host,startup,gmv,own,0.10", "host,startup,gmv,own,NaN", "no number"),
        ("weights", "0.10,2010-01-01", "0.10,2010-02-30", "no date"),
        ("grades", "A,100,1.15", "A,100,1.35", "coefficient"),
        ("grades", "A,100,1.15", "A,110,1.15", "both begin at 110"),
        ("grades", "D,0,0.50", "D,10,0.50", "no grade for a score under 10"),
        ("rules", "personal_share,0.70", "personal_share,1.2", "personal_share"),
        ("rules", "strike_months,3", "strike_months,2.5", "whole number"),
        ("rules", "pass_score,70,2010-01-01\n", "", "rule pass_score is missing"),
        ("rules", "pass_score,", "pass_mark,", "unknown rule 'pass_mark'"),
        ("rules", "spend_tier_high,1000", "spend_tier_high,100", "spend_tier_low"),
        ("grades", "grade,min_score", "grade,minimum", "column min_score is missing"),
        ("grades", "S,110,1.30,2010-01-01", "S,110,1.30", "3 cells under 4 columns"),
    ],
)
def test_a_mistake_is_refused_by_name(
    folder: Path, name: str, before: str, after: str, expected: str
) -> None:
    edit(folder, name, before, after)
    message = refused(folder)
    assert f"{name}.csv" in message
    assert expected in message


def test_a_row_that_is_there_twice_is_refused_with_both_rows(folder: Path) -> None:
    append(folder, "rules", "pass_score,60,2010-01-01")
    message = refused(folder)
    assert "rules.csv, row 17" in message
    assert "row 2" in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("r1,host,gmv,-1,2026-10-01,2026-10-14,none", "multiplier"),
        ("r1,host,gmv,3,2026-10-14,2026-10-01,none", "before valid_from"),
        ("r1,host,nothing,3,2026-10-01,,none", "unknown kpi_id"),
        (",host,gmv,3,2026-10-01,,none", "room_id is empty"),
    ],
)
def test_a_wrong_override_is_refused(folder: Path, override: str, expected: str) -> None:
    append(folder, "weight_overrides", override)
    assert expected in refused(folder)


def test_a_multiplier_of_0_switches_a_kpi_off_but_never_the_last_one(folder: Path) -> None:
    table = [row.kpi_id for row in read_policy(SHIPPED).weights if (row.role, row.stage) == ("technical", "growth")]
    for kpi_id in table[:-1]:
        append(folder, "weight_overrides", f"r1,technical,{kpi_id},0,2026-10-01,,off")
    assert len(read_policy(folder).weight_overrides) == len(table) - 1
    append(folder, "weight_overrides", f"r1,technical,{table[-1]},0,2026-11-05,2026-11-05,off for a day")
    message = refused(folder)
    assert "on 2026-11-05" in message
    assert "role technical, stage" in message and "room r1" in message


def test_a_missing_folder_or_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "grades.csv").unlink()
    assert "grades.csv is missing" in refused(folder)
    assert "does not exist" in refused(tmp_path / "nowhere")


def test_a_file_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / "kpis.csv").write_bytes((folder / "kpis.csv").read_text(encoding="utf-8").encode("gbk"))
    assert "no UTF-8 CSV" in refused(folder)


def test_a_month_before_any_rule_is_refused_by_name() -> None:
    policy = read_policy(SHIPPED)
    check_policy_covers(policy, "2010-01")
    with pytest.raises(UserError, match=r"2009-12-01 for weights.csv: role host, stage startup"):
        check_policy_covers(policy, "2009-12")


# --- what is loaded --------------------------------------------------------------------------------------


def test_the_policy_is_loaded_typed_and_in_registry_order(folder: Path) -> None:
    append(folder, "weight_overrides", "r1,host,new_product_conversion,3,2026-10-01,2026-10-14,新品季")
    con = duckdb.connect()
    load_policy(con, read_policy(folder))
    assert con.execute("select * from policy.weight_overrides").fetchall() == [
        ("r1", "host", "new_product_conversion", Decimal(3), date(2026, 10, 1), date(2026, 10, 14), "新品季")
    ]
    assert con.execute(
        "select kpi_id, factor, maturity_days, min_base, registry_order from policy.kpis"
        " where kpi_id in ('viewers', 'gmv_per_thousand_views', 'gmv_target_attainment')"
        " order by registry_order"
    ).fetchall() == [
        ("viewers", Decimal(1), 0, None, 1),
        ("gmv_per_thousand_views", Decimal(1000), 0, 1, 23),
        ("gmv_target_attainment", Decimal(1), 0, 1, 41),
    ]


def test_the_hash_is_of_what_the_policy_says_not_how_it_is_written(folder: Path) -> None:
    before = policy_hash(read_policy(folder))
    edit(folder, "rules", "personal_share,0.70,", "personal_share,0.7,")
    rules = (folder / "rules.csv").read_text(encoding="utf-8").splitlines()
    (folder / "rules.csv").write_text("\r\n".join([rules[0], *reversed(rules[1:])]), encoding="utf-8-sig")
    assert policy_hash(read_policy(folder)) == before
    edit(folder, "rules", "personal_share,0.7,", "personal_share,0.6,")
    assert policy_hash(read_policy(folder)) != before


# --- targets against the policy --------------------------------------------------------------------------


def landed_targets(*rows: tuple[str, str, str | None, str | None, str | None]) -> duckdb.DuckDBPyConnection:
    """A warehouse with the shipped policy and targets (kpi_id, status, floor, target, stretch) of host h1."""
    con = duckdb.connect()
    load_policy(con, read_policy(SHIPPED))
    con.execute(
        "create schema raw; create table raw.files as select 1 as file_no, 'targets/october.csv' as path;"
        " create table raw.targets (month varchar, scope_type varchar, scope_id varchar, kpi_id varchar,"
        " floor decimal(18, 6), target decimal(18, 6), stretch decimal(18, 6), _file_no integer,"
        " _row_no bigint, _status varchar)"
    )
    for row_no, (kpi_id, status, floor, target, stretch) in enumerate(rows, start=1):
        con.execute(
            "insert into raw.targets values ('2026-10', 'staff', 'h1', ?, ?, ?, ?, 1, ?, ?)",
            [kpi_id, floor, target, stretch, row_no, status],
        )
    return con


def test_targets_in_their_kpis_direction_pass_and_superseded_ones_do_not_matter() -> None:
    check_targets(
        landed_targets(
            ("gmv", "current", "0", "100", "120"),
            ("gmv", "superseded", "100", "0", None),
            ("complaint_rate", "current", "0.05", "0.02", None),
        )
    )


@pytest.mark.parametrize(
    ("kpi_id", "floor", "target", "stretch"),
    [
        ("gmv", "100", "100", None),
        ("gmv", "0", "100", "100"),
        ("gmv", "100", "50", "20"),
        ("complaint_rate", "0.02", "0.05", None),
    ],
)
def test_a_target_that_does_not_move_the_kpis_way_stops_the_run_by_name(
    kpi_id: str, floor: str, target: str, stretch: str | None
) -> None:
    con = landed_targets(("viewers", "current", "0", "1", None), (kpi_id, "current", floor, target, stretch))
    with pytest.raises(UserError) as error:
        check_targets(con)
    assert f"target of {kpi_id} for staff h1 in 2026-10 (targets/october.csv, row 2)" in str(error.value)
