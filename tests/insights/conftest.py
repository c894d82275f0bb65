"""Marts that are built but empty, for rows made by hand; and one small simulated world with everything built."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from dagster_project.settings import Settings, connect
from dagster_project.warehouse.build import run_dbt
from tests.insights.planted_causes import build_world, land_exports, settings_in
from tests.landing.delivered import EVENT, ORDER, ROOM, SESSION, csv_bytes


@dataclass(frozen=True)
class Marts:
    """A private warehouse to fill by hand and to build insights of."""

    settings: Settings

    def put(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Insert rows by column name; a column not named is null."""
        with connect(self.settings.warehouse_path, self.settings) as con:
            for row in rows:
                places = ", ".join("?" for _ in row)
                con.execute(f"insert into {table} ({', '.join(row)}) values ({places})", list(row.values()))

    def build(self, *models: str, dates: Iterable[date] = ()) -> None:
        """Rebuild these models as if these business dates were affected."""
        self.put("intermediate.int_dates_affected", [{"business_date": day} for day in dates])
        run_dbt(self.settings, select=list(models), exclude="resource_type:test", full_refresh=True)

    def read(self, query: str) -> list[tuple]:
        with connect(self.settings.warehouse_path, self.settings, read_only=True) as con:
            return con.execute(query).fetchall()


def build_emptied(root: Path) -> None:
    """Every table that insights are made of, built from one row each and then emptied; the room and the policy stay."""
    for export, row in (("rooms", ROOM), ("sessions", SESSION), ("viewer_events", EVENT), ("orders", ORDER)):
        (root / "exports" / export).mkdir(parents=True)
        (root / "exports" / export / "all.csv").write_bytes(csv_bytes([row]))
    settings = land_exports(root)
    run_dbt(
        settings,
        select=["path:models/staging", "path:models/intermediate", "path:models/marts"],
        exclude="resource_type:test",
    )
    kept = ("dim_room", "kpi_registry", "int_rooms_current", "int_measures_catalogued", "int_exports_delivered")
    with connect(settings.warehouse_path, settings) as con:
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where schema_name in ('core', 'kpis', 'intermediate', 'insights')"
        ).fetchall():
            if table not in kept:
                con.execute(f"delete from {schema}.{table}")


@pytest.fixture(scope="session")
def own_settings(tmp_path_factory) -> Settings:
    """Of this process. Every test finds its marts in the same place, so that dbt parses the project once."""
    return settings_in(tmp_path_factory.mktemp("marts"))


@pytest.fixture
def marts(made_once, own_settings) -> Marts:
    """Empty marts to write to."""
    empty = settings_in(made_once("emptied_marts", build_emptied))
    own_settings.private.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty.warehouse_path, own_settings.warehouse_path)
    return Marts(own_settings)


@pytest.fixture(scope="session")
def small_world(made_once) -> Settings:
    """A simulated world of two months and two rooms, every insight built, Python's too. Only to read."""
    plant = frozenset({"regional_outage", "leading_lag"})
    return settings_in(made_once("small_world", lambda root: build_world(root, 7, plant, events=60_000)))


Read = Callable[[str], list[tuple]]


@pytest.fixture
def read_world(small_world) -> Read:
    """A query on the small world."""
    return Marts(small_world).read
