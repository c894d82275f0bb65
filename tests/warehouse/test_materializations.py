"""How models become tables and views on DuckDB: in one statement, whole or not at all, and under the names they have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.settings import Settings, UserError, settings_from_env
from dagster_project.warehouse import build
from dagster_project.warehouse.build import run_dbt

APPENDED = "{{ config(materialized='incremental', incremental_strategy='append') }}\n"
Model = Callable[[str, str], None]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with our macros and materializations, and no model yet."""
    project = tmp_path / "dbt"
    for folder in ("macros", "materializations"):
        shutil.copytree(build.PROJECT / folder, project / folder)
    shutil.copy(build.PROJECT / "profiles.yml", project)
    (project / "models").mkdir()
    (project / "dbt_project.yml").write_text(
        "name: live_commerce\nversion: '1.0'\nprofile: live_commerce\nmacro-paths: [macros, materializations]\n"
        "models: {+schema: core}\n"
    )
    monkeypatch.setattr(build, "PROJECT", project)
    monkeypatch.setattr(build, "LATEST_PARSE", project / "target" / "partial_parse.msgpack")
    settings = settings_from_env({"DATA": str(tmp_path / "data")})
    settings.private.mkdir(parents=True)
    return settings


@pytest.fixture
def model(settings: Settings) -> Model:
    def write(name: str, sql: str) -> None:
        (build.PROJECT / "models" / f"{name}.sql").write_text(sql)
        build._parsed.cache_clear()

    return write


def rows(settings: Settings, name: str) -> list[tuple]:
    with duckdb.connect(str(settings.warehouse_path)) as con:
        return con.execute(f"select * from core.{name} order by all").fetchall()


def test_rows_are_appended_under_their_names_whatever_their_order(settings: Settings, model: Model) -> None:
    model("lines", APPENDED + "select 1 as number, 'a' as text")
    run_dbt(settings)
    model("lines", APPENDED + "select 'b' as text, 2 as number")
    run_dbt(settings)
    assert rows(settings, "lines") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("now", ["1 as number", "1 as number, 'a' as text, 2 as further", "1 as number, 2 as text"])
def test_other_columns_than_the_tables_stop_the_build_until_it_is_whole(settings: Settings, model: Model, now: str) -> None:
    model("lines", APPENDED + "select 1 as number, 'a' as text")
    run_dbt(settings)
    model("lines", APPENDED + f"select {now}")
    with pytest.raises(UserError, match=r"lines could not be built.* columns .* no longer those of its model"):
        run_dbt(settings)
    assert rows(settings, "lines") == [(1, "a")]
    run_dbt(settings, full_refresh=True)
    assert len(rows(settings, "lines")) == 1
    assert rows(settings, "lines") != [(1, "a")]


def test_what_is_deleted_beforehand_stays_when_the_rows_that_were_to_come_fail(settings: Settings, model: Model) -> None:
    model("lines", APPENDED + "select 1 as number")
    run_dbt(settings)
    clearing = APPENDED.replace("append'", "append', pre_hook='delete from {{ this }}'")
    model("lines", clearing + "select cast(error('of a row') as integer) as number")
    with pytest.raises(UserError, match="of a row"):
        run_dbt(settings)
    assert rows(settings, "lines") == [(1,)]
    model("lines", clearing + "select 2 as number")
    run_dbt(settings)
    assert rows(settings, "lines") == [(2,)]


def test_a_view_takes_the_place_of_a_view_and_of_a_table_and_the_other_way_round(settings: Settings, model: Model) -> None:
    for number, kind in enumerate(["view", "view", "table", "view", "incremental", "incremental"]):
        model("lines", f"{{{{ config(materialized='{kind}', incremental_strategy='append') }}}}\nselect {number} as number")
        run_dbt(settings)
        found = rows(settings, "lines")
        assert found == ([(4,), (5,)] if number == 5 else [(number,)])


def test_messages_are_made_of_what_is_told_and_of_nothing_else(
    settings: Settings, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt_common.events import event_manager

    made: list[tuple[str, str]] = []
    told: list[tuple[str, int]] = []
    make = event_manager.msg_from_base_event

    def making(event: Any, level: Any = None) -> Any:
        made.append((type(event).__name__, level or event.level_tag()))
        return make(event, level=level)

    monkeypatch.setattr(event_manager, "msg_from_base_event", making)
    model("lines", "select 1 as number")
    run_dbt(settings, progress=lambda name, total: told.append((name, total)))
    assert told == [("lines", 1)]
    assert {name for name, _ in made} >= {"LogStartLine", "FinishedRunningStats"}
    assert not [name for name, level in made if level == "debug"]
