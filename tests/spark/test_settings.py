"""What ENGINE and its settings take, and what a run without its means says."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from dagster_project.settings import UserError, settings_from_env
from dagster_project.spark import build, cluster


def test_the_engine_is_duckdb_unless_spark_is_asked_for():
    assert settings_from_env({}).engine == "duckdb"
    assert settings_from_env({"ENGINE": "spark"}).engine == "spark"


def test_another_engine_is_refused_in_one_line():
    with pytest.raises(UserError, match="^ENGINE is 'flink': it is duckdb .* or spark$"):
        settings_from_env({"ENGINE": "flink"})


@pytest.mark.parametrize("address", ["spark://host:7077", "k8s://https://host:6443", "yarn", "local[2]"])
def test_the_address_of_any_cluster_is_taken(address):
    assert settings_from_env({"SPARK_MASTER": address}).spark_master == address


def test_what_is_no_address_is_refused():
    with pytest.raises(UserError, match="SPARK_MASTER"):
        settings_from_env({"SPARK_MASTER": "host --conf x=y"})


def test_without_java_the_run_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs Java 17 or later and found none"):
        cluster.check_java()


def test_an_older_java_is_named(monkeypatch, tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UserError, match="needs Java 17 or later and found Java 11"):
        cluster.check_java()


def test_what_a_killed_run_left_running_is_ended_and_a_stranger_with_its_pid_is_not(tmp_path):
    store = tmp_path / "spark"
    folder = store / "a-run"
    folder.mkdir(parents=True)
    waiting = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen([*waiting, str(folder)], start_new_session=True)
    stranger = subprocess.Popen(waiting, start_new_session=True)
    try:
        (folder / cluster.PROCESSES).write_text(f"{ours.pid}\n{stranger.pid}\n")
        cluster.end_left_behind(store)
        assert ours.wait(10) != 0
        assert psutil.Process(stranger.pid).is_running() and stranger.poll() is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()


def test_a_run_removes_what_earlier_runs_left_and_nothing_else_in_a_shared_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "start", lambda settings, folder: cluster.Cluster(folder))
    settings = settings_from_env({"SPARK_STORE": str(tmp_path)})
    left_behind, stranger = settings.spark_store / "an-old-run", settings.spark_store / "of-somebody-else"
    for folder in (left_behind, stranger):
        folder.mkdir(parents=True)
        (folder / "rows.parquet").touch()
    (left_behind / cluster.PROCESSES).touch()
    build.start(settings, "this-run").close()
    assert [folder.name for folder in settings.spark_store.iterdir()] == ["of-somebody-else"]
    assert (stranger / "rows.parquet").exists()
