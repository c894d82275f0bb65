"""The dbt unit tests: each definition that can be got wrong, worked out by hand beside its model."""

from __future__ import annotations

from pathlib import Path

from dagster_project.appraisal import awards
from dagster_project.settings import connect
from dagster_project.warehouse.build import run_dbt, run_unit_tests
from tests.marts.nights import build_night, settings_for
from tests.worlds import random_world

AT_LEAST = 12


def test_every_definition_worked_out_by_hand_holds(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    random_world(0).write(settings.exports)
    build_night(settings, full_refresh=True)
    with connect(settings.warehouse_path, settings) as con:
        awards.test_nominations(con)
    run_dbt(settings, select="path:models/scorecards", exclude="resource_type:test")
    results = run_unit_tests(settings)
    assert len(results) >= AT_LEAST
    assert [(result.name, result.message) for result in results if result.status != "pass"] == []
