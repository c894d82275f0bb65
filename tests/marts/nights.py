"""A world delivered in nights: the same raw rows, split, shuffled, late and repeated."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from dagster_project.insights.build import run_insights
from dagster_project.landing import clear_changes, land
from dagster_project.settings import Settings, connect, settings_from_env
from dagster_project.warehouse.build import clear_affected_dates, run_dbt
from dagster_project.warehouse.hashes import columns_of, content_hash, fingerprint
from dagster_project.warehouse.policy import load_policy, read_policy
from tests.worlds import ALWAYS, World

SECRET = "a secret of the tests"
LAYERS = ["path:models/staging", "path:models/intermediate"]
MARTS = [*LAYERS, *(f"path:models/marts/{folder}" for folder in ("core", "funnel", "kpis", "audit"))]


def settings_for(root: Path, data: Path | None = None) -> Settings:
    """Settings of a warehouse not built yet, below root or in `data`, whose warehouse is removed and dbt's parse kept."""
    settings = settings_from_env(
        {"EXPORTS": str(root / "exports"), "DATA": str(data or root / "data"), "VIEWER_KEY_SECRET": SECRET}
    )
    for file in settings.private.glob("warehouse.duckdb*"):
        file.unlink()
    return settings


def build_night(settings: Settings, *, full_refresh: bool, policy: Path | None = None, insights: bool = False) -> list[str]:
    """Land and build what is in the exports folder now; returns the business dates that were rebuilt."""
    with connect(settings.warehouse_path, settings) as con:
        land(con, settings, "night")
        load_policy(con, read_policy(policy or settings.policy))
    models = [*LAYERS, "path:models/marts"] if insights else MARTS
    run_dbt(settings, select=models, exclude="resource_type:test", full_refresh=full_refresh)
    with connect(settings.warehouse_path, settings) as con:
        if insights:
            run_insights(con, settings)
        dates = [
            str(day)
            for (day,) in con.execute("select business_date from intermediate.int_dates_affected").fetchall()
        ]
        clear_changes(con)
        clear_affected_dates(con)
    return sorted(dates)


def hashes(settings: Settings) -> dict[str, str]:
    """Content hash of every table of core, funnel, kpis and, if they were built, insights."""
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        found = {}
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where schema_name in ('core', 'funnel', 'kpis', 'insights') order by 1, 2"
        ).fetchall():
            columns = columns_of(con, schema, table)
            found[f"{schema}.{table}"] = content_hash(columns, fingerprint(con, f"{schema}.{table}", columns))
    return found


def deliver(world: World, root: Path, nights: int, seed: int) -> list[Path]:
    """Write the world's rows as `nights` deliveries to root/night-N; every row is in one, some are in two.

    The required exports have a row in the first. Rows keep no order, so children come before their parents
    and an older status after a newer one.
    """
    rng = random.Random(seed)
    parts: list[dict[str, list]] = [{} for _ in range(nights)]
    for export, rows in world.exports.items():
        for row in rows:
            places = {rng.randrange(nights)}
            if rng.random() < 0.1:
                places.add(rng.randrange(nights))
            for place in places:
                parts[place].setdefault(export, []).append(row)
        if export in ALWAYS and rows and not parts[0].get(export):
            parts[0][export] = rows[:1]
        if not rows:
            parts[rng.randrange(nights)][export] = []
    folders = []
    for night, exports in enumerate(parts):
        folder = root / f"night-{night}"
        World(world.seed, exports).write(folder, shuffle_seed=rng.randrange(10**6))
        folders.append(folder)
    return folders


def drop(delivery: Path, settings: Settings, night: int) -> None:
    """Move a delivery's files into the exports folder, under names of their own."""
    for export in delivery.iterdir():
        shutil.copytree(export, settings.exports / export.name / f"night-{night}")
