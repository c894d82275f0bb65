"""The sheets announced before the month: what counts for a person or a room, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_project.reports import figures, wording
from dagster_project.reports.folder import digests, replace_folder
from dagster_project.reports.pages import ROLES_IN_ORDER, file_path, page_environment
from dagster_project.reports.policy_in_force import policy_in_force
from dagster_project.reports.published import Kpi
from dagster_project.reports.scorecards import MANIFEST, as_json
from dagster_project.reports.walk import CATEGORIES
from dagster_project.settings import UserError


@dataclass(frozen=True)
class TargetLine:
    """A KPI that counts: weight 0-1 inside its part; worth = points of the total at target."""

    kpi: Kpi
    by_room: bool
    weight: Decimal
    worth: Decimal
    floor: Decimal | None
    target: Decimal | None
    stretch: Decimal | None
    late: bool


@dataclass(frozen=True)
class TargetPart:
    """The personal part (room_id None), or the team part of a room; share 0-1 of the total."""

    part: str
    room_id: str | None
    room_name: str | None
    share: Decimal
    lines: list[TargetLine]


@dataclass(frozen=True)
class TargetSheet:
    """A person or a room; stage is that of the home room on the month's first day."""

    subject_type: str
    subject_id: str
    name: str
    role: str | None
    stage: str | None
    parts: list[TargetPart]

    @property
    def has_target(self) -> bool:
        return any(line.target is not None for part in self.parts for line in part.lines)


def write_target_sheets(
    rows: Sequence[Mapping[str, Any]],
    month: str,
    out: Path,
    *,
    policy_dir: Path,
    currency: str = "CNY",
) -> None:
    """Write index.html, staff/<id>.html, rooms/<id>.html and manifest.json into the folder `out`, whole.

    rows, one per subject × part × room × KPI, in any order, with the keys subject_type (staff, room),
    subject_id, name, role, stage, part (personal, team), room_id (None for own), room_name, kpi_id, name_zh,
    name_en, category, level, unit, direction, maturity_days, weight, floor, target, stretch, and, if known,
    target_late. Weights and targets are decimals; a missing target is None.
    """
    if not rows:
        raise UserError(
            f"there is nothing to announce for {month}: no person is employed and no room is open then"
        )
    policy = policy_in_force(policy_dir, month)
    sheets = target_sheets(rows, policy.rule("personal_share"))
    environment = page_environment(currency)
    steps = [(grade.grade, grade.min_score, grade.coefficient) for grade in policy.grades]
    sign = figures.CURRENCY_SIGNS.get(currency, f"{currency} ")
    shared = {
        "month_id": month,
        "provisional": False,
        "data_through": None,
        "rules": wording.rules_in_words(policy.rules, steps, sign),
        "pass_score": policy.rule("pass_score"),
    }
    pages = {
        "index.html": environment.get_template("targets_index.html.j2").render(
            **shared, groups=_groups(sheets)
        )
    }
    for sheet in sheets:
        folder = "staff" if sheet.subject_type == "staff" else "rooms"
        template = environment.get_template("targets_sheet.html.j2")
        pages[file_path(folder, sheet.subject_id)] = template.render(**shared, sheet=sheet)
    files = {path: page.encode("utf-8", "replace") for path, page in pages.items()}
    manifest = {"month": month, "policy_hash": policy.policy_hash, "files": digests(files)}
    files[MANIFEST] = (as_json(manifest) + "\n").encode()
    replace_folder(out, files)


def target_sheets(rows: Sequence[Mapping[str, Any]], personal_share: Decimal) -> list[TargetSheet]:
    """Group the rows into sheets, people by role before rooms, lines in reading order."""
    subjects: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        subjects.setdefault((row["subject_type"], row["subject_id"]), []).append(row)
    sheets = []
    for (subject_type, subject_id), own in subjects.items():
        first = own[0]
        parts = [
            _part(
                part,
                room_id,
                subject_type,
                personal_share,
                [row for row in own if _key(row) == (part, room_id)],
            )
            for part, room_id in sorted({_key(row) for row in own}, key=lambda key: (key[0], key[1] or ""))
        ]
        sheets.append(
            TargetSheet(subject_type, subject_id, str(first["name"]), first["role"], first["stage"], parts)
        )
    order = {role: number for number, role in enumerate(ROLES_IN_ORDER)}
    return sorted(
        sheets,
        key=lambda sheet: (
            sheet.subject_type == "room",
            order.get(sheet.role or "", len(order)),
            sheet.subject_id,
        ),
    )


def _key(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Own lines measured on the home room belong to the personal part all the same."""
    return ("personal", None) if row["part"] == "personal" else ("team", row["room_id"])


def _part(
    part: str,
    room_id: str | None,
    subject_type: str,
    personal_share: Decimal,
    rows: list[Mapping[str, Any]],
) -> TargetPart:
    share = Decimal(1)
    if subject_type == "staff":
        share = personal_share if part == "personal" else 1 - personal_share
    lines = [_line(row, share) for row in rows]
    lines.sort(key=lambda line: (_place(line.kpi.category), -line.weight, line.kpi.kpi_id))
    return TargetPart(part, room_id, rows[0].get("room_name") if room_id else None, share, lines)


def _line(row: Mapping[str, Any], share: Decimal) -> TargetLine:
    kpi = Kpi(**{name: row[name] for name in Kpi.__dataclass_fields__})
    return TargetLine(
        kpi=kpi,
        by_room=row["part"] == "personal" and row["room_id"] is not None,
        weight=row["weight"],
        worth=share * row["weight"] * 100,
        floor=row["floor"],
        target=row["target"],
        stretch=row["stretch"],
        late=bool(row.get("target_late")),
    )


def _groups(sheets: list[TargetSheet]) -> list[tuple[str, list[TargetSheet]]]:
    groups: dict[str, list[TargetSheet]] = {}
    for sheet in sheets:
        groups.setdefault("room" if sheet.subject_type == "room" else sheet.role or "", []).append(sheet)
    return list(groups.items())


def _place(category: str) -> int:
    return CATEGORIES.index(category) if category in CATEGORIES else len(CATEGORIES)
