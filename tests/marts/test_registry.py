"""A KPI exists in one place: a row of kpis.csv is all that a new one needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from dagster_project.settings import REPOSITORY, connect
from tests.marts.nights import build_night, settings_for
from tests.worlds import random_world


def test_a_kpi_on_existing_measures_is_added_by_one_row_and_nothing_else(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(REPOSITORY / "dbt" / "seeds", policy)
    with (policy / "kpis.csv").open("a", encoding="utf-8") as file:
        file.write("likes_per_view,Likes per view,次均点赞,engagement,P,lead,likes,views,1,count,up,0,1\n")
    settings = settings_for(tmp_path)
    world = random_world(3)
    world.write(settings.exports)
    build_night(settings, full_refresh=True, policy=policy)
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        rooms = con.execute(
            "select room_id, month, value from kpis.kpi_month where kpi_id = 'likes_per_view' and subject_type = 'room'"
        ).fetchall()
        by_hand = {
            (room, month): (likes, views)
            for room, month, likes, views in con.execute(
                "select room_id, month, sum(likes), sum(views) from core.fct_session group by all"
            ).fetchall()
        }
        people = con.execute(
            "select count(*) from kpis.kpi_month where kpi_id = 'likes_per_view' and subject_type = 'staff'"
        ).fetchall()[0][0]
        named = con.execute("select name_zh from kpis.kpi_registry where kpi_id = 'likes_per_view'").fetchall()
    assert named == [("次均点赞",)]
    assert people > 0
    checked = 0
    for room, month, value in rooms:
        likes, views = by_hand.get((room, month), (0, 0))
        if views:
            assert abs(float(value) - int(likes) / int(views)) < 0.000001
            checked += 1
        else:
            assert value is None
    assert checked > 0
