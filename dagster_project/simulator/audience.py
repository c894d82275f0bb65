"""What viewers do in a session: who comes, how long they stay, what they send, how playback was for them.

All arithmetic is on arrays, a block of viewers at a time, so memory does not grow with the audience.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_project.simulator import phrases
from dagster_project.simulator.cast import Product, Room, Session

EVENT_TYPES = [
    "enter",
    "leave",
    "heartbeat",
    "chat",
    "like",
    "follow",
    "unfollow",
    "share",
    "gift",
    "product_exposure",
    "product_click",
    "add_to_cart",
    "red_packet_claim",
    "vote",
    "mic_join",
]
CODE = {name: code for code, name in enumerate(EVENT_TYPES)}
SOURCES = ["recommend_feed", "follow_feed", "paid_ads", "search", "share_link", "short_video"]
NEW_MIX = np.array([0.45, 0.0, 0.25, 0.12, 0.08, 0.10])
KNOWN_MIX = np.array([0.30, 0.35, 0.10, 0.10, 0.05, 0.10])
SOURCE_SECONDS = np.array([250.0, 560.0, 170.0, 330.0, 380.0, 240.0])  # median watch time
DEVICES = ["android", "ios", "tablet", "web"]
NETWORKS = ["wifi", "5g", "4g", "3g", "wired"]
NETWORK_MIX = np.array([0.42, 0.27, 0.23, 0.03, 0.05])
NETWORK_TROUBLE = np.array([0.7, 0.9, 1.5, 4.0, 0.4])  # multiplies the share of stalled viewers
HEIGHTS = np.array([1080, 720, 540, 480])
PICTURE_PULL = np.array([1.1, 1.0, 0.85, 0.7])  # on watch time
QOS_WINDOW_MS = 300_000
BLOCK_VIEWERS = 60_000

EVENT_SCHEMA = pa.schema(
    [
        ("session_id", pa.string()),
        ("event_id", pa.string()),
        ("viewer_id", pa.string()),
        ("event_type", pa.string()),
        ("event_at", pa.timestamp("ms", tz="UTC")),
        ("product_id", pa.string()),
        ("quantity", pa.int32()),
        ("amount", pa.decimal128(10, 2)),
        ("text", pa.string()),
        ("region", pa.string()),
        ("device", pa.string()),
        ("traffic_source", pa.string()),
    ]
)
QOS_SCHEMA = pa.schema(
    [
        ("session_id", pa.string()),
        ("sample_id", pa.string()),
        ("viewer_id", pa.string()),
        ("region", pa.string()),
        ("network", pa.string()),
        ("sampled_at", pa.timestamp("ms", tz="UTC")),
        ("play_ms", pa.int64()),
        ("stall_ms", pa.int64()),
        ("stall_count", pa.int32()),
        ("first_frame_ms", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.int32()),
        ("bitrate_kbps", pa.int32()),
        ("latency_ms", pa.int32()),
        ("packet_loss", pa.decimal128(8, 4)),
    ]
)
# Times ascend within a session's block and ids are consecutive: differences pack to almost nothing.
EVENT_PACKING = {"event_id": "DELTA_BYTE_ARRAY", "event_at": "DELTA_BINARY_PACKED"}
QOS_PACKING = {
    "sample_id": "DELTA_BYTE_ARRAY",
    "play_ms": "DELTA_BINARY_PACKED",
    "sampled_at": "DELTA_BINARY_PACKED",
}


def viewer_text(number: int) -> str:
    """The id of a viewer: text, some of 20 digits, some with leading zeros."""
    if number % 10 == 0:
        return str(68_000_000_000_000_000_000 + number * 104_729)
    if number % 10 == 1:
        return f"{number * 37:012d}"
    return f"u{number * 2_654_435_761 % 2**32:08x}"


@dataclass
class Pool:
    """The people a room has met: parallel arrays, one element per viewer."""

    number: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    region: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    device: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    network: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    keen: np.ndarray = field(default_factory=lambda: np.zeros(0))  # inclination to come, act and buy
    follows: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    last_day: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    bought: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))  # orders so far

    def add(self, rng: np.random.Generator, numbers: np.ndarray, room: Room) -> None:
        """Meet new people."""
        count = len(numbers)
        share = 1 / np.arange(1.5, 1.5 + len(room.regions))
        self.number = np.concatenate([self.number, numbers])
        self.region = np.concatenate(
            [self.region, rng.choice(len(room.regions), count, p=share / share.sum()).astype(np.int16)]
        )
        self.device = np.concatenate(
            [self.device, rng.choice(4, count, p=[0.52, 0.34, 0.06, 0.08]).astype(np.int8)]
        )
        self.network = np.concatenate([self.network, rng.choice(5, count, p=NETWORK_MIX).astype(np.int8)])
        self.keen = np.concatenate([self.keen, rng.gamma(1.6, 1 / 1.6, count) + 0.1])
        self.follows = np.concatenate([self.follows, np.zeros(count, bool)])
        self.last_day = np.concatenate([self.last_day, np.full(count, -(10**6), np.int32)])
        self.bought = np.concatenate([self.bought, np.zeros(count, np.int32)])


@dataclass
class Causes:
    """What is planted in one session (all times in seconds from its start)."""

    packet_lift: float = 1.0  # chat during a red packet, against none
    lead_seconds: float | None = None  # engagement moves this long before clicks do
    dull_product: int | None = None
    outage: tuple[float, float, int] | None = None  # from, to, region
    ads_factor: float = 1.0  # paid traffic against its usual share
    known_share: float = 0.55
    click_factor: float = 1.0
    cart_factor: float = 1.0
    is_steady: bool = False  # nothing but the planted causes and chance moves how long people stay


@dataclass
class Clicks:
    """Product clicks of a block, the raw material of orders."""

    member: np.ndarray  # position in the pool
    product: np.ndarray
    at_ms: np.ndarray  # from the session's start
    carted: np.ndarray


@dataclass
class Tally:
    """Totals of a session that the month's plan is drawn from."""

    viewers: int = 0
    peak: int = 0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(EVENT_TYPES), np.int64))
    likes: int = 0
    watch_seconds: float = 0.0


