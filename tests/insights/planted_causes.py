"""What each analysis finds of what the simulator planted, and what it claims where nothing was planted.

Two worlds of one seed: `planted` holds every cause but the dull script, `dull` holds that alone and so is the world
without the others. Both are steady: hosts hold viewers alike and regulars stay no longer, so watch time moves by what
is planted and by chance, and a claim of anything else is false. Worlds of many seeds stand side by side in one
warehouse, their ids prefixed. Run as a module it prints the tables that docs/insights.md states:
`python -m tests.insights.planted_causes 201 202 203`.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb

from dagster_project.insights import gmv_forecast, leading_indicators
from dagster_project.insights.build import run_insights
from dagster_project.landing import land
from dagster_project.settings import Settings, connect, settings_from_env
from dagster_project.simulator.world import World, simulate
from dagster_project.warehouse.build import run_dbt
from dagster_project.warehouse.policy import load_policy, read_policy

PLANTED = frozenset(
    {"regional_outage", "mix_shift", "red_packet_lift", "leading_lag", "simpson", "looks_good_product"}
)
DULL = frozenset({"dull_script"})
START, END = date(2026, 9, 1), date(2026, 10, 31)
# Rooms and events of each kind of world; a dull script for one product in ten is little beside chance, and takes more.
SIZES = {PLANTED: (2, 200_000), DULL: (1, 200_000)}
SEEDS_AT_ONCE = 10
EVERYTHING = ("path:models/staging", "path:models/intermediate", "path:models/marts")
NEEDED = ("+alerts", "+watch_time_diagnosis", "+mix_shift", "+feature_lift", "+product_actions", "dim_room")
EXPORTS = ("rooms", "sessions", "segments", "products", "viewer_events", "playback_qos", "orders", "refunds")
IDS = {
    "room_id", "session_id", "segment_id", "product_id", "viewer_id", "sample_id", "order_id", "order_line_id", "refund_id",
}  # fmt: skip

Worlds = dict[str, World]  # prefix of its ids → the world


def build_world(root: Path, seed: int, plant: frozenset[str], events: int) -> tuple[World, Settings]:
    """A simulated world of two rooms, landed and built with all insights."""
    world = simulate(root / "exports", seed=seed, start=START, end=END, rooms=2, events=events, plant=plant)
    settings = land_exports(root)
    run_dbt(settings, select=EVERYTHING, exclude="resource_type:test")
    with connect(settings.warehouse_path, settings) as con:
        run_insights(con, settings)
    return world, settings


def build_steady_worlds(root: Path, seeds: Sequence[int]) -> tuple[Worlds, Settings]:
    """Both steady worlds of every seed in one warehouse, in the place of those before, with what `findings` reads."""
    shutil.rmtree(root / "exports", ignore_errors=True)
    for file in (root / "data" / "private").glob("warehouse.duckdb*"):
        file.unlink()
    worlds: Worlds = {}
    for seed in seeds:
        for letter, (plant, (rooms, events)) in zip("pd", SIZES.items(), strict=True):
            world = simulate(
                root / "one", seed=seed, start=START, end=END, rooms=rooms, events=events, plant=plant, is_steady=True
            )
            prefix = f"{letter}{seed}"
            worlds[prefix] = world
            place_beside(root / "one", root / "exports", prefix)
            shutil.rmtree(root / "one")
    settings = land_exports(root)
    run_dbt(settings, select=NEEDED, exclude="resource_type:test", full_refresh=True)
    return worlds, settings


def settings_in(root: Path) -> Settings:
    """Of the exports of a folder and the data beside them."""
    return settings_from_env(
        {"EXPORTS": str(root / "exports"), "DATA": str(root / "data"), "VIEWER_KEY_SECRET": "tests only",
         "DUCKDB_MEMORY_LIMIT": "3GB"}
    )  # fmt: skip


def land_exports(root: Path) -> Settings:
    """The exports of a folder and the policy in a warehouse beside it."""
    settings = settings_in(root)
    with connect(settings.warehouse_path, settings) as con:
        land(con, settings, "night")
        load_policy(con, read_policy(settings.policy))
    return settings


def place_beside(one: Path, exports: Path, prefix: str) -> None:
    """Copy the exports that insights read into a common folder, every id prefixed."""
    for export in EXPORTS:
        for source in sorted(path for path in (one / export).rglob("*") if path.is_file()):
            target = exports / export / f"{prefix}-{source.parent.name}-{source.name.removesuffix('.gz')}"
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".parquet":
                with duckdb.connect() as con:
                    named = [row[0] for row in con.execute(f"describe from '{source}'").fetchall() if row[0] in IDS]
                    prefixed = ", ".join(f"'{prefix}-' || {name} as {name}" for name in named)
                    con.execute(f"copy (select * replace ({prefixed}) from '{source}') to '{target}' (format parquet)")
                continue
            with (gzip.open if source.suffix == ".gz" else open)(source, "rt", encoding="utf-8", newline="") as read:
                rows = list(csv.DictReader(read)) if ".csv" in source.name else [json.loads(line) for line in read]
            for row in rows:
                row.update({name: f"{prefix}-{row[name]}" for name in IDS & set(row) if row[name]})
            with target.open("w", encoding="utf-8", newline="") as write:
                if ".csv" in source.name:
                    writer = csv.DictWriter(write, list(rows[0]), lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
                else:
                    write.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def findings(worlds: Worlds, settings: Settings) -> Iterator[tuple[str, bool, bool]]:
    """(cause, is it planted there?, does the analysis say so?) for everything an analysis spoke of."""

    def planted(cause: str, of: str) -> dict[str, str]:
        """Where the cause is planted in the world that the id belongs to, in its prefixed ids; empty where it is not."""
        prefix = of.split("-")[0]
        where = worlds[prefix].planted.get(cause, {})
        return {name: f"{prefix}-{value}" if name in IDS else value for name, value in where.items()}

    with connect(settings.warehouse_path, settings, read_only=True) as con:
        slack = timedelta(minutes=10)
        found = set()
        for session, subject, begun in con.execute(
            "select session_id, subject, start_at from insights.alerts where rule = 'region_stalls'"
        ).fetchall():
            outage = planted("regional_outage", session)
            is_it = (
                bool(outage)
                and (session, subject) == (outage["session_id"], outage["region"])
                and begun.timestamp() < (outage["to"] + slack).timestamp()
            )
            found.add(session)
            if not is_it:
                yield "regional outage", False, True
        for world, prefix in zip(worlds.values(), worlds, strict=True):
            outage = world.planted.get("regional_outage")
            if outage:
                yield "regional outage", True, f"{prefix}-{outage['session_id']}" in found
        sessions = sum(len(world.sessions) for world in worlds.values())
        yield from [("regional outage", False, False)] * (sessions - len(found))

        for room, verdict in con.execute(
            "select room_id, verdict from insights.watch_time_diagnosis where month = '2026-10'"
        ).fetchall():
            dull, mixed = planted("dull_script", room), planted("mix_shift", room)
            yield "dull script (verdict content)", bool(dull), verdict == "content"
            # The Simpson pair moves new and returning viewers, so traffic is right of its room too.
            if not mixed or room == mixed["room_id"]:
                yield "mix shift (verdict traffic)", bool(mixed), verdict == "traffic"
            yield "nothing technical (verdict technical)", False, verdict == "technical"

        for room, product_id, month, loses in con.execute(
            "select room_id, product_id, month, loses_viewers from insights.explanation_hold "
            "where loses_viewers is not null"
        ).fetchall():
            dull = planted("dull_script", room)
            is_it = bool(dull) and (product_id, month) == (dull["product_id"], "2026-10")
            yield "dull script (explanation loses viewers)", is_it, loses

        for room, flagged in con.execute(
            "select room_id, moves_against_every_part from insights.mix_shift "
            "where month = '2026-10' and kpi_id = 'product_click_rate' and dimension = 'new_or_returning'"
        ).fetchall():
            yield "Simpson pair", planted("simpson", room).get("room_id") == room, bool(flagged)

        for room, low in con.execute(
            "select room_id, lift_low from insights.feature_lift where feature = 'red_packet' and lift is not null"
        ).fetchall():
            yield "red packet lift", bool(planted("red_packet_lift", room)), low > 1

        columns = [name for name, _, _ in leading_indicators.TABLE.columns]
        for room, month in con.execute("select distinct room_id, month from core.fct_session order by all").fetchall():
            associations = leading_indicators.minute_associations(con, room, month)
            rows = [
                dict(zip(columns, row, strict=True))
                for row in leading_indicators.labelled(room, month, "minute", associations)
            ]
            lags = [
                row["lag"]
                for row in rows
                if (row["leader"], row["result"], row["is_strongest_lag"]) == ("chats", "clicks", True)
            ]
            is_lag = bool(lags) and lags[0] in (2, 3, 4)
            yield "leading lag (chats 3 min before clicks)", bool(planted("leading_lag", room)), is_lag

        for product_id, action, reason in con.execute(
            "select product_id, action, reason from insights.product_actions where action is not null"
        ).fetchall():
            is_it = planted("looks_good_product", product_id).get("product_id") == product_id
            yield "product that only looks good", is_it, action == "drop" and "returns" in reason


def forecasts(worlds: Worlds, settings: Settings) -> Iterator[tuple[int, list[gmv_forecast.Forecast]]]:
    """Per world and horizon: all forecasts that were made of sessions that sold something."""
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        evenings = gmv_forecast.read_evenings(con)
    for prefix in worlds:
        own = [each for each in evenings if each.session_id.startswith(f"{prefix}-")]
        for horizon in gmv_forecast.HORIZONS:
            made = gmv_forecast.backtest(own, horizon)
            yield horizon, [each for each in made if each.value is not None and each.evening.final > 0]


def run(seeds: Sequence[int]) -> tuple[dict[str, list[int]], dict[int, list[list[gmv_forecast.Forecast]]]]:
    """Per cause found and asked where it was planted, claimed and asked where it was not; and all forecasts."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    made: dict[int, list[list[gmv_forecast.Forecast]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(seeds), SEEDS_AT_ONCE):
            worlds, settings = build_steady_worlds(Path(folder), seeds[first : first + SEEDS_AT_ONCE])
            for cause, is_planted, is_said in findings(worlds, settings):
                place = 0 if is_planted else 2
                counts[cause][place] += is_said
                counts[cause][place + 1] += 1
            for horizon, each in forecasts(worlds, settings):
                made[horizon].append(each)
            print(table(counts), forecast_table(made), sep="\n", file=sys.stderr, flush=True)
    return dict(counts), dict(made)


