"""Every check of every suite passes on good data and is seen to fail on a planted fault.

A check that was never seen to fail proves nothing, so one without a planted fault fails this file.
"""

# ruff: noqa: E501 - a planted fault reads best as one line of SQL
from __future__ import annotations

import shutil
from dataclasses import replace

import duckdb
import pytest

from dagster_project.audit.suites import (
    SUITES,
    check_results_of_dbt,
    keep_results,
    read_suite,
    run_suite,
)
from dagster_project.run import AuditFailed, judge, new_run
from dagster_project.settings import UserError, connect, settings_from_env
from dagster_project.warehouse.build import NodeResult

ONE_SESSION = "(select min(session_id) from core.fct_session where gmv > 0 and new_viewers > 0)"
ONE_LINE = "(select min(order_line_id) from core.fct_order_line where gmv > 0)"
REPLACEMENT = "chr(65533)"

# What is broken, per check. A grain's fault is a row that stands twice.
FAULTS = {
    "landing": {
        "files_landed": "delete from raw.files",
        "required_exports_delivered": "delete from raw.files where export = 'viewer_events'",
        "rows_add_up_per_file": "update raw.files set rows_accepted = rows_accepted - 1 where file_no = 1",
        "rejected_files_count_no_rows": "update raw.files set verdict = 'rejected' where file_no = 1",
        "sessions_current_once": "insert into raw.sessions from raw.sessions where _status = 'current' limit 1",
        "orders_current_once": "insert into raw.orders from raw.orders where _status = 'current' limit 1",
        "refunds_current_once": "insert into raw.refunds from raw.refunds where _status = 'current' limit 1",
        "staff_current_once": "insert into raw.staff from raw.staff where _status = 'current' limit 1",
        "targets_current_once": "insert into raw.targets from raw.targets where _status = 'current' limit 1",
        "fx_rates_current_once": "insert into raw.fx_rates from raw.fx_rates where _status = 'current' limit 1",
        "room_time_zone_and_currency_never_change":
            "insert into raw.rooms select * replace ('Asia/Tokyo' as timezone) from raw.rooms "
            "where timezone <> 'Asia/Tokyo' limit 1",
        "viewers_numbered_once": "insert into raw.viewers select 0, viewer_id, 'x' from raw.viewers limit 1",
        "viewer_keys_well_formed": "update raw.viewers set viewer_key = viewer_id where viewer_no = 1",
        "viewer_keys_distinct": "update raw.viewers set viewer_key = 'same' where viewer_no <= 2",
        "viewers_of_events_known": "delete from raw.viewers where viewer_no = "
            "(select min(viewer_no) from raw.viewer_events where _status = 'current')",
        "text_without_replacement_characters": f"update raw.products set name = 'a' || {REPLACEMENT}",
        "money_not_negative": "update raw.orders set unit_price = -1 where order_line_id = "
        "(select min(order_line_id) from raw.orders where _status = 'current')",
        "event_instants_plausible": "update raw.viewer_events set event_at = '1970-01-01' "
            "where _status = 'current' and _row_no = 1",
        "rows_long_pending": "update raw.files set rows_pending = 1, loaded_at = '2020-01-01' where file_no = 1",
    },
    "marts": {
        "sessions_present": "delete from core.fct_session",
        "every_landed_session_present": f"delete from core.fct_session where session_id = {ONE_SESSION}",
        "every_landed_order_line_present": f"delete from core.fct_order_line where order_line_id = {ONE_LINE}",
        "every_minute_present": f"delete from core.fct_scene where minute = 0 and session_id = {ONE_SESSION}",
        "every_business_date_measured": "delete from kpis.kpi_measure_day where business_date = "
            "(select min(business_date) from core.fct_session)",
        "every_kpi_has_a_row": "delete from kpis.kpi_month where kpi_id = 'gmv' and subject_type = 'room'",
        "kpi_registry_present": "delete from kpis.kpi_registry",
        "credited_and_unattributed_make_the_total":
            "update audit.attribution set credited = credited + 0.000001 where measure = 'chats'",
        "attribution_total_is_the_sessions_gmv":
            "update audit.attribution set total = total + 1, credited = credited + 1 where measure = 'gmv'",
        "session_money_is_its_lines": f"update core.fct_session set gmv = gmv + 0.01 where session_id = {ONE_SESSION}",
        "measured_money_is_the_lines": "delete from kpis.kpi_measure_day where measure = 'gmv' and business_date = "
            "(select business_date from core.fct_session where gmv > 0 limit 1)",
        "people_add_up_to_the_session":
            f"update core.fct_session set new_viewers = new_viewers - 1 where session_id = {ONE_SESSION}",
        "products_add_up_to_the_session":
            f"update core.fct_session set exposures = exposures + 1 where session_id = {ONE_SESSION}",
        "scenes_add_up_to_the_session":
            f"update core.fct_session set watch_seconds = watch_seconds + 0.001 where session_id = {ONE_SESSION}",
        "funnel_counts_are_the_products": "update funnel.product_funnel set clicks = clicks + 1",
        "paid_lines_have_a_rate": f"update core.fct_order_line set gmv = null where order_line_id = {ONE_LINE}",
        "refunds_never_exceed_the_payment":
            f"update core.fct_order_line set refunded_amount = gmv + 0.01 where order_line_id = {ONE_LINE}",
        "parts_within_their_wholes":
            f"update core.fct_session set buyers = order_viewers + 1 where session_id = {ONE_SESSION}",
        "counts_not_negative": f"update core.fct_session set chats = -1 where session_id = {ONE_SESSION}",
        "sessions_end_after_they_start":
            f"update core.fct_session set ended_at = started_at where session_id = {ONE_SESSION}",
        "sessions_follow_their_rooms_calendar":
            f"update core.fct_session set business_date = business_date + 1 where session_id = {ONE_SESSION}",
        "duty_within_the_session": "update core.fct_duty set off_at = off_at + interval 25 hour",
        "shares_within_the_whole":
            "update kpis.kpi_measure_day set amount = amount_whole + 1 where subject_type = 'staff'",
        "kpi_without_a_value_has_a_reason":
            "update kpis.kpi_month set reason = null where value is null and subject_type = 'room'",
        "kpi_reasons_known": "update kpis.kpi_month set reason = 'because' where value is null",
        "rates_not_negative": "update kpis.kpi_month set value = -0.1 where kpi_id = 'payment_rate' and value is not null",
        "every_longer_session_is_forecast": "update insights.gmv_forecast set forecast = null, reason = null",
        "mood_of_minutes_adds_up_to_the_session":
            "update insights.chat_sentiment set messages = messages + 1 where level = 'session'",
        "every_room_month_has_its_associations": "delete from insights.leading_indicators where scale = 'minute'",
        "viewer_keys_well_formed": "update core.dim_viewer set viewer_key = 'alice' where viewer_key = "
            "(select min(viewer_key) from core.dim_viewer)",
        "no_raw_viewer_ids": "alter table core.fct_product add column viewer_id varchar",
        "names_without_replacement_characters": f"update core.dim_staff set name = name || {REPLACEMENT}",
    },
    "scorecards": {
        "rooms_with_sessions_have_a_scorecard": "delete from scorecards.scorecards where subject_type = 'room'",
        "people_on_duty_have_a_scorecard": "delete from scorecards.scorecards where subject_type = 'staff'",
        "weights_add_up_to_one": "update scorecards.scorecard_lines set weight = weight * 1.01",
        "effective_weights_add_up_to_one":
            "update scorecards.scorecard_lines set effective_weight = effective_weight * 0.99",
        "points_add_up_to_the_total": "update scorecards.scorecard_lines set points = points + 0.01",
        "totals_within_bounds": "update scorecards.scorecards set total_score = 120.01",
        "line_scores_within_bounds": "update scorecards.scorecard_lines set line_score = -0.000001",
        "scored_cards_have_total_and_grade": "update scorecards.scorecards set grade = null",
        "lines_without_a_score_have_a_reason":
            "update scorecards.scorecard_lines set line_score = null, reason = null",
        "pools_are_paid_out_whole": "update scorecards.bonus_pools set amount = amount - 0.01",
        "pay_not_negative": "update scorecards.scorecards set performance_pay = -1 where subject_type = 'staff'",
    },
}  # fmt: skip

