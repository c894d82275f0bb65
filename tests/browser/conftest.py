"""The review site of the sample, and a Chromium to look at it; without one these tests are skipped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Browser, find_chromium  # noqa: E402

MONTH = "2026-10"


@pytest.fixture(scope="session")
def site(sample_data: Path) -> Path:
    """$DATA/site/<month> as `make scorecards` left it."""
    return sample_data / "site" / MONTH


@pytest.fixture(scope="session")
def faults() -> Callable[[Browser, Path], list]:
    """(browser, page) → what axe finds on it: every rule in the light, contrast in the dark too."""
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")

    def look(browser: Browser, page: Path) -> list:
        browser.open(page.as_uri())
        # Rows of one table are alike, and axe looks at every cell: six of each are enough.
        browser.run("for (const b of document.querySelectorAll('tbody')) [...b.rows].slice(6).forEach(r => r.remove())")
        browser.run(axe + ";1")
        found = []
        for scheme, rules in (("light", ""), ("dark", "runOnly: ['color-contrast'], ")):
            browser.prefer(scheme)
            settings = f"{{{rules}preload: false, resultTypes: ['violations']}}"
            found += browser.run(f"axe.run({settings}).then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
        return found

    return look


@pytest.fixture
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser() as opened:
        yield opened