def table(counts: dict[str, list[int]]) -> str:
    """The rates as a Markdown table."""
    lines = ["| cause | found where planted | claimed where not planted |", "|---|---|---|"]
    lines += [f"| {cause} | {a} of {b} | {c} of {d} |" for cause, (a, b, c, d) in counts.items()]
    return "\n".join(lines)


def forecast_table(made: dict[int, list[list[gmv_forecast.Forecast]]]) -> str:
    """The back-tests of all worlds as a Markdown table; every method on the same sessions."""
    lines = [
        "| after | forecasts | MAPE, used | last similar session | share curve | ridge | 80 % interval held | naive used |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for horizon, worlds in sorted(made.items()):
        every = [each for world in worlds for each in world]
        used, *own = (
            sum(abs((each.said | {"used": each.value})[method] / each.evening.final - 1) for each in every) / len(every)
            for method in ("used", *gmv_forecast.METHODS)
        )
        held = sum(each.low <= each.evening.final <= each.high for each in every) / len(every)
        naive = sum(each.method in gmv_forecast.NAIVE for each in every)
        shares = " | ".join(f"{share:.1%}" for share in (used, *own, held))
        lines.append(f"| {horizon} min | {len(every)} | {shares} | {naive} |")
    return "\n".join(lines)


if __name__ == "__main__":
    found, forecast = run([int(seed) for seed in sys.argv[1:]])
    print(f"{table(found)}\n\n{forecast_table(forecast)}", flush=True)
