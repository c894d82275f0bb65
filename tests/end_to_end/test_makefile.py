"""The front door: every command is there, is one line, and passes on what it is given without running it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = """scorecards test nightly ui targets close verify reopen explain whatif inspect adapters watch site
export query docs sample bench"""
PROBE = """
include Makefile
probe:
	@printenv BY; printenv MONTH
"""


@pytest.mark.parametrize("command", COMMANDS.split())
def test_every_command_is_one_line_after_the_environment_is_there(command):
    dry_run = ["make", "--dry-run", "--no-print-directory", command]
    planned = subprocess.run(dry_run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert planned.stdout.splitlines()[-1] == f".venv/bin/python -m dagster_project.cli {command}"


def test_variables_reach_a_command_as_they_are_and_nothing_in_them_runs(tmp_path):
    (tmp_path / "probe.mk").write_text(PROBE, encoding="utf-8")
    hostile = f"a $(shell touch {tmp_path}/run) `touch {tmp_path}/run` $$HOME \"q\" 's'; touch {tmp_path}/run"
    done = subprocess.run(
        ["make", "-f", str(tmp_path / "probe.mk"), "probe", f"BY={hostile}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "MONTH": hostile},
    )
    assert done.stdout.splitlines() == [hostile, hostile]
    assert not (tmp_path / "run").exists()


def test_the_lock_file_names_no_host_and_pins_by_hash():
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or "index" in line.split("=")[0] and line.startswith("-")]
    pins = [line for line in lines if "==" in line]
    assert len(pins) > 50
    assert all(line.endswith("\\") for line in pins), "every pin goes on with its hashes"
