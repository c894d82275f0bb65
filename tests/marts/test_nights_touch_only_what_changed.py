"""A night rebuilds the dates that its rows are about, and of those only what its rows can have changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_project.settings import Settings, connect
from tests.marts.nights import build_night, drop, hashes, settings_for
from tests.worlds import World, random_world

FOLLOW_UPS = ("refunds", "reviews", "complaints")


def delivered(world: World, exports: dict[str, list], root: Path, settings: Settings, night: int) -> list[str]:
    """Deliver and build a night; returns the dates whose events were rebuilt."""
    World(world.seed, exports).write(root / f"night-{night}", shuffle_seed=night)
    drop(root / f"night-{night}", settings, night)
    return build_night(settings, full_refresh=night == 0)


def rebuilt(settings: Settings) -> dict[str, set[str]]:
    """Published table → dates that were made anew since this was asked last."""
    with connect(settings.warehouse_path, settings) as con:
        rows = con.execute(
            "select table_name, list(business_date::varchar) filter (where business_date is not null) from builds.dates_rebuilt "
            "group by table_name"
        ).fetchall()
        con.execute("delete from builds.dates_rebuilt")
    return {table: set(dates or []) for table, dates in rows}


def the_same_lines_sent_again(world: World) -> list[dict]:
    """The last state of each order line, of which only the time of change moves: as when a platform sends its week again."""
    newest: dict[str, dict] = {}
    for row in world.exports["orders"]:
        newest[row["order_line_id"]] = max(newest.get(row["order_line_id"], row), row, key=lambda line: line["updated_at"])
    ties = {
        line: [row for row in world.exports["orders"] if (row["order_line_id"], row["updated_at"]) == (line, last["updated_at"])]
        for line, last in newest.items()
    }
    return [
        row | {"updated_at": row["updated_at"].replace(year=row["updated_at"].year + 1)}
        for line, row in newest.items()
        if all(tie == row for tie in ties[line])
    ]


@pytest.mark.parametrize("seed", [4])
def test_a_night_builds_again_only_what_its_rows_can_have_changed(seed: int, tmp_path: Path) -> None:
    world, settings = random_world(seed), settings_for(tmp_path / "nightly")
    messages = world.exports["service_messages"]
    later = dict.fromkeys(FOLLOW_UPS, [])
    delivered(world, world.exports | later | {"service_messages": messages[::2]}, tmp_path, settings, 0)
    rebuilt(settings)

    # Refunds, reviews and complaints: the lines of their dates are counted again, and no event is.
    assert delivered(world, {export: world.exports[export] for export in FOLLOW_UPS}, tmp_path, settings, 1) == []
    tonight = rebuilt(settings)
    assert tonight["core.fct_session"] == tonight["core.fct_order_line"] != set()
    assert tonight["core.fct_person"] == tonight["core.fct_scene"] == set()

    # Customer service: the daily measures of its dates, and no fact.
    assert delivered(world, {"service_messages": messages[1::2]}, tmp_path, settings, 2) == []
    tonight = rebuilt(settings)
    assert tonight["kpis.kpi_measure_day"] != set()
    assert tonight["core.fct_session"] == tonight["core.fct_order_line"] == set()

    at_once = settings_for(tmp_path / "at-once")
    world.write(at_once.exports)
    build_night(at_once, full_refresh=True)
    assert hashes(settings) == hashes(at_once)

    # Order lines as they were: nothing.
    assert delivered(world, {"orders": the_same_lines_sent_again(world)}, tmp_path, settings, 3) == []
    tonight = rebuilt(settings)
    assert tonight["core.fct_session"] == tonight["core.fct_order_line"] == tonight["kpis.kpi_measure_day"] == set()
    assert hashes(settings) == hashes(at_once)
