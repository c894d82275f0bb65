"""The models built by a Spark cluster: landed tables out as Parquet, dbt on the cluster, its result as Parquet back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from dagster_project.settings import REPOSITORY, Settings, UserError, connect
from dagster_project.spark import cluster as spark_cluster

# What the models read and dbt does not build. Raw ids of viewers and the text of refused rows stay where they are.
LANDED = ("raw", "policy", "appraisal_state")
WITHHELD = {"raw.viewers": ("viewer_id",), "raw.quarantine": ("content",)}


@dataclass
class SparkBuild:
    """One run's cluster and the folder its files are in; both are gone once it is closed."""

    settings: Settings
    folder: Path
    cluster: spark_cluster.Cluster
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def result(self) -> Path:
        """Folder of what the cluster built: <schema>.db/<table>/*.parquet."""
        return self.folder / "warehouse"

    def build(
        self,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        progress: Callable[[str, int], None] | None = None,
    ) -> None:
        """Land the private warehouse's tables on the cluster and build the selected models there, whole.

        No handle on the warehouse may be open. Raises UserError naming the model that could not be built.
        """
        job = {
            "port": self.cluster.port,
            "landed": self._land(),
            "project": str(REPOSITORY / "dbt"),
            "target": str(self.folder / "dbt"),
            "select": list(select),
            "exclude": list(exclude),
        }
        job_file = self.folder / "job.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        failed = []
        with (
            (self.folder / "logs" / "dbt.log").open("ab") as log,
            subprocess.Popen(
                [str(spark_cluster.ENVIRONMENT / "bin" / "python"), "-m", "dagster_project.spark.dbt_run", str(job_file)],
                cwd=REPOSITORY,
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                told = _told(line)
                if told is None:
                    continue
                if told["status"] == "started":
                    if progress is not None:
                        progress(told["name"], told["total"])
                elif told["status"] == "error":
                    failed.append(f"{told['name']}: {told['message']}")
                else:
                    self.seconds[told["name"]] = told["seconds"]
        if failed:
            raise UserError(f"the cluster could not build {failed[0]} (logs in {self.folder / 'logs'})")
        if process.returncode:
            raise UserError(f"dbt on the cluster stopped with exit status {process.returncode}: see {self.folder / 'logs'}")

    def close(self, keep_files: bool = False) -> None:
        """Stop what was started, and remove its files unless somebody has to look at them."""
        self.cluster.stop()
        if not keep_files:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _land(self) -> dict[str, str]:
        """Write the landed tables as Parquet; schema.table → folder."""
        con = connect(self.settings.warehouse_path, self.settings)
        try:
            return {name: str(folder) for name, folder in _landed_tables(con, self.folder / "landed")}
        finally:
            con.close()

    def _environment(self) -> dict[str, str]:
        """The shell's environment without what is secret or belongs to the other engine."""
        kept = {name: value for name, value in os.environ.items() if name not in ("VIEWER_KEY_SECRET", "SIGNING_KEY_FILE")}
        return {
            **kept,
            "SPARK_THRIFT_PORT": str(self.cluster.port),
            "WAREHOUSE_PATH": str(self.settings.warehouse_path),
            "REPORTING_CURRENCY": self.settings.reporting_currency,
            "DO_NOT_TRACK": "1",
        }


def start(settings: Settings, run_id: str) -> SparkBuild:
    """A cluster for one run. What a killed run left behind is removed first."""
    store = settings.spark_store
    spark_cluster.end_left_behind(store)
    # The folder may be a shared one: only what is marked as a run of ours goes.
    for marked in list(store.glob(f"*/{spark_cluster.PROCESSES}")):
        shutil.rmtree(marked.parent, ignore_errors=True)
    folder = store / run_id
    folder.mkdir(mode=0o700, parents=True)
    (folder / spark_cluster.PROCESSES).touch()
    return SparkBuild(settings, folder, spark_cluster.start(settings, folder))


def _landed_tables(con: duckdb.DuckDBPyConnection, folder: Path) -> list[tuple[str, Path]]:
    landed = []
    for schema, table in con.execute(
        "select schema_name, table_name from duckdb_tables() "
        "where database_name = current_database() and list_contains(?, schema_name) order by all",
        [list(LANDED)],
    ).fetchall():
        name = f"{schema}.{table}"
        target = folder / schema / table
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o700, parents=True)
        withheld = WITHHELD.get(name, ())
        columns = f"* exclude ({', '.join(withheld)})" if withheld else "*"
        # Row groups small enough that every core of a cluster gets some.
        con.execute(
            f"copy (select {columns} from {name}) to '{str(target / 'rows.parquet').replace(chr(39), chr(39) * 2)}' "
            "(format parquet, compression zstd, row_group_size 131072)"
        )
        landed.append((name, target))
    return landed


def _told(line: str) -> dict | None:
    """A line of the launcher; None for what a library prints in between."""
    try:
        told = json.loads(line)
    except json.JSONDecodeError:
        return None
    return told if isinstance(told, dict) and "status" in told else None