def choose_viewers(
    rng: np.random.Generator, pool: Pool, session: Session, count: int, next_number: int, causes: Causes
) -> tuple[np.ndarray, int]:
    """Positions in the pool of this session's viewers, and the next unused viewer number.

    Known people come more often when keen, following, or there the day before.
    """
    known = min(int(count * causes.known_share), len(pool.number))
    today = session.day.toordinal()
    since = today - pool.last_day
    weight = (
        pool.keen
        * np.where(pool.follows, 2.0, 1.0)
        * np.select([since <= 1, since <= 7, since <= 21], [5.0, 2.0, 0.7], 0.12)
        * np.where(pool.bought > 0, 2.0, 1.0)
    )
    # Weighted draw without replacement: the largest of log(u) / w
    keys = np.log(rng.random(len(weight))) / weight
    back = np.argpartition(-keys, known - 1)[:known] if known else np.zeros(0, np.int64)
    fresh = np.arange(next_number, next_number + count - known)
    first = len(pool.number)
    pool.add(rng, fresh, session.room)
    chosen = np.concatenate([np.sort(back), np.arange(first, first + len(fresh))])
    return chosen, next_number + len(fresh)


@dataclass
class Stage:
    """A session's moments on a five-second grid: what is on, who presents, how warm the room is."""

    grid: np.ndarray
    talk: np.ndarray
    sell: np.ndarray
    hold: np.ndarray
    kind: np.ndarray  # position in KINDS, -1 for nothing
    product: np.ndarray  # explained product, -1 for none
    chat_lift: np.ndarray
    arrivals: np.ndarray

    def cell(self, seconds: np.ndarray) -> np.ndarray:
        """Position in the grid of instants, in seconds from the session's start."""
        return np.clip((seconds / 5.0).astype(np.int64), 0, len(self.grid) - 1)


