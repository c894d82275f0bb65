"""Configuration is checked before the first byte is read, and a mistake is one clear line."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest

from dagster_project.settings import (
    DEMO_SECRET,
    REPOSITORY,
    SAMPLE_EXPORTS,
    UserError,
    connect,
    settings_from_env,
)


def test_the_sample_needs_no_configuration_at_all():
    settings = settings_from_env({})
    assert settings.exports == SAMPLE_EXPORTS
    assert settings.data == REPOSITORY / "data"
    assert settings.policy == REPOSITORY / "dbt" / "seeds"
    assert settings.secret == DEMO_SECRET
    assert settings.reporting_currency == "CNY"
    assert settings.warehouse_path == REPOSITORY / "data/private/warehouse.duckdb"


def test_real_exports_need_a_secret_of_their_own(tmp_path: Path):
    with pytest.raises(UserError, match="^VIEWER_KEY_SECRET is not set"):
        settings_from_env({"EXPORTS": str(tmp_path)})
    assert settings_from_env({"EXPORTS": str(tmp_path), "VIEWER_KEY_SECRET": "own"}).secret == "own"


def test_the_secret_is_not_shown_with_the_settings(tmp_path: Path):
    settings = settings_from_env({"EXPORTS": str(tmp_path), "VIEWER_KEY_SECRET": "top secret"})
    assert "top secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONTH", "2026-13"), ("MONTH", "2026-1"), ("MONTH", "2026-10-01"), ("MONTH", "'; DROP TABLE x"),
        ("DATE", "2026-02-30"), ("DATE", "20261001"), ("QUARANTINE_LIMIT", "5"),
        ("QUARANTINE_LIMIT_ORDERS", "x"),
        ("DUCKDB_MEMORY_LIMIT", "lots"), ("REPORTING_CURRENCY", "yuan"), ("MAX_ROW_BYTES", "1000"),
        ("DUCKDB_THREADS", "0"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_in_one_line(name: str, value: str):
    with pytest.raises(UserError, match=f"^{name} is ") as error:
        settings_from_env({name: value})
    assert "\n" not in str(error.value)


def test_months_dates_and_limits_are_read():
    limit = {"QUARANTINE_LIMIT_ORDERS": "0.2"}
    settings = settings_from_env({"MONTH": "2026-10", "DATE": "2026-10-31", **limit})
    assert (settings.month, settings.date) == ("2026-10", date(2026, 10, 31))
    assert settings.quarantine_limit_of("orders") == 0.2
    assert settings.quarantine_limit_of("rooms") == 0.05


def test_a_new_database_is_private_in_utc_and_loads_no_extension(tmp_path: Path):
    settings = settings_from_env({"DATA": str(tmp_path / "data"), "DUCKDB_MEMORY_LIMIT": "1GB"})
    con = connect(settings.warehouse_path, settings)
    names = ("TimeZone", "autoinstall_known_extensions", "autoload_known_extensions", "temp_directory")
    values = [con.execute("SELECT current_setting(?)", [name]).fetchall()[0][0] for name in names]
    con.close()
    assert values == ["UTC", False, False, str(settings.tmp)]
    assert stat.S_IMODE(settings.warehouse_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.warehouse_path.parent.stat().st_mode) == 0o700
