"""The same facts by Polars: EXPORTS FOLDER → one Parquet file per table in FOLDER, and seconds per step as JSON on stdout.

Watching, actions, products, the funnel up to the cart, minutes and playback, from events and samples. Orders, duty and run
sheets are left out, so it does less than the others. Needs nothing but polars, which has an environment of its own.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from glob import glob
from pathlib import Path
from zoneinfo import ZoneInfo

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


def sessions_of(exports: str) -> pl.DataFrame:
    """session_id, room_id, mode, business_date, started_ms, ended_ms of every session; its latest row counts."""

    def csv(export: str) -> pl.DataFrame:
        return pl.concat(
            [pl.read_csv(file, infer_schema=False) for file in sorted(glob(f"{exports}/{export}/**/*.csv*", recursive=True))]
        )

    zones = dict(csv("rooms").select("room_id", "timezone").iter_rows())
    rows = []
    for row in csv("sessions").sort("updated_at", nulls_last=False).unique("session_id", keep="last").iter_rows(named=True):
        started, ended = (datetime.fromisoformat(row[name]).astimezone(UTC) for name in ("started_at", "ended_at"))
        rows.append(
            {
                "session_id": row["session_id"],
                "room_id": row["room_id"],
                "mode": row["mode"],
                "business_date": started.astimezone(ZoneInfo(zones[row["room_id"]])).date(),
                "started_ms": round(started.timestamp() * 1000),
                "ended_ms": round(ended.timestamp() * 1000),
            }
        )
    return pl.DataFrame(rows)


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
    products = pl.concat([pl.read_ndjson(file) for file in sorted(glob(f"{exports}/products/**/*.jsonl*", recursive=True))])
    products = products.select("product_id", pl.col("launched_on").str.to_date()).unique("product_id")
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
        .with_columns(pl.col("minute").cast(pl.Int32))
    )
    marks = minutes.select("session_id", at=pl.col("started_ms") + pl.col("minute").cast(pl.Int64) * 60_000, change=pl.lit(0))
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
    people = (
        present.join(first, on=["room_id", "viewer_id"])
        .join(watched, on=VISIT, how="left")
        .join(played, on=VISIT, how="left")
        .with_columns(is_new=pl.col("session_id") == pl.col("first_session_id"))
    )
    person = people.select(
        *VISIT,
        "room_id",
        "business_date",
        "region",
        "device",
        "traffic_source",
        "is_new",
        "views",
        watch_seconds=pl.col("watch_ms").fill_null(0) / 1000,
        first_event_at=pl.from_epoch("first_ms", time_unit="ms"),
        chats="chats",
        likes="likes",
        follows="follows",
        unfollows="unfollows",
        shares="shares",
        gifts="gifts",
        exposures="exposures",
        clicks="clicks",
        carts="carts",
        stall_ms=pl.col("stall_ms").fill_null(0),
        play_ms=pl.col("play_ms").fill_null(0),
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
    funnel = counted
    for reached, who in (("reached_exposure", exposed), ("reached_click", clicked), ("reached_cart", carted)):
        funnel = funnel.join(who.group_by(PRODUCT).agg(pl.len().cast(pl.Int64).alias(reached)), on=PRODUCT, how="left")
    funnel = funnel.with_columns(pl.col("reached_exposure", "reached_click", "reached_cart").fill_null(0))
    done("products")

    seen = events.group_by("session_id", "minute").agg(
        pl.col("is_view").sum().alias("views"), pl.col("likes").sum(), *[is_type[name].sum().alias(name) for name in IN_SCENES]
    )
    played = samples.group_by("session_id", "minute").agg(pl.col("play_ms").sum(), pl.col("stall_ms").sum())
    minute = ["session_id", "minute"]
    scene = (
        minutes.join(seen, on=minute, how="left")
        .join(online, on=minute, how="left")
        .join(played, on=minute, how="left")
        .with_columns(watch_seconds=pl.col("watch_ms").fill_null(0) / 1000)
        .select(
            *minute,
            "room_id",
            "business_date",
            "watch_seconds",
            *[pl.col(name).fill_null(0) for name in ("views", "likes", *IN_SCENES, "peak_online", "play_ms", "stall_ms")],
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
            people.group_by("session_id").agg(
                pl.len().alias("viewers"), pl.col("views").sum(), pl.col("is_new").sum().alias("new_viewers")
            ),
            on="session_id",
            how="left",
        )
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
        .with_columns(watch_seconds=pl.col("watch_ms").fill_null(0) / 1000)
        .drop("started_ms", "ended_ms", "watch_ms")
        .with_columns(cs.numeric().fill_null(0))
    )
    done("sessions")

    for name, table in (
        ("fct_person", person),
        ("fct_product", counted),
        ("product_funnel", funnel),
        ("fct_scene", scene),
        ("fct_session", session),
    ):
        table.write_parquet(Path(folder) / f"{name}.parquet")
    done("write")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:3])