CHECKS = [check for suite in SUITES for check in read_suite(suite)]


@pytest.fixture(scope="module")
def warehouse(sample_data, tmp_path_factory):
    """The private warehouse of the sample run, a copy of one's own."""
    file = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    shutil.copyfile(sample_data / "private" / "warehouse.duckdb", file)
    con = connect(file, settings_from_env({"DATA": str(file.parent)}))
    yield con
    con.close()


@pytest.fixture
def spoilt(warehouse):
    """A connection whose changes are undone after the test."""
    warehouse.execute("begin")
    yield warehouse
    warehouse.execute("rollback")


@pytest.mark.parametrize("suite", SUITES)
def test_every_check_passes_on_the_sample(warehouse, suite):
    results = run_suite(warehouse, suite)
    assert [result.check for result in results] == [check.check for check in read_suite(suite)]
    assert [result for result in results if not result.passed] == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.suite}:{check.check}")
def test_every_check_fails_on_its_planted_fault(spoilt, check):
    fault = FAULTS[check.suite].get(check.check)
    if check.grain:
        fault = f"insert into {check.table} from {check.table} limit 1"
    assert fault, f"plant a fault for {check.check}"
    spoilt.execute(fault)
    (result,) = run_suite(spoilt, check.suite, only=check.check)
    assert not result.passed
    assert "could not be measured" not in result.observed
    assert result.observed != result.expected


def test_no_planted_fault_is_for_a_check_that_is_gone():
    for suite, faults in FAULTS.items():
        assert set(faults) <= {check.check for check in read_suite(suite)}


def test_a_failed_check_names_the_keys_at_fault(spoilt):
    line = spoilt.execute(f"select {ONE_LINE}").fetchall()[0][0]
    spoilt.execute(FAULTS["marts"]["paid_lines_have_a_rate"])
    (result,) = run_suite(spoilt, "marts", only="paid_lines_have_a_rate")
    assert (result.observed, result.expected) == (f"1: {line}", "0")


