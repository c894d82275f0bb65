"""Which process and technical KPI moves before which result: rank correlation of changes at lags, never a claim of cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from dagster_project.insights.tables import Table, affected_dates, append, create, fixed

LEADERS = ("chats", "likes", "follows", "shares", "views", "watch_seconds", "exposures", "stall_share")
RESULTS = ("clicks", "orders_paid", "gmv")
MINUTE_LAGS = range(11)
SESSION_LAGS = range(4)
MIN_POINTS = 12
RESAMPLES = 400
BLOCK_SESSIONS = 4  # of the series over sessions; over minutes a block is one whole session
TRAILING_MINUTES = 5
FALSE_DISCOVERIES = 0.05

TABLE = Table(
    "leading_indicators",
    "One row per room × month (null: all months) × scale × leading figure × result × lag: Spearman correlation of the "
    "changes of one with the later changes of the other. Association, not cause.",
    [
        ("room_id", "varchar", "Live room (直播间)."),
        ("month", "varchar", "Month of the minutes; null for the scale session, which takes all sessions."),
        ("scale", "varchar", "minute or session: what a lag counts."),
        ("leader", "varchar", "The figure that moves first: a measure per minute, or a KPI of level P or T."),
        ("result", "varchar", "The figure that moves after it: a measure per minute, or a KPI of level R."),
        ("lag", "bigint", "How many minutes or sessions later."),
        ("points", "bigint", "Pairs of changes (n)."),
        ("correlation", "decimal(24,6)", "Spearman correlation; null under 12 points or without variance."),
        ("correlation_low", "decimal(24,6)", "Lower 95 % bound, block bootstrap."),
        ("correlation_high", "decimal(24,6)", "Upper 95 % bound, block bootstrap."),
        ("p_value", "decimal(24,9)", "Two-sided, from the bootstrap's standard error."),
        ("q_value", "decimal(24,9)", "Benjamini-Hochberg over all pairs and lags of the room, month and scale."),
        ("is_significant", "boolean", "q_value ≤ 0.05."),
        ("is_strongest_lag", "boolean", "The significant lag of the pair whose correlation is furthest from 0."),
        ("label", "varchar", "association: nothing here shows a cause."),
        ("reason", "varchar", "Why the correlation is null."),
    ],
)


@dataclass(frozen=True)
class Association:
    """One correlation with its 95 % interval and p-value; None where it is not to be had."""

    points: int
    correlation: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None


def write(con: duckdb.DuckDBPyConnection) -> None:
    """Minutes of the months that changed, and sessions of all months, into insights.leading_indicators."""
    is_new = create(con, TABLE)
    months = sorted({f"{day:%Y-%m}" for day in affected_dates(con)})
    if is_new:
        months = [m for (m,) in con.execute("select distinct month from core.fct_session order by 1").fetchall()]
    # A room's month whose sessions are all gone or have moved leaves nothing behind.
    con.execute(
        f"delete from {TABLE.path} where month is not null "
        "and (room_id, month) not in (select (room_id, month) from core.fct_session)"
    )
    rows: list[Sequence[object]] = []
    for month in months:
        con.execute(f"delete from {TABLE.path} where month = ?", [month])
        for (room,) in con.execute(
            "select distinct room_id from core.fct_session where month = ? order by 1", [month]
        ).fetchall():
            rows += labelled(room, month, "minute", minute_associations(con, room, month))
    con.execute(f"delete from {TABLE.path} where scale = 'session'")
    for (room,) in con.execute("select room_id from core.dim_room order by 1").fetchall():
        rows += labelled(room, None, "session", session_associations(con, room))
    append(con, TABLE, rows)


def minute_associations(
    con: duckdb.DuckDBPyConnection, room: str, month: str
) -> dict[tuple[str, str, int], Association]:
    """(leader, result, lag) → association over the whole minutes of a room's month; a session is a block."""
    columns = con.execute(
        "select session_id, chats, likes, follows, shares, views, watch_seconds::double as watch_seconds, exposures, "
        "coalesce(stall_ms::double / nullif((play_ms + stall_ms)::double, 0), 0) as stall_share, "
        "clicks, orders_paid, gmv::double as gmv from core.fct_scene "
        "where room_id = ? and strftime(business_date, '%Y-%m') = ? order by session_id, minute",
        [room, month],
    ).fetchnumpy()
    session = np.asarray(columns["session_id"], dtype=object)
    if not len(session):
        return {}
    starts = np.flatnonzero(np.append(True, session[1:] != session[:-1]))
    block = np.cumsum(np.append(True, session[1:] != session[:-1])) - 1
    # The last minute of a session may be shorter; its fall would be the clock's.
    whole = np.append(block[1:] == block[:-1], False)
    nth = np.arange(len(session)) - starts[block]
    changes = {}
    for name in (*LEADERS, *RESULTS):
        change = change_of(np.asarray(columns[name], dtype=float))
        change[(nth < TRAILING_MINUTES) | ~whole] = np.nan
        changes[name] = change
    return _all_pairs(changes, LEADERS, RESULTS, MINUTE_LAGS, block)


