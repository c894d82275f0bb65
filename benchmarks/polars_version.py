"""The same facts by Polars: EXPORTS FOLDER → one Parquet file per table in FOLDER, and seconds per step as JSON on stdout.

What hand_written.sql computes, row for row. Needs nothing but polars, which has an environment of its own.
"""

from __future__ import annotations

import json
import sys
import time
from glob import glob
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

VISIT = ["session_id", "viewer_id"]
PRODUCT = ["session_id", "product_id"]
PERSON_PRODUCT = [*PRODUCT, "viewer_id"]
ACTIONS = {
    "chats": "chat",
    "follows": "follow",
    "unfollows": "unfollow",
    "shares": "share",
    "gifts": "gift",
    "red_packet_claims": "red_packet_claim",
    "votes": "vote",
    "mic_joins": "mic_join",
    "exposures": "product_exposure",
    "clicks": "product_click",
    "carts": "add_to_cart",
}
IN_SCENES = ["chats", "follows", "shares", "gifts", "exposures", "clicks", "carts"]


DAY_MS = 86_400_000
MICRO, RATE_UNIT = 10**6, 10**10


def of_csv(exports: str, export: str) -> pl.DataFrame:
    """All files of an export as text."""
    files = sorted(glob(f"{exports}/{export}/**/*.csv*", recursive=True))
    return pl.concat([pl.read_csv(file, infer_schema=False) for file in files], how="diagonal")


def of_json(exports: str, export: str, columns: list[str]) -> pl.DataFrame:
    """The columns of all files of an export as text."""
    files = sorted(glob(f"{exports}/{export}/**/*.jsonl*", recursive=True))
    schema = dict.fromkeys(columns, pl.String)
    return pl.concat([pl.read_ndjson(file, schema=schema) for file in files])


def moment(name: str) -> pl.Expr:
    """An instant as text, without an offset in UTC, as ms since 1970."""
    text = pl.col(name).str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    text = pl.when(text.str.contains(r"[+-]\d\d:\d\d$")).then(text).otherwise(text + "+00:00")
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="ms").dt.epoch("ms").alias(name)


