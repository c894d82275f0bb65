"""Insights do not hang on threads (nor on how the rows came: tests/marts), say what they are, and show nothing private."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from dagster_project.insights.audience import write_audiences
from dagster_project.insights.build import run_insights
from dagster_project.settings import REPOSITORY, connect
from dagster_project.warehouse.build import run_dbt
from tests.insights import planted_causes
from tests.marts.nights import hashes

PRIVATE = {"viewer_id", "viewer_no", "performance_pay", "total_score", "personal_score"}


def test_the_same_rows_give_the_same_insights_on_one_thread_and_again(small_world, tmp_path):
    first = hashes(small_world)
    assert any(table.startswith("insights.") for table in first)
    own = replace(small_world, data=tmp_path)
    shutil.copytree(small_world.private, own.private)
    run_dbt(own, select="path:models/marts/insights", exclude="resource_type:test", full_refresh=True)
    with connect(own.warehouse_path, own) as con:
        con.execute("set threads = 1")
        run_insights(con, own)
    assert hashes(own) == first


def test_every_table_of_the_specification_is_there_and_but_for_rare_events_has_rows(read_world):
    tables = [
        "session_review", "product_actions", "scene_highlights", "phase_summary", "leading_indicators",
        "watch_time_diagnosis", "quality_by_region", "picture_value", "mode_summary", "fair_comparison", "mix_shift",
        "audience_segments", "buyer_rfm", "alerts", "gmv_forecast", "chat_sentiment", "targets_review",
    ]  # fmt: skip
    for table in tables:
        rows = read_world(f"select count(*) from insights.{table}")[0][0]
        assert rows > 0 or table in ("scene_highlights", "alerts"), table


def test_every_column_is_described_and_none_is_private(read_world):
    columns = read_world(
        "select table_name, column_name, comment from duckdb_columns() where schema_name = 'insights'"
    )
    assert [column for column in columns if not column[2]] == []
    assert PRIVATE.isdisjoint(name for _, name, _ in columns)
    assert read_world(
        "select table_name from duckdb_tables() where schema_name = 'insights' and comment is null"
    ) == []


def test_decompositions_of_a_simulated_world_add_up_exactly(read_world):
    off = (
        "select count(*), count_if({sum} <> change) from insights.{table} where change is not null"
    )
    for table, parts in (
        ("watch_time_diagnosis", "technical_effect + traffic_effect + content_effect"),
        ("mix_shift", "mix_effect + rate_effect"),
    ):
        rows, wrong = read_world(off.format(sum=parts, table=table))[0]
        assert rows > 0 and wrong == 0


def test_each_segment_of_the_audience_is_a_file_of_keys(small_world, tmp_path, read_world):
    rows = write_audiences(small_world.warehouse_path, tmp_path / "audiences", small_world)
    people = dict(read_world("select segment, count(*) from insights.audience_segments group by segment"))
    assert rows == people
    for segment, count in rows.items():
        lines = (tmp_path / "audiences" / f"{segment}.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "viewer_key" and len(lines) == count + 1


# What is planted plainly; a dull script for one product in ten may drown in chance, and so may one outage.
PLAIN = (
    "mix shift (verdict traffic)", "Simpson pair", "red packet lift", "leading lag (chats 3 min before clicks)",
    "product that only looks good", "dull script (explanation loses viewers)",
)  # fmt: skip

# What the twenty seeds showed to be weaker than the others: least found, most claimed.
WEAKER = {"Simpson pair": (0.85, 0.05), "leading lag (chats 3 min before clicks)": (0.75, 0.1)}

TWENTY = pytest.param(range(201, 221), id="twenty seeds", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[pytest.param(range(1, 2), id="one seed"), TWENTY])
def planted(request):
    """Seeds, rates of what was found and claimed, and the forecasts made; no rule was tuned on the twenty."""
    return len(request.param), *planted_causes.run(request.param)


def test_what_was_planted_is_found_and_where_nothing_was_little_is_claimed(planted):
    """Over the twenty seeds the rates are those that stand in docs/insights.md, to the count."""
    seeds, counts, made = planted
    for cause, (found, asked, claimed, others) in counts.items():
        least, most = WEAKER.get(cause, (0.9, 0.05))
        assert claimed <= max(others * most, 1), (cause, claimed, others)
        if cause in PLAIN:
            assert asked >= seeds and found >= least * asked, (cause, found, asked)
    if seeds > 1:
        stated = (REPOSITORY / "docs" / "insights.md").read_text(encoding="utf-8").replace(" %", "%").splitlines()
        for line in (planted_causes.table(counts) + "\n" + planted_causes.forecast_table(made)).splitlines():
            assert line.replace(" %", "%") in stated
        for cause in ("regional outage", "dull script (verdict content)"):
            found, asked, _, _ = counts[cause]
            assert asked == seeds and found >= 0.6 * asked, (cause, found, asked)


def test_four_in_five_finals_lie_within_the_forecasts_interval_and_the_naive_forecasts_are_beaten(planted):
    seeds, _, made = planted
    assert set(made) == {30, 60, 120}
    for horizon, worlds in made.items():
        every = [each for world in worlds for each in world]
        held = [each.low <= each.evening.final <= each.high for each in every]
        assert len(every) >= 40 * seeds, horizon
        spread = 0.1 if seeds > 1 else 0.2
        assert abs(sum(held) / len(held) - 0.8) <= spread, horizon
        used, *naive = (
            sum(abs(said(each) / each.evening.final - 1) for each in every)
            for said in (lambda each: each.value, lambda each: each.said["last_similar"], lambda each: each.said["share_curve"])
        )
        assert used < min(naive), horizon