KINDS = ["explain", "lottery", "red_packet", "vote", "co_host", "pk", "handoff", "talk"]
CHAT_LIFT = np.array([1.0, 1.5, 1.0, 1.4, 1.3, 1.6, 1.0, 0.9])


def set_stage(rng: np.random.Generator, session: Session, causes: Causes) -> Stage:
    """Lay a session's causes over its run sheet."""
    grid = np.arange(0.0, session.seconds, 5.0)
    size = len(grid)
    talk, sell, hold, present = (np.zeros(size) for _ in range(4))
    for on, off, person in session.hosts:
        there = (grid >= on) & (grid < off)
        talk += there * person.talk
        sell += there * person.sell
        hold += there * person.hold
        present += there
    shared = np.maximum(present, 1)
    talk = np.where(present > 0, talk / shared * (1 + 0.12 * (present - 1)), 0.5)
    sell = np.where(present > 0, sell / shared, 0.6)
    hold = np.ones(size) if causes.is_steady else np.where(present > 0, hold / shared, 0.6)
    kind, product = np.full(size, -1), np.full(size, -1)
    packet = np.zeros(size, bool)
    for segment in session.segments:
        inside = (grid >= segment.start) & (grid < segment.end)
        kind[inside] = KINDS.index(segment.kind)
        product[inside] = -1 if segment.product is None else segment.product
        if segment.kind == "red_packet":
            packet |= inside
    lift = np.where(kind >= 0, CHAT_LIFT[kind], 0.8) * np.where(packet, causes.packet_lift, 1.0)
    if causes.dull_product is not None:
        lift = np.where(product == causes.dull_product, lift * 0.35, lift)
        sell = np.where(product == causes.dull_product, sell * 0.5, sell)
    # The room's warmth: a slow random walk by minute that chat follows at once, clicks a little later
    minutes = int(session.seconds // 60) + 2
    warmth = np.zeros(minutes)
    shocks = rng.normal(0, 0.4, minutes)
    for minute in range(1, minutes):
        warmth[minute] = 0.6 * warmth[minute - 1] + shocks[minute]
    by_minute = np.arange(minutes) * 60.0
    talk = talk * np.exp(np.interp(grid, by_minute, warmth) * 0.6)
    if causes.lead_seconds is not None:
        sell = sell * np.exp(np.interp(grid - causes.lead_seconds, by_minute, warmth) * 0.8)
    share = grid / session.seconds
    arrivals = np.where(share < 0.9, 0.5 + np.sin(np.pi * np.minimum(share / 0.9, 1.0)), 0.25) * np.where(
        packet, 1.8, 1.0
    )
    arrivals[share > 0.985] = 0.0
    arrivals[:12] *= 3
    return Stage(grid, talk, sell, hold, kind, product, lift, arrivals)


def _cumulative(grid: np.ndarray, per_minute: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected events since the start, at every edge of the grid."""
    edges = np.append(grid, grid[-1] + 5.0)
    return edges, np.concatenate([[0.0], np.cumsum(per_minute * (5.0 / 60.0))])


def _draw(
    rng: np.random.Generator,
    grid: np.ndarray,
    per_minute: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    factor: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Random instants of an inhomogeneous Poisson process inside intervals: (interval of each, seconds)."""
    edges, total = _cumulative(grid, per_minute)
    low, high = np.interp(begin, edges, total), np.interp(end, edges, total)
    counts = rng.poisson((high - low) * factor)
    owner = np.repeat(np.arange(len(begin)), counts)
    aim = low[owner] + rng.random(len(owner)) * (high - low)[owner]
    return owner, np.clip(np.interp(aim, total, edges), begin[owner], end[owner])


def talk_table(room: Room) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Every chat line a room may see, and the range of each kind in it (praise and grumbling per product)."""
    lines: list[str] = []
    ranges: dict[str, tuple[int, int]] = {}

    def put(key: str, texts: list[str]) -> None:
        ranges[key] = (len(lines), len(lines) + len(texts))
        lines.extend(texts)

    put("small", phrases.SMALL_TALK)
    put("stall", phrases.STALL_CRIES)
    put("packet", phrases.PACKET_CRIES)
    for position, product in enumerate(room.products):
        for key, templates in (
            ("praise", phrases.PRAISE),
            ("grumble", phrases.GRUMBLE),
            ("ask", phrases.QUESTIONS),
        ):
            put(
                f"{key}{position}",
                [opener + text.format(p=product.name) for text in templates for opener in phrases.OPENERS],
            )
    return lines, ranges


def _chat_lines(
    rng: np.random.Generator,
    stage: Stage,
    cells: np.ndarray,
    stalled: np.ndarray,
    products: list[Product],
    ranges: dict[str, tuple[int, int]],
) -> np.ndarray:
    """The line of talk_table for each chat: stalled viewers complain, explained products are talked about."""
    dice, pick = rng.random(len(cells)), rng.random(len(cells))
    low, high = (np.full(len(cells), bound) for bound in ranges["small"])

    def use(where: np.ndarray, key: str) -> None:
        low[where], high[where] = ranges[key]

    shown = stage.product[cells]
    topical = (shown >= 0) & (dice < 0.75)
    for position in np.unique(shown[topical]):
        mine = topical & (shown == position)
        mood = rng.random(len(cells))
        use(mine & (mood < 0.3), f"ask{position}")
        pleased = 0.3 + 0.7 * products[position].quality
        use(mine & (mood >= 0.3) & (mood < pleased), f"praise{position}")
        use(mine & (mood >= pleased), f"grumble{position}")
    use((stage.kind[cells] == KINDS.index("red_packet")) & (dice < 0.8), "packet")
    use(stalled & (dice < 0.4), "stall")
    # favourites are said more often than the rest of the list
    return (low + np.floor((high - low) * pick**1.6)).astype(np.int32)


@dataclass
class Visits:
    """A block's viewers and their stays: arrays per viewer, then per stay (first stays come first)."""

    members: np.ndarray  # position in the pool
    known: np.ndarray  # has been in the room before
    source: np.ndarray
    stalled: np.ndarray  # playback stalls throughout
    hit: np.ndarray  # by the regional outage
    first_frame: np.ndarray  # ms
    picture: np.ndarray  # position in HEIGHTS
    who: np.ndarray  # viewer of each stay
    begin: np.ndarray  # seconds from the session's start
    end: np.ndarray


@dataclass
class Block:
    """One block of a session's viewers: events, playback samples, clicks, when each stay began and ended."""

    events: pa.Table
    samples: pa.Table
    clicks: Clicks
    online_from: np.ndarray
    online_to: np.ndarray


def play_block(
    rng: np.random.Generator,
    session: Session,
    stage: Stage,
    causes: Causes,
    pool: Pool,
    members: np.ndarray,
    known: np.ndarray,
    talk: tuple[list[str], dict[str, tuple[int, int]]],
    first_event: int,
    first_sample: int,
    tally: Tally,
) -> Block:
    """Let these members of the pool watch the session. `known`: has been in the room before."""
    visits = _visit(rng, session, stage, causes, pool, members, known)
    ids = [viewer_text(int(number)) for number in pool.number[members]]
    events, clicks = _act(rng, session, stage, causes, pool, visits, talk, ids, first_event, tally)
    samples = _sample_playback(rng, session, causes, pool, visits, ids, first_sample)
    return Block(events, samples, clicks, visits.begin, visits.end)


def _visit(
    rng: np.random.Generator,
    session: Session,
    stage: Stage,
    causes: Causes,
    pool: Pool,
    members: np.ndarray,
    known: np.ndarray,
) -> Visits:
    """Who comes from where and when, how playback is for them, and how long that lets them stay."""
    room, length, count = session.room, session.seconds, len(members)

    # Where from, and when
    mixes = []
    for mix in (NEW_MIX, KNOWN_MIX):
        changed = mix.copy()
        changed[2] *= causes.ads_factor
        mixes.append(np.cumsum(changed / changed.sum()))
    dice = rng.random(count)
    source = np.minimum(np.where(known, np.searchsorted(mixes[1], dice), np.searchsorted(mixes[0], dice)), 5)
    edges, flow = _cumulative(stage.grid, stage.arrivals)
    begin = np.interp(rng.random(count) * flow[-1], flow, edges)
    keen = pool.keen[members]

    # How playback is, before they decide to stay
    trouble = room.stall_share * NETWORK_TROUBLE[pool.network[members]]
    if room.market != "CN":
        trouble = trouble * np.where(pool.region[members] == len(room.regions) - 1, 2.5, 1.0)
    stalled = rng.random(count) < np.minimum(trouble, 0.8)
    hit = np.zeros(count, bool)
    if causes.outage is not None:
        hit = (
            (pool.region[members] == causes.outage[2])
            & (begin < causes.outage[1])
            & (begin > causes.outage[0] - 600)
        )
        hit &= rng.random(count) < 0.85
    first_frame = room.first_frame * np.exp(rng.normal(0, 0.42, count)) * np.where(stalled | hit, 1.5, 1.0)
    slow = first_frame > 1000
    weak = np.isin(pool.network[members], [NETWORKS.index("4g"), NETWORKS.index("3g")])
    picture = np.where(
        stalled | weak,
        rng.choice(4, count, p=[0.1, 0.5, 0.28, 0.12]),
        rng.choice(4, count, p=[0.55, 0.38, 0.05, 0.02]),
    )

    # How long they stay
    median = SOURCE_SECONDS[source] * stage.hold[stage.cell(begin)] * np.where(known, 1.35, 0.9)
    if not causes.is_steady:
        median *= keen**0.3
    median *= {"single": 0.95, "co_host": 1.08, "pk": 1.05, "handoff": 0.98, "multi": 1.12}[session.mode]
    median *= np.where(stalled, 0.45, 1.0) * np.where(slow, 0.75, 1.0) * PICTURE_PULL[picture]
    end = begin + np.maximum(median * np.exp(rng.normal(0, 0.95, count)), 3.0)
    if causes.outage is not None:
        dropped = hit & (end > causes.outage[0])
        end = np.where(
            dropped,
            np.minimum(end, np.maximum(begin, causes.outage[0]) + rng.exponential(120, count) + 5),
            end,
        )
    for segment in session.segments:
        if causes.dull_product is not None and segment.product == causes.dull_product:
            bored = (begin < segment.start) & (end > segment.start + 30) & (rng.random(count) < 0.6)
            end = np.where(bored, np.minimum(end, segment.start + 20 + rng.exponential(70, count)), end)
    end = np.minimum(end, length)
    begin = np.minimum(begin, end - 0.5)

    # Some come back after leaving
    again = np.flatnonzero((rng.random(count) < 0.16) & (end < length - 300))
    begin2 = end[again] + 20 + rng.exponential(400, len(again))
    end2 = np.minimum(begin2 + median[again] * 0.6 * np.exp(rng.normal(0, 0.8, len(again))) + 5, length)
    stays = begin2 < length - 60
    who = np.concatenate([np.arange(count), again[stays]])
    begin, end = np.concatenate([begin, begin2[stays]]), np.concatenate([end, end2[stays]])
    return Visits(members, known, source, stalled, hit, first_frame, picture, who, begin, end)


def _act(
    rng: np.random.Generator,
    session: Session,
    stage: Stage,
    causes: Causes,
    pool: Pool,
    visits: Visits,
    talk: tuple[list[str], dict[str, tuple[int, int]]],
    ids: list[str],
    first_event: int,
    tally: Tally,
) -> tuple[pa.Table, Clicks]:
    """Everything the viewers send, as events; and their clicks, of which orders come."""
    room, grid, members, known = session.room, stage.grid, visits.members, visits.known
    who, begin, end, count = visits.who, visits.begin, visits.end, len(visits.members)
    troubled, keen = visits.stalled | visits.hit, pool.keen[members]

    # What they do: (type, stay, seconds, product)
    parts: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []

    def put(kind: str, owner: np.ndarray, at: np.ndarray, product: np.ndarray | None = None) -> None:
        parts.append((CODE[kind], owner, at, np.full(len(owner), -1) if product is None else product))

    stays_index = np.arange(len(who))
    logged = rng.random(len(who)) > 0.015  # an enter that never reached the platform's log
    put("enter", stays_index[logged], begin[logged])
    left = rng.random(len(who)) > 0.06
    lag = np.where(rng.random(int(left.sum())) < 0.02, rng.exponential(4, int(left.sum())), 0.0)
    put("leave", stays_index[left], end[left] + lag)
    beats = np.floor((end - begin) / 180).astype(np.int64)
    owner = np.repeat(stays_index, beats)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(beats) - beats, beats) + 1
    put("heartbeat", owner, begin[owner] + nth * 180.0)

    mood = (0.4 + 0.6 * keen[who]) * np.where(troubled, 0.7, 1.0)[who]
    put("chat", *_draw(rng, grid, 0.075 * stage.talk * stage.chat_lift, begin, end, mood))
    put("like", *_draw(rng, grid, 0.13 * stage.talk * np.sqrt(stage.chat_lift), begin, end, mood))
    put("share", *_draw(rng, grid, 0.009 * stage.talk, begin, end, mood))
    put(
        "gift",
        *_draw(
            rng,
            grid,
            0.008 * stage.talk * np.where(stage.kind == KINDS.index("pk"), 4.0, 1.0),
            begin,
            end,
            mood,
        ),
    )
    for kind, segment_kind, rate in (("red_packet_claim", "red_packet", 0.4), ("vote", "vote", 0.3)):
        put(
            kind,
            *_draw(rng, grid, np.where(stage.kind == KINDS.index(segment_kind), rate, 0.0), begin, end, mood),
        )
    together = np.isin(stage.kind, [KINDS.index("co_host"), KINDS.index("pk")])
    put("mic_join", *_draw(rng, grid, np.where(together, 0.02, 0.001), begin, end, mood))
    stranger = ~pool.follows[members]
    minutes = (end[:count] - begin[:count]) / 60
    joins = np.flatnonzero(
        stranger
        & (rng.random(count) < np.minimum(0.011 * minutes * stage.talk[stage.cell(begin[:count])], 0.5))
    )
    put("follow", joins, begin[joins] + (end[joins] - begin[joins]) * rng.random(len(joins)))
    quits = np.flatnonzero(~stranger & (rng.random(count) < np.where(visits.stalled, 0.05, 0.022)))
    put("unfollow", quits, begin[quits] + (end[quits] - begin[quits]) * rng.random(len(quits)))
    pool.follows[members[joins]] = True
    pool.follows[members[quits]] = False

    # Products: what is explained is shown, and clicked when the host sells it well
    shown, at = _draw(rng, grid, np.where(stage.product >= 0, 0.5, 0.14), begin, end, np.ones(len(who)))
    on_sale = np.array(
        [position for position, product in enumerate(room.products) if product.launched_on <= session.day]
    )
    now = stage.product[stage.cell(at)]
    stray = (now < 0) | (rng.random(len(at)) < 0.15)
    product = np.where(stray, on_sale[rng.integers(0, len(on_sale), len(at))], now)
    put("product_exposure", shown, at, product)
    appeal = np.array([each.appeal for each in room.products])
    loyal = np.where(known, 1.3, 0.7)[who]
    chance = (
        0.098
        * appeal[product]
        * stage.sell[stage.cell(at)]
        * loyal[shown]
        * np.where(stray, 0.5, 1.0)
        * causes.click_factor
    )
    chance *= np.where(troubled, 0.75, 1.0)[who][shown] * keen[who][shown] ** 0.25
    clicked = rng.random(len(at)) < np.minimum(chance, 0.6)
    click_owner, click_product = shown[clicked], product[clicked]
    click_at = np.minimum(at[clicked] + rng.uniform(1, 20, len(click_owner)), end[click_owner])
    put("product_click", click_owner, click_at, click_product)
    carted = rng.random(len(click_owner)) < np.minimum(
        0.3 * causes.cart_factor * keen[who][click_owner] ** 0.2 * stage.sell[stage.cell(click_at)] ** 0.5,
        0.9,
    )
    put(
        "add_to_cart",
        click_owner[carted],
        np.minimum(click_at[carted] + rng.uniform(1, 30, int(carted.sum())), end[click_owner[carted]]),
        click_product[carted],
    )

    kind_code = np.concatenate([np.full(len(part[1]), part[0], np.int8) for part in parts])
    owner = np.concatenate([part[1] for part in parts])
    at_ms = (np.concatenate([part[2] for part in parts]) * 1000).astype(np.int64)
    product = np.concatenate([part[3] for part in parts])
    rank = np.lexsort((kind_code, at_ms))
    kind_code, owner, at_ms, product = kind_code[rank], owner[rank], at_ms[rank], product[rank]
    viewer = who[owner]
    rows = len(viewer)

    liked, gifted, chatted = (kind_code == CODE[name] for name in ("like", "gift", "chat"))
    quantity = np.where(liked, np.minimum(rng.geometric(0.22, rows), 60), 0)
    plain_like = liked & (rng.random(rows) < 0.2)
    amount = np.array([1, 6, 10, 52, 99])[rng.choice(5, rows, p=[0.55, 0.25, 0.12, 0.06, 0.02])]
    lines, ranges = talk
    text = np.zeros(rows, np.int32)
    text[chatted] = _chat_lines(
        rng, stage, stage.cell(at_ms[chatted] / 1000), troubled[viewer[chatted]], room.products, ranges
    )

    base = int(session.start.timestamp() * 1000)
    unlocated = rng.random(count) < 0.02

    cents = pa.array(np.where(gifted, amount, 0), mask=~gifted)
    events = pa.table(
        [
            _coded(np.zeros(rows), [session.session_id]),
            _numbered("", first_event, rows),
            _coded(viewer, ids),
            _coded(kind_code, EVENT_TYPES),
            pa.array(base + at_ms).cast(pa.timestamp("ms", tz="UTC")),
            _coded(np.maximum(product, 0), [each.product_id for each in room.products], product < 0),
            pa.array(
                np.where(liked, quantity, np.where(gifted, 1, 0)).astype(np.int32),
                mask=~(liked & ~plain_like) & ~gifted,
            ),
            cents.cast(pa.decimal128(19, 0)).cast(pa.decimal128(10, 2)),
            _coded(text, lines, ~chatted),
            _coded(pool.region[members][viewer], room.regions, unlocated[viewer]),
            _coded(pool.device[members][viewer], DEVICES),
            _coded(visits.source[viewer], SOURCES),
        ],
        schema=EVENT_SCHEMA,
    )
    tally.viewers += count
    tally.counts += np.bincount(kind_code, minlength=len(EVENT_TYPES))
    tally.likes += int(np.where(plain_like, 1, quantity)[liked].sum())

    clicks = Clicks(members[who[click_owner]], click_product, (click_at * 1000).astype(np.int64), carted)
    return events, clicks


def _coded(codes: np.ndarray, values: list[str], null: np.ndarray | None = None) -> pa.Array:
    """Text from positions in a list of values, null where masked."""
    indices = pa.array(codes.astype(np.int32), mask=null)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values)).cast(pa.string())


