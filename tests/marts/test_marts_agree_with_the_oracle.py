"""The SQL against an independent recomputation in plain Python, on random worlds full of edges."""

from __future__ import annotations

import csv
import functools
import os
import random
import shutil
from pathlib import Path

import pytest

from dagster_project.settings import REPOSITORY, connect
from tests.marts.nights import SECRET, build_night, deliver, drop, hashes, settings_for
from tests.oracle import compute
from tests.oracle.compare import compare
from tests.worlds import random_world

SHIPPED = REPOSITORY / "dbt" / "seeds"
IN_CI = 4
ALL_WORLDS = 40
PERMUTED_IN_CI = 1


def policy_with_small_bases(folder: Path) -> Path:
    """The shipped policy, but every KPI is stated from a denominator of 1, so that small worlds have values, and the spend tiers
    move every month."""
    shutil.copytree(SHIPPED, folder)
    rows = list(csv.DictReader((folder / "kpis.csv").open(encoding="utf-8")))
    with (folder / "kpis.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"min_base": "1" if row["min_base"] else ""} for row in rows)
    with (folder / "rules.csv").open("a", encoding="utf-8", newline="") as file:
        for number in range(1, 13):
            low, high = ("60", "150") if number % 2 else ("250", "900")
            csv.writer(file).writerows(
                [rule, value, f"2025-{number:02}-01"] for rule, value in (("spend_tier_low", low), ("spend_tier_high", high))
            )
    return folder


def tier_rules(policy: Path) -> list[dict[str, str]]:
    """The rules of the spend tiers in a policy folder."""
    with (policy / "rules.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["rule"].startswith("spend_tier")]


SLOW_WORLDS = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(IN_CI, ALL_WORLDS)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("seed", [*range(IN_CI), *SLOW_WORLDS])
def test_every_column_of_facts_funnels_and_kpis_agrees_with_the_oracle(seed: int, data: Path, tmp_path: Path) -> None:
    world = random_world(seed)
    settings = settings_for(tmp_path, data)
    world.write(settings.exports)
    policy = SHIPPED if seed % 2 else policy_with_small_bases(tmp_path / "policy")
    build_night(settings, full_refresh=True, policy=policy)
    with (policy / "kpis.csv").open(encoding="utf-8") as file:
        expected = compute(world.exports, list(csv.DictReader(file)), viewer_secret=SECRET, rules=tier_rules(policy))
    assert all(expected[table] for table in ("core.fct_session", "core.fct_person", "kpis.kpi_month"))
    with connect(settings.warehouse_path, settings, read_only=True) as con:
        assert compare(con, expected) == []


@functools.cache
def hashes_of_one_build(world_seed: int, data: Path, root: Path) -> dict[str, str]:
    settings = settings_for(root, data)
    random_world(world_seed).write(settings.exports)
    build_night(settings, full_refresh=True, insights=True)
    return hashes(settings)


def nights_equal_one_build(world_seed: int, delivery_seed: int, nights: int, data: Path, root: Path) -> None:
    """The world's rows, delivered in so many nights as the other seed has it, end in the content hashes of all at once."""
    expected = hashes_of_one_build(world_seed, data, data / f"world-{world_seed}")
    assert len(set(expected.values())) > 30 and any(table.startswith("insights.") for table in expected)
    nightly = settings_for(root, data)
    rng = random.Random(delivery_seed)
    for night, delivery in enumerate(deliver(random_world(world_seed), root, nights, delivery_seed)):
        drop(delivery, nightly, night)
        files = sorted(file for file in nightly.exports.rglob("*") if file.is_file())
        # Somebody sends a file of some night once more under another name, or gives one another name where it lies.
        for move in (shutil.copyfile, os.rename):
            file = rng.choice(files)
            if file.exists() and rng.random() < 0.3:
                move(file, file.with_name(f"{rng.randrange(10**9)}-{file.name}"))
        build_night(nightly, full_refresh=night == 0, insights=True)
    assert hashes(nightly) == expected


@pytest.mark.parametrize("seed", range(100, 100 + PERMUTED_IN_CI))
def test_nights_in_any_order_end_in_the_same_tables_as_one_build(seed: int, data: Path, tmp_path: Path) -> None:
    nights_equal_one_build(seed, seed, 2, data, tmp_path)


# Two hundred take an hour of two processors; DELIVERIES=20 runs so many of them, FIRST_DELIVERY=300 others.
FIRST = int(os.environ.get("FIRST_DELIVERY", "200"))
WORLDS = 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + int(os.environ.get("DELIVERIES", "200"))))
def test_two_hundred_random_deliveries_end_in_the_same_tables_as_one_build(seed: int, data: Path, tmp_path: Path) -> None:
    nights_equal_one_build(FIRST + seed % WORLDS, seed, 1 + (seed + seed // WORLDS) % 4, data, tmp_path)
