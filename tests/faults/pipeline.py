"""The dbt models as dbt compiles them, run straight in a DuckDB in memory: a small world in a second or two.

dbt parses and compiles once; what it compiled is then executed model by model. A model's SQL may be replaced
for one run inside a transaction, which is rolled back: that makes a mutant of a model cost less than a second.
"""

from __future__ import annotations

import functools
import graphlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dagster_project.landing import create_tables, land
from dagster_project.settings import Settings, connect, settings_from_env
from dagster_project.warehouse.build import _options, close_handles, parse_project
from dagster_project.warehouse.policy import load_policy, read_policy


@dataclass(frozen=True)
class Model:
    """A model (or a data test) as dbt compiled it for a full refresh."""

    name: str
    schema: str
    sql: str
    is_view: bool
    parents: frozenset[str]
    before: tuple[str, ...] = ()
    is_contracted: bool = False

    @property
    def relation(self) -> str:
        return f"{self.schema}.{self.name}"

    def create(self, sql: str | None = None) -> str:
        kind = "view" if self.is_view else "table"
        return f"create or replace {kind} {self.relation} as {sql or self.sql}"


@dataclass(frozen=True)
class Project:
    """Models in the order they are built, and data tests, by name."""

    models: Mapping[str, Model]
    tests: Mapping[str, Model]

    def downstream(self, name: str) -> list[Model]:
        """A model and everything made from it, in the order they are built."""
        found = {name}
        for model in self.models.values():
            if model.parents & found:
                found.add(model.name)
        return [model for model in self.models.values() if model.name in found]


@functools.cache
def project() -> Project:
    """The project, compiled once in a process, on a warehouse that holds the policy and nothing else."""
    from dbt.cli.main import dbtRunner

    with tempfile.TemporaryDirectory() as folder:
        settings = settings_from_env({"DATA": folder, "VIEWER_KEY_SECRET": "of the tests"})
        with connect(settings.warehouse_path, settings) as con:
            create_tables(con)
            load_policy(con, read_policy(settings.policy))
        manifest = parse_project(settings)
        arguments = ["compile", *_options(settings), "--full-refresh", "--no-write-json"]
        try:
            outcome = dbtRunner(manifest=manifest).invoke(arguments)
        finally:
            close_handles()
        assert outcome.success, outcome.exception
        nodes = [result.node for result in outcome.result.results]
    names = {node.unique_id: node.name for node in nodes}
    made = {node.name: _model(node, names) for node in nodes if node.resource_type == "model"}
    order = graphlib.TopologicalSorter({name: model.parents for name, model in made.items()}).static_order()
    tests = {node.name: _model(node, names) for node in nodes if node.resource_type == "test"}
    return Project({name: made[name] for name in order if name in made}, tests)


def _model(node, names: Mapping[str, str]) -> Model:
    parents = frozenset(names[parent] for parent in node.depends_on.nodes if parent in names)
    hooks = tuple(hook.sql for hook in getattr(node.config, "pre_hook", []) if "{{" not in hook.sql)
    contract = getattr(node.config, "contract", None)
    is_view = node.config.materialized == "view"
    return Model(node.name, node.schema, node.compiled_code, is_view, parents, hooks, bool(contract and contract.enforced))


def memory() -> duckdb.DuckDBPyConnection:
    """An empty warehouse in memory, under the name and with the settings that compiled SQL expects."""
    con = duckdb.connect(":memory:", config={"threads": 1, "preserve_insertion_order": False})
    con.execute("attach ':memory:' as warehouse")
    con.execute("use warehouse")
    con.execute("set TimeZone = 'UTC'")
    return con


def landed(settings: Settings, policy: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A warehouse in memory in which the exports of the settings and a policy have landed."""
    con = memory()
    land(con, settings, "night")
    load_policy(con, read_policy(policy or settings.policy))
    return con


def build(con: duckdb.DuckDBPyConnection, models: Iterable[Model], instead: Mapping[str, str] | None = None) -> None:
    """Build models in order; `instead` holds other SQL for some of them by name."""
    for model in models:
        con.execute(f"create schema if not exists {model.schema}")
        for statement in model.before:
            con.execute(statement)
        con.execute(model.create((instead or {}).get(model.name)))


def types(con: duckdb.DuckDBPyConnection, model: Model) -> list[tuple]:
    """Column names and types of a built model."""
    return con.execute(f"select column_name, column_type from (describe {model.relation})").fetchall()