def latest(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The row of each key that was updated last."""
    return (
        rows.with_columns(moment("updated_at")).sort("updated_at", nulls_last=False).unique(key, keep="last", maintain_order=True)
    )


def local_date(ms: str, zones: list[str]) -> pl.Expr:
    """The date of an instant in the time zone of its row."""
    moments = pl.from_epoch(ms, time_unit="ms").dt.replace_time_zone("UTC")
    return pl.coalesce(pl.when(pl.col("timezone") == zone).then(moments.dt.convert_time_zone(zone).dt.date()) for zone in zones)


def micros(name: str) -> pl.Expr:
    """An amount as text in millionths."""
    return (pl.col(name).cast(pl.Float64) * MICRO).round().cast(pl.Int64).alias(name)


def cents(amount: pl.Expr) -> pl.Expr:
    """Millionths of a currency, at its rate, in hundredths; half a hundredth is rounded up."""
    unit = MICRO * RATE_UNIT // 100
    return ((amount.cast(pl.Int128) * pl.col("rate") + unit // 2) // unit).cast(pl.Int64)


def share(part: str, whole: str) -> pl.Expr:
    """part / whole, rounded half up to six decimals; null where there is no whole."""
    n, d = pl.col(part), pl.col(whole)
    return pl.when(d != 0).then((2 * n * MICRO + d) // (2 * d) / MICRO)


def rooms_of(exports: str) -> pl.DataFrame:
    """room_id and timezone of every room; its latest row counts."""
    return of_csv(exports, "rooms").sort("effective_from").unique("room_id", keep="last").select("room_id", "timezone")


def sessions_of(exports: str) -> pl.DataFrame:
    """session_id, room_id, mode, business_date, started_ms, ended_ms, timezone of every session; its latest row counts."""
    rooms = rooms_of(exports)
    zones = rooms["timezone"].unique().to_list()
    return (
        latest(of_csv(exports, "sessions"), "session_id")
        .join(rooms, on="room_id")
        .with_columns(started_ms=moment("started_at"), ended_ms=moment("ended_at"))
        .with_columns(business_date=local_date("started_ms", zones))
        .select("session_id", "room_id", "mode", "business_date", "started_ms", "ended_ms", "timezone")
    )


def lines_of(exports: str, sessions: pl.DataFrame, clicks: pl.DataFrame, products: pl.DataFrame) -> pl.DataFrame:
    """Order lines with the session they are credited to and what they are worth, in hundredths of the reporting currency."""
    rooms = rooms_of(exports)
    zones = rooms["timezone"].unique().to_list()
    lines = (
        latest(of_csv(exports, "orders"), "order_line_id")
        .select(
            "order_line_id", "order_id", "session_id", "room_id", "viewer_id", "product_id", "currency",
            pl.col("quantity").cast(pl.Int64), micros("paid_amount"), moment("created_at"), moment("paid_at"),
        )
        .join(rooms, on="room_id")
    )  # fmt: skip
    last_click = (
        lines.filter(pl.col("session_id").is_null())
        .select("order_line_id", "room_id", "viewer_id", "product_id", "created_at")
        .join(clicks, on=["room_id", "viewer_id", "product_id"])
        .filter(pl.col("event_ms").is_between(pl.col("created_at") - DAY_MS, pl.col("created_at")))
        .sort("event_ms", "event_id", "session_id")
        .group_by("order_line_id", maintain_order=True)
        .agg(pl.col("session_id").last().alias("clicked_in"))
    )
    named, clicked = pl.col("session_id").is_not_null(), pl.col("clicked_in").is_not_null()
    lines = (
        lines.join(last_click, on="order_line_id", how="left")
        .with_columns(
            attribution=pl.when(named).then(pl.lit("platform")).when(clicked).then(pl.lit("last_click")).otherwise(pl.lit("unattributed")),
            session_id=pl.coalesce("session_id", "clicked_in"),
        )
        .join(sessions.select("session_id", "business_date", "started_ms", "ended_ms"), on="session_id", how="left")
        .with_columns(
            business_date=pl.coalesce("business_date", local_date("created_at", zones)),
            is_paid=pl.col("paid_at").is_not_null() & pl.col("paid_amount").is_not_null(),
            minute=pl.when((pl.col("created_at") >= pl.col("started_ms")) & (pl.col("created_at") < pl.col("ended_ms"))).then(
                (pl.col("created_at") - pl.col("started_ms")) // 60_000
            ),
            paid_date=local_date("paid_at", zones),
        )
        .drop("started_ms", "ended_ms", "clicked_in")
    )  # fmt: skip
    rates = of_csv(exports, "fx_rates").select(
        "currency", paid_date=pl.col("rate_date").str.to_date(),
        rate=(pl.col("rate").cast(pl.Float64) * RATE_UNIT).round().cast(pl.Int64),
    )  # fmt: skip
    foreign = (
        lines.filter(pl.col("paid_date").is_not_null() & (pl.col("currency") != "CNY"))
        .select("order_line_id", "currency", "paid_date")
        .sort("paid_date")
        .join_asof(rates.sort("paid_date"), on="paid_date", by="currency", tolerance="7d", check_sortedness=False)
        .select("order_line_id", "rate")
    )
    lines = lines.join(foreign, on="order_line_id", how="left").with_columns(
        rate=pl.when(pl.col("currency") == "CNY").then(pl.lit(RATE_UNIT)).otherwise(pl.col("rate"))
    )
    paid = lines.filter("is_paid").select("order_line_id", "order_id", "timezone", "business_date")
    in_time = local_date("at", zones) <= pl.col("business_date").dt.offset_by("15d")
    returned = (
        latest(
            of_json(
                exports, "refunds",
                ["refund_id", "order_line_id", "refund_type", "quantity", "amount", "completed_at", "updated_at"],
            ), "refund_id",
        )
        .select("order_line_id", "refund_type", pl.col("quantity").cast(pl.Int64), micros("amount"), at=moment("completed_at"))
        .join(paid, on="order_line_id")
        .filter(in_time)
        .group_by("order_line_id")
        .agg(returned=pl.col("amount").sum(), units=pl.col("quantity").filter(pl.col("refund_type") == "return").sum())
    )  # fmt: skip
    reviewed = (
        of_json(exports, "reviews", ["review_id", "order_line_id", "rating", "reviewed_at"])
        .select("order_line_id", pl.col("rating").cast(pl.Int64), at=moment("reviewed_at"))
        .join(paid, on="order_line_id")
        .filter(in_time)
        .group_by("order_line_id")
        .agg(reviews_received=pl.len().cast(pl.Int64), negative_reviews=(pl.col("rating") <= 2).sum().cast(pl.Int64))
    )
    complained = (
        of_json(exports, "complaints", ["complaint_id", "order_id", "filed_at"])
        .select("order_id", at=moment("filed_at"))
        .join(paid, on="order_id")
        .filter(in_time)
        .select("order_line_id", is_complained=pl.lit(True))
        .unique()
    )
    is_paid = pl.col("is_paid")
    age = (pl.col("business_date") - pl.col("launched_on")).dt.total_days()
    return (
        lines.join(returned, on="order_line_id", how="left")
        .join(reviewed, on="order_line_id", how="left")
        .join(complained, on="order_line_id", how="left")
        .join(products, on="product_id", how="left")
        .with_columns(pl.col("returned", "units", "reviews_received", "negative_reviews").fill_null(0))
        .with_columns(
            units_sold=pl.when(is_paid).then("quantity").otherwise(0),
            gmv=pl.when(is_paid).then(cents(pl.col("paid_amount"))).otherwise(0),
            refunded=pl.when(is_paid).then(cents(pl.min_horizontal("returned", "paid_amount"))).otherwise(0),
            units_returned=pl.min_horizontal("units", "quantity"),
            is_complained=pl.col("is_complained").fill_null(False),
            is_new_product=age.is_between(0, 30).fill_null(False),
        )
    )


def explained_of(exports: str, sessions: pl.DataFrame, segments: pl.DataFrame) -> pl.DataFrame:
    """session_id, product_id, explained_ms: how long a product was explained; product_id null: any. Overlaps count once."""
    clipped = (
        segments.filter(pl.col("segment_type") == "explain")
        .join(sessions.select("session_id", session_from="started_ms", session_to="ended_ms"), on="session_id")
        .select(
            "session_id", "product_id",
            start=pl.max_horizontal("started_ms", "session_from"), end=pl.min_horizontal("ended_ms", "session_to"),
        )
        .filter(pl.col("start") < pl.col("end"))
    )  # fmt: skip
    keys = ["session_id", "is_any", "product_id"]
    scoped = pl.concat(
        [
            clipped.filter(pl.col("product_id").is_not_null()).with_columns(is_any=pl.lit(False)),
            clipped.with_columns(product_id=pl.lit("")).with_columns(is_any=pl.lit(True)),
        ]
    ).sort(*keys, "start", "end")
    return (
        scoped.with_columns(is_start=(pl.col("start") > pl.col("end").cum_max().shift(1).over(keys)).fill_null(True))
        .with_columns(stretch=pl.col("is_start").cast(pl.Int32).cum_sum().over(keys))
        .group_by(*keys, "stretch")
        .agg(ms=pl.col("end").max() - pl.col("start").min())
        .group_by(keys)
        .agg(explained_ms=pl.col("ms").sum())
        .select("session_id", "explained_ms", product_id=pl.when(~pl.col("is_any")).then("product_id"))
    )


def hosts_of(exports: str, sessions: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    """session_id, minute, host_id: who hosts; without a shift of a host, the room's hosts who are not on leave."""
    shifts = latest(of_csv(exports, "shifts"), "shift_id").filter(pl.col("role") == "host")
    day = pl.col("business_date")
    staff = of_csv(exports, "staff").filter(pl.col("role") == "host")
    leaves = of_csv(exports, "leaves").select("staff_id", pl.col("from_date", "to_date").str.to_date())
    unplanned = (
        sessions.join(shifts, on="session_id", how="anti")
        .join(staff.select("staff_id", "room_id", pl.col("hired_on", "left_on").str.to_date()), on="room_id")
        .filter((pl.col("hired_on") <= day) & (pl.col("left_on").is_null() | (pl.col("left_on") >= day)))
    )
    away = (
        unplanned.join(leaves, on="staff_id")
        .filter(day.is_between(pl.col("from_date"), pl.col("to_date")))
        .select("session_id", "staff_id")
    )
    hosting = pl.concat(
        [
            shifts.select("session_id", "staff_id", on_ms=moment("on_at"), off_ms=moment("off_at")),
            unplanned.join(away, on=["session_id", "staff_id"], how="anti").select(
                "session_id", "staff_id", on_ms="started_ms", off_ms="ended_ms"
            ),
        ]
    )
    return (
        minutes.select("session_id", "minute", "minute_ms")
        .join(hosting, on="session_id")
        .filter((pl.col("minute_ms") >= pl.col("on_ms")) & (pl.col("minute_ms") < pl.col("off_ms")))
        .group_by("session_id", "minute")
        .agg(host_id=pl.col("staff_id").min())
    )


def minute_of(moment: pl.Expr) -> pl.Expr:
    """Whole minutes since the session began, of a moment in ms."""
    return ((moment - pl.col("started_ms")) // 60_000).cast(pl.Int32)


def placed(moment: str) -> pl.Expr:
    """A moment in ms, moved to the nearest one inside the session."""
    return pl.max_horizontal("started_ms", pl.min_horizontal(moment, pl.col("ended_ms") - 1))


def main(exports: str, folder: str) -> None:
    """Compute and write every table."""
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def done(step: str) -> None:
        nonlocal began
        seconds[step] = time.perf_counter() - began
        began = time.perf_counter()

    sessions = sessions_of(exports)
    events = (
        pl.scan_parquet(f"{exports}/viewer_events/**/*.parquet")
        .with_columns(event_ms=pl.col("event_at").dt.epoch("ms"))
        .drop("text", "event_at")
        .collect()
    )
    samples = (
        pl.scan_parquet(f"{exports}/playback_qos/**/*.parquet")
        .with_columns(sampled_ms=pl.col("sampled_at").dt.epoch("ms"))
        .collect()
        .sort("sampled_ms")
        .unique(["session_id", "sample_id"], keep="first", maintain_order=True)
        .join(sessions, on="session_id")
        .with_columns(minute=minute_of(placed("sampled_ms")))
    )
    products = latest(of_json(exports, "products", ["product_id", "launched_on", "updated_at"]), "product_id")
    products = products.select("product_id", pl.col("launched_on").str.to_date())
    segments = latest(of_csv(exports, "segments"), "segment_id").select(
        "segment_id", "session_id", "segment_type", "product_id", started_ms=moment("started_at"), ended_ms=moment("ended_at")
    )
    # Landed by the others too, and not asked for here.
    for unused in ("targets", "award_nominations"):
        of_csv(exports, unused)
    for file in glob(f"{exports}/service_messages/**/*.jsonl*", recursive=True):
        pl.read_ndjson(file)
    done("read")

    is_type = {name: pl.col("event_type") == event_type for name, event_type in ACTIONS.items()}
    is_enter, is_leave = pl.col("event_type") == "enter", pl.col("event_type") == "leave"
    order = pl.when(is_leave).then(0).when(is_enter).then(1).otherwise(2)
    events = (
        events.join(sessions, on="session_id")
        .with_columns(order=order)
        .sort(*VISIT, "event_ms", "order", "event_id")
        .unique(["session_id", "event_id"], keep="first", maintain_order=True)
        .with_columns(
            placed_ms=placed("event_ms"),
            likes=pl.when(pl.col("event_type") == "like").then(pl.col("quantity").fill_null(1)).otherwise(0).cast(pl.Int64),
            enters=is_enter.cast(pl.Int32).cum_sum().over(VISIT),
            leaves_before=is_leave.cast(pl.Int32).cum_sum().over(VISIT) - is_leave.cast(pl.Int32),
            all_enters=is_enter.cast(pl.Int32).sum().over(VISIT),
            signs=(~is_leave).cast(pl.Int32).cum_sum().over(VISIT),
        )
        .with_columns(
            minute=minute_of(pl.col("placed_ms")),
            is_view=is_enter | ((pl.col("all_enters") == 0) & ~is_leave & (pl.col("signs") == 1)),
        )
    )
    done("sequence")

    visits = (
        events.group_by(*VISIT, "enters", "leaves_before")
        .agg(
            pl.col("event_ms").min().alias("first"),
            pl.col("event_ms").max().alias("last"),
            pl.col("started_ms").first(),
            pl.col("ended_ms").first(),
            is_leave.all().alias("left_only"),
        )
        .filter(~pl.col("left_only"))
        .with_columns(start=pl.max_horizontal("first", "started_ms"))
        .with_columns(end=pl.max_horizontal(pl.min_horizontal("last", "ended_ms"), "start"))
    )
    minutes = (
        sessions.with_columns(minute=pl.int_ranges(0, (pl.col("ended_ms") - pl.col("started_ms") + 59_999) // 60_000))
        .explode("minute")
        .with_columns(pl.col("minute").cast(pl.Int32), minute_ms=pl.col("started_ms") + pl.col("minute") * 60_000)
    )
    marks = minutes.select("session_id", at="minute_ms", change=pl.lit(0))
    stays = visits.filter(pl.col("start") < pl.col("end"))
    levels = (
        pl.concat(
            [
                stays.select("session_id", at="start", change=pl.lit(1)),
                stays.select("session_id", at="end", change=pl.lit(-1)),
                marks,
            ]
        )
        .group_by("session_id", "at")
        .agg(pl.col("change").sum())
        .sort("session_id", "at")
        .with_columns(level=pl.col("change").cum_sum().over("session_id"), until=pl.col("at").shift(-1).over("session_id"))
        .join(sessions, on="session_id")
        .filter(pl.col("at") < pl.col("ended_ms"))
        .with_columns(
            minute=minute_of(pl.col("at")),
            watch_ms=pl.col("level") * (pl.col("until").fill_null(pl.col("ended_ms")) - pl.col("at")),
        )
    )
    online = levels.group_by("session_id", "minute").agg(pl.col("level").max().alias("peak_online"), pl.col("watch_ms").sum())
    done("online")

    clicks = events.filter(is_type["clicks"]).select("session_id", "room_id", "viewer_id", "product_id", "event_ms", "event_id")
    lines = lines_of(exports, sessions, clicks, products)
    credited = lines.filter(pl.col("session_id").is_not_null())
    paid_orders = pl.col("order_id").filter("is_paid").n_unique().cast(pl.Int64).alias("orders_paid")
    sold = [pl.col("units_sold").sum(), pl.col("gmv").sum()]
    ordered_by = [
        pl.col("viewer_id").n_unique().alias("order_viewers"),
        pl.col("viewer_id").filter("is_paid").n_unique().alias("buyers"),
        pl.col("order_id").n_unique().alias("orders_created"),
        pl.col("units_returned").sum(),
    ]
    done("orders")

    acted = (
        events.join(products, on="product_id", how="left")
        .with_columns(age=(pl.col("business_date") - pl.col("launched_on")).dt.total_days())
        .group_by(VISIT)
        .agg(
            (~is_leave).sum().alias("signs_of_life"),
            pl.col("is_view").sum().alias("views"),
            pl.col("event_ms").filter(~is_leave).min().alias("first_ms"),
            *[pl.col(name).filter(~is_leave).drop_nulls().first() for name in ("region", "device", "traffic_source")],
            pl.col("likes").sum(),
            (pl.col("event_type") == "like").sum().alias("like_events"),
            *[condition.sum().alias(name) for name, condition in is_type.items()],
            pl.col("amount").filter(pl.col("event_type") == "gift").sum().alias("gift_amount"),
            (is_type["clicks"] & pl.col("age").is_between(0, 30)).sum().alias("new_product_clicks"),
        )
        .join(sessions, on="session_id")
    )
    present = acted.filter(pl.col("signs_of_life") > 0)
    first = (
        present.sort("started_ms", "session_id")
        .group_by("room_id", "viewer_id", maintain_order=True)
        .agg(pl.col("session_id").first().alias("first_session_id"))
    )
    watched = visits.group_by(VISIT).agg((pl.col("end") - pl.col("start")).sum().alias("watch_ms"))
    played = samples.group_by(VISIT).agg(pl.col("stall_ms").sum(), pl.col("play_ms").sum())
    ordered = credited.group_by(VISIT).agg(paid_orders, *sold)
    month = pl.col("business_date").dt.truncate("1mo")
    spent = lines.group_by("viewer_id", spent_in=month).agg(pl.col("gmv").sum())
    spent = (
        spent.join(sessions.select(month=month).unique(), how="cross")
        .filter(pl.col("spent_in") < pl.col("month"))
        .group_by("viewer_id", "month")
        .agg(spent=pl.col("gmv").sum())
    )
    before = pl.col("spent").fill_null(0)
    people = (
        pl.concat([frame.select(VISIT) for frame in (present, ordered, played)])
        .unique()
        .join(sessions, on="session_id")
        .with_columns(month=month)
        .join(present.drop(*set(sessions.columns) - {"session_id"}), on=VISIT, how="left")
        .join(first, on=["room_id", "viewer_id"], how="left")
        .join(watched, on=VISIT, how="left")
        .join(ordered, on=VISIT, how="left")
        .join(played, on=VISIT, how="left")
        .join(spent, on=["viewer_id", "month"], how="left")
        .with_columns(
            is_new=pl.when(pl.col("signs_of_life").is_not_null()).then(pl.col("session_id") == pl.col("first_session_id")),
            spend_tier_before=pl.when(before <= 0)
            .then(pl.lit("none"))
            .when(before < 200_00)
            .then(pl.lit("low"))
            .when(before < 1000_00)
            .then(pl.lit("mid"))
            .otherwise(pl.lit("high")),
        )
    )
    counts = ["views", "chats", "likes", "follows", "unfollows", "shares", "gifts", "exposures", "clicks", "carts"]
    person = people.select(
        *VISIT,
        "room_id",
        "business_date",
        "region",
        "device",
        "traffic_source",
        "is_new",
        *[pl.col(name).fill_null(0) for name in (*counts, "orders_paid", "units_sold", "stall_ms", "play_ms")],
        "spend_tier_before",
        watch_seconds=pl.col("watch_ms").fill_null(0) / 1000,
        first_event_at=pl.from_epoch("first_ms", time_unit="ms"),
        gmv=pl.col("gmv").fill_null(0) / 100,
    )
    done("people")

    on_products = events.filter(is_type["exposures"] | is_type["clicks"] | is_type["carts"])
    counted = on_products.group_by(PRODUCT).agg(
        *[is_type[name].sum().alias(name) for name in ("exposures", "clicks", "carts")],
        *[
            pl.col("viewer_id").filter(is_type[name]).n_unique().alias(viewers)
            for name, viewers in (("exposures", "exposed_viewers"), ("clicks", "click_viewers"), ("carts", "cart_viewers"))
        ],
    )
    exposed = on_products.filter(is_type["exposures"]).group_by(PERSON_PRODUCT).agg(pl.col("event_ms").min().alias("exposed"))
    clicked = (
        on_products.filter(is_type["clicks"])
        .join(exposed, on=PERSON_PRODUCT)
        .filter(pl.col("event_ms") >= pl.col("exposed"))
        .group_by(PERSON_PRODUCT)
        .agg(pl.col("event_ms").min().alias("clicked"))
    )
    carted = (
        on_products.filter(is_type["carts"])
        .join(clicked, on=PERSON_PRODUCT)
        .filter(pl.col("event_ms") >= pl.col("clicked"))
        .select(PERSON_PRODUCT)
        .unique()
    )
    bought = credited.select(*PERSON_PRODUCT, "created_at", "paid_at", "is_paid")
    ordering = (
        bought.join(clicked, on=PERSON_PRODUCT)
        .filter(pl.col("created_at") >= pl.col("clicked"))
        .group_by(PERSON_PRODUCT)
        .agg(pl.col("created_at").min().alias("ordered"))
    )
    paying = (
        bought.join(ordering, on=PERSON_PRODUCT)
        .filter(pl.col("is_paid") & (pl.col("paid_at") >= pl.col("ordered")))
        .select(PERSON_PRODUCT)
        .unique()
    )
    explained = explained_of(exports, sessions, segments)
    by_product = credited.group_by(PRODUCT).agg(
        *ordered_by,
        paid_orders,
        *sold,
    )
    shown = explained.filter(pl.col("product_id").is_not_null())
    product = (
        pl.concat([frame.select(PRODUCT) for frame in (counted, by_product, shown)])
        .unique()
        .join(counted, on=PRODUCT, how="left")
        .join(by_product, on=PRODUCT, how="left")
        .join(shown, on=PRODUCT, how="left")
        .with_columns(cs.numeric().fill_null(0))
        .join(sessions.select("session_id", "room_id", "business_date"), on="session_id")
        .with_columns(gmv=pl.col("gmv") / 100, explained_seconds=pl.col("explained_ms") / 1000)
        .drop("explained_ms")
    )
    funnel = product
    steps: dict[str, Any] = {"exposure": exposed, "click": clicked, "cart": carted, "order": ordering, "paid": paying}
    for step, who in steps.items():
        funnel = funnel.join(who.group_by(PRODUCT).agg(pl.len().cast(pl.Int64).alias(f"reached_{step}")), on=PRODUCT, how="left")
    funnel = funnel.with_columns(cs.starts_with("reached_").fill_null(0)).with_columns(
        click_rate=share("clicks", "exposures"),
        cart_rate=share("cart_viewers", "click_viewers"),
        order_rate=share("order_viewers", "click_viewers"),
        payment_rate=share("orders_paid", "orders_created"),
        units_per_click=share("units_sold", "clicks"),
    )
    done("products")

    seen = events.group_by("session_id", "minute").agg(
        pl.col("is_view").sum().alias("views"), pl.col("likes").sum(), *[is_type[name].sum().alias(name) for name in IN_SCENES]
    )
    played = samples.group_by("session_id", "minute").agg(pl.col("play_ms").sum(), pl.col("stall_ms").sum())
    minute = ["session_id", "minute"]
    orders = (
        credited.filter(pl.col("minute").is_not_null())
        .with_columns(pl.col("minute").cast(pl.Int32))
        .group_by(minute)
        .agg(paid_orders, *sold)
    )
    active = (
        minutes.select(*minute, "minute_ms")
        .join(segments, on="session_id")
        .filter((pl.col("minute_ms") >= pl.col("started_ms")) & (pl.col("minute_ms") < pl.col("ended_ms")))
        .sort("started_ms", "segment_id", descending=[True, False])
        .unique(minute, keep="first", maintain_order=True)
        .select(*minute, "segment_id", "segment_type", "product_id")
    )
    is_long = pl.col("ended_ms") - pl.col("started_ms") > 3_600_000
    scene = (
        minutes.join(seen, on=minute, how="left")
        .join(online, on=minute, how="left")
        .join(played, on=minute, how="left")
        .join(orders, on=minute, how="left")
        .join(active, on=minute, how="left")
        .join(hosts_of(exports, sessions, minutes), on=minute, how="left")
        .select(
            *minute,
            "room_id",
            "business_date",
            "segment_type",
            "segment_id",
            "product_id",
            "host_id",
            *[
                pl.col(name).fill_null(0)
                for name in ("views", "likes", *IN_SCENES, "peak_online", "play_ms", "stall_ms", "orders_paid", "units_sold")
            ],
            minute_at=pl.from_epoch("minute_ms", time_unit="ms"),
            phase=pl.when(pl.col("minute") < 30)
            .then(pl.lit("opening"))
            .when(is_long & (pl.col("minute_ms") >= pl.col("ended_ms") - 1_800_000))
            .then(pl.lit("closing"))
            .otherwise(pl.lit("middle")),
            watch_seconds=pl.col("watch_ms").fill_null(0) / 1000,
            gmv=pl.col("gmv").fill_null(0) / 100,
        )
    )
    done("scenes")

    interacts = pl.col("chats") + pl.col("like_events") + pl.col("follows") + pl.col("shares") + pl.col("gifts")
    features = pl.col("red_packet_claims") + pl.col("votes") + pl.col("mic_joins")
    does = {
        "commenters": pl.col("chats"),
        "engaged_viewers": interacts,
        "feature_viewers": features,
        "exposed_viewers": pl.col("exposures"),
        "click_viewers": pl.col("clicks"),
        "cart_viewers": pl.col("carts"),
    }
    sums = ["likes", *ACTIONS, "gift_amount", "new_product_clicks"]
    is_fluent = (pl.col("stall_ms") * 50 <= pl.col("play_ms") + pl.col("stall_ms")) & (
        pl.col("fps").is_null() | (pl.col("fps") >= 24)
    )
    session = (
        sessions.join(
            acted.group_by("session_id").agg(
                *[pl.col(name).sum() for name in sums],
                *[(count > 0).sum().alias(name) for name, count in does.items()],
            ),
            on="session_id",
            how="left",
        )
        .join(
            people.filter(pl.col("signs_of_life").is_not_null())
            .group_by("session_id")
            .agg(pl.len().alias("viewers"), pl.col("views").sum(), pl.col("is_new").sum().alias("new_viewers")),
            on="session_id",
            how="left",
        )
        .join(
            credited.group_by("session_id").agg(
                *ordered_by,
                paid_orders,
                *sold,
                pl.col("refunded").sum(),
                pl.col("units_sold").filter("is_new_product").sum().alias("new_product_units"),
                pl.col("reviews_received", "negative_reviews").sum(),
                pl.col("order_id").filter("is_complained").n_unique().alias("complained_orders"),
            ),
            on="session_id",
            how="left",
        )
        .join(explained.filter(pl.col("product_id").is_null()).drop("product_id"), on="session_id", how="left")
        .join(
            online.group_by("session_id").agg(pl.col("peak_online").max(), pl.col("watch_ms").sum()), on="session_id", how="left"
        )
        .join(
            samples.group_by("session_id").agg(
                (pl.col("play_ms") + pl.col("stall_ms")).sum().alias("playback_ms"),
                pl.col("stall_ms").sum(),
                pl.col("play_ms").sum(),
                pl.col("play_ms").filter(pl.col("height").is_not_null()).sum().alias("rated_play_ms"),
                pl.col("play_ms").filter((pl.col("height") >= 720) & is_fluent).sum().alias("qualified_play_ms"),
                pl.col("first_frame_ms").count().alias("first_frames"),
                pl.col("first_frame_ms").cast(pl.Int64).sum(),
                (pl.col("first_frame_ms") <= 1000).sum().alias("instant_starts"),
                (pl.col("latency_ms").cast(pl.Int64) * pl.col("play_ms")).sum().alias("latency_weighted_ms"),
                pl.col("play_ms").filter(pl.col("latency_ms").is_not_null()).sum().alias("latency_play_ms"),
            ),
            on="session_id",
            how="left",
        )
        .with_columns(cs.numeric().fill_null(0))
        .with_columns(
            month=pl.col("business_date").dt.strftime("%Y-%m"),
            started_at=pl.from_epoch("started_ms", time_unit="ms"),
            ended_at=pl.from_epoch("ended_ms", time_unit="ms"),
            live_seconds=(pl.col("ended_ms") - pl.col("started_ms")) / 1000,
            watch_seconds=pl.col("watch_ms") / 1000,
            explained_seconds=pl.col("explained_ms") / 1000,
            net_followers=pl.col("follows").cast(pl.Int64) - pl.col("unfollows"),
            net_gmv=(pl.col("gmv") - pl.col("refunded")) / 100,
            refunded_amount=pl.col("refunded") / 100,
            gmv=pl.col("gmv") / 100,
        )
        .drop("started_ms", "ended_ms", "watch_ms", "explained_ms", "refunded", "timezone")
    )
    done("sessions")

    order_line = lines.select(
        "order_line_id", "order_id", "viewer_id", "room_id", "session_id", "attribution", "product_id", "business_date",
        "quantity", "currency", "units_returned",
        paid_amount=pl.col("paid_amount") / MICRO, gmv=pl.col("gmv") / 100, refunded_amount=pl.col("refunded") / 100,
        created_at=pl.from_epoch("created_at", time_unit="ms"), paid_at=pl.from_epoch("paid_at", time_unit="ms"),
    )  # fmt: skip

    for name, table in (
        ("fct_order_line", order_line),
        ("fct_person", person),
        ("fct_product", product),
        ("product_funnel", funnel),
        ("fct_scene", scene),
        ("fct_session", session),
    ):
        table.write_parquet(Path(folder) / f"{name}.parquet")
    done("write")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:3])
