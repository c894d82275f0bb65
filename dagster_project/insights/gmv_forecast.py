"""Final GMV of a session from its first 30, 60, 120 minutes, with nothing but earlier sessions to learn from.

Every forecast is made as of its session: models are fitted and chosen on sessions that were over before it began, so
the table is its own rolling-origin back-test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import numpy as np

from dagster_project.insights.tables import Table, append, create, fixed

HORIZONS = (30, 60, 120)
MIN_TRAINING = 20
MIN_BACKTEST = 10
MOST_TRAINING = 200  # of the sessions before; older evenings say less
RIDGE = 1.0
NAIVE = ("last_similar", "share_curve")
MODELS = ("ridge",)
METHODS = (*NAIVE, *MODELS)

TABLE = Table(
    "gmv_forecast",
    "One row per session × horizon it lasted beyond: its final GMV as forecast then, beside what came. Chosen by rolling-origin "
    "back-test on earlier sessions; where no model beats both naive forecasts, the better naive one is used.",
    [
        ("session_id", "varchar", "Live session (场次)."),
        ("room_id", "varchar", "Live room (直播间)."),
        ("business_date", "date", "Local date of the session's start."),
        ("horizon_minutes", "bigint", "Minutes after the start at which the forecast is made."),
        ("gmv_so_far", "decimal(38,2)", "GMV of lines created and paid in these minutes."),
        ("forecast", "decimal(38,0)", "Final GMV as forecast, whole units of the reporting currency."),
        ("forecast_low", "decimal(38,0)", "Lower end of the 80 % interval, from the errors of earlier forecasts."),
        ("forecast_high", "decimal(38,0)", "Upper end of the 80 % interval."),
        ("method", "varchar", "ridge, or the naive last_similar or share_curve; null below the minimum."),
        ("is_naive", "boolean", "No model beat both naive forecasts so far."),
        ("backtests", "bigint", "Earlier sessions on which all methods were tested (n)."),
        ("mape", "decimal(24,6)", "Mean absolute percentage error of the method on them (1 = 100 %)."),
        ("mape_last_similar", "decimal(24,6)", "The same of: GMV of the last session of the room and mode."),
        ("mape_share_curve", "decimal(24,6)", "The same of: GMV so far over the usual share of it by then."),
        ("mape_ridge", "decimal(24,6)", "The same of the ridge regression on the logarithms."),
        ("coverage", "decimal(24,6)", "Share of earlier intervals that held what came; should be near 0.8."),
        ("actual_gmv", "decimal(38,2)", "GMV of the whole session as known today."),
        ("reason", "varchar", "Why there is no forecast, or that the naive one is used."),
    ],
)


@dataclass
class Evening:
    """One session as the forecast sees it: what is known at each horizon, and how it ended."""

    session_id: str
    room_id: str
    business_date: object
    mode: str
    started_at: datetime
    ended_at: datetime
    final: float
    at: dict[int, np.ndarray] = field(default_factory=dict)  # horizon → (gmv, orders, lines, clicks, views) so far


@dataclass
class Forecast:
    """What was said of one session at one horizon."""

    evening: Evening
    horizon: int
    method: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    backtests: int = 0
    said: dict[str, float] = field(default_factory=dict)  # by every method
    mapes: dict[str, float] = field(default_factory=dict)
    coverage: float | None = None
    reason: str | None = None


def write(con: duckdb.DuckDBPyConnection) -> None:
    """Forecast every session as of its time into insights.gmv_forecast."""
    create(con, TABLE)
    con.execute(f"delete from {TABLE.path}")
    evenings = read_evenings(con)
    append(con, TABLE, [_row(each) for horizon in HORIZONS for each in backtest(evenings, horizon)])


def read_evenings(con: duckdb.DuckDBPyConnection) -> list[Evening]:
    """All sessions in order of time, with what each horizon knew."""
    evenings = {
        row[0]: Evening(row[0], row[1], row[2], row[3], row[4], row[5], final=float(row[6]))
        for row in con.execute(
            "select session_id, room_id, business_date, mode, started_at, ended_at, gmv from core.fct_session "
            "order by started_at, session_id"
        ).fetchall()
    }
    for horizon in HORIZONS:
        # Only what was known at that minute: a line created by then and paid later is a line, and no money yet.
        for session, *figures in con.execute(
            "with sessions as (select session_id, started_at, started_at + to_minutes(?) as cut_at from core.fct_session "
            "where ended_at > started_at + to_minutes(?)), "
            "sold as (select sessions.session_id, sum(gmv) filter (where paid_at <= cut_at) as gmv, "
            "count(distinct order_id) filter (where paid_at <= cut_at) as orders, count(*) as lines "
            "from sessions inner join core.fct_order_line as lines on sessions.session_id = lines.session_id "
            "and lines.created_at >= sessions.started_at and lines.created_at < sessions.cut_at group by 1), "
            "seen as (select session_id, sum(clicks) as clicks, sum(views) as views from core.fct_scene "
            "where minute < ? group by 1) "
            "select session_id, coalesce(gmv, 0)::double, coalesce(orders, 0)::double, coalesce(lines, 0)::double, "
            "coalesce(clicks, 0)::double, coalesce(views, 0)::double "
            "from sessions left join sold using (session_id) left join seen using (session_id)",
            [horizon, horizon, horizon],
        ).fetchall():
            evenings[session].at[horizon] = np.array(figures)
    return list(evenings.values())


def backtest(evenings: Sequence[Evening], horizon: int) -> list[Forecast]:
    """A forecast of every session that lasted beyond the horizon, from those that were over before it began."""
    seen = [each for each in evenings if horizon in each.at]
    if not seen:
        return []
    known = _Known(seen, horizon)
    count = len(seen)
    said = np.full((count, len(METHODS)), np.nan)  # by every method
    bounds = np.full((count, 2), np.nan)
    forecasts = []
    for place, evening in enumerate(seen):
        forecast = Forecast(evening, horizon)
        forecasts.append(forecast)
        over = known.over_before(place)
        methods = known.forecast_all(place, over)
        if methods is None:
            forecast.reason = "fewer than 20 earlier sessions that lasted this long, or none of this room"
            continue
        said[place] = methods
        forecast.said = dict(zip(METHODS, methods, strict=True))
        past = over[np.isfinite(said[over, 0]) & (known.final[over] > 0)]
        forecast.backtests = len(past)
        if len(past) < MIN_BACKTEST:
            forecast.reason = "fewer than 10 earlier forecasts to judge the methods by"
            continue
        errors = np.abs(said[past] - known.final[past, None]) / known.final[past, None]
        forecast.mapes = dict(zip(METHODS, errors.mean(axis=0).tolist(), strict=True))
        naive = min(NAIVE, key=lambda name: forecast.mapes[name])
        model = min(MODELS, key=lambda name: forecast.mapes[name])
        chosen = model if forecast.mapes[model] < forecast.mapes[naive] else naive
        if chosen == naive:
            forecast.reason = "no model beats the naive forecast on earlier sessions: the naive one is used"
        column = METHODS.index(chosen)
        forecast.method, forecast.value = chosen, float(said[place, column])
        forecast.low, forecast.high = interval(forecast.value, said[past, column], known.final[past])
        told = over[np.isfinite(bounds[over, 0])]
        if len(told) >= MIN_BACKTEST:
            held = (bounds[told, 0] <= known.final[told]) & (known.final[told] <= bounds[told, 1])
            forecast.coverage = float(held.mean())
        bounds[place] = forecast.low, forecast.high
    return forecasts


class _Known:
    """Sessions in order of their start as arrays, and what each may learn from those before it."""

    def __init__(self, seen: Sequence[Evening], horizon: int) -> None:
        self.started = np.array([each.started_at for each in seen], dtype="datetime64[us]")
        self.ended = np.array([each.ended_at for each in seen], dtype="datetime64[us]")
        self.final = np.array([each.final for each in seen])
        self.rooms = np.array([each.room_id for each in seen], dtype=object)
        self.modes = np.array([each.mode for each in seen], dtype=object)
        self.so_far = np.array([each.at[horizon][0] for each in seen])
        hours = (self.ended - self.started) / np.timedelta64(1, "h")
        figures = np.array([each.at[horizon] for each in seen])
        self.features = np.column_stack([np.log1p(figures), np.log(hours)])

    def over_before(self, place: int) -> np.ndarray:
        """Places of the sessions before this one that were over when it began; the latest only."""
        before = np.arange(max(0, place - MOST_TRAINING), place)
        return before[self.ended[before] <= self.started[place]]

    def forecast_all(self, place: int, over: np.ndarray) -> list[float] | None:
        """The forecast of every method, or None where one of them has too little to go by."""
        room = over[self.rooms[over] == self.rooms[place]]
        if len(over) < MIN_TRAINING or not len(room):
            return None
        so_far = float(self.so_far[place])
        similar = room[self.modes[room] == self.modes[place]]
        last = max(float(self.final[similar[-1] if len(similar) else room[-1]]), so_far)
        sold = room[self.final[room] > 0]
        share = float(np.median(self.so_far[sold] / self.final[sold])) if len(sold) else 0.0
        return [last, so_far / share if share > 0 else last, max(self._ridge(place, over), so_far)]

    def _ridge(self, place: int, over: np.ndarray) -> float:
        """Ridge regression of the logarithm of the final GMV."""
        # In plain sums rather than BLAS, whose last digit hangs on the number of threads.
        places = np.append(over, place)
        rooms = np.array(sorted(set(self.rooms[over])), dtype=object)
        design = np.column_stack([self.features[places], 3.0 * (self.rooms[places][:, None] == rooms)])
        target = np.log1p(self.final[over])
        centre = design[:-1].mean(axis=0)
        centred = design - centre
        gram = np.einsum("ni,nj->ij", centred[:-1], centred[:-1]) + RIDGE * np.eye(design.shape[1])
        slopes = np.linalg.solve(gram, np.einsum("ni,n->i", centred[:-1], target - target.mean()))
        predicted = float(target.mean() + np.einsum("i,i->", centred[-1], slopes))
        return float(np.expm1(min(predicted, target.max() + 2)))


def interval(value: float, forecasts: np.ndarray, actuals: np.ndarray) -> tuple[float, float]:
    """80 % interval of what comes, from the ratios actual / forecast of earlier forecasts (split-conformal ranks)."""
    ratios = np.sort((actuals + 1) / (forecasts + 1))
    count = len(ratios)
    low = max(int(np.floor(0.1 * (count + 1))) - 1, 0)
    high = min(int(np.ceil(0.9 * (count + 1))) - 1, count - 1)
    return float((value + 1) * ratios[low] - 1), float((value + 1) * ratios[high] - 1)


def _row(each: Forecast) -> tuple[object, ...]:
    evening = each.evening
    return (
        evening.session_id, evening.room_id, evening.business_date, each.horizon,
        fixed(float(evening.at[each.horizon][0]), 2), fixed(each.value, 0),
        fixed(None if each.low is None else max(each.low, 0.0), 0), fixed(each.high, 0), each.method,
        None if each.method is None else each.method in NAIVE, each.backtests,
        fixed(each.mapes.get(each.method or "")), fixed(each.mapes.get("last_similar")),
        fixed(each.mapes.get("share_curve")), fixed(each.mapes.get("ridge")), fixed(each.coverage),
        fixed(evening.final, 2), each.reason,
    )  # fmt: skip
