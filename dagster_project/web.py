"""`make ui`: Dagster's page, schedules and sensor, on this machine only. `make site`: the review site."""

from __future__ import annotations

import os
import shutil
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from dagster_project.lock import Locked
from dagster_project.run import locked, new_run, write_site
from dagster_project.settings import REPOSITORY, Settings, UserError, settings_from_env

# Dagster has no log-in, so its page is never offered to other machines.
ADDRESS = "127.0.0.1"


def ui(environ: Mapping[str, str]) -> int:
    """Start `dagster dev` in the place of this process; PORT (3000) chooses its port."""
    settings = settings_from_env(environ)
    port = environ.get("PORT") or "3000"
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise UserError(f"PORT is {port[:20]!r}: give a number from 1 to 65535")
    home = settings.data / "dagster"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.data.chmod(0o755)
    # Without a dagster.yaml in it Dagster's telemetry is on.
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    os.chdir(REPOSITORY)
    print(f"http://{ADDRESS}:{port}", flush=True)
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "dagster_project.definitions",
        "-h",
        ADDRESS,
        "-p",
        port,
    ]
    os.execve(sys.executable, command, {**environ, "DAGSTER_HOME": str(home)})


def site(environ: Mapping[str, str]) -> int:
    """Build the review site of MONTH (without it: the last one in the data) if need be, and open it.

    Where nobody sits at a screen, its path is printed and that is all. While a run is at work, the site it
    will replace is opened as it is.
    """
    run = new_run(settings_from_env(environ))
    try:
        with locked(run):
            write_site(run, run.settings.month)
    except Locked:
        run.site = _latest_site(run.settings)
        if run.site is None:
            raise
    if run.site is None:
        raise UserError("there is no session in the published data, so there is no site to open")
    print(run.site)
    if sys.stdout.isatty() and (environ.get("DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(Path(run.site).as_uri())
    return 0


def _latest_site(settings: Settings) -> str | None:
    """The page of MONTH, or of the last month, that an earlier run wrote; None without one."""
    pages = sorted((settings.data / "site").glob(f"{settings.month or '*'}/index.html"))
    return str(pages[-1]) if pages else None
