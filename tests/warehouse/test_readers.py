"""Analysts never notice a publish: a process that queries in a loop meets one whole generation after the other."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from dagster_project.settings import connect, settings_from_env
from dagster_project.warehouse.publish import publish

# Opens what is current, or stays with what it has, and asks a table by date, one without and the manifest of the same folder
# for their generation; a line per look, and one "ready" after the first.
READER = """
import json, os, random, sys
import duckdb

published = sys.argv[1]
rng = random.Random(1)
con = folder = None
while not os.path.exists(os.path.join(published, "enough")):
    if con is None or rng.random() < 0.5:
        if con is not None:
            con.close()
        folder = os.path.realpath(os.path.join(published, "current"))
        con = duckdb.connect(os.path.join(folder, "marts.duckdb"), read_only=True)
    seen = con.execute(
        "select (select list(distinct generation) from core.fct_session), "
        "(select list(distinct generation) from kpis.kpi_month), (select count(*) from core.fct_session)"
    ).fetchone()
    with open(os.path.join(folder, "manifest.json")) as manifest:
        print(json.dumps([*seen, json.load(manifest)["generation"]]), flush=True)
"""
DATES = 10


@pytest.mark.parametrize("publishes", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_reader_in_a_loop_sees_no_error_and_no_mixed_generation(tmp_path, publishes):
    settings = settings_from_env({"DATA": str(tmp_path / "data"), "VIEWER_KEY_SECRET": "test"})
    with connect(settings.warehouse_path, settings) as con:
        con.execute(
            f"create schema core; create schema kpis; create schema scorecards; "
            f"create table core.fct_session as select (date '2026-10-01' + d::int) as business_date, n, 0 as generation "
            f"from range({DATES}) days (d), range(1000) rows (n); "
            "create table kpis.kpi_month as select 'gmv' as kpi_id, 0 as generation; "
            "create table scorecards.scorecards as select 0 as generation"
        )
    publish(settings, "generation-0000", {"generation": 0})
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(settings.published)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    looks = [json.loads(reader.stdout.readline())]
    # Another reader never ends its transaction: the writer does not wait for it either.
    with connect(settings.published / "current" / "marts.duckdb", settings, read_only=True) as idle:
        idle.execute("begin; from core.fct_session limit 1")
        for generation in range(1, publishes + 1):
            with connect(settings.warehouse_path, settings) as con:
                con.execute(f"update core.fct_session set generation = {generation}")
                con.execute(f"update kpis.kpi_month set generation = {generation}")
            publish(settings, f"generation-{generation:04}", {"generation": generation}, keep_hours=0.01)
        time.sleep(0.2)
        (settings.published / "enough").touch()
        rest, complaints = reader.communicate(timeout=120)
        assert idle.execute("select distinct generation from core.fct_session").fetchall() == [(0,)]
    assert reader.returncode == 0 and complaints == "", complaints
    looks += [json.loads(line) for line in rest.splitlines()]
    for sessions, months, rows, manifest in looks:
        assert sessions == months == [manifest] and rows == DATES * 1000
    generations = [manifest for *_, manifest in looks]
    assert generations == sorted(generations)
    assert generations[-1] == publishes and len(set(generations)) >= min(publishes, 3)
