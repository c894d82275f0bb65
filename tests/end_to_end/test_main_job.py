"""`make scorecards` as a user meets it."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.run import locked, new_run, scorecard_month
from dagster_project.settings import SAMPLE_EXPORTS, UserError, settings_from_env
from dagster_project.simulator.world import simulate
from dagster_project.warehouse.publish import current_manifest
from tests.commands import Done, command, start, start_here

TABLES = """
core.dim_room core.dim_product core.dim_staff core.dim_viewer core.fct_session core.fct_person
core.fct_product
core.fct_scene core.fct_order_line core.fct_duty funnel.product_funnel funnel.product_funnel_month
funnel.session_funnel kpis.kpi_registry kpis.kpi_measure_day kpis.kpi_month kpis.kpi_host kpis.kpi_operations
kpis.kpi_floor_control kpis.kpi_customer_service kpis.kpi_technical kpis.kpi_room audit.load_files
audit.quarantine audit.check_results audit.attribution
"""
REPOSITORY = Path(__file__).resolve().parents[2]


def last_summary(data: Path) -> dict:
    newest = max((data / "runs").iterdir(), key=lambda folder: folder.name)
    return json.loads((newest / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small_exports(tmp_path_factory) -> Path:
    """Exports of two rooms over ten days that end in the middle of a month; one file is cut off."""
    folder = tmp_path_factory.mktemp("small") / "exports"
    simulate(folder, seed=5, start=date(2026, 10, 25), end=date(2026, 11, 3), rooms=2, events=4000)
    (folder / "reviews").mkdir(exist_ok=True)
    whole = gzip.compress(b"review_id,order_line_id,rating,reviewed_at,text\nr,l,5,2026-10-26,ok\n")
    (folder / "reviews" / "broken.csv.gz").write_bytes(whole[:-9])
    return folder


@dataclass(frozen=True)
class Night:
    """A night on the small exports: its DATA, only to be read, and what it said."""

    data: Path
    done: Done


@pytest.fixture(scope="module")
def night(small_exports, tmp_path_factory) -> Night:
    data = tmp_path_factory.mktemp("night") / "data"
    return Night(data, start_here("nightly", EXPORTS=small_exports, DATA=data, VIEWER_KEY_SECRET="test"))


@pytest.fixture
def exports(small_exports, tmp_path) -> Path:
    """A copy of the small exports to spoil."""
    return Path(shutil.copytree(small_exports, tmp_path / "exports"))


def test_the_sample_ends_with_scorecards_where_the_command_says(sample_data):
    summary = last_summary(sample_data)
    assert summary["status"] == "ok"
    assert (
        summary["rows"]["in"]
        == summary["rows"]["accepted"]
        + summary["rows"]["quarantined"]
        + summary["rows"]["duplicate"]
        + summary["rows"]["pending"]
    )
    assert summary["checks"]["failed"] == 0
    assert summary["checks"]["passed"] > 100
    page = sample_data / "scorecards" / "2026-10" / "index.html"
    assert summary["scorecards"] == str(page)
    assert page.is_file()
    assert {"land", "marts", "audit marts", "scores", "publish", "total"} <= set(summary["seconds"])


def test_a_second_run_without_changes_rebuilds_nothing_and_is_much_faster(sample_data):
    first = json.loads((min((sample_data / "runs").iterdir()) / "summary.json").read_text())
    before = os.readlink(sample_data / "published" / "current")
    again = start("scorecards", DATA=sample_data)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert str(sample_data / "scorecards" / "2026-10" / "index.html") in again.stdout
    assert os.readlink(sample_data / "published" / "current") == before
    second = last_summary(sample_data)
    assert "marts" not in second["seconds"]
    assert second["seconds"]["total"] < first["seconds"]["total"] / 5


def test_published_marts_open_from_anywhere_without_settings(sample_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(str(sample_data / "published" / "current" / "marts.duckdb"), read_only=True) as con:
        tables = con.execute(
            "select table_schema || '.' || table_name from information_schema.tables where table_catalog = current_database()"
        ).fetchall()
        assert set(TABLES.split()) <= {name for (name,) in tables}
        undescribed = con.execute(
            "select schema_name, table_name, null from duckdb_tables() where comment is null "
            "union all select schema_name, view_name, null from duckdb_views() where comment is null and not internal "
            "union all select schema_name, table_name, column_name from duckdb_columns() "
            "where comment is null and not internal"
        ).fetchall()
        assert undescribed == []


def test_no_raw_viewer_id_leaves_the_private_warehouse(sample_data):
    with duckdb.connect(str(sample_data / "private" / "warehouse.duckdb"), read_only=True) as con:
        viewer_ids = {viewer_id for (viewer_id,) in con.execute("select viewer_id from raw.viewers").fetchall()}
    for name in ("marts", "appraisal"):
        with duckdb.connect(str(sample_data / "published" / "current" / f"{name}.duckdb"), read_only=True) as con:
            for schema, table, column in con.execute(
                "select schema_name, table_name, column_name from duckdb_columns() where data_type = 'VARCHAR' and not internal"
            ).fetchall():
                values = con.execute(f'select distinct "{column}" from "{schema}"."{table}"').fetchall()
                assert viewer_ids.isdisjoint(value for (value,) in values), f"{schema}.{table}.{column}"
    written = [file for folder in ("runs", "scorecards") for file in (sample_data / folder).rglob("*.*")]
    for file in written:
        if file.suffix in {".json", ".html", ".csv"}:
            assert viewer_ids.isdisjoint(re.findall(r"[\w-]+", file.read_text(encoding="utf-8-sig"))), file


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda exports: shutil.rmtree(exports / "orders"), r"orders"),
        (lambda exports: [shutil.rmtree(folder) for folder in exports.iterdir()], r"rooms|EXPORTS"),
    ],
    ids=["a required export is missing", "the folder is empty"],
)
def test_missing_exports_are_one_clear_line_and_nothing_is_published(exports, tmp_path, spoil, said):
    spoil(exports)
    done = start_here("scorecards", EXPORTS=exports, DATA=tmp_path / "data", VIEWER_KEY_SECRET="test")
    assert_one_clear_line(done, said)
    assert not (tmp_path / "data" / "published").exists()
    assert last_summary(tmp_path / "data")["status"] == "failed"


def test_a_missing_required_column_is_one_clear_line_and_nothing_is_published(exports, tmp_path):
    for file in (exports / "rooms").rglob("*.csv*"):
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "rt", encoding="utf-8") as read:
            text = read.read()
        with opener(file, "wt", encoding="utf-8") as write:
            write.write(text.replace("timezone", "zone", 1))
    done = start_here("scorecards", EXPORTS=exports, DATA=tmp_path / "data", VIEWER_KEY_SECRET="test")
    assert done.returncode != 0
    assert "rooms" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "published").exists()


def test_weights_that_do_not_add_up_stop_the_run_naming_the_group(tmp_path):
    policy = Path(shutil.copytree(REPOSITORY / "dbt" / "seeds", tmp_path / "policy"))
    weights = (policy / "weights.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    dropped = weights.pop(1).split(",")
    (policy / "weights.csv").write_text("".join(weights), encoding="utf-8")
    done = start("scorecards", DATA=tmp_path / "data", POLICY=policy)
    assert_one_clear_line(done, dropped[0])
    assert not (tmp_path / "data" / "published").exists()


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "october", "2026-10; rm", "../2026-10"])
def test_a_month_that_is_none_is_one_clear_line(tmp_path, month):
    done = start("scorecards", DATA=tmp_path / "data", MONTH=month)
    assert_one_clear_line(done, "MONTH")
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "in_the_way").write_text("a file where a folder should be", encoding="utf-8")
    done = start("nightly", DATA=tmp_path / "in_the_way")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^error: .*in_the_way", done.stderr, re.MULTILINE)


def test_an_unknown_command_and_a_stray_argument_are_one_clear_line():
    assert_one_clear_line(start("scorecard"), "no command")
    done = subprocess.run([*command("scorecards"), "MONTH"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert_one_clear_line(done, "NAME=value")


def assert_one_clear_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not re.fullmatch(r"[a-z ]+ [\d.]+ s", line)]
    assert line.startswith("error: ")
    assert re.search(said, line)


def test_a_rejected_file_is_reported_once_and_the_rest_is_published(small_exports, night, tmp_path):
    assert night.done.returncode == 2, night.done.stderr
    assert "reviews/broken.csv.gz" in night.done.stdout
    assert last_summary(night.data)["status"] == "published_with_rejects"
    assert current_manifest(night.data / "published")["tables"]["core.fct_person"]["rows"] > 100
    data = shutil.copytree(night.data, tmp_path / "data", symlinks=True)
    again = start_here("nightly", EXPORTS=small_exports, DATA=data, VIEWER_KEY_SECRET="test")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


def test_money_without_a_rate_is_never_published_and_heals_when_the_rate_comes(exports, night, tmp_path):
    """Yesterday's snapshot is served meanwhile, somebody is told, and the failed audit is repeated without new rows."""
    data, told = Path(shutil.copytree(night.data, tmp_path / "data", symlinks=True)), tmp_path / "told.json"
    settings = {"EXPORTS": exports, "DATA": data, "VIEWER_KEY_SECRET": "test", "ALERT_COMMAND": f"cat > '{told}'"}
    yesterday = current_manifest(data / "published")
    room = next(csv.DictReader(next((exports / "rooms").iterdir()).open(encoding="utf-8")))["room_id"]
    (exports / "orders" / "abroad.csv").write_text(
        "order_line_id,order_id,room_id,viewer_id,product_id,quantity,unit_price,paid_amount,currency,created_at,paid_at,updated_at\n"
        f"x1,x1,{room},abroad,p1,1,10,10,XTS,2026-11-03T04:00:00Z,2026-11-03T04:01:00Z,2026-11-03T04:01:00Z\n",
        encoding="utf-8",
    )
    failed = start_here("scorecards", **settings)
    assert failed.returncode == 3, failed.stderr
    assert re.search(r"paid_lines_have_a_rate on core.fct_order_line: observed 1: x1.*expected 0", failed.stderr)
    assert current_manifest(data / "published") == yesterday
    assert [folder.name for folder in (data / "published" / "snapshots").iterdir()] == [yesterday["snapshot_id"]]
    assert not (data / "scorecards").exists()
    with duckdb.connect(str(data / "published" / "current" / "marts.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from core.fct_order_line where order_line_id = 'x1'").fetchall() == [(0,)]
    summary = last_summary(data)
    assert summary["status"] == "audit_failed"
    assert summary["checks"]["not_passed"][0]["check"] == "paid_lines_have_a_rate"
    assert json.loads(told.read_text(encoding="utf-8"))["message"] == summary["message"] != ""
    again = start_here("nightly", **settings)
    assert again.returncode == 3
    with duckdb.connect(str(data / "private" / "warehouse.duckdb"), read_only=True) as con:
        kept = con.execute(
            'select count(distinct run_id) from audit.check_results where not passed and "check" = ?',
            ["paid_lines_have_a_rate"],
        ).fetchall()
    assert kept == [(2,)]
    (exports / "fx_rates" / "abroad.csv").write_text("rate_date,currency,rate\n2026-11-02,XTS,7.5\n", encoding="utf-8")
    told.unlink()
    healed = start_here("nightly", **settings)
    assert healed.returncode == 0, healed.stderr
    assert not told.exists()
    with duckdb.connect(str(data / "published" / "current" / "marts.duckdb"), read_only=True) as con:
        assert con.execute("select gmv::varchar from core.fct_order_line where order_line_id = 'x1'").fetchall() == [("75.00",)]


def test_of_two_runs_at_once_the_second_names_the_first(tmp_path):
    with locked(new_run(asked(tmp_path))):
        second = start("nightly", DATA=tmp_path)
    assert second.returncode == 4
    assert re.search(rf"pid {os.getpid()}, since \d{{4}}-", second.stderr)
    assert last_summary(tmp_path)["status"] == "locked"


@pytest.mark.slow
@pytest.mark.parametrize("step", ["land", "marts", "audit marts", "scores"])
def test_a_killed_run_leaves_no_half_snapshot_and_the_next_one_takes_over(small_exports, tmp_path, night, step):
    settings = {"EXPORTS": small_exports, "DATA": tmp_path / "data", "VIEWER_KEY_SECRET": "test"}
    process = subprocess.Popen(
        command("nightly", **settings),
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith(step):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert current_manifest(tmp_path / "data" / "published") is None
    after = start_here("nightly", **settings)
    assert after.returncode == night.done.returncode, after.stderr
    assert f"taking over from a run that died: pid {process.pid}" in after.stderr
    assert content_hashes(tmp_path / "data") == content_hashes(night.data)


def content_hashes(data: Path) -> dict[str, str]:
    manifest = current_manifest(data / "published")
    return {name: table["content_hash"] for name, table in manifest["tables"].items() if table["content_hash"]}


# --- which month is reported ------------------------------------------------------------------------------


@pytest.fixture
def marts_between(tmp_path):
    def make(first: str, last: str) -> Path:
        with duckdb.connect(str(tmp_path / "marts.duckdb")) as con:
            con.execute(
                "create schema core; create table core.fct_session as "
                f"select unnest([date '{first}', date '{last}']) as business_date"
            )
        return tmp_path / "marts.duckdb"

    return make


def asked(tmp_path, **environ):
    return settings_from_env({"DATA": str(tmp_path), "EXPORTS": str(SAMPLE_EXPORTS), **environ})


@pytest.mark.parametrize(
    ("first", "last", "month"),
    [
        ("2026-08-15", "2026-10-31", "2026-10"),
        ("2026-08-15", "2026-10-30", "2026-09"),
        ("2025-11-02", "2026-01-20", "2025-12"),
        ("2028-01-02", "2028-02-29", "2028-02"),
    ],
)
def test_without_a_month_the_last_whole_one_is_reported(marts_between, tmp_path, first, last, month):
    assert scorecard_month(marts_between(first, last), asked(tmp_path)) == (month, False)


def test_a_month_that_is_not_over_is_reported_as_provisional(marts_between, tmp_path):
    marts = marts_between("2026-09-15", "2026-11-03")
    assert scorecard_month(marts, asked(tmp_path, MONTH="2026-11")) == ("2026-11", True)
    assert scorecard_month(marts, asked(tmp_path, MONTH="2026-10")) == ("2026-10", False)


@pytest.mark.parametrize("month", ["2026-12", "2026-08"])
def test_a_month_outside_the_data_says_where_the_data_are(marts_between, tmp_path, month):
    with pytest.raises(UserError, match=rf"MONTH={month} has no data: sessions run from 2026-09-15 to 2026-11-03"):
        scorecard_month(marts_between("2026-09-15", "2026-11-03"), asked(tmp_path, MONTH=month))


def test_without_a_whole_month_the_last_one_is_reported_as_provisional(marts_between, tmp_path):
    assert scorecard_month(marts_between("2026-10-03", "2026-10-20"), asked(tmp_path)) == ("2026-10", True)
