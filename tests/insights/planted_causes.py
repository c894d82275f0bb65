"""What each analysis finds of what the simulator planted, and what it claims where nothing was planted.

Two worlds of one seed: `planted` holds every cause but the dull script, `dull` holds that alone and so is the world
without the others. Run as a module it prints the table that docs/insights.md states:
`python -m tests.insights.planted_causes 1 2 3`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

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
START, END, EVENTS = date(2026, 9, 1), date(2026, 10, 31), 300_000


def build_world(root: Path, seed: int, plant: frozenset[str], events: int = EVENTS) -> tuple[World, Settings]:
    """A simulated world of two rooms, landed and built with all insights."""
    world = simulate(
        root / "exports", seed=seed, start=START, end=END, rooms=2, events=events, plant=plant
    )
    settings = settings_from_env(
        {"EXPORTS": str(root / "exports"), "DATA": str(root / "data"), "VIEWER_KEY_SECRET": "tests only"}
    )
    with connect(settings.warehouse_path, settings) as con:
        land(con, settings, "night")
        load_policy(con, read_policy(settings.policy))
    run_dbt(
        settings,
        select=["path:models/staging", "path:models/intermediate", "path:models/marts"],
        exclude="resource_type:test",
    )
    with connect(settings.warehouse_path, settings) as con:
        run_insights(con, settings)
    return world, settings


def findings(world: World, settings: Settings) -> dict[str, list[tuple[bool, str]]]:
    """Per analysis: (is it planted there?, what the analysis says) for everything it spoke of."""
    said: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    planted = world.planted
    first_room = world.rooms[0].room_id
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        outage = planted.get("regional_outage")
        alerts = con.execute(
            "select session_id, subject, start_at, end_at from insights.alerts where rule = 'region_stalls'"
        ).fetchall()
        slack = timedelta(minutes=10)
        hits = [
            outage is not None
            and (session, region) == (outage["session_id"], outage["region"])
            and start.timestamp() < (outage["to"] + slack).timestamp()
            for session, region, start, _ in alerts
        ]
        if outage is not None:
            said["regional outage"].append((True, "found" if any(hits) else "silent"))
        said["regional outage"] += [(False, "found")] * hits.count(False)
        said["regional outage"] += [(False, "silent")] * (len(world.sessions) - len({a[0] for a in alerts}))

        for room, verdict in con.execute(
            "select room_id, verdict from insights.watch_time_diagnosis where month = '2026-10'"
        ).fetchall():
            if "dull_script" in planted:
                said["dull script (verdict content)"].append(
                    (room == first_room, "found" if verdict == "content" else "silent")
                )
            if "mix_shift" in planted and room == first_room:
                said["mix shift (verdict traffic)"].append((True, "found" if verdict == "traffic" else "silent"))
            if "mix_shift" not in planted:
                said["mix shift (verdict traffic)"].append((False, "found" if verdict == "traffic" else "silent"))
                said["technical verdict"].append((False, "found" if verdict == "technical" else "silent"))

        simpson = planted.get("simpson")
        for room, flagged in con.execute(
            "select room_id, moves_against_every_part from insights.mix_shift "
            "where month = '2026-10' and kpi_id = 'product_click_rate' and dimension = 'new_or_returning'"
        ).fetchall():
            said["simpson pair"].append(
                (simpson is not None and room == simpson["room_id"], "found" if flagged else "silent")
            )

        for (low,) in con.execute(
            "select lift_low from insights.feature_lift where feature = 'red_packet' and lift is not null"
        ).fetchall():
            said["red packet lift"].append(("red_packet_lift" in planted, "found" if low > 1 else "silent"))

        for (lag,) in con.execute(
            "select max(lag) filter (where is_strongest_lag) from insights.leading_indicators "
            "where scale = 'minute' and leader = 'chats' and result = 'clicks' group by room_id, month"
        ).fetchall():
            said["leading lag (chats 3 min before clicks)"].append(
                ("leading_lag" in planted, "found" if lag in (2, 3, 4) else "silent")
            )

        product = planted.get("looks_good_product")
        for product_id, room, action, reason in con.execute(
            "select product_id, room_id, action, reason from insights.product_actions where action is not null"
        ).fetchall():
            is_it = product is not None and room == first_room and product_id == product["product_id"]
            found = action == "drop" and "returns" in reason
            said["product that only looks good"].append((is_it, "found" if found else "silent"))
    return said


def rates(seeds: list[int]) -> dict[str, tuple[int, int, int, int]]:
    """Per cause: found and asked where it was planted; claimed and asked where it was not."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for seed in seeds:
        for plant in (PLANTED, DULL):
            with tempfile.TemporaryDirectory() as root:
                for cause, answers in findings(*build_world(Path(root), seed, plant)).items():
                    for is_planted, answer in answers:
                        place = 0 if is_planted else 2
                        counts[cause][place] += answer == "found"
                        counts[cause][place + 1] += 1
    return {cause: (each[0], each[1], each[2], each[3]) for cause, each in counts.items()}


def table(found: dict[str, tuple[int, int, int, int]]) -> str:
    """The rates as a Markdown table."""
    lines = ["| cause | found where planted | claimed where not planted |", "|---|---|---|"]
    lines += [f"| {cause} | {a} of {b} | {c} of {d} |" for cause, (a, b, c, d) in found.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(rates([int(seed) for seed in sys.argv[1:]])), flush=True)
