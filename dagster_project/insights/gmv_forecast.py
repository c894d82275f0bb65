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
MOST_TRAINING = 200  # the latest; older evenings say less
RIDGE = 1.0
NAIVE = ("last_similar", "share_curve")
MODELS = ("ridge",)

TABLE = Table(
    "gmv_forecast",
    "One row per session × horizon it lasted beyond: its final GMV as forecast then, beside what came. Chosen by rolling-origin "
    "back-test on earlier sessions; where no model beats both naive forecasts, the better naive one is used.",
    [
        ("session_id", "varchar", "Live session (场次)."),
        ("room_id", "varchar", "Live room (直播间)."),
        ("business_date", "date", "Local date of the session's start."),
        ("horizon_minutes", "bigint", "Minutes after the start at which the forecast is made."),
        ("gmv_so_far", "decimal(38,2)", "GMV of lines created in these minutes and paid."),
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
    at: dict[int, np.ndarray] = field(default_factory=dict)  # horizon → (gmv, clicks, views, orders) so far


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
        for session, *figures in con.execute(
            "select session_id, sum(gmv)::double, sum(clicks)::double, sum(views)::double, sum(orders_paid)::double "
            "from core.fct_scene where minute < ? group by session_id having count(*) = ?",
            [horizon, horizon],
        ).fetchall():
            evening = evenings.get(session)
            if evening and (evening.ended_at - evening.started_at).total_seconds() > horizon * 60:
                evening.at[horizon] = np.array(figures)
    return list(evenings.values())


def backtest(evenings: Sequence[Evening], horizon: int) -> list[Forecast]:
    """A forecast of every session that lasted beyond the horizon, from those that were over before it began."""
    seen = [each for each in evenings if horizon in each.at]
    said: list[tuple[Evening, dict[str, float]]] = []  # earlier sessions that all methods forecast
    made: list[Forecast] = []
    forecasts = []
    for evening in seen:
        earlier = [each for each in seen if each.ended_at <= evening.started_at]
        forecast = Forecast(evening, horizon)
        forecasts.append(forecast)
        methods = forecast_all(earlier, evening, horizon)
        if methods is None:
            forecast.reason = "fewer than 20 earlier sessions that lasted this long, or none of this room"
            continue
        past = [(each, values) for each, values in said if each.ended_at <= evening.started_at and each.final > 0]
        forecast.backtests = len(past)
        said.append((evening, methods))
        if len(past) < MIN_BACKTEST:
            forecast.reason = "fewer than 10 earlier forecasts to judge the methods by"
            continue
        forecast.mapes = {
            name: float(np.mean([abs(values[name] - each.final) / each.final for each, values in past]))
            for name in (*NAIVE, *MODELS)
        }
        naive = min(NAIVE, key=lambda name: forecast.mapes[name])
        model = min(MODELS, key=lambda name: forecast.mapes[name])
        chosen = model if forecast.mapes[model] < forecast.mapes[naive] else naive
        if chosen == naive:
            forecast.reason = "no model beats the naive forecast on earlier sessions: the naive one is used"
        forecast.method, forecast.value = chosen, methods[chosen]
        forecast.low, forecast.high = interval(
            methods[chosen], [(values[chosen], each.final) for each, values in past]
        )
        held = [
            each.low <= each.evening.final <= each.high
            for each in made
            if each.evening.ended_at <= evening.started_at and each.low is not None and each.high is not None
        ]
        forecast.coverage = float(np.mean(held)) if len(held) >= MIN_BACKTEST else None
        made.append(forecast)
    return forecasts


def forecast_all(earlier: Sequence[Evening], evening: Evening, horizon: int) -> dict[str, float] | None:
    """The forecast of every method, or None where one of them has too little to go by."""
    room = [each for each in earlier if each.room_id == evening.room_id]
    if len(earlier) < MIN_TRAINING or not room:
        return None
    similar = [each for each in room if each.mode == evening.mode] or room
    shares = [each.at[horizon][0] / each.final for each in room if each.final > 0]
    share = float(np.median(shares)) if shares else 0.0
    so_far = float(evening.at[horizon][0])
    training = list(earlier[-MOST_TRAINING:])
    rooms = sorted({each.room_id for each in training})
    design = np.array([_features(each, horizon, rooms) for each in training])
    target = np.log1p([each.final for each in training])
    # In plain sums rather than BLAS, whose last digit hangs on the number of threads.
    centre = design.mean(axis=0)
    centred = design - centre
    gram = np.einsum("ni,nj->ij", centred, centred) + RIDGE * np.eye(design.shape[1])
    slopes = np.linalg.solve(gram, np.einsum("ni,n->i", centred, target - target.mean()))
    predicted = target.mean() + float(
        np.einsum("i,i->", np.array(_features(evening, horizon, rooms)) - centre, slopes)
    )
    return {
        "last_similar": max(similar[-1].final, so_far),
        "share_curve": so_far / share if share > 0 else max(similar[-1].final, so_far),
        "ridge": max(float(np.expm1(min(predicted, target.max() + 2))), so_far),
    }


def interval(value: float, past: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """80 % interval of what comes, from the ratios actual / forecast of earlier forecasts (split-conformal ranks)."""
    ratios = np.sort([(actual + 1) / (forecast + 1) for forecast, actual in past])
    count = len(ratios)
    low = max(int(np.floor(0.1 * (count + 1))) - 1, 0)
    high = min(int(np.ceil(0.9 * (count + 1))) - 1, count - 1)
    return float((value + 1) * ratios[low] - 1), float((value + 1) * ratios[high] - 1)


def _features(evening: Evening, horizon: int, rooms: Sequence[str]) -> list[float]:
    hours = (evening.ended_at - evening.started_at).total_seconds() / 3600
    return [
        *np.log1p(evening.at[horizon]),
        float(np.log(hours)),
        *(3.0 * (evening.room_id == room) for room in rooms),
    ]


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
