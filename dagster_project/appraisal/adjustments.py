"""What a sealed month would be today, as dated adjustments into the first open month, line by line.

A sealed figure plus all its adjustments is today's figure. Those already taken by a month that is sealed
itself are deducted, so nothing is adjusted twice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dagster_project.appraisal import seals
from dagster_project.appraisal.asked import month_after
from dagster_project.appraisal.figures import ADJUSTMENT_KEY, Row, decimal_of, read_figures, row_key
from dagster_project.appraisal.seals import Sealed
from dagster_project.settings import UserError

if TYPE_CHECKING:
    from dagster_project.run import Run

# What of a card is adjusted besides its lines; grade and rank follow from these.
CARD_ITEMS = (
    "personal_score",
    "team_score",
    "total_score",
    "coefficient",
    "performance_pay",
    "overachievement_bonus",
    "awards_amount",
)
COLUMNS = {
    "subject_type": "varchar",
    "subject_id": "varchar",
    "sealed_month": "varchar",
    "item": "varchar",
    "sealed": "decimal(38, 6)",
    "today": "decimal(38, 6)",
    "difference": "decimal(38, 6)",
    "into_month": "varchar",
    "part": "varchar",
    "room_id": "varchar",
    "sealed_value": "decimal(24, 6)",
    "today_value": "decimal(24, 6)",
    "sealed_revision": "integer",
    "sealed_manifest": "varchar",
    "adjusted_on": "date",
}
DECIMALS = ("sealed", "today", "difference", "sealed_value", "today_value")
NOTHING = Decimal(0)


def adjustments_into(
    con: duckdb.DuckDBPyConnection, month: str, sealed: Sequence[Sealed], only: str | None = None
) -> list[Row]:
    """Adjustments that the sealed months bring into the open `month`, from the scorecards `con` holds today.

    `sealed` are the months sealed at that time. Rows have COLUMNS without adjusted_on. Raises UserError where
    a sealed month has no scorecards today, since nothing delivered is no reason to take pay back.
    """
    closed = {one.month for one in sealed}
    found = []
    for one in sealed:
        if taken_by(one.month, closed) != month or only not in (None, one.month):
            continue
        today = read_figures(con, one.month)
        if not today["scorecards"]:
            raise UserError(
                f"{one.month} is sealed, but there are no scorecards of it in the data today: "
                "bring its exports back and run make scorecards"
            )
        found += _differences(
            one, today, month, [row for other in sealed for row in _taken(other, one.month)]
        )
    return found


def _taken(other: Sealed, month: str) -> list[Row]:
    """Adjustments of `month` that were sealed with another month."""
    return [row for row in other.figures()["adjustments"] if row["sealed_month"] == month]


def _differences(one: Sealed, today: dict[str, list[Row]], into: str, taken: list[Row]) -> list[Row]:
    before, after = _items(one.figures()), _items(today)
    earlier: dict[tuple[str, ...], Decimal] = {}
    noted: dict[tuple[str, ...], Decimal | None] = {}
    for one_taken in sorted(taken, key=lambda row: row["into_month"]):
        key = row_key(one_taken, ADJUSTMENT_KEY)
        earlier[key] = earlier.get(key, NOTHING) + Decimal(one_taken["difference"])
        noted[key] = decimal_of(one_taken["today_value"])
    rows = []
    for key in sorted(before.keys() | after.keys()):
        subject_type, subject_id, part, room_id, item = key
        sealed_figure, sealed_value = before.get(key, (None, None))
        today_figure, today_value = after.get(key, (None, None))
        row: Row = {
            "subject_type": subject_type,
            "subject_id": subject_id,
            "sealed_month": one.month,
            "item": item,
            "sealed": sealed_figure,
            "today": today_figure,
            "into_month": into,
            "part": part or None,
            "room_id": room_id or None,
            "sealed_value": sealed_value,
            "today_value": today_value,
            "sealed_revision": one.revision,
            "sealed_manifest": one.manifest_sha256,
        }
        adjusted = row_key(row, ADJUSTMENT_KEY)
        row["difference"] = (
            (today_figure or NOTHING) - (sealed_figure or NOTHING) - earlier.get(adjusted, NOTHING)
        )
        if row["difference"] or today_value != noted.get(adjusted, sealed_value):
            rows.append(row)
    return rows


def _items(figures: dict[str, list[Row]]) -> dict[tuple[str, ...], tuple[Decimal | None, Decimal | None]]:
    """(subject_type, subject_id, part, room_id, item) → (points or amount, a line's value)."""
    items: dict[tuple[str, ...], tuple[Decimal | None, Decimal | None]] = {}
    for line in figures["scorecard_lines"]:
        key = row_key(line, ("subject_type", "subject_id", "part", "room_id", "kpi_id"))
        items[key] = (decimal_of(line["points"]), decimal_of(line["value"]))
    for card in figures["scorecards"]:
        for item in CARD_ITEMS:
            key = (card["subject_type"], card["subject_id"], "", "", item)
            items[key] = (decimal_of(card[item]), None)
    return items


# --- the state that the published table is made of -------------------------------------------------------


def refresh(con: duckdb.DuckDBPyConnection, sealed: Sequence[Sealed], recomputed: Iterable[str]) -> None:
    """Bring appraisal_state.adjustments up to date.

    It holds what sealed months took, as sealed, and what goes into open months: recomputed for the sealed
    months named, kept for the others. Rows whose month was reopened are dropped.
    """
    create_state(con)
    closed = {one.month for one in sealed}
    recomputed = closed.intersection(recomputed)
    existing = _rows(con)
    rows = [typed(row) for one in sealed for row in one.figures()["adjustments"]]
    rows += [
        row
        for row in existing
        if row["into_month"] not in closed and row["sealed_month"] in closed - recomputed
    ]
    for month in sorted(recomputed):
        rows += adjustments_into(con, taken_by(month, closed), sealed, only=month)
    dates = {_identity(row): row["adjusted_on"] for row in existing}
    today = datetime.now(UTC).date()
    con.execute("begin")
    con.execute("delete from appraisal_state.adjustments")
    for row in rows:
        noticed = row.get("adjusted_on") or dates.get(_identity(row), today)
        con.execute(
            f"insert into appraisal_state.adjustments values ({', '.join('?' * len(COLUMNS))})",
            [row[name] if name != "adjusted_on" else noticed for name in COLUMNS],
        )
    con.execute("commit")


def are_published(con: duckdb.DuckDBPyConnection, appraisal_db: Path) -> bool:
    """Whether readers see the state as it is: a run may have died between noting it and publishing it."""
    create_state(con)
    published = duckdb.connect(str(appraisal_db), read_only=True)
    try:
        seen = _rows(published, "scorecards.adjustments")
    except duckdb.Error:
        return False
    finally:
        published.close()
    return sorted(map(_identity, seen)) == sorted(map(_identity, _rows(con)))


def taken_by(month: str, closed: Collection[str]) -> str:
    """The first month after `month` that is not closed."""
    into = month_after(month)
    while into in closed:
        into = month_after(into)
    return into


def create_state(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create schema if not exists appraisal_state")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    con.execute(f"create table if not exists appraisal_state.adjustments ({columns})")


def into_month(con: duckdb.DuckDBPyConnection, month: str) -> list[Row]:
    """The state's rows that go into one month."""
    create_state(con)
    return [row for row in _rows(con) if row["into_month"] == month]


def typed(row: Row) -> Row:
    """A row of figures.json with its numbers and dates as such."""
    numbers = {name: decimal_of(row[name]) for name in DECIMALS}
    noticed = row.get("adjusted_on")
    return {**row, **numbers, "adjusted_on": date.fromisoformat(noticed) if noticed else None}


def _rows(con: duckdb.DuckDBPyConnection, table: str = "appraisal_state.adjustments") -> list[Row]:
    cursor = con.execute(f"select {', '.join(COLUMNS)} from {table} order by all")
    return [dict(zip(COLUMNS, values, strict=True)) for values in cursor.fetchall()]


def _identity(row: Row) -> tuple[str, ...]:
    """All of a row but its date, numbers without trailing zeros."""
    return tuple(
        "" if row[name] is None else f"{row[name]:.6f}" if name in DECIMALS else str(row[name])
        for name in COLUMNS
        if name != "adjusted_on"
    )


# --- make scorecards on a sealed month -------------------------------------------------------------------


def adjust_sealed_month(run: Run, month: str) -> None:
    """Note what the sealed month would be today, publish it, and show it in the first open month's folder."""
    from dagster_project import run as steps

    sealed = seals.sealed_months(run.settings)
    into = taken_by(month, {one.month for one in sealed})
    with steps.step(run, "adjustments"), steps.warehouse(run.settings) as con:
        refresh(con, sealed, [month])
        rows = into_month(con, into)
    publish_adjustments(run)
    count = sum(row["sealed_month"] == month for row in rows)
    told = f"{month} is sealed and stays as it is: {count} adjustments into {into}"
    run.message = f"{run.message}; {told}" if run.message else told
    run.scorecards = str(show_in_folder(run, into, rows))


def publish_adjustments(run: Run) -> None:
    """Publish a snapshot that holds the state, unless readers see it already."""
    from dagster_project import run as steps
    from dagster_project.audit.suites import check_results_of_dbt
    from dagster_project.warehouse.build import run_dbt
    from dagster_project.warehouse.publish import current_snapshot, publish

    with steps.warehouse(run.settings) as con:
        if are_published(con, current_snapshot(run.settings.published) / "appraisal.duckdb"):
            return
    steps.judge(run, check_results_of_dbt(run_dbt(run.settings, select="adjustments")))
    with steps.step(run, "publish"):
        name = f"{run.run_id}-adjusted"
        run.snapshot = publish(run.settings, name, steps.provenance(run))["snapshot_id"]


def show_in_folder(run: Run, into: str, rows: Sequence[Row]) -> Path:
    """The open month's folder with its adjustments; a table alone while the month has no scorecards yet."""
    from dagster_project import run as steps
    from dagster_project.reports.folder import replace_folder

    with steps.warehouse(run.settings) as con:
        cards = con.execute("select count(*) from scorecards.scorecards where month = ?", [into]).fetchall()[
            0
        ][0]
    if cards:
        steps.write_scorecards(replace(run, settings=replace(run.settings, month=into)))
        return seals.scorecards_folder(run.settings) / into / "index.html"
    folder = seals.scorecards_folder(run.settings) / into
    replace_folder(folder, {"adjustments.csv": adjustments_csv(rows)})
    return folder / "adjustments.csv"


def adjustments_csv(rows: Sequence[Row]) -> bytes:
    """The rows as CSV, text guarded against formulas."""
    from dagster_project.reports.safe_text import csv_cell

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row_key(row, ADJUSTMENT_KEY)):
        cells: list[Any] = [row[name] for name in COLUMNS]
        writer.writerow([csv_cell(cell) for cell in cells])
    return text.getvalue().encode("utf-8-sig")
