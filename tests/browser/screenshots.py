"""`make screenshots`: the pictures of the README, from the sample in DATA, by headless Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from chromium import Browser, find_chromium

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = REPOSITORY / "docs" / "images"
MONTH = "2026-10"
HOST = "001001"
SESSION = "012026100401"
PORT = 3917
LARGEST = 300_000


def main() -> int:
    """Draw every picture anew; returns the exit status."""
    if find_chromium() is None:
        print("error: chromium is not installed, so there is nothing to take pictures with", file=sys.stderr)
        return 1
    data = Path(os.environ.get("DATA") or REPOSITORY / "data").absolute()
    if not (data / "scorecards" / MONTH).is_dir():
        print(f"error: {data} holds no scorecards of {MONTH}: run `make scorecards` first", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        pages = {
            "overview.png": (data / "scorecards" / MONTH / "index.html", 1180, 900),
            "scorecard.png": (data / "scorecards" / MONTH / "staff" / f"{HOST}.html", 1180, 1000),
            "site.png": (data / "site" / MONTH / "index.html", 1360, 1150),
            "session.png": (data / "site" / MONTH / "sessions" / f"{SESSION}.html", 1360, 1180),
            "products.png": (data / "site" / MONTH / "products.html", 1360, 760),
        }
        for name, (page, width, height) in pages.items():
            browser.size(width, height)
            browser.open(page.as_uri())
            _take(browser, name)
        _graph(browser, data)
    return 0


def _take(browser: Browser, name: str) -> None:
    browser.picture(IMAGES / name)
    size = (IMAGES / name).stat().st_size
    print(f"{IMAGES / name}  {size // 1000} kB")
    if size > LARGEST:
        raise SystemExit(f"error: {name} is larger than {LARGEST // 1000} kB")


def _graph(browser: Browser, data: Path) -> None:
    """The asset graph as Dagster's page shows it, its greeting put aside."""
    command = [sys.executable, "-m", "dagster_project.cli", "ui", f"DATA={data}", f"PORT={PORT}"]
    server = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        root = f"http://127.0.0.1:{PORT}"
        _wait_for(root)
        browser.size(1500, 900)
        browser.open(f"{root}/asset-groups")
        for _ in range(60):
            time.sleep(1)
            browser.run(
                "[...document.querySelectorAll('button')].filter(b => /skip|no thanks|dismiss|close|got it/i"
                ".test(b.innerText + (b.getAttribute('aria-label') || ''))).forEach(b => b.click())"
            )
            if browser.run("document.body.innerText.includes('landing')"):
                break
        time.sleep(3)
        _take(browser, "dagster.png")
        browser.open(f"{root}/assets/core/fct_session?view=checks")
        for _ in range(240):
            time.sleep(1)
            if browser.run("/passed/i.test(document.body.innerText)"):
                break
        time.sleep(2)
        _take(browser, "dagster_checks.png")
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_for(address: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"error: {address} did not answer within five minutes")


if __name__ == "__main__":
    sys.exit(main())
