"""An Apache Spark cluster to build on: the one that SPARK_MASTER names, or a standalone one of this machine's own.

Either way a Thrift server is started here as the cluster's driver, which dbt talks to; it, and the standalone
master and workers, end with the run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dagster_project.settings import REPOSITORY, Settings, UserError

LOCK = REPOSITORY / "requirements-spark.lock"
ENVIRONMENT = REPOSITORY / ".venv-spark"
PACKAGES = "lib/python3*/site-packages/pyspark"
WORKERS = 2
WORKER_MEMORY_MB = 1400
DRIVER_MEMORY_MB = 1200
START_SECONDS = 600
PROCESSES = "processes"
# Sessions of dbt bring their own settings (dbt/profiles.yml); these are the engine's.
ENGINE_SETTINGS = {
    # The tables of one run, forgotten with its driver: no metastore to keep in step with the files.
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.enabled": "false",
    "spark.eventLog.enabled": "false",
}
# A night's many short statements end before the second compiler pays off. The first alone reserves 48 MB for what it compiles,
# which a build of all models fills; then the driver stops.
_JAVA_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
# On one machine a shuffle of 200 parts costs more than it spreads; a cluster keeps its own defaults.
LOCAL_SETTINGS = {
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.extraJavaOptions": _JAVA_OPTIONS,
    "spark.executor.extraJavaOptions": _JAVA_OPTIONS,
    "spark.executor.memory": f"{WORKER_MEMORY_MB - 400}m",
    "spark.executor.cores": "1",
}


@dataclass
class Cluster:
    """A running Thrift server and, where the cluster is our own, its master and workers."""

    folder: Path
    port: int = 0
    master_url: str = ""
    driver: subprocess.Popen[bytes] | None = None
    master: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def stop(self) -> None:
        """End every process that was started, the driver first; none is left when this returns."""
        for process in (self.driver, *self.workers, self.master):
            if process is not None and process.poll() is None:
                _end(process)


def prepare_environment() -> Path:
    """The Python of .venv-spark, made from its own locked pins on first use. Raises UserError without Java 17 or later."""
    check_java()
    python = ENVIRONMENT / "bin" / "python"
    made = ENVIRONMENT / f"installed-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if made.exists():
        return python
    print(f"making {ENVIRONMENT.name} from {LOCK.name} (once)", file=sys.stderr, flush=True)
    uv = Path(sys.executable).with_name("uv")
    steps = [[sys.executable, "-m", "venv", str(ENVIRONMENT)]]
    if not uv.exists():
        steps.append([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"])
        uv = ENVIRONMENT / "bin" / "uv"
    steps.append([str(uv), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", str(LOCK)])
    for step in steps:
        done = subprocess.run(
            step, env={**os.environ, "VIRTUAL_ENV": str(ENVIRONMENT)}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            telling = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"the environment of ENGINE=spark could not be made: {telling}")
    for outdated in ENVIRONMENT.glob("installed-*"):
        outdated.unlink()
    made.touch()
    return python


def start(settings: Settings, folder: Path) -> Cluster:
    """A cluster whose metastore, warehouse and logs are in `folder`; raises UserError where it does not come up."""
    prepare_environment()
    home = _spark_home()
    for name in ("conf", "logs", "warehouse", "work", "tmp"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster = Cluster(folder, port=_free_port(), master_url=settings.spark_master or "")
    is_own = settings.spark_master is None or settings.spark_master.startswith("local")
    try:
        if is_own:
            _write_conf(folder)
        if settings.spark_master is None:
            _start_standalone(cluster, home)
        _start_driver(cluster, home, is_own)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def end_left_behind(store: Path) -> None:
    """End what a killed run left running: processes it noted that still have its folder in their command line."""
    for noted in store.glob(f"*/{PROCESSES}"):
        for pid in map(int, noted.read_text(encoding="utf-8").split()):
            try:
                if any(str(noted.parent) in part for part in psutil.Process(pid).cmdline()):
                    os.killpg(pid, signal.SIGKILL)
            except (psutil.Error, ProcessLookupError, PermissionError):
                continue


def _start_standalone(cluster: Cluster, home: Path) -> None:
    port = _free_port()
    environment = _environment(cluster.folder, home, SPARK_DAEMON_MEMORY="256m")
    spark_class = str(home / "bin" / "spark-class")
    cluster.master = _spawn(
        [spark_class, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"],
        environment, cluster.folder, "master",
    )  # fmt: skip
    cluster.master_url = f"spark://127.0.0.1:{port}"
    _wait_for(port, cluster.master, "the Spark master", cluster.folder / "logs" / "master.log")
    for number in range(1, WORKERS + 1):
        work = cluster.folder / "work" / str(number)
        cluster.workers.append(
            _spawn(
                [
                    spark_class, "org.apache.spark.deploy.worker.Worker", cluster.master_url, "--host", "127.0.0.1",
                    "--cores", "1", "--memory", f"{WORKER_MEMORY_MB}m", "--webui-port", "0", "--work-dir", str(work),
                ],
                environment, cluster.folder, f"worker-{number}",
            )
        )  # fmt: skip


def _start_driver(cluster: Cluster, home: Path, is_own: bool) -> None:
    """The Thrift server, by spark-submit, since the package has no start scripts."""
    folder = cluster.folder
    settings = {
        **ENGINE_SETTINGS,
        **(LOCAL_SETTINGS if is_own else {}),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "tmp"),
    }
    if is_own:
        settings["spark.driver.host"] = "127.0.0.1"
    command = [
        str(home / "bin" / "spark-submit"),
        "--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
        "--name", "live-commerce", "--master", cluster.master_url, "--driver-memory", f"{DRIVER_MEMORY_MB}m",
        *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
        "spark-internal",
        "--hiveconf", f"hive.server2.thrift.port={cluster.port}",
        "--hiveconf", "hive.server2.thrift.bind.host=127.0.0.1",
    ]  # fmt: skip
    environment = _environment(folder, home) if is_own else _environment(None, home)
    cluster.driver = _spawn(command, environment, folder, "driver")
    _wait_for(cluster.port, cluster.driver, "the Spark driver", folder / "logs" / "driver.log")


def check_java() -> None:
    """Raises UserError where Java 17 or later is not to be had."""
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if os.environ.get("JAVA_HOME") else shutil.which("java")
    told = ""
    if java is not None:
        try:
            told = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False).stderr
        except OSError:
            told = ""
    version = told.partition('"')[2].partition(".")[0]
    if not version.isdigit() or int(version) < 17:
        found = f"Java {version}" if version.isdigit() else "none"
        raise UserError(f"ENGINE=spark needs Java 17 or later and found {found}: install it, or set JAVA_HOME")


def _spark_home() -> Path:
    return next(iter(sorted(ENVIRONMENT.glob(PACKAGES))))


def _environment(folder: Path | None, home: Path, **more: str) -> dict[str, str]:
    """What a Spark process gets of ours: no secret of the warehouse is in it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "LANG", "HADOOP_CONF_DIR") if name in os.environ}
    own_conf: Mapping[str, str] = {}
    if folder is not None:
        own_conf = {"SPARK_CONF_DIR": str(folder / "conf"), "SPARK_LOCAL_IP": "127.0.0.1"}
    elif "SPARK_CONF_DIR" in os.environ:
        own_conf = {"SPARK_CONF_DIR": os.environ["SPARK_CONF_DIR"]}
    return {
        **kept, **own_conf, "SPARK_HOME": str(home), "PYSPARK_PYTHON": str(ENVIRONMENT / "bin" / "python"), "TZ": "UTC", **more,
    }  # fmt: skip


