"""`make docs`: the KPI dictionary and dbt's pages on every table, static, in $DATA/docs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_project.lock import run_lock
from dagster_project.reports.folder import replace_folder
from dagster_project.settings import UserError, settings_from_env
from dagster_project.site.build import weighed_roles
from dagster_project.site.pages import dictionary, site_environment
from dagster_project.warehouse.build import write_model_docs
from dagster_project.warehouse.publish import current_manifest


def docs(environ: Mapping[str, str]) -> int:
    """Write $DATA/docs: kpis.html from the policy's registry, dbt.html from the built warehouse."""
    settings = settings_from_env(environ)
    manifest = current_manifest(settings.published)
    if manifest is None or not manifest.get("data_through"):
        raise UserError(f"nothing is published under {settings.published} yet: run `make scorecards` first")
    month = settings.month or str(manifest["data_through"])[:7]
    # dbt reads the catalogue of the private warehouse, which takes one process at a time.
    with run_lock(settings.private / "run.lock"):
        models = write_model_docs(settings).read_bytes()
    out = settings.data / "docs"
    pages = {"kpis.html": kpi_dictionary(settings.policy, month).encode(), "dbt.html": models}
    replace_folder(out, pages, private=False)
    for page in sorted(pages):
        print(out / page)
    return 0


def kpi_dictionary(policy_dir: Path, month: str) -> str:
    """The dictionary page: the registry of the policy folder, with the roles weighed in the month."""
    with (policy_dir / "kpis.csv").open(encoding="utf-8-sig", newline="") as lines:
        registry = {row["kpi_id"]: _typed(row) for row in csv.DictReader(lines)}
    page = site_environment("CNY").get_template("kpi_dictionary.html.j2")
    return page.render(provisional=False, **dictionary(registry, weighed_roles(policy_dir, month)))


def _typed(row: dict[str, str]) -> dict[str, Any]:
    """A row of kpis.csv as the published registry has it."""
    return {
        **row,
        "denominator": row["denominator"] or None,
        "factor": Decimal(row["factor"] or 1),
        "maturity_days": int(row["maturity_days"]),
        "min_base": int(row["min_base"]) if row["min_base"] else None,
    }