def session_associations(
    con: duckdb.DuckDBPyConnection, room: str
) -> dict[tuple[str, str, int], Association]:
    """(leading KPI, result KPI, lag) → association over a room's sessions in order; blocks of four sessions."""
    rows = con.execute(
        "select review.session_id, review.kpi_id, registry.level, review.value::double "
        "from insights.session_review as review "
        "inner join kpis.kpi_registry as registry on review.kpi_id = registry.kpi_id "
        "inner join core.fct_session as sessions on review.session_id = sessions.session_id "
        "where review.kind = 'figure' and review.room_id = ? "
        "order by sessions.started_at, review.session_id, review.kpi_id",
        [room],
    ).fetchall()
    sessions = {session: place for place, session in enumerate(dict.fromkeys(row[0] for row in rows))}
    levels = dict(sorted((kpi, level) for _, kpi, level, _ in rows))
    values = {kpi: np.full(len(sessions), np.nan) for kpi in levels}
    for session, kpi, _, value in rows:
        if value is not None:
            values[kpi][sessions[session]] = value
    changes = {kpi: np.diff(series) for kpi, series in values.items()}
    leaders = [kpi for kpi, level in levels.items() if level in ("P", "T")]
    results = [kpi for kpi, level in levels.items() if level == "R"]
    block = np.arange(max(len(sessions) - 1, 0)) // BLOCK_SESSIONS
    return _all_pairs(changes, leaders, results, SESSION_LAGS, block, within_blocks=False)


def change_of(values: np.ndarray) -> np.ndarray:
    """Each minute less the mean of the five before it: a step of one minute is mostly the noise of counting."""
    summed = np.concatenate([[0.0], np.cumsum(values)])
    change = np.full(len(values), np.nan)
    if len(values) > TRAILING_MINUTES:
        change[TRAILING_MINUTES:] = (
            values[TRAILING_MINUTES:] - (summed[TRAILING_MINUTES:-1] - summed[: -TRAILING_MINUTES - 1]) / TRAILING_MINUTES
        )
    return np.round(change, 9)


@dataclass(frozen=True)
class Ranked:
    """One side of a correlation: centred average ranks (Pearson on these is Spearman), and their sums by block."""

    ranks: np.ndarray
    sums: np.ndarray
    squares: np.ndarray


def rank(values: np.ndarray, block: np.ndarray, blocks: int) -> Ranked:
    """Rank a series; `block` is the block of each value, of so many blocks."""
    from scipy.stats import rankdata

    ranks = rankdata(values) - (len(values) + 1) / 2
    return Ranked(ranks, np.bincount(block, ranks, blocks), np.bincount(block, ranks * ranks, blocks))


def associate(x: Ranked, y: Ranked, block: np.ndarray, weights: np.ndarray) -> Association:
    """Spearman of two aligned series; `block` is the block of each pair, `weights` draws × blocks."""
    return associate_all([(x, y, block)], weights)[0]


