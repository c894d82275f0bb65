"""The same facts by pandas: EXPORTS FOLDER → one Parquet file per table in FOLDER, and seconds per step as JSON on stdout.

What polars_version.py computes, and as little more: orders, duty and run sheets are left out.
"""

from __future__ import annotations

import json
import sys
import time
from glob import glob
from pathlib import Path

import numpy as np
import pandas as pd

VISIT = ["session_id", "viewer_id"]
PRODUCT = ["session_id", "product_id"]
PERSON_PRODUCT = [*PRODUCT, "viewer_id"]
MINUTE = ["session_id", "minute"]
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


def epoch_ms(moments: pd.Series) -> pd.Series:
    """Instants as whole milliseconds."""
    return moments.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ms]").astype("int64")


def of_csv(exports: str, export: str) -> pd.DataFrame:
    """All files of an export as text."""
    return pd.concat([pd.read_csv(file, dtype=str) for file in sorted(glob(f"{exports}/{export}/**/*.csv*", recursive=True))])


def of_parquet(exports: str, export: str, columns: list[str]) -> pd.DataFrame:
    """Columns of all files of an export; ids as categories, since pandas would else hold each text as an object."""
    files = sorted(glob(f"{exports}/{export}/**/*.parquet", recursive=True))
    frame = pd.concat([pd.read_parquet(file, columns=columns) for file in files], ignore_index=True)
    for name in frame.columns.intersection(
        ["session_id", "viewer_id", "event_type", "product_id", "region", "device", "traffic_source"]
    ):
        frame[name] = frame[name].astype("category")
    return frame


def sessions_of(exports: str) -> pd.DataFrame:
    """session_id, room_id, mode, business_date, started_ms, ended_ms of every session; its latest row counts."""
    zones = of_csv(exports, "rooms").drop_duplicates("room_id").set_index("room_id")["timezone"]
    sessions = (
        of_csv(exports, "sessions").sort_values("updated_at", na_position="first").drop_duplicates("session_id", keep="last")
    )
    started, ended = (pd.to_datetime(sessions[name], format="ISO8601", utc=True) for name in ("started_at", "ended_at"))
    sessions["business_date"] = [
        instant.tz_convert(zones[room]).date() for instant, room in zip(started, sessions["room_id"], strict=True)
    ]
    sessions["started_ms"], sessions["ended_ms"] = epoch_ms(started), epoch_ms(ended)
    return sessions[["session_id", "room_id", "mode", "business_date", "started_ms", "ended_ms"]].reset_index(drop=True)


