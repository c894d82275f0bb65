"""The statistics of innovation awards: did a room's KPI really move between two windows?

Only the tails of the normal and the t distribution need Python; SQL has neither.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from decimal import Decimal

import duckdb

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Window:
    """A KPI over one window: exact sums, and its value on each business date that has one."""

    numerator: Decimal
    denominator: Decimal | None
    by_date: tuple[float, ...]

    @property
    def value(self) -> Decimal | None:
        """Sum over sum; of a total the mean per business date, so that windows of unequal length compare."""
        if self.denominator is None:
            return Decimal(math.fsum(self.by_date)) / len(self.by_date) if self.by_date else None
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True)
class Verdict:
    """How a nomination was tested; p_value and test are None where it could not be."""

    verified: bool
    reason: str | None
    test: str | None
    p_value: float | None


def test_nominations(con: duckdb.DuckDBPyConnection) -> int:
    """Test every innovation nomination against the KPI marts and rebuild appraisal_state.nomination_tests.

    Runs after the KPI marts and before the scorecards. Returns the number of nominations.
    """
    con.execute("create schema if not exists appraisal_state")
    con.execute(
        "create or replace table appraisal_state.nomination_tests (nomination_id varchar, month varchar,"
        " room_id varchar, kpi_id varchar, people_named bigint, test varchar, p_value decimal(9, 6),"
        " verdict varchar, reason varchar, evidence varchar)"
    )
    nominations = con.execute(
        """
        select nomination_id, month, room_id, kpi_id, people_named,
            before_from, before_to, after_from, after_to,
            numerator, denominator, factor, unit, direction, min_base,
            exists (
                select 1
                from intermediate.int_measures_catalogued as catalogue,
                    unnest(catalogue.exports) as needed(export)
                where catalogue.measure in (kpi_registry.numerator, kpi_registry.denominator)
                    and needed.export not in (select export from intermediate.int_exports_delivered)
            ) as lacks_export
        from intermediate.int_appraisal_nominations_grouped as nominations
        left join kpis.kpi_registry using (kpi_id)
        order by nomination_id
        """
    ).fetchall()
    for (
        nomination_id, month, room_id, kpi_id, people_named,
        before_from, before_to, after_from, after_to,
        numerator, denominator, factor, unit, direction, min_base, lacks_export,
    ) in nominations:  # fmt: skip
        before = after = None
        if numerator is None:
            verdict = Verdict(False, "unknown_kpi", None, None)
        elif lacks_export:
            verdict = Verdict(False, "no_data", None, None)
        else:
            before = _window(con, room_id, numerator, denominator, factor, before_from, before_to)
            after = _window(con, room_id, numerator, denominator, factor, after_from, after_to)
            verdict = judge(before, after, unit, direction, min_base)
        con.execute(
            "insert into appraisal_state.nomination_tests values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                nomination_id, month, room_id, kpi_id, people_named, verdict.test,
                None if verdict.p_value is None else Decimal(f"{verdict.p_value:.6f}"),
                "verified" if verdict.verified else "not_verified",
                verdict.reason,
                _evidence(kpi_id, factor, before, after, verdict),
            ],
        )  # fmt: skip
    return len(nominations)


def judge(before: Window, after: Window, unit: str, direction: str, min_base: int | None) -> Verdict:
    """Verified: moved the right way, min_base met on both sides, significant at 5 % in a two-sided test."""
    old, new = before.value, after.value
    if old is None or new is None:
        return Verdict(False, "no_base", None, None)
    if min_base is not None and min(before.denominator or 0, after.denominator or 0) < min_base:
        return Verdict(False, "small_sample", None, None)
    if unit == "rate" and _is_proportion(before) and _is_proportion(after):
        test, p_value = "two_proportion", two_proportion_p_value(before, after)
    elif min(len(before.by_date), len(after.by_date)) < 2:
        return Verdict(False, "too_few_dates", None, None)
    else:
        test, p_value = "welch", welch_p_value(before.by_date, after.by_date)
    if not (new > old if direction == "up" else new < old):
        return Verdict(False, "moved_the_wrong_way", test, p_value)
    if p_value >= SIGNIFICANCE:
        return Verdict(False, "not_significant", test, p_value)
    return Verdict(True, None, test, p_value)


def two_proportion_p_value(before: Window, after: Window) -> float:
    """Two-sided p of the pooled two-proportion z test; 1 where neither side varies."""
    from scipy.stats import norm

    assert before.denominator is not None and after.denominator is not None
    pooled = (before.numerator + after.numerator) / (before.denominator + after.denominator)
    variance = pooled * (1 - pooled) * (1 / before.denominator + 1 / after.denominator)
    if variance == 0:
        return 1.0
    difference = after.numerator / after.denominator - before.numerator / before.denominator
    return float(2 * norm.sf(abs(float(difference / variance.sqrt()))))


def welch_p_value(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """Two-sided p of Welch's t test over business-date values; without any spread 1 where equal, else 0."""
    from scipy.stats import t

    sides = (before, after)
    spreads = [statistics.variance(values) / len(values) for values in sides]
    moved = abs(statistics.mean(after) - statistics.mean(before))
    if sum(spreads) == 0:
        return 1.0 if moved == 0 else 0.0
    freedom = sum(spreads) ** 2 / sum(
        spread**2 / (len(values) - 1) for spread, values in zip(spreads, sides, strict=True)
    )
    return float(2 * t.sf(moved / math.sqrt(sum(spreads)), freedom))


