"""Landing: files of the exports folder become rows of schema raw, each with a verdict."""

from dagster_project.landing.delivery import FileOutcome, LandingSummary, land
from dagster_project.landing.ledger import clear_changes, create_tables

__all__ = ["FileOutcome", "LandingSummary", "clear_changes", "create_tables", "land"]
