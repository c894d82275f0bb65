"""`make whatif`: the same month under another policy, in a scratch copy; nothing else is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import duckdb

from dagster_project.appraisal import awards
from dagster_project.appraisal.asked import asked_month
from dagster_project.settings import Settings, UserError, connect, settings_from_env

# What follows from the policy and leads to the scores; the facts do not.
CHANGED_MODELS = "source:live_commerce.policy+,+fqn:live_commerce.scorecards"
COMPARED = (
    "personal_score",
    "team_score",
    "total_score",
    "grade",
    "rank_in_role",
    "performance_pay",
    "overachievement_bonus",
    "awards_amount",
    "status",
)
MONEY = ("performance_pay", "overachievement_bonus", "awards_amount")


@dataclass(frozen=True)
class Difference:
    """A person (or room) whose card differs; before and after hold the columns of COMPARED."""

    subject_type: str
    subject_id: str
    role: str | None
    name: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def pay_change(self) -> Decimal:
        """All pay after less before, in the reporting currency."""
        return sum(
            (self.after[item] or Decimal(0)) - (self.before[item] or Decimal(0)) for item in MONEY
        ) or Decimal(0)


def whatif(environ: Mapping[str, str]) -> int:
    """`make whatif MONTH= POLICY=dir`: who would be scored, ranked or paid differently."""
    from dagster_project.lock import run_lock
    from dagster_project.warehouse.policy import read_policy

    month = asked_month(environ, "whatif")
    if not environ.get("POLICY"):
        raise UserError(f"POLICY is missing: make whatif MONTH={month} POLICY=folder-of-another-policy")
    settings = settings_from_env({**environ, "MONTH": month})
    read_policy(settings.policy)
    if not settings.warehouse_path.is_file():
        raise UserError(f"there is no warehouse under {settings.data} yet: run make scorecards first")
    with run_lock(settings.private / "run.lock"):
        found = differences_under(settings, month)
    from dagster_project.reports.whatif import write_whatif

    page = write_whatif(
        found, month, settings.data / "whatif" / month, str(settings.policy), settings.reporting_currency
    )
    _print(found, month)
    print(f"page {page}")
    return 0


def differences_under(settings: Settings, month: str) -> list[Difference]:
    """Everybody whose card of the month differs between the policy of the warehouse and settings.policy."""
    from dagster_project.appraisal.verify import NO_TESTS, SCORE_MODELS, reuse_parse, scratch_folder
    from dagster_project.warehouse.build import run_dbt
    from dagster_project.warehouse.policy import check_policy_covers, check_targets, load_policy, read_policy

    policy = read_policy(settings.policy)
    with scratch_folder(settings, f"whatif-{month}") as scratch:
        inside = replace(settings, data=scratch)
        _copy_warehouse(settings, inside)
        con = connect(inside.warehouse_path, inside)
        try:
            before = _cards(con, month)
            if not before:
                raise UserError(f"there are no scorecards of {month} in the data: choose another MONTH")
            first = con.execute("select min(month) from core.fct_session").fetchall()[0][0]
            check_policy_covers(policy, first)
            load_policy(con, policy)
            check_targets(con)
        finally:
            con.close()
        os.environ["REPORTING_CURRENCY"] = settings.reporting_currency
        reuse_parse(settings, inside)
        run_dbt(inside, select=CHANGED_MODELS, exclude=(SCORE_MODELS, NO_TESTS))
        con = connect(inside.warehouse_path, inside)
        try:
            awards.test_nominations(con)
        finally:
            con.close()
        run_dbt(inside, select=SCORE_MODELS, exclude=NO_TESTS)
        con = connect(inside.warehouse_path, inside, read_only=True)
        try:
            after = _cards(con, month)
            names = dict(
                con.execute(
                    "select 'staff ' || staff_id, name from core.dim_staff "
                    "union all select 'room ' || room_id, name from core.dim_room"
                ).fetchall()
            )
        finally:
            con.close()
    nothing = dict.fromkeys(COMPARED)
    found = []
    for key in sorted(before.keys() | after.keys()):
        was, becomes = before.get(key, nothing), after.get(key, nothing)
        if any(was[item] != becomes[item] for item in COMPARED):
            subject_type, subject_id = key
            role = (after.get(key) or before[key])["role"]
            name = names.get(f"{subject_type} {subject_id}") or subject_id
            found.append(Difference(subject_type, subject_id, role, name, was, becomes))
    return found


def _copy_warehouse(settings: Settings, inside: Settings) -> None:
    """A copy of the private warehouse; the caller holds the lock, so nobody writes it."""
    connect(
        settings.warehouse_path, settings
    ).close()  # brings a write-ahead log left by a kill into the file
    inside.private.mkdir(mode=0o700)
    shutil.copyfile(settings.warehouse_path, inside.warehouse_path)
    inside.warehouse_path.chmod(0o600)


def _cards(con: duckdb.DuckDBPyConnection, month: str) -> dict[tuple[str, str], dict[str, Any]]:
    cursor = con.execute(
        f"select subject_type, subject_id, role, {', '.join(COMPARED)} from scorecards.scorecards where "
        f"month = ?",
        [month],
    )
    names = [column[0] for column in cursor.description or []]
    cards = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {(card["subject_type"], card["subject_id"]): card for card in cards}


def _print(found: Sequence[Difference], month: str) -> None:
    from dagster_project.warehouse.read import as_table

    if not found:
        print(f"no differences: {month} comes out the same under that policy")
        return
    columns = (
        "subject",
        "role",
        "name",
        "total",
        "grade",
        "rank",
        "performance pay",
        "bonus",
        "awards",
        "pay change",
    )
    shown = (
        "total_score",
        "grade",
        "rank_in_role",
        "performance_pay",
        "overachievement_bonus",
        "awards_amount",
    )
    rows = [
        [one.subject_id if one.subject_type == "staff" else f"room {one.subject_id}", one.role, one.name]
        + [_step(one.before[item], one.after[item]) for item in shown]
        + [f"{one.pay_change:+}" if one.subject_type == "staff" else ""]
        for one in found
    ]
    print(as_table(columns, rows))
    people = sum(one.subject_type == "staff" for one in found)
    pay = sum((one.pay_change for one in found), Decimal(0))
    print(f"{people} people and {len(found) - people} rooms differ in {month}; pay in all {pay:+}")


def _step(before: object, after: object) -> str:
    if before == after:
        return "=" if before is None else str(before)
    return f"{'none' if before is None else before} → {'none' if after is None else after}"