def _write_conf(folder: Path) -> None:
    """Settings that must not stand in a command line: nobody else on this machine may submit work to our cluster."""
    file = folder / "conf" / "spark-defaults.conf"
    file.touch(mode=0o600)
    file.write_text(f"spark.authenticate true\nspark.authenticate.secret {secrets.token_hex(32)}\n", encoding="utf-8")
    (folder / "conf" / "log4j2.properties").write_text(
        "rootLogger.level = warn\nrootLogger.appenderRef.stderr.ref = stderr\nappender.stderr.type = Console\n"
        "appender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\nappender.stderr.layout.type = PatternLayout\n"
        "appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex\n",
        encoding="utf-8",
    )


def _spawn(command: list[str], environment: Mapping[str, str], folder: Path, name: str) -> subprocess.Popen[bytes]:
    with (folder / "logs" / f"{name}.log").open("ab") as log:
        # A session of its own: a worker's executors are children, and all have to end.
        process = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    with (folder / PROCESSES).open("a", encoding="utf-8") as noted:
        noted.write(f"{process.pid}\n")
    return process


def _wait_for(port: int, process: subprocess.Popen[bytes], what: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise UserError(f"{what} did not start (exit status {process.returncode}): see {log}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    raise UserError(f"{what} did not answer within {START_SECONDS} s: see {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for with_signal, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, with_signal)
        except ProcessLookupError:
            return
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