def _numbered(prefix: str, first: int, size: int) -> pa.Array:
    """Consecutive ids of seven digits or more."""
    digits = pc.utf8_lpad(pa.array(np.arange(first, first + size)).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def _sample_playback(
    rng: np.random.Generator,
    session: Session,
    causes: Causes,
    pool: Pool,
    visits: Visits,
    ids: list[str],
    first_sample: int,
) -> pa.Table:
    """Windows of five minutes over every stay of the nine viewers in ten whose player reports."""
    members, who, begin, end = visits.members, visits.who, visits.begin, visits.end
    room, count = session.room, len(members)
    reports = rng.random(count) < 0.9
    watched = np.maximum(((end - begin) * 1000).astype(np.int64), 1)
    windows = np.where(reports[who], -(-watched // QOS_WINDOW_MS), 0)
    stay = np.repeat(np.arange(len(who)), windows)
    nth = np.arange(len(stay)) - np.repeat(np.cumsum(windows) - windows, windows)
    begun = (begin[stay] * 1000).astype(np.int64) + nth * QOS_WINDOW_MS
    playback = np.minimum(watched[stay] - nth * QOS_WINDOW_MS, QOS_WINDOW_MS)
    viewer = who[stay]
    ratio = np.where(
        visits.stalled[viewer], rng.uniform(0.05, 0.2, len(stay)), rng.exponential(0.003, len(stay))
    )
    if causes.outage is not None:
        during = (
            (pool.region[members][viewer] == causes.outage[2])
            & (begun / 1000 < causes.outage[1])
            & ((begun + playback) / 1000 > causes.outage[0])
            & visits.hit[viewer]
        )
        ratio = np.where(during, rng.uniform(0.25, 0.5, len(stay)), ratio)
    stall = np.where(ratio < 0.001, 0, (playback * np.minimum(ratio, 0.9)).astype(np.int64))
    is_first = (nth == 0) & (stay < count)
    weak = (pool.network[members][viewer] >= 2) & (pool.network[members][viewer] <= 3)
    # now and then the player steps one picture down
    tier = np.minimum(visits.picture[viewer] + (rng.random(len(stay)) < 0.1), 3)
    height = HEIGHTS[tier]
    fps = np.where(rng.random(len(stay)) < 0.03, 20, np.where(tier == 0, 30, 25))
    bitrate = np.array([4200, 2400, 1400, 900])[tier] + 100 * rng.integers(-4, 5, len(stay))
    latency = 50 * np.round(
        room.latency * np.exp(rng.normal(0, 0.2, len(stay))) * np.where(weak, 1.2, 1.0) / 50
    )
    loss = np.round(np.minimum(rng.exponential(0.004, len(stay)) + ratio * 0.1, 0.5), 3)
    rank = np.lexsort((stay, begun))
    base = int(session.start.timestamp() * 1000)

    def of(values: np.ndarray, kind: pa.DataType, null: np.ndarray | None = None) -> pa.Array:
        return pa.array(values[rank].astype(np.int64), mask=None if null is None else null[rank]).cast(kind)

    null_height = rng.random(len(stay)) < 0.05
    null_latency = rng.random(len(stay)) < 0.08
    return pa.table(
        [
            _coded(np.zeros(len(stay)), [session.session_id]),
            _numbered("q", first_sample, len(stay)),
            _coded(viewer[rank], ids),
            _coded(pool.region[members][viewer][rank], room.regions),
            _coded(pool.network[members][viewer][rank], NETWORKS),
            pa.array(base + begun[rank]).cast(pa.timestamp("ms", tz="UTC")),
            of(playback - stall, pa.int64()),
            of(stall, pa.int64()),
            of(np.where(stall > 0, np.maximum(stall // 2500, 1), 0), pa.int32()),
            of(np.round(visits.first_frame[viewer], -1), pa.int32(), ~is_first),
            of(height, pa.int32(), null_height),
            of(fps, pa.int32(), null_height),
            of(bitrate, pa.int32()),
            of(latency, pa.int32(), null_latency),
            _scaled(loss[rank]),
        ],
        schema=QOS_SCHEMA,
    )


def _scaled(values: np.ndarray) -> pa.Array:
    """Floats as exact decimals of four places."""
    codes, position = np.unique(np.round(values * 10_000).astype(np.int64), return_inverse=True)
    texts = pa.array([f"{code // 10_000}.{code % 10_000:04d}" for code in codes.tolist()]).cast(
        pa.decimal128(8, 4)
    )
    return texts.take(pa.array(position))
