"""Which declaration turns a file into the canonical form of its export; without one the file is its own."""

from __future__ import annotations

from pathlib import Path

from dagster_project.landing.contracts import CONTRACTS
from dagster_project.landing.readers import FileRejected, Source, format_of, open_source
from dagster_project.settings import Settings

CANONICAL = "canonical"


def canonical_batches(path: Path, export: str, settings: Settings) -> tuple[str, Source]:
    """(adapter name, rows under contract column names) of a file; raises FileRejected when none takes it."""
    if format_of(path) is None:
        raise FileRejected("no adapter takes this file")
    names = {column.name for column in CONTRACTS[export].columns}
    return CANONICAL, open_source(path, settings, wanted=names)
