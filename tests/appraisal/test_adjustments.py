"""A sealed month never changes: what would differ today goes, once, into the first open month."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_project.appraisal.adjustments import _differences
from dagster_project.appraisal.close import close
from dagster_project.appraisal.seals import Sealed
from dagster_project.appraisal.verify import verify
from dagster_project.job import scorecards
from tests.appraisal.conftest import Company
from tests.appraisal.test_close import contents

SEALED, OPEN, NEXT = "2026-09", "2026-10", "2026-11"
CARD_ITEMS = (
    "personal_score", "team_score", "total_score", "coefficient",
    "performance_pay", "overachievement_bonus", "awards_amount",
)  # fmt: skip


@pytest.fixture(scope="module")
def adjusted(published: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """September sealed; then late follows and refunds of it land, and it is asked for again."""
    company = published.copy(tmp_path_factory.mktemp("adjusted") / "company")
    assert close(company.environ(MONTH=SEALED, BY="Li Wei")) == 0
    before = contents(company.data / "scorecards" / SEALED)
    _deliver_late(company)
    assert scorecards(company.environ(MONTH=SEALED)) == 0
    assert contents(company.data / "scorecards" / SEALED) == before
    return company


def _deliver_late(company: Company) -> None:
    with duckdb.connect(str(company.data / "private" / "warehouse.duckdb")) as con:
        sessions = con.execute(
            "select session_id, strftime(started_at + interval 5 minute, '%Y-%m-%dT%H:%M:%SZ') from "
            "core.fct_session "
            "where month = ? order by 1",
            [SEALED],
        ).fetchall()
        lines = con.execute(
            "select order_line_id, currency, paid_amount::varchar, "
            "strftime(paid_at + interval 1 day, '%Y-%m-%dT%H:%M:%SZ') from core.fct_order_line "
            "where business_date < '2026-10-01' and paid_at is not null and refunded_amount = 0 order by "
            "1 limit 30"
        ).fetchall()
    follows = [
        {"session_id": session, "event_id": f"late-{number}", "viewer_id": f"late viewer {number}",
         "event_type": "follow", "event_at": at}
        for session, at in sessions
        for number in range(40)
    ]  # fmt: skip
    refunds = [
        {"refund_id": f"late-{line}", "order_line_id": line, "refund_type": "return", "quantity": 1,
            "amount": amount,
         "currency": currency, "requested_at": at, "completed_at": at, "updated_at": at}
        for line, currency, amount, at in lines
    ]  # fmt: skip
    for export, rows in (("viewer_events", follows), ("refunds", refunds)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (company.exports / export / "late.jsonl").write_text(text, encoding="utf-8")


def published_rows(company: Company, query: str, *values: str) -> list[dict[str, Any]]:
    path = (company.data / "published" / "current").resolve() / "appraisal.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        cursor = con.execute(query, list(values))
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def figures_today(company: Company, month: str) -> dict[tuple[str, ...], Decimal]:
    """Points of every line and figures of every card of the month, as readers see them now."""
    found: dict[tuple[str, ...], Decimal] = {}
    for row in published_rows(company, "from scorecards.scorecard_lines where month = ?", month):
        key = (row["subject_type"], row["subject_id"], row["part"], row["room_id"] or "", row["kpi_id"])
        found[key] = row["points"] or Decimal(0)
    for row in published_rows(company, "from scorecards.scorecards where month = ?", month):
        for item in CARD_ITEMS:
            found[row["subject_type"], row["subject_id"], "", "", item] = row[item] or Decimal(0)
    return found


def figures_sealed(company: Company, month: str) -> dict[tuple[str, ...], Decimal]:
    figures = json.loads((company.data / "scorecards" / month / "figures.json").read_text(encoding="utf-8"))
    found: dict[tuple[str, ...], Decimal] = {}
    for row in figures["scorecard_lines"]:
        key = (row["subject_type"], row["subject_id"], row["part"], row["room_id"] or "", row["kpi_id"])
        found[key] = Decimal(row["points"] or 0)
    for row in figures["scorecards"]:
        for item in CARD_ITEMS:
            found[row["subject_type"], row["subject_id"], "", "", item] = Decimal(row[item] or 0)
    return found


def adjustments_into(company: Company, into: str, sealed: str = SEALED) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = published_rows(company, "from scorecards.adjustments where into_month = ?", into)
    assert {row["sealed_month"] for row in rows} <= {sealed}
    return {
        (row["subject_type"], row["subject_id"], row["part"] or "", row["room_id"] or "", row["item"]): row
        for row in rows
    }


def test_every_line_and_amount_that_differs_today_is_adjusted_and_nothing_else(adjusted: Company) -> None:
    sealed, today = figures_sealed(adjusted, SEALED), figures_today(adjusted, SEALED)
    differing = {
        key: today.get(key, Decimal(0)) - sealed.get(key, Decimal(0)) for key in sealed.keys() | today.keys()
    }
    differing = {key: difference for key, difference in differing.items() if difference}
    rows = adjustments_into(adjusted, OPEN)
    assert len(differing) > 5
    assert {key: row["difference"] for key, row in rows.items() if row["difference"]} == differing
    # A line may have another value and still the same points; then both values tell.
    assert all(row["sealed_value"] != row["today_value"] for row in rows.values() if not row["difference"])


def test_adjusted_lines_add_up_to_the_adjusted_total(adjusted: Company) -> None:
    rows = adjustments_into(adjusted, OPEN)
    totals = {key[:2]: row["difference"] for key, row in rows.items() if key[4] == "total_score"}
    assert totals
    for subject, difference in totals.items():
        lines = [row["difference"] for key, row in rows.items() if key[:2] == subject and key[2]]
        assert sum(lines, Decimal(0)) == difference


def test_each_adjustment_is_dated_and_linked_to_the_sealed_manifest(adjusted: Company) -> None:
    manifest = (adjusted.data / "scorecards" / SEALED / "manifest.json").read_bytes()
    for row in adjustments_into(adjusted, OPEN).values():
        assert row["sealed_manifest"] == hashlib.sha256(manifest).hexdigest()
        assert row["sealed_revision"] == 1
        assert row["adjusted_on"] is not None


def test_the_open_month_shows_theadjustments_into(adjusted: Company) -> None:
    shown = json.loads((adjusted.data / "scorecards" / OPEN / "scorecards.json").read_text(encoding="utf-8"))
    assert len(shown["adjustments"]) == len(adjustments_into(adjusted, OPEN))


def test_asking_again_adjusts_nothing_twice_and_publishes_nothing_new(adjusted: Company) -> None:
    before = adjustments_into(adjusted, OPEN)
    snapshot = (adjusted.data / "published" / "current").resolve()
    assert scorecards(adjusted.environ(MONTH=SEALED)) == 0
    assert adjustments_into(adjusted, OPEN) == before
    assert (adjusted.data / "published" / "current").resolve() == snapshot


def test_a_sealed_month_takes_its_adjustments_for_good_and_verifies_with_them(
    adjusted: Company, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    company = adjusted.copy(tmp_path / "company")
    taken = adjustments_into(company, OPEN)
    assert close(company.environ(MONTH=OPEN, BY="Li Wei")) == 0
    figures = json.loads((company.data / "scorecards" / OPEN / "figures.json").read_text(encoding="utf-8"))
    assert len(figures["adjustments"]) == len(taken)
    assert scorecards(company.environ(MONTH=SEALED)) == 0
    assert adjustments_into(company, NEXT) == {}
    assert adjustments_into(company, OPEN) == taken
    capsys.readouterr()
    for month in (SEALED, OPEN):
        assert verify(company.environ(MONTH=month)) == 0
        assert capsys.readouterr().out.startswith(f"identical: {month} ")


def test_what_a_sealed_month_took_is_deducted_from_the_next_adjustment(tmp_path: Path) -> None:
    """By hand: sealed 80.00, October took +1.50, today 80.70; so November takes -0.80."""
    sealed = Sealed(SEALED, 1, tmp_path, "abc")
    card = dict.fromkeys(("subject_type", "subject_id", *CARD_ITEMS))
    card |= {"subject_type": "staff", "subject_id": "007", "total_score": "80.00"}
    manifest = {"month": SEALED, "outputs": {}}
    content = json.dumps({"scorecards": [card], "scorecard_lines": [], "adjustments": []}).encode()
    manifest["outputs"] = {"figures.json": hashlib.sha256(content).hexdigest()}
    (tmp_path / "figures.json").write_bytes(content)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    today = {"scorecards": [{**card, "total_score": "80.70"}], "scorecard_lines": []}
    taken = dict.fromkeys(("part", "room_id", "today_value"))
    taken |= {"subject_type": "staff", "subject_id": "007", "sealed_month": SEALED, "item": "total_score"}
    taken |= {"difference": "1.500000", "into_month": OPEN}
    (row,) = _differences(sealed, today, NEXT, [taken])
    assert (row["sealed"], row["today"], row["difference"]) == (
        Decimal("80.00"),
        Decimal("80.70"),
        Decimal("-0.80"),
    )
    assert (
        _differences(sealed, {**today, "scorecards": [{**card, "total_score": "81.50"}]}, NEXT, [taken]) == []
    )
