"""The same job under Dagster: what its page shows, when it starts runs by itself, and where it listens."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml

from dagster_project import job
from dagster_project import run as steps
from dagster_project.audit.suites import SUITES, read_suite
from dagster_project.definitions import RETRIES, wiring
from dagster_project.landing.contracts import CONTRACTS
from dagster_project.settings import UserError, settings_from_env
from dagster_project.warehouse.dagster_assets import model_assets
from dagster_project.warehouse.dagster_sensor import contents_of, has_told

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> dg.RepositoryDefinition:
    settings = settings_from_env({"DATA": str(tmp_path_factory.mktemp("wiring"))})
    return wiring(settings, RETRIES).get_repository_def()


def test_every_export_model_and_published_thing_is_an_asset_in_the_group_of_its_layer(repository):
    groups = {node.key.to_user_string(): node.group_name for node in repository.asset_graph.asset_nodes}
    assert {groups[f"raw/{export}"] for export in CONTRACTS} == {"landing"}
    assert groups["policy/kpis"] == "policy"
    assert groups["staging/stg_orders"] == "staging"
    assert groups["intermediate/int_orders_attributed"] == "intermediate"
    assert groups["core/fct_session"] == "marts_core"
    assert groups["kpis/kpi_month"] == "marts_kpis"
    assert groups["scorecards/scorecards"] == "scorecards"
    assert groups["published/snapshot"] == groups["published/scorecards"] == "published"


def test_every_check_of_the_suites_and_the_tests_of_dbt_are_asset_checks(repository):
    keys = repository.asset_graph.asset_check_keys
    for suite in SUITES:
        for check in read_suite(suite):
            assert dg.AssetCheckKey(dg.AssetKey(check.table.split(".")), check.check) in keys
    assert [key for key in keys if key.name.startswith("one_row_per")]


def test_a_run_that_keeps_no_event_log_answers_from_it_that_nothing_happened():
    @dg.asset
    def exports() -> int:
        return 1

    @dg.asset
    def marts(exports: int) -> int:
        return exports + 1

    made, seen = dg.AssetKey("exports"), dg.AssetKey("seen")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(made))
        instance.report_runless_asset_event(dg.AssetObservation(seen))
        assert instance.get_asset_records([made]) and instance.fetch_observations(seen, limit=1).records
        job._keep_no_events(instance)
        # Not even what it held before is looked up, and nothing is added.
        assert instance.get_asset_records([made]) == []
        assert instance.fetch_observations(seen, limit=1).records == []
        outcome = dg.materialize([exports, marts], instance=instance)
        assert outcome.success and outcome.output_for_node("marts") == 2
        assert {event.asset_key.to_user_string() for event in outcome.get_asset_materialization_events()} == {"exports", "marts"}
        assert instance.get_latest_materialization_event(dg.AssetKey("marts")) is None


def test_libraries_are_loaded_once_and_what_hinders_them_early_is_told_when_they_are_needed(tmp_path, monkeypatch):
    run = steps.new_run(settings_from_env({"DATA": str(tmp_path)}))
    loaded: list[str] = []

    def load(_: object) -> str:
        loaded.append("begun")
        if len(loaded) < 3:
            raise UserError("the dbt project cannot be parsed")
        return "definitions"

    monkeypatch.setattr(job, "_load_graph", load)
    libraries = job._Libraries(run)
    monkeypatch.setattr(job, "is_parsed", lambda settings: False)
    libraries.load()
    assert loaded == [], "a parse that is only made beside landing is not waited for"
    monkeypatch.setattr(job, "is_parsed", lambda settings: True)
    libraries.load()
    with pytest.raises(UserError, match="cannot be parsed"):
        libraries.definitions()
    assert libraries.definitions() == libraries.definitions() == "definitions"
    assert len(loaded) == 3


def test_the_night_and_the_month_end_start_in_the_companys_zone(repository):
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    night, month_end = schedules["every_night"], schedules["every_month_end"]
    assert (night.cron_schedule, night.execution_timezone) == ("30 3 * * *", "Asia/Shanghai")
    assert (month_end.cron_schedule, month_end.job_name) == ("0 6 1 * *", "month_end")


def test_failed_steps_are_tried_again_with_back_off(repository):
    policy = repository.get_job("nightly").op_retry_policy
    assert (policy.max_retries, policy.backoff) == (2, dg.Backoff.EXPONENTIAL)


def test_a_night_with_nothing_new_passes_through_the_models_as_they_stand(tmp_path, monkeypatch):
    settings = settings_from_env({"DATA": str(tmp_path)})
    monkeypatch.setattr(steps, "is_up_to_date", lambda run: True)
    marts, insights, scores = model_assets(settings)[:3]
    outcome = dg.materialize([marts, insights, scores], resources={"run": steps.new_run(settings)}, raise_on_error=False)
    assert outcome.success
    told = {event.asset_key for event in outcome.get_asset_materialization_events()}
    assert told == {*marts.keys, *insights.keys, *scores.keys}


def test_a_failure_that_the_summary_does_not_tell_of_is_told_by_the_sensor(tmp_path):
    for run_id, status in (("a", "ok"), ("b", "failed"), ("d", "published_with_rejects")):
        (tmp_path / run_id).mkdir()
        told = {"dagster_run_id": f"dagster {run_id}", "status": status}
        (tmp_path / run_id / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    assert has_told(tmp_path, "dagster b")
    assert not has_told(tmp_path, "dagster a")
    assert not has_told(tmp_path, "dagster c")
    assert not has_told(tmp_path, "dagster d")


def test_telemetry_is_off_and_killed_runs_free_their_slot():
    home = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    assert home["telemetry"] == {"enabled": False}
    assert home["run_monitoring"]["enabled"] is True
    assert home["run_monitoring"]["free_slots_after_run_end_seconds"] > 0


@pytest.fixture
def sensed(tmp_path):
    """Exports with one file, and a function that evaluates the sensor once, keeping its cursor."""
    exports = tmp_path / "exports"
    (exports / "orders").mkdir(parents=True)
    (exports / "orders" / "october.csv").write_text("order_line_id\n1\n", encoding="utf-8")
    environ = {"EXPORTS": str(exports), "DATA": str(tmp_path / "data"), "VIEWER_KEY_SECRET": "test"}
    sensor = wiring(settings_from_env(environ)).get_repository_def().get_sensor_def("new_exports")
    cursor = {"now": None}

    def evaluate() -> list[str]:
        context = dg.build_sensor_context(cursor=cursor["now"])
        outcome = sensor.evaluate_tick(context)
        cursor["now"] = outcome.cursor
        return [request.run_key for request in outcome.run_requests]

    return exports / "orders", evaluate


def test_the_sensor_asks_once_for_a_file_and_again_only_for_new_content(sensed):
    orders, evaluate = sensed
    assert len(evaluate()) == 1
    assert evaluate() == []
    (orders / "october.csv").rename(orders / "renamed.csv")
    assert evaluate() == []
    shutil.copyfile(orders / "renamed.csv", orders / "copied.csv")
    assert evaluate() == []
    (orders / "november.csv.tmp").write_text("not delivered yet", encoding="utf-8")
    assert evaluate() == []
    (orders / "november.csv").write_text("order_line_id\n2\n", encoding="utf-8")
    assert len(evaluate()) == 1
    (orders / "november.csv").write_text("order_line_id\n3\n", encoding="utf-8")
    assert len(evaluate()) == 1


def test_the_sensor_does_not_read_a_file_again_that_looks_as_before(sensed):
    orders, _ = sensed
    stamp = contents_of(orders.parent, {})["orders/october.csv"][0]
    assert contents_of(orders.parent, {"orders/october.csv": [stamp, "remembered"]}) == {
        "orders/october.csv": [stamp, "remembered"]
    }


def test_the_page_serves_the_graph_on_this_machine_only(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Exports that are empty, or its sensor would begin a night.
    (tmp_path / "exports").mkdir()
    settings = {"EXPORTS": tmp_path / "exports", "VIEWER_KEY_SECRET": "test", "DATA": tmp_path / "data", "PORT": port}
    command = [sys.executable, "-m", "dagster_project.cli", "ui", *(f"{name}={value}" for name, value in settings.items())]
    page = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answer = _ask(port, "{ assetNodes { groupName } schedulesOrError(repositorySelector: {repositoryName: "
                      '"__repository__", repositoryLocationName: "dagster_project.definitions"}) '
                      "{ ... on Schedules { results { name scheduleState { status } } } } }")  # fmt: skip
        groups = {node["groupName"] for node in answer["assetNodes"]}
        assert {"landing", "staging", "intermediate", "marts_core", "scorecards", "published"} <= groups
        states = {one["name"]: one["scheduleState"]["status"] for one in answer["schedulesOrError"]["results"]}
        assert states == {"every_night": "RUNNING", "every_month_end": "RUNNING"}
        family = [page.pid, *(child.pid for child in psutil.Process(page.pid).children(recursive=True))]
        listening = {
            connection.laddr.ip
            for pid in family
            for connection in psutil.Process(pid).net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {"127.0.0.1", "::1"}
    finally:
        children = psutil.Process(page.pid).children(recursive=True)
        page.terminate()
        # Dagster waits a minute for each of its services; that is no promise of ours, and nothing of value is in them.
        for process in psutil.wait_procs([psutil.Process(page.pid), *children], timeout=2)[1]:
            process.kill()
        page.wait()


def _ask(port: int, query: str) -> dict:
    """The answer of Dagster's GraphQL once the definitions are loaded."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    for _ in range(180):
        try:
            answer = json.load(urllib.request.urlopen(request, timeout=30)).get("data")
            if answer and answer["assetNodes"]:
                return answer
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError("the page never served the graph")


@pytest.mark.parametrize("port", ["0", "65536", "80a", "-1"])
def test_a_port_that_is_none_is_one_clear_line(tmp_path, port):
    command = [sys.executable, "-m", "dagster_project.cli", "ui", f"DATA={tmp_path / 'data'}", f"PORT={port}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: PORT is")
