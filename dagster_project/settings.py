"""Settings of a run, read from the environment and checked before the first byte of an export is read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE_EXPORTS = REPOSITORY / "data" / "sample"
# Documented in the README and therefore no secret: viewer keys made with it can be recomputed by anybody.
DEMO_SECRET = "demo-secret-for-the-embedded-sample-only"

MIB = 1024 * 1024


class UserError(Exception):
    """A mistake the user can mend; its text is one line saying what, where and what to do.

    Line ends and control characters of what was typed or delivered are shown, never obeyed.
    """

    def __init__(self, text: str) -> None:
        super().__init__("".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text))


@dataclass(frozen=True)
class Settings:
    """All that a run takes from outside. Paths are absolute; caps are bytes unless named otherwise."""

    exports: Path
    data: Path
    policy: Path
    secret: str = field(repr=False)
    memory_limit: str
    reporting_currency: str = "CNY"
    month: str | None = None
    date: date | None = None
    threads: int | None = None
    quarantine_limit: float = 0.05
    quarantine_limits: Mapping[str, float] = field(default_factory=dict)
    max_file_bytes: int = 64 * 1024 * MIB
    max_expanded_bytes: int = 256 * 1024 * MIB
    max_gzip_ratio: int = 1000
    max_row_bytes: int = 4 * MIB
    adapters: Path | None = None
    night_at: time = time(3, 30)
    alert_command: str | None = field(default=None, repr=False)
    alert_webhook: str | None = field(default=None, repr=False)
    engine: str = "duckdb"
    spark_master: str | None = None
    spark_folder: Path | None = None

    @property
    def private(self) -> Path:
        """Folder (0700) of what never leaves the company: raw viewer ids, pay, the build database."""
        return self.data / "private"

    @property
    def warehouse_path(self) -> Path:
        """The only database a run builds in."""
        return self.private / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """Folder of the snapshots that readers open."""
        return self.data / "published"

    @property
    def runs(self) -> Path:
        """Folder of run summaries, one sub-folder per run."""
        return self.data / "runs"

    @property
    def tmp(self) -> Path:
        """Folder DuckDB spills to."""
        return self.data / "tmp"

    @property
    def spark_store(self) -> Path:
        """Folder that hands tables to a Spark cluster and back; all of the cluster's machines have to see it."""
        return (self.spark_folder or self.private) / "spark-runs"

    def quarantine_limit_of(self, export: str) -> float:
        """Largest share of quarantined rows (0-1) with which a file of this export is still accepted."""
        return self.quarantine_limits.get(export, self.quarantine_limit)


def settings_from_env(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings; an empty variable counts as absent. Raises UserError for a bad one."""
    env = {key: value for key, value in (os.environ if environ is None else environ).items() if value != ""}
    exports = _absolute(env.get("EXPORTS"), SAMPLE_EXPORTS)
    return Settings(
        exports=exports,
        data=_absolute(env.get("DATA"), REPOSITORY / "data"),
        policy=_absolute(env.get("POLICY"), REPOSITORY / "dbt" / "seeds"),
        secret=_secret(env.get("VIEWER_KEY_SECRET"), exports),
        memory_limit=_memory_limit(env.get("DUCKDB_MEMORY_LIMIT")),
        reporting_currency=_currency(env.get("REPORTING_CURRENCY", "CNY")),
        month=parse_month(env["MONTH"]) if "MONTH" in env else None,
        date=parse_date(env["DATE"]) if "DATE" in env else None,
        threads=_whole_number(env, "DUCKDB_THREADS", 1, at_least=1) if "DUCKDB_THREADS" in env else None,
        quarantine_limit=_share("QUARANTINE_LIMIT", env.get("QUARANTINE_LIMIT", "0.05")),
        quarantine_limits={
            name.removeprefix("QUARANTINE_LIMIT_").lower(): _share(name, value)
            for name, value in env.items()
            if name.startswith("QUARANTINE_LIMIT_")
        },
        max_file_bytes=_whole_number(env, "MAX_FILE_BYTES", Settings.max_file_bytes, at_least=1),
        max_expanded_bytes=_whole_number(env, "MAX_EXPANDED_BYTES", Settings.max_expanded_bytes, at_least=1),
        max_gzip_ratio=_whole_number(env, "MAX_GZIP_RATIO", Settings.max_gzip_ratio, at_least=1),
        max_row_bytes=_whole_number(env, "MAX_ROW_BYTES", Settings.max_row_bytes, at_least=MIB),
        adapters=_absolute(env["ADAPTERS"], REPOSITORY) if "ADAPTERS" in env else None,
        night_at=_time_of_day("NIGHT_AT", env["NIGHT_AT"]) if "NIGHT_AT" in env else Settings.night_at,
        alert_command=env.get("ALERT_COMMAND"),
        alert_webhook=_address("ALERT_WEBHOOK", env["ALERT_WEBHOOK"]) if "ALERT_WEBHOOK" in env else None,
        engine=_engine(env.get("ENGINE", "duckdb")),
        spark_master=_spark_master(env["SPARK_MASTER"]) if "SPARK_MASTER" in env else None,
        spark_folder=_absolute(env["SPARK_STORE"], REPOSITORY) if "SPARK_STORE" in env else None,
    )


def parse_month(text: str) -> str:
    """A month as YYYY-MM, checked; raises UserError otherwise."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text.startswith("0000"):
        raise UserError(
            f"MONTH is {_quoted(text)}, which is no month: give it as YYYY-MM, for example MONTH=2026-10"
        )
    return text


def parse_date(text: str, name: str = "DATE") -> date:
    """A date as YYYY-MM-DD, checked; raises UserError otherwise."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{name} is {_quoted(text)}, which is no date: give it as YYYY-MM-DD, for example {name}=2026-10-31"
        ) from None


def connect(path: Path | str, settings: Settings, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file in UTC within the memory limit, spilling to settings.tmp, extensions off.

    A database made here is 0600 in a 0700 folder, since it may hold raw viewer ids and pay.
    """
    if not read_only and str(path) != ":memory:":
        file = Path(path)
        if not file.parent.exists():
            file.parent.mkdir(mode=0o700, parents=True)
        if not file.exists():
            previous = os.umask(0o077)
            try:
                duckdb.connect(str(file)).close()
            finally:
                os.umask(previous)
    settings.tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": settings.memory_limit,
        "temp_directory": str(settings.tmp),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,  # rows carry their number; ordered inserts run on one core
    }
    if settings.threads is not None:
        config["threads"] = settings.threads
    con = duckdb.connect(str(path), read_only=read_only, config=config)
    con.execute("SET TimeZone = 'UTC'")
    return con


