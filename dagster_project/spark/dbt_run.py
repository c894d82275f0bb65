"""dbt on the cluster: run by the Python of .venv-spark, whose dbt has the Spark adapter.

    python -m dagster_project.spark.dbt_run JOB.json

JOB names the Thrift port, the landed tables to register first, and what to select. One JSON line per model on
standard output: name, status, message, seconds.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from dbt.adapters.spark.connections import SparkCredentials
from dbt.adapters.spark.impl import SparkAdapter
from dbt.cli.main import dbtRunner
from pyhive import hive

from dagster_project.spark.dialect import to_spark


def main(job_file: str) -> int:
    """Register the landed tables and build the selected models; 1 where one could not be built."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    _teach_the_adapter()
    _register(job["port"], job["landed"])
    arguments = [
        "run", "--target", "spark", "--full-refresh",
        "--project-dir", job["project"], "--profiles-dir", job["project"],
        "--target-path", job["target"], "--log-path", job["target"],
        "--log-level", "none", "--log-level-file", "debug", "--quiet", "--no-use-colors",
        "--no-send-anonymous-usage-stats", "--no-version-check", "--no-write-json",
    ]  # fmt: skip
    for flag in ("select", "exclude"):
        if job[flag]:
            arguments += [f"--{flag}", *job[flag]]
    outcome = dbtRunner(callbacks=[_notice]).invoke(arguments)
    if outcome.exception is not None:
        _tell(name="dbt", status="error", message=_cause(outcome.exception), seconds=0)
        return 1
    for result in getattr(outcome.result, "results", []):
        _tell(
            name=result.node.name,
            status=str(result.status),
            message=_cause(result.message),
            seconds=result.execution_time,
        )
    return 0 if outcome.success else 1


def _teach_the_adapter() -> None:
    """Give models the translation, and sessions Spark's own strictness, which dbt-spark switches off for older Sparks."""
    SparkAdapter.to_spark = staticmethod(to_spark)
    SparkAdapter._available_ = SparkAdapter._available_ | {"to_spark"}
    lenient = SparkCredentials.__post_init__

    def strict(credentials: SparkCredentials) -> None:
        lenient(credentials)
        credentials.server_side_parameters["spark.sql.ansi.enabled"] = "true"

    SparkCredentials.__post_init__ = strict


def _register(port: int, landed: dict[str, str]) -> None:
    """Each landed folder of Parquet (schema.table → path) as a table; its instants are UTC."""
    with hive.connect(host="127.0.0.1", port=port) as connection, connection.cursor() as cursor:
        cursor.execute("set spark.sql.session.timeZone=UTC")
        cursor.execute("set spark.sql.parquet.inferTimestampNTZ.enabled=false")
        for name, path in landed.items():
            cursor.execute(f"create schema if not exists {name.partition('.')[0]}")
            cursor.execute(f"drop table if exists {name}")
            location = path.replace("\\", "\\\\").replace("'", "\\'")
            cursor.execute(f"create table {name} using parquet location '{location}'")


def _cause(message: object) -> str:
    """An error on one line, without the JVM's stack."""
    return " ".join(re.split(r"\n\s*at \w+\.", str(message or ""))[0].split())[:1000]


def _notice(event: Any) -> None:
    if event.info.name == "LogStartLine":
        _tell(name=event.data.node_info.node_name, status="started", message="", seconds=0, total=event.data.total)


def _tell(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