def main(exports: str, folder: str) -> None:
    """Compute and write every table."""
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def done(step: str) -> None:
        nonlocal began
        seconds[step] = time.perf_counter() - began
        began = time.perf_counter()

    sessions = sessions_of(exports)
    events = of_parquet(
        exports,
        "viewer_events",
        [*VISIT, "event_id", "event_type", "event_at", "product_id", "quantity", "amount", "region", "device", "traffic_source"],
    )
    samples = of_parquet(
        exports,
        "playback_qos",
        [*VISIT, "sample_id", "sampled_at", "play_ms", "stall_ms", "first_frame_ms", "height", "fps", "latency_ms"],
    )
    products = pd.concat(
        [pd.read_json(file, lines=True, dtype=False) for file in sorted(glob(f"{exports}/products/**/*.jsonl*", recursive=True))]
    )
    launched = pd.to_datetime(
        products.drop_duplicates("product_id").set_index("product_id")["launched_on"].astype(str), errors="coerce"
    )
    done("read")

    for frame, instant in ((events, "event_at"), (samples, "sampled_at")):
        frame["at_ms"] = epoch_ms(frame.pop(instant))
        for name in ("started_ms", "ended_ms"):
            frame[name] = frame["session_id"].map(sessions.set_index("session_id")[name]).astype("int64")
        frame["minute"] = (np.clip(frame["at_ms"], frame["started_ms"], frame["ended_ms"] - 1) - frame["started_ms"]) // 60_000
    samples = samples.sort_values("at_ms", kind="stable").drop_duplicates(["session_id", "sample_id"])
    events["order"] = np.select([events["event_type"] == "leave", events["event_type"] == "enter"], [0, 1], 2).astype("int8")
    events = events.sort_values([*VISIT, "at_ms", "order", "event_id"]).drop_duplicates(["session_id", "event_id"])
    events["is_leave"] = events["event_type"] == "leave"
    events["is_enter"] = events["event_type"] == "enter"
    visit = events.groupby(VISIT, observed=True, sort=False)
    events["enters"] = visit["is_enter"].cumsum()
    events["leaves_before"] = visit["is_leave"].cumsum() - events["is_leave"]
    signs = (~events["is_leave"]).groupby([events[name] for name in VISIT], observed=True, sort=False).cumsum()
    never_entered = visit["is_enter"].transform("sum") == 0
    events["is_view"] = events["is_enter"] | (never_entered & ~events["is_leave"] & (signs == 1))
    events["likes"] = events["quantity"].fillna(1).where(events["event_type"] == "like", 0).astype("int64")
    for name, event_type in ACTIONS.items():
        events[name] = events["event_type"] == event_type
    done("sequence")

    visits = (
        events.groupby([*VISIT, "enters", "leaves_before"], observed=True, sort=False)
        .agg(
            first=("at_ms", "min"),
            last=("at_ms", "max"),
            started_ms=("started_ms", "first"),
            ended_ms=("ended_ms", "first"),
            left_only=("is_leave", "all"),
        )
        .reset_index()
    )
    visits = visits[~visits["left_only"]]
    visits["start"] = visits[["first", "started_ms"]].max(axis=1)
    visits["end"] = np.maximum(np.minimum(visits["last"], visits["ended_ms"]), visits["start"])
    visits["watch_ms"] = visits["end"] - visits["start"]
    length = (sessions["ended_ms"] - sessions["started_ms"] + 59_999) // 60_000
    minutes = sessions.loc[sessions.index.repeat(length)].reset_index(drop=True)
    minutes["minute"] = minutes.groupby("session_id").cumcount()
    stays = visits[visits["start"] < visits["end"]].astype({"session_id": str})
    levels = pd.concat(
        [
            stays[["session_id", "start"]].set_axis(["session_id", "at"], axis=1).assign(change=1),
            stays[["session_id", "end"]].set_axis(["session_id", "at"], axis=1).assign(change=-1),
            pd.DataFrame(
                {"session_id": minutes["session_id"], "at": minutes["started_ms"] + minutes["minute"] * 60_000, "change": 0}
            ),
        ]
    )
    levels = levels.groupby(["session_id", "at"])["change"].sum().reset_index()
    levels["level"] = levels.groupby("session_id")["change"].cumsum()
    levels = levels.merge(sessions[["session_id", "started_ms", "ended_ms"]], on="session_id")
    levels["until"] = levels.groupby("session_id")["at"].shift(-1).fillna(levels["ended_ms"]).astype("int64")
    levels = levels[levels["at"] < levels["ended_ms"]]
    levels["watch_ms"] = levels["level"] * (levels["until"] - levels["at"])
    levels["minute"] = (levels["at"] - levels["started_ms"]) // 60_000
    online = levels.groupby(MINUTE).agg(peak_online=("level", "max"), watch_ms=("watch_ms", "sum")).reset_index()
    done("online")

    events["business_date"] = events["session_id"].map(pd.to_datetime(sessions.set_index("session_id")["business_date"]))
    age = (pd.to_datetime(events["business_date"]) - pd.to_datetime(events["product_id"].astype(object).map(launched))).dt.days
    events["new_product_clicks"] = events["clicks"] & age.between(0, 30)
    events["like_events"] = events["event_type"] == "like"
    events["gift_cents"] = (events["amount"].where(events["gifts"]).fillna(0).astype("float64") * 100).round().astype("int64")
    counts = ["is_view", "likes", "like_events", *ACTIONS, "gift_cents", "new_product_clicks"]
    acted = events.groupby(VISIT, observed=True, sort=False)[counts].sum()
    alive = events[~events["is_leave"]].groupby(VISIT, observed=True, sort=False)
    firsts = alive.agg(
        first_ms=("at_ms", "min"),
        region=("region", "first"),
        device=("device", "first"),
        traffic_source=("traffic_source", "first"),
    )
    acted = acted.join(firsts, how="left").reset_index().rename(columns={"is_view": "views"})
    acted["session_id"], acted["viewer_id"] = acted["session_id"].astype(str), acted["viewer_id"].astype(str)
    acted = acted.merge(sessions, on="session_id")
    people = acted[acted["first_ms"].notna()]
    first = people.sort_values(["started_ms", "session_id"]).drop_duplicates(["room_id", "viewer_id"])
    people = people.merge(
        first[["room_id", "viewer_id", "session_id"]].rename(columns={"session_id": "first_session_id"}),
        on=["room_id", "viewer_id"],
    )
    people["is_new"] = people["session_id"] == people["first_session_id"]
    watched = (
        visits.groupby(VISIT, observed=True, sort=False)["watch_ms"]
        .sum()
        .reset_index()
        .astype({"session_id": str, "viewer_id": str})
    )
    played = (
        samples.groupby(VISIT, observed=True)[["play_ms", "stall_ms"]]
        .sum()
        .reset_index()
        .astype({"session_id": str, "viewer_id": str})
    )
    people = people.merge(watched, on=VISIT, how="left").merge(played, on=VISIT, how="left")
    person = people[
        [
            *VISIT,
            "room_id",
            "business_date",
            "region",
            "device",
            "traffic_source",
            "is_new",
            "views",
            "chats",
            "likes",
            "follows",
            "unfollows",
            "shares",
            "gifts",
            "exposures",
            "clicks",
            "carts",
        ]
    ].assign(
        watch_seconds=people["watch_ms"].fillna(0) / 1000,
        first_event_at=pd.to_datetime(people["first_ms"], unit="ms"),
        play_ms=people["play_ms"].fillna(0),
        stall_ms=people["stall_ms"].fillna(0),
    )
    done("people")

    on_products = events[events["exposures"] | events["clicks"] | events["carts"]]
    counted = on_products.groupby(PRODUCT, observed=True)[["exposures", "clicks", "carts"]].sum()
    for name, viewers in (("exposures", "exposed_viewers"), ("clicks", "click_viewers"), ("carts", "cart_viewers")):
        counted[viewers] = on_products[on_products[name]].groupby(PRODUCT, observed=True)["viewer_id"].nunique()

    def earliest(action: str) -> pd.DataFrame:
        return on_products.loc[on_products[action], [*PERSON_PRODUCT, "at_ms"]]

    exposed = earliest("exposures").groupby(PERSON_PRODUCT, observed=True)["at_ms"].min().rename("exposed").reset_index()
    clicks = earliest("clicks").merge(exposed, on=PERSON_PRODUCT)
    clicked = (
        clicks[clicks["at_ms"] >= clicks["exposed"]]
        .groupby(PERSON_PRODUCT, observed=True)["at_ms"]
        .min()
        .rename("clicked")
        .reset_index()
    )
    carts = earliest("carts").merge(clicked, on=PERSON_PRODUCT)
    carted = carts[carts["at_ms"] >= carts["clicked"]].drop_duplicates(PERSON_PRODUCT)
    funnel = counted.copy()
    for reached, who in (("reached_exposure", exposed), ("reached_click", clicked), ("reached_cart", carted)):
        funnel[reached] = who.groupby(PRODUCT, observed=True).size()
    counted, funnel = counted.fillna(0).reset_index(), funnel.fillna(0).reset_index()
    done("products")

    seen = (
        events.groupby(MINUTE, observed=True)[["is_view", "likes", *IN_SCENES]]
        .sum()
        .reset_index()
        .rename(columns={"is_view": "views"})
    )
    played = samples.groupby(MINUTE, observed=True)[["play_ms", "stall_ms"]].sum().reset_index()
    scene = minutes[[*MINUTE, "room_id", "business_date"]]
    for part in (seen, online, played):
        scene = scene.merge(part.astype({"session_id": str}), on=MINUTE, how="left")
    scene["watch_seconds"] = scene.pop("watch_ms") / 1000
    numbers = scene.columns.difference([*MINUTE, "room_id", "business_date"])
    scene[numbers] = scene[numbers].fillna(0)
    done("scenes")

    does = {
        "commenters": acted["chats"],
        "feature_viewers": acted["red_packet_claims"] + acted["votes"] + acted["mic_joins"],
        "engaged_viewers": acted["chats"] + acted["like_events"] + acted["follows"] + acted["shares"] + acted["gifts"],
        "exposed_viewers": acted["exposures"],
        "click_viewers": acted["clicks"],
        "cart_viewers": acted["carts"],
    }
    acted = acted.assign(**{name: count > 0 for name, count in does.items()})
    fluent = (samples["stall_ms"] * 50 <= samples["play_ms"] + samples["stall_ms"]) & ~(samples["fps"] < 24)
    samples = samples.astype({"session_id": str}).assign(
        playback_ms=samples["play_ms"] + samples["stall_ms"],
        rated_play_ms=samples["play_ms"].where(samples["height"].notna(), 0),
        qualified_play_ms=samples["play_ms"].where((samples["height"] >= 720) & fluent, 0),
        first_frames=samples["first_frame_ms"].notna(),
        instant_starts=samples["first_frame_ms"] <= 1000,
        latency_weighted_ms=(samples["latency_ms"].fillna(0) * samples["play_ms"]).astype("int64"),
        latency_play_ms=samples["play_ms"].where(samples["latency_ms"].notna(), 0),
    )
    session = (
        sessions.drop(columns=["started_ms", "ended_ms"])
        .merge(
            acted.groupby("session_id")[["likes", *ACTIONS, "gift_cents", "new_product_clicks", *does]].sum().reset_index(),
            how="left",
        )
        .merge(
            people.groupby("session_id")
            .agg(viewers=("is_new", "size"), views=("views", "sum"), new_viewers=("is_new", "sum"))
            .reset_index(),
            how="left",
        )
        .merge(
            online.groupby("session_id").agg(peak_online=("peak_online", "max"), watch_ms=("watch_ms", "sum")).reset_index(),
            how="left",
        )
        .merge(
            samples.groupby("session_id")[
                [
                    "playback_ms",
                    "stall_ms",
                    "play_ms",
                    "rated_play_ms",
                    "qualified_play_ms",
                    "first_frames",
                    "first_frame_ms",
                    "instant_starts",
                    "latency_weighted_ms",
                    "latency_play_ms",
                ]
            ]
            .sum()
            .reset_index(),
            how="left",
        )
    )
    numbers = session.columns.difference(["session_id", "room_id", "mode", "business_date"])
    session[numbers] = session[numbers].fillna(0)
    session["watch_seconds"], session["gift_amount"] = session.pop("watch_ms") / 1000, session.pop("gift_cents") / 100
    done("sessions")

    for name, table in (
        ("fct_person", person),
        ("fct_product", counted),
        ("product_funnel", funnel),
        ("fct_scene", scene),
        ("fct_session", session),
    ):
        table.to_parquet(Path(folder) / f"{name}.parquet", index=False)
    done("write")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:3])
