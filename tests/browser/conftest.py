"""The review site of the sample, and a Chromium to look at it; without one these tests are skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Browser, find_chromium  # noqa: E402

MONTH = "2026-10"


@pytest.fixture(scope="session")
def site(sample_data: Path) -> Path:
    """$DATA/site/<month> as `make scorecards` left it."""
    return sample_data / "site" / MONTH


@pytest.fixture
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser() as opened:
        yield opened
