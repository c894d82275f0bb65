"""The DuckDB line that is pinned and the one before make the same tables, and readers of three lines open what is published."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from dagster_project.settings import REPOSITORY
from dagster_project.simulator.world import simulate
from dagster_project.warehouse.publish import current_manifest, publish
from tests.faults.conftest import Record
from tests.faults.pipeline import project
from tests.faults.test_kills import FACTS, two_days  # noqa: F401

OTHER_LINE = "1.5.6"
READERS = ("1.4.5", "1.5.6")

# Rows and fingerprint of every table, by the reader's own duckdb.
READ = """
import json, sys
import duckdb
sys.path.append(sys.argv[2])
from dagster_project.warehouse.hashes import columns_of, content_hash, fingerprint
seen = {}
for file in ("marts", "appraisal"):
    with duckdb.connect(f"{sys.argv[1]}/{file}.duckdb", read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        for schema, table in con.execute(
            "select table_schema, table_name from information_schema.tables where table_catalog = current_database()"
        ).fetchall():
            columns = columns_of(con, schema, table)
            seen[f"{schema}.{table}"] = content_hash(columns, fingerprint(con, f'"{schema}"."{table}"', columns))
print(json.dumps({"version": duckdb.__version__, "tables": seen}))
"""
# The models as dbt compiled them, on small worlds in memory, by whichever duckdb stands first.
BUILD = """
import json, pickle, sys
from pathlib import Path
import duckdb
from tests.faults.pipeline import build, landed
from tests.marts.nights import settings_for
from tests.worlds import random_world
from dagster_project.warehouse.hashes import columns_of, content_hash, fingerprint
project = pickle.loads(Path(sys.argv[1]).read_bytes())
models = [model for model in project.models.values() if model.schema in ("staging", "intermediate", "core", "funnel", "kpis")]
seen = {}
for seed in map(int, sys.argv[3:]):
    settings = settings_for(Path(sys.argv[2], duckdb.__version__, str(seed)))
    random_world(seed).write(settings.exports)
    con = landed(settings)
    build(con, models)
    for model in models:
        columns = columns_of(con, model.schema, model.name)
        columns.pop("landed_at", None)  # the time of this run
        seen[f"{seed} {model.relation}"] = content_hash(columns, fingerprint(con, model.relation, columns))
print(json.dumps({"version": duckdb.__version__, "tables": seen}))
"""
SEEDS = ("0", "3", "8")
CORE = ["tests/warehouse/test_hashes.py", "tests/landing/test_landing_rows.py", "tests/landing/test_landing_relations.py"]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """`line(version)` is an environment in which that DuckDB, and nothing else, stands before the locked one."""
    root = tmp_path_factory.mktemp("duckdb")

    def line(version: str | None) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DATA", "EXPORTS")}
        if version is None:
            return environ
        target = root / version
        if not target.exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                       "--only-binary", ":all:", "--target", str(target), f"duckdb=={version}"]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"duckdb {version} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        return {**environ, "PYTHONPATH": str(target)}

    return line


def python(environ: dict[str, str], *arguments: str) -> str:
    """The last line that a command prints; what libraries say before it is left out."""
    done = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout.rstrip("\n").rpartition("\n")[2]


@pytest.fixture(scope="module")
def published(tmp_path_factory, line) -> dict[str, Path]:
    """DATA of the same exports, by the DuckDB that made it."""
    root = tmp_path_factory.mktemp("lines")
    simulate(root / "exports", seed=17, start=date(2026, 9, 26), end=date(2026, 10, 5), rooms=2, events=3000)
    made = {}
    for version in (None, OTHER_LINE):
        environ = line(version)
        named = python(environ, "-c", "import duckdb; print(duckdb.__version__)").strip()
        made[named] = root / named
        given = [f"EXPORTS={root / 'exports'}", f"DATA={made[named]}", "VIEWER_KEY_SECRET=of the tests", "MONTH=2026-10"]
        python(environ, "-m", "dagster_project.cli", "scorecards", *given)
    return made


@pytest.mark.slow
def test_every_table_of_small_worlds_is_the_same_on_both_lines(tmp_path, line, record: Record):
    compiled = tmp_path / "project.pickle"
    compiled.write_bytes(pickle.dumps(project()))
    told = [
        json.loads(python(line(version), "-c", BUILD, str(compiled), str(tmp_path), *SEEDS)) for version in (None, OTHER_LINE)
    ]
    assert told[0]["version"] != told[1]["version"] == OTHER_LINE
    assert len(told[0]["tables"]) > 200 and told[0]["tables"] == told[1]["tables"]
    record("duckdb_small_worlds", count=len(told[0]["tables"]), lines=[one["version"] for one in told])


@pytest.mark.slow
def test_a_small_snapshot_is_read_by_three_lines(two_days, line, record: Record):  # noqa: F811
    settings = two_days(3)
    manifest = publish(settings, "one", FACTS)
    expected = {name: table["content_hash"] for name, table in manifest["tables"].items() if table["content_hash"]}
    folder = str((settings.published / "current").resolve())
    for version in (*READERS, None):
        told = json.loads(python(line(version), "-c", READ, folder, str(REPOSITORY)))
        assert version in (None, told["version"])
        assert expected and {name: told["tables"].get(name) for name in expected} == expected, version
    record("duckdb_readers", count=len(expected), readers=[*READERS, "pinned"])


def hashes(data: Path) -> dict[str, str]:
    manifest = current_manifest(data / "published")
    assert manifest is not None
    return {name: table["content_hash"] for name, table in manifest["tables"].items() if table["content_hash"]}


@pytest.mark.slow
def test_both_lines_make_the_same_tables(published, record: Record):
    (pinned, ours), (other, theirs) = ((version, hashes(data)) for version, data in published.items())
    assert pinned != other == OTHER_LINE
    assert len(ours) > 30 and ours == theirs
    record("duckdb_lines", count=len(ours), pinned=pinned, other=other, readers=[*READERS, pinned])


@pytest.mark.slow
@pytest.mark.parametrize("version", [*READERS, None])
def test_readers_of_three_lines_read_what_is_published_value_by_value(published, line, version):
    data = next(iter(published.values()))
    told = json.loads(python(line(version), "-c", READ, str((data / "published" / "current").resolve()), str(REPOSITORY)))
    assert version in (None, told["version"])
    expected = hashes(data)
    assert {name: told["tables"].get(name) for name in expected} == expected


@pytest.mark.slow
def test_landing_and_hashes_hold_on_the_other_line(line):
    told = python(line(OTHER_LINE), "-m", "pytest", "-q", "-p", "no:cacheprovider", *CORE)
    assert "[100%]" in told and "failed" not in told