def associate_all(pairs: Sequence[tuple[Ranked, Ranked, np.ndarray]], weights: np.ndarray) -> list[Association]:
    """The same for many pairs of series, resampled together."""
    from scipy.special import ndtr

    if not pairs:
        return []
    count = weights.shape[1]
    sums = np.empty((6, len(pairs), count))
    for place, (x, y, block) in enumerate(pairs):
        sums[0, place] = np.bincount(block, minlength=count)
        sums[1:5, place] = x.sums, y.sums, x.squares, y.squares
        sums[5, place] = np.bincount(block, x.ranks * y.ranks, count)
    whole = _correlations(sums.sum(axis=2))
    # Ranks are halves and draws are counts: these sums are exact, in whatever order they are added.
    drawn = _correlations(sums @ weights.T)
    enough = np.isfinite(drawn).sum(axis=1) >= RESAMPLES // 2
    # A draw without variance says nothing: it counts as the figure itself.
    drawn = np.where(np.isfinite(drawn), drawn, whole[:, None])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    error = drawn.std(axis=1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        p_value = 2 * ndtr(-np.abs(whole) / error)
    found = []
    for place, (x, y, block) in enumerate(pairs):
        points = len(block)
        if points < MIN_POINTS:
            found.append(Association(points, reason="fewer than 12 points"))
        elif not (x.ranks.any() and y.ranks.any()):
            found.append(Association(points, reason="no variance"))
        elif not enough[place] or error[place] == 0 or np.count_nonzero(sums[0, place]) < 4:
            reason = "fewer than 4 blocks to resample"
            found.append(Association(points, float(whole[place]), reason=reason))
        else:
            figures = (float(whole[place]), float(low[place]), float(high[place]), float(p_value[place]))
            found.append(Association(points, *figures))
    return found


def _all_pairs(
    changes: dict[str, np.ndarray],
    leaders: Sequence[str],
    results: Sequence[str],
    lags: range,
    block: np.ndarray,
    within_blocks: bool = True,
) -> dict[tuple[str, str, int], Association]:
    rng = np.random.default_rng(20261001)
    count = int(block.max()) + 1 if len(block) else 1
    weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)
    there = {name: np.isfinite(series) for name, series in changes.items()}
    found: dict[tuple[str, str, int], Association] = {}
    for lag in lags:
        kept = max(len(block) - lag, 0)
        before, after = slice(None, kept), slice(lag, None)
        same = block[before] == block[after] if within_blocks else np.ones(kept, bool)
        # Most series lack the same minutes, so a series is ranked once for all its partners.
        ranked: dict[tuple[str, bool, bytes], Ranked] = {}
        pairs = {}
        for leader in leaders:
            for result in results:
                if leader == result:
                    continue
                use = same & there[leader][before] & there[result][after]
                mask, blocks = use.tobytes(), block[after][use]
                sides = []
                for name, part in ((leader, before), (result, after)):
                    key = (name, part is before, mask)
                    if key not in ranked:
                        ranked[key] = rank(changes[name][part][use], blocks, count)
                    sides.append(ranked[key])
                pairs[leader, result, lag] = (sides[0], sides[1], blocks)
        found |= dict(zip(pairs, associate_all(list(pairs.values()), weights), strict=True))
    return found


def _correlations(sums: np.ndarray) -> np.ndarray:
    """Pearson from sums (n, x, y, xx, yy, xy), each of any shape."""
    n, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def labelled(
    room: str, month: str | None, scale: str, found: dict[tuple[str, str, int], Association]
) -> list[Sequence[object]]:
    """Rows of the table, in its columns' order, for all pairs of a room, month and scale: one family of tests."""
    from scipy.stats import false_discovery_control

    tested = [key for key, each in found.items() if each.p_value is not None]
    adjusted = false_discovery_control([found[key].p_value for key in tested]) if tested else []
    q_values = dict(zip(tested, map(float, adjusted), strict=True))
    strongest: dict[tuple[str, str], tuple[float, int]] = {}
    for leader, result, lag in tested:
        strength = abs(found[leader, result, lag].correlation or 0.0)
        if q_values[leader, result, lag] <= FALSE_DISCOVERIES and strength > strongest.get(
            (leader, result), (0.0, 0)
        )[0]:
            strongest[leader, result] = (strength, lag)
    rows: list[Sequence[object]] = []
    for (leader, result, lag), each in found.items():
        q_value = q_values.get((leader, result, lag))
        rows.append(
            (
                room, month, scale, leader, result, lag, each.points,
                fixed(each.correlation), fixed(each.low), fixed(each.high), fixed(each.p_value, 9),
                fixed(q_value, 9), None if q_value is None else q_value <= FALSE_DISCOVERIES,
                strongest.get((leader, result), (0.0, -1))[1] == lag, "association", each.reason,
            )
        )  # fmt: skip
    return rows
