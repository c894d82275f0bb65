"""The scorecard folder of a month: pages, workbook, JSON, CSV, manifest, from a published snapshot."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_project.reports.folder import digests, replace_folder
from dagster_project.reports.pages import file_path, payout, scorecard_pages
from dagster_project.reports.policy_in_force import PolicyInForce, policy_in_force
from dagster_project.reports.published import Card, Line, Month, read_month
from dagster_project.reports.safe_text import csv_cell
from dagster_project.reports.workbook import workbook_bytes

MANIFEST = "manifest.json"


def write_scorecards(
    appraisal_db: Path,
    marts_db: Path,
    month: str,
    out: Path,
    *,
    provisional: bool,
    policy_dir: Path,
    currency: str = "CNY",
) -> None:
    """Write the folder `out` (normally $DATA/scorecards/<month>) whole, replacing an unsealed earlier one.

    appraisal_db, marts_db: the two files of one published snapshot; currency: the reporting one.
    Raises UserError for a month without scorecards, a policy file that is missing, or a sealed folder.
    """
    policy = policy_in_force(policy_dir, month)
    content = read_month(appraisal_db, marts_db, month, currency)
    files: dict[str, bytes] = {
        path: page.encode("utf-8", "replace")
        for path, page in scorecard_pages(content, policy, provisional).items()
    }
    files["scorecards.xlsx"] = workbook_bytes(content, policy, provisional)
    files["scorecards.json"] = scorecards_json(content, provisional).encode("utf-8", "replace")
    files["lines.csv"] = lines_csv(content).encode("utf-8-sig", "replace")
    files[MANIFEST] = _manifest(content, policy, provisional, files)
    replace_folder(out, files)


LINE_FIELDS = (
    "subject_type",
    "subject_id",
    "name",
    "role",
    "month",
    "part",
    "room_id",
    "kpi_id",
    "name_zh",
    "name_en",
    "unit",
    "value",
    "previous",
    "numerator",
    "denominator",
    "floor",
    "target",
    "stretch",
    "line_score",
    "weight",
    "effective_weight",
    "points",
    "reason",
    "from_date",
    "to_date",
)


def lines_csv(month: Month) -> str:
    """Every scorecard line with names and last month's value; text is guarded against formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LINE_FIELDS)
    for card in month.cards:
        for line in month.lines.get((card.subject_type, card.subject_id), []):
            row = _line_fields(month, line)
            writer.writerow([csv_cell(row[field]) for field in LINE_FIELDS])
    return text.getvalue()


def scorecards_json(month: Month, provisional: bool) -> str:
    """The month as JSON; decimals are JSON numbers with all their digits."""
    document = {
        "month": month.month,
        "provisional": provisional,
        "currency": month.currency,
        "data_through": month.data_through if provisional else None,
        "people": [_subject_fields(month, card) for card in month.people()],
        "rooms": [_subject_fields(month, card) for card in month.room_cards()],
        "bonus_pools": month.pools,
        "awards": month.awards,
        "reviews_due": month.reviews,
        "adjustments": month.adjustments,
    }
    return as_json(document) + "\n"


def as_json(value: Any, indent: str = "") -> str:
    """JSON text of dicts, lists, text, numbers and dates; json.dumps would turn decimals into floats."""
    deeper = indent + "  "
    if isinstance(value, dict):
        if not value:
            return "{}"
        inner = ",\n".join(
            f"{deeper}{json.dumps(str(key), ensure_ascii=False)}: {as_json(item, deeper)}"
            for key, item in value.items()
        )
        return "{\n" + inner + f"\n{indent}}}"
    if isinstance(value, list | tuple):
        if not value:
            return "[]"
        return "[\n" + ",\n".join(deeper + as_json(item, deeper) for item in value) + f"\n{indent}]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    return json.dumps(value, ensure_ascii=False)


def _subject_fields(month: Month, card: Card) -> dict[str, Any]:
    staff = card.subject_type == "staff"
    found: dict[str, Any] = asdict(card)
    found["name"] = month.staff_name(card.subject_id) if staff else month.room_name(card.subject_id)
    found["page"] = file_path("staff" if staff else "rooms", card.subject_id)
    if staff:
        found["home_room_id"] = month.staff.get(card.subject_id, {}).get("room_id")
        found["amount_in_all"] = payout(card)
        found["duty"] = [
            asdict(duty) for (person, _), duty in sorted(month.duty.items()) if person == card.subject_id
        ]
    found["lines"] = [
        _line_fields(month, line) for line in month.lines.get((card.subject_type, card.subject_id), [])
    ]
    return found


def _line_fields(month: Month, line: Line) -> dict[str, Any]:
    staff = line.subject_type == "staff"
    row: dict[str, Any] = {one.name: getattr(line, one.name) for one in fields(Line) if one.name != "kpi"}
    row["name"] = month.staff_name(line.subject_id) if staff else month.room_name(line.subject_id)
    row["month"] = month.month
    row["kpi_id"] = line.kpi.kpi_id
    row["name_zh"], row["name_en"], row["unit"] = line.kpi.name_zh, line.kpi.name_en, line.kpi.unit
    return {field: row[field] for field in LINE_FIELDS}


def _manifest(month: Month, policy: PolicyInForce, provisional: bool, files: dict[str, bytes]) -> bytes:
    manifest = {
        "month": month.month,
        "provisional": provisional,
        "snapshot_id": month.snapshot_id,
        "policy_hash": policy.policy_hash,
        "files": digests(files),
    }
    return (as_json(manifest) + "\n").encode()
