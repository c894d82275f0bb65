"""What the harnesses share: the seed of a run, how many faults it plants, and where its figures are written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

Record = Callable[..., None]


@pytest.fixture(scope="session")
def seed() -> int:
    """SEED of `make prove`; the tests that always run have one of their own."""
    return int(os.environ.get("PROVE_SEED") or 20261031)


@pytest.fixture(scope="session")
def asked_for() -> Callable[[str, int], int]:
    """`asked_for("KILLS", 1000)`: a count of `make prove`, or what stands in the test."""
    return lambda name, otherwise: int(os.environ.get(f"PROVE_{name}") or otherwise)


@pytest.fixture
def record(seed: int) -> Record:
    """`record("kills", count=…, …)` keeps a harness's figures in the folder of the proof, where there is one."""

    def keep(harness: str, **figures: Any) -> None:
        if folder := os.environ.get("PROVE_OUT"):
            at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            text = json.dumps({"harness": harness, "seed": seed, "at": at, **figures}, indent=1, ensure_ascii=False)
            Path(folder, f"{harness}.json").write_text(text + "\n", encoding="utf-8")

    return keep
