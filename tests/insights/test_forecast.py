"""The forecast knows nothing of what came after it, and says when it is no better than a naive one."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from dagster_project.insights.gmv_forecast import Evening, backtest, interval


def evenings(count, final, so_far):
    """Sessions of three hours on consecutive days; final and so_far are functions of the number."""
    start = datetime(2026, 1, 1, 12)
    return [
        Evening(
            f"S{n:03}", "R1", date(2026, 1, 1) + timedelta(days=n), "single", start + timedelta(days=n),
            start + timedelta(days=n, hours=3), float(final(n)),
            {30: np.array([so_far(n), 10.0, 20.0, 5.0])},
        )
        for n in range(count)
    ]  # fmt: skip


def test_a_forecast_does_not_change_with_what_happens_later():
    rng = np.random.default_rng(1)
    finals = rng.lognormal(8, 0.5, 80)
    share = rng.uniform(0.1, 0.3, 80)
    first = backtest(evenings(80, lambda n: finals[n], lambda n: finals[n] * share[n]), 30)
    later = backtest(
        evenings(80, lambda n: finals[n] if n < 60 else 10 * finals[n], lambda n: finals[n] * share[n]), 30
    )
    told = [(each.method, each.value, each.low, each.high, each.mapes) for each in first[:60]]
    assert told == [(each.method, each.value, each.low, each.high, each.mapes) for each in later[:60]]
    assert first[59].method is not None


def test_where_a_fixed_share_is_reached_by_then_the_share_curve_is_right_and_is_used():
    rng = np.random.default_rng(2)
    finals = rng.lognormal(8, 1.0, 60)
    last = backtest(evenings(60, lambda n: finals[n], lambda n: finals[n] / 4), 30)[-1]
    assert (last.method, last.value) == ("share_curve", pytest.approx(finals[59]))
    assert last.reason == "no model beats the naive forecast on earlier sessions: the naive one is used"


def test_until_there_are_twenty_sessions_and_ten_forecasts_nothing_is_forecast():
    rng = np.random.default_rng(3)
    finals = rng.lognormal(8, 0.5, 40)
    made = backtest(evenings(40, lambda n: finals[n], lambda n: finals[n] / 5), 30)
    assert [each.method is None for each in made] == [n < 30 for n in range(40)]
    assert made[0].reason.startswith("fewer than 20") and made[29].reason.startswith("fewer than 10")


def test_where_no_session_lasts_as_long_as_the_horizon_there_is_nothing_to_forecast():
    assert backtest(evenings(3, lambda n: 100, lambda n: 50), 120) == []


def test_the_interval_comes_from_the_ratios_of_earlier_forecasts():
    # Nine ratios 0.2, 0.4 … 1.8 of (actual + 1) / (forecast + 1): ranks 1 and 9 of nine hold 80 %.
    actuals = np.array([100 * ratio / 5 - 1 for ratio in range(1, 10)])
    assert interval(999.0, np.full(9, 99.0), actuals) == (pytest.approx(199.0), pytest.approx(1799.0))
