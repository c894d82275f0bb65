"""Correlation, its interval and the false discovery rate, against scipy's own and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, false_discovery_control, spearmanr

from dagster_project.insights.leading_indicators import (
    RESAMPLES,
    Association,
    associate,
    change_of,
    minute_associations,
    rank,
)
from dagster_project.settings import connect


def weights_of(blocks, seed=1):
    rng = np.random.default_rng(seed)
    return rng.multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(float)


def associated(x, y, weights) -> Association:
    """Every pair a block of its own."""
    blocks = np.arange(len(x))
    return associate(rank(x, blocks, weights.shape[1]), rank(y, blocks, weights.shape[1]), blocks, weights)


def test_the_correlation_is_scipys_spearman_ties_included():
    rng = np.random.default_rng(5)
    x = rng.poisson(2, 300).astype(float)
    y = x + rng.poisson(3, 300)
    found = associated(x, y, weights_of(300))
    assert found.correlation == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


def test_with_blocks_of_one_the_interval_is_that_of_scipys_bootstrap():
    rng = np.random.default_rng(6)
    x = rng.normal(size=400)
    y = 0.5 * x + rng.normal(size=400)
    found = associated(x, y, weights_of(400))
    known = bootstrap(
        (x, y), lambda a, b: spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=1000,
        method="percentile", rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.025)


def test_under_twelve_points_there_is_no_correlation_but_a_reason():
    found = associated(np.arange(11.0), np.arange(11.0), weights_of(11))
    assert (found.points, found.correlation, found.reason) == (11, None, "fewer than 12 points")


def test_benjamini_hochberg_is_the_step_up_rule():
    # p × m / rank from the largest down: 0.01 × 4 / 1, then min(0.03 × 4 / 3, 0.04) for the second and third.
    assert false_discovery_control([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04] * 4)
    assert false_discovery_control([0.001, 0.5, 0.02, 0.9]) == pytest.approx([0.004, 2 / 3, 0.04, 0.9])


def test_published_q_values_are_benjamini_hochberg_of_the_published_p_values(read_world):
    families: dict[tuple, list[tuple]] = {}
    for *family, p_value, q_value in read_world(
        "select room_id, month, scale, p_value, q_value from insights.leading_indicators where p_value is not null"
    ):
        families.setdefault(tuple(family), []).append((float(p_value), float(q_value)))
    assert families
    for pairs in families.values():
        p_values, q_values = map(np.array, zip(*pairs, strict=True))
        order = np.argsort(p_values)
        steps = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
        by_hand = np.empty(len(p_values))
        by_hand[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
        assert q_values == pytest.approx(by_hand, abs=1e-6)


def test_a_change_is_taken_against_the_five_minutes_before():
    change = change_of(np.array([1.0, 2, 3, 4, 5, 9, 0]))
    assert np.isnan(change[:5]).all()
    assert change[5:] == pytest.approx([9 - 3, 0 - 23 / 5], abs=1e-8)


def test_what_follows_three_minutes_later_is_strongest_at_lag_three(marts):
    rng = np.random.default_rng(3)
    rows = []
    for session in range(12):
        chats = rng.poisson(30 * np.exp(rng.normal(0, 0.4, 120)))
        clicks = np.concatenate([rng.poisson(9, 3), rng.poisson(chats[:-3] * 0.3)])
        rows += [(f"S{session}", minute, int(chats[minute]), int(clicks[minute])) for minute in range(120)]
    with connect(marts.settings.warehouse_path, marts.settings) as con:
        con.executemany(
            "insert into core.fct_scene (session_id, minute, chats, clicks, room_id, business_date, likes, follows, "
            "shares, views, watch_seconds, exposures, stall_ms, play_ms, orders_paid, gmv) "
            "values (?, ?, ?, ?, 'R1', date '2026-10-05', 0, 0, 0, 0, 60, 0, 0, 0, 0, 0)",
            rows,
        )
        found = minute_associations(con, "R1", "2026-10")
    by_lag = {lag: found["chats", "clicks", lag].correlation for lag in range(11)}
    assert max(by_lag, key=lambda lag: by_lag[lag]) == 3
    assert found["chats", "clicks", 3].low > 0.3
    assert found["likes", "clicks", 3].reason == "no variance"
