"""Write the review site of a month: $DATA/site/<month>/, static, whole, from a published snapshot."""

from __future__ import annotations

import csv
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dagster_project.reports.folder import replace_folder
from dagster_project.reports.policy_in_force import policy_in_force
from dagster_project.site.beside import site_pages
from dagster_project.site.earlier import session_fingerprints, standing_pages, with_record
from dagster_project.site.marts import read_scenes, read_site_month
from dagster_project.site.pages import SitePages, is_provisional, session_page
from dagster_project.site.raw_rows import RawRows


def build_site(
    marts_db: Path,
    month: str,
    out: Path,
    *,
    scorecards_href: str | None,
    policy_dir: Path,
    currency: str = "CNY",
    raw_rows: RawRows | None = None,
) -> None:
    """Write the folder `out` whole, in place of an earlier one; the same snapshot gives the same bytes. Pages of
    sessions that nothing changed for are taken from there.

    scorecards_href: the month's scorecard folder as the pages should link to it (relative to `out`), None for
    no links. currency: the reporting one. raw_rows: where the sessions stand in the exports, None where the
    private warehouse has moved on from the snapshot. Raises UserError for a month without a session.
    """
    policy = policy_in_force(policy_dir, month)
    content = read_site_month(marts_db, month, currency)
    made_of = {
        session_page(session_id): fingerprint
        for session_id, fingerprint in session_fingerprints(content, (scorecards_href, is_provisional(content)), raw_rows).items()
    }
    standing = standing_pages(out, made_of)
    anew = [session["session_id"] for session in content.sessions if session_page(session["session_id"]) not in standing]
    content = replace(content, scenes=read_scenes(marts_db, anew))
    pages = SitePages(content, policy, weighed_roles(policy_dir, month), scorecards_href)

    def files() -> Generator[tuple[str, bytes]]:
        for path in sorted(standing):
            yield path, (out / path).read_bytes()
        with closing(site_pages(pages, anew, raw_rows)) as made:
            for path, page in made:
                yield path, page.encode("utf-8", "replace")

    with closing(files()) as made:
        replace_folder(out, with_record(made_of, standing, made), private=False)


def weighed_roles(policy_dir: Path, month: str) -> dict[str, list[str]]:
    """KPI → the roles that it carries weight for in the month, at any stage."""
    with (policy_dir / "weights.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["valid_from"] <= f"{month}-01"]
    latest: dict[tuple[str, str], str] = {}
    for row in rows:
        group = row["role"], row["stage"]
        latest[group] = max(latest.get(group, ""), row["valid_from"])
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["valid_from"] == latest[row["role"], row["stage"]] and float(row["weight"]) > 0:
            found.setdefault(row["kpi_id"], set()).add(row["role"])
    return {kpi_id: sorted(roles) for kpi_id, roles in sorted(found.items())}