def _is_proportion(window: Window) -> bool:
    return window.denominator is not None and 0 <= window.numerator <= window.denominator


def _window(
    con: duckdb.DuckDBPyConnection,
    room_id: str,
    numerator: str,
    denominator: str | None,
    factor: Decimal,
    from_date: object,
    to_date: object,
) -> Window:
    """The room's measures over business dates from_date to to_date; a date without a session has no value."""
    rows = con.execute(
        """
        select
            coalesce(max(amount) filter (where measure = $numerator), 0) as numerator,
            coalesce(max(amount) filter (where measure = $denominator), 0) as denominator
        from kpis.kpi_measure_day
        where subject_type = 'room' and subject_id = $room_id
            and business_date between $from_date and $to_date
            and measure in ($numerator, $denominator, 'live_seconds')
        group by business_date
        order by business_date
        """,
        {
            "numerator": numerator, "denominator": denominator or "", "room_id": room_id,
            "from_date": from_date, "to_date": to_date,
        },
    ).fetchall()  # fmt: skip
    numerators = [row[0] for row in rows]
    # A maximum rolls up by maximum; everything else is added.
    total = max(numerators, default=Decimal(0)) if numerator == "peak_online" else sum(numerators, Decimal(0))
    if denominator is None:
        return Window(total, None, tuple(float(amount * factor) for amount in numerators))
    return Window(
        total,
        sum((row[1] for row in rows), Decimal(0)),
        tuple(float(row[0] * factor / row[1]) for row in rows if row[1] > 0),
    )


def _evidence(
    kpi_id: str, factor: Decimal | None, before: Window | None, after: Window | None, verdict: Verdict
) -> str:
    """The figures behind a verdict, as JSON text; numbers as text, so that none is rounded on the way."""
    sides: dict[str, object] = {}
    for side, window in (("before", before), ("after", after)):
        if window is not None and factor is not None:
            value = window.value
            sides[side] = {
                "numerator": _plain(window.numerator),
                "denominator": None if window.denominator is None else _plain(window.denominator),
                "value": None if value is None else _plain(round(value * factor, 6)),
                "business_dates": len(window.by_date),
            }
    figures = {
        "kpi_id": kpi_id,
        **sides,
        "test": verdict.test,
        "p_value": None if verdict.p_value is None else f"{verdict.p_value:.6f}",
        "reason": verdict.reason,
    }
    return json.dumps(figures, ensure_ascii=False)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
