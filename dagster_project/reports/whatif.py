"""The page of a month under another policy: who would be scored, graded, ranked or paid differently."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_project.reports.folder import replace_folder
from dagster_project.reports.pages import ROLES_IN_ORDER, page_environment

MONEY = ("performance_pay", "overachievement_bonus", "awards_amount")


def write_whatif(differences: Sequence[Any], month: str, out: Path, policy_name: str, currency: str) -> Path:
    """Write `out`/index.html and return it; `differences` are appraisal.whatif.Difference."""
    order = {role: number for number, role in enumerate(ROLES_IN_ORDER)}
    people = sorted(
        (one for one in differences if one.subject_type == "staff"),
        key=lambda one: (
            order.get(one.role or "", len(order)),
            one.after["rank_in_role"] or 10**6,
            one.subject_id,
        ),
    )
    page = (
        page_environment(currency)
        .get_template("whatif.html.j2")
        .render(
            month_id=month,
            provisional=False,
            data_through=None,
            policy_name=policy_name,
            people=people,
            rooms=[one for one in differences if one.subject_type == "room"],
            pay_change=sum((one.pay_change for one in people), Decimal(0)),
            sums={
                when: {item: sum((getattr(one, when)[item] or 0 for one in people), Decimal(0)) for item in MONEY}
                for when in ("before", "after")
            },
            changed={
                item: sum(one.before[item] != one.after[item] for one in people) for item in ("grade", "rank_in_role")
            },
        )
    )
    replace_folder(out, {"index.html": page.encode("utf-8", "replace")})
    return out / "index.html"