SUITE_OF_ITS_OWN = """
checks:
  - {check: null_figure, table: t, severity: error, why: x, figure: "select null"}
  - {check: no_such_table, table: t, severity: error, why: x, figure: select count(*) from nowhere}
  - {check: no_rows, table: t, severity: error, why: x, figure: "select 1 where false"}
  - {check: null_key, table: t, severity: error, why: x, grain: [a, b], nullable: [b]}
  - {check: not_enough, table: t, severity: warn, why: x, figure: select count(*) from t,
     expect: {expect_column_values_to_be_between: {min_value: 5}}}
  - {check: bad_arguments, table: t, severity: error, why: x, figure: select 0,
     expect: {expect_column_values_to_match_regex: {regex: "["}}}
"""


def test_a_rate_of_net_followers_may_fall_below_zero_and_no_other():
    with duckdb.connect() as con:
        con.execute("create schema kpis")
        con.execute(
            "create table kpis.kpi_registry as from (values ('gain_rate', 'net_followers', 'rate'), ('pay_rate', 'orders_paid', 'rate')) "
            "as registry (kpi_id, numerator, unit)"
        )
        con.execute(
            "create table kpis.kpi_month as select 'R' as subject_id, 'R' as room_id, '2026-10' as month, kpi_id, -3 as numerator, "
            "-0.1 as value from kpis.kpi_registry"
        )
        (result,) = run_suite(con, "marts", only="rates_not_negative")
    assert result.observed == "1: R/R/2026-10/pay_rate"


def test_nothing_measured_never_passes(tmp_path):
    """Great Expectations passes null cells and empty frames, and reports its own errors as plain failures."""
    (tmp_path / "own.yml").write_text(SUITE_OF_ITS_OWN, encoding="utf-8")
    con = duckdb.connect()
    con.execute("create table t as select * from (values (1, null), (null, 2)) as rows (a, b)")
    results = {result.check: result for result in run_suite(con, "own", folder=tmp_path)}
    assert not any(result.passed for result in results.values())
    assert results["null_figure"].observed == "null"
    assert results["no_such_table"].observed.startswith("the check could not be measured: Catalog Error")
    assert results["no_rows"].observed.startswith("the check could not be measured")
    assert results["null_key"].observed == "1"
    assert (results["not_enough"].observed, results["not_enough"].expected) == ("2", "at least 5")
    assert results["bad_arguments"].observed.startswith("Great Expectations failed")


@pytest.mark.parametrize(
    "entry",
    [
        "{check: a, table: t, severity: error, why: x}",
        "{check: a, table: t, severity: fatal, why: x, figure: select 0}",
        "{check: a, table: t, severity: error, why: x, figure: select 0, faults: select 1}",
        "{check: a, table: t, severity: error, figure: select 0}",
        "{check: a, table: t, severity: error, why: x, figure: select 0, sevrity: error}",
    ],
)
def test_a_check_that_is_not_understood_stops_with_its_name(tmp_path, entry):
    (tmp_path / "own.yml").write_text(f"checks:\n  - {entry}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"own.yml: check 'a'"):
        read_suite("own", tmp_path)


def node(status, severity="error", failures=0):
    return NodeResult("test.x", "unique_id", "test", "core.t", status, severity, failures, "", 0.1)


def test_dbt_tests_stand_beside_the_suites():
    passed, failed, skipped = check_results_of_dbt([node("pass"), node("fail", failures=3), node("skipped")])
    assert (passed.suite, passed.passed, passed.table) == ("dbt", True, "core.t")
    assert (failed.passed, failed.observed, failed.expected) == (False, "3 rows", "0 rows")
    assert not skipped.passed


def test_an_error_stops_the_run_naming_check_table_observed_expected_and_is_kept(tmp_path):
    run = new_run(settings_from_env({"DATA": str(tmp_path)}))
    (failed,) = check_results_of_dbt([node("fail", failures=3)])
    with pytest.raises(AuditFailed, match="unique_id on core.t: observed 3 rows, expected 0 rows"):
        judge(run, [failed])
    with connect(run.settings.warehouse_path, run.settings) as con:
        kept = con.execute("select suite, passed, observed, run_id from audit.check_results").fetchall()
    assert kept == [("dbt", False, "3 rows", run.run_id)]


def test_a_warning_does_not_stop_the_run(tmp_path):
    run = new_run(settings_from_env({"DATA": str(tmp_path)}))
    judge(run, check_results_of_dbt([node("warn", severity="warn", failures=3)]))
    assert [result.passed for result in run.checks] == [False]


def test_results_are_appended_run_by_run():
    con = duckdb.connect()
    (result,) = check_results_of_dbt([node("pass")])
    keep_results(con, "one", [result])
    keep_results(con, "two", [replace(result, passed=False)])
    assert con.execute("select run_id, passed from audit.check_results order by 1").fetchall() == [
        ("one", True),
        ("two", False),
    ]
    assert con.execute(
        "select count(*) from duckdb_columns() where schema_name = 'audit' and comment is null"
    ).fetchall() == [(0,)]