def roll_back(con: duckdb.DuckDBPyConnection) -> None:
    """Undo the open transaction; where what failed has ended it already, that failure stays the one that is told."""
    with suppress(duckdb.Error):
        con.execute("ROLLBACK")


def _absolute(text: str | None, default: Path) -> Path:
    return default if text is None else Path(os.path.abspath(os.path.expanduser(text)))


def _secret(text: str | None, exports: Path) -> str:
    if text is not None:
        return text
    if os.path.realpath(exports) == os.path.realpath(SAMPLE_EXPORTS):
        return DEMO_SECRET
    raise UserError(
        "VIEWER_KEY_SECRET is not set: viewer keys of real exports need a secret of your own; "
        "set it to a long random text and keep it (the demo secret serves the embedded sample only)"
    )


def _memory_limit(text: str | None) -> str:
    if text is None:
        return f"{max(psutil.virtual_memory().total // 2 // MIB, 256)}MiB"
    if not re.fullmatch(r"\s*[0-9]+(\.[0-9]+)?\s*([KMGT]i?B|[kmgt]i?b|B)\s*", text):
        raise UserError(f"DUCKDB_MEMORY_LIMIT is {_quoted(text)}: give a size with a unit, for example 4GB")
    return text.strip()


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise UserError(f"REPORTING_CURRENCY is {_quoted(text)}: give an ISO 4217 code, for example CNY")
    return text


def _time_of_day(name: str, text: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise UserError(f"{name} is {_quoted(text)}: give a time of day as HH:MM, for example 03:30")
    return time.fromisoformat(text)


def _address(name: str, text: str) -> str:
    """An http or https address; the text of the error does not repeat it, since it may hold a token."""
    try:
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname:
            return text
    except ValueError:
        pass
    raise UserError(f"{name} is no http or https address: give one, or leave it out")


def _engine(text: str) -> str:
    if text not in ("duckdb", "spark"):
        raise UserError(f"ENGINE is {_quoted(text)}: it is duckdb (the default) or spark")
    return text


def _spark_master(text: str) -> str:
    if not re.fullmatch(r"(spark|k8s)://[^\s]+|yarn|local(\[[0-9*]+\])?", text):
        raise UserError(f"SPARK_MASTER is {_quoted(text)}: give a cluster's address, for example spark://host:7077")
    return text


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UserError(f"{name} is {_quoted(text)}: give a share between 0 and 1, for example 0.05")
    return share


def _whole_number(env: Mapping[str, str], name: str, default: int, at_least: int) -> int:
    """The variable as an int, or the default where it is absent."""
    if name not in env:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", env[name]) or int(env[name]) < at_least:
        raise UserError(f"{name} is {_quoted(env[name])}: give a whole number of at least {at_least}")
    return int(env[name])


def _quoted(text: str) -> str:
    """Outside text shortened and on one line, for an error message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
