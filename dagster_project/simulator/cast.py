"""Who and what is there before anyone tunes in: rooms, products, staff, the calendar, the rosters."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from dagster_project.simulator import phrases

MODES = ["single", "co_host", "pk", "handoff", "multi"]
ROLES = ["host", "operations", "floor_control", "customer_service", "technical"]


@dataclass
class Product:
    product_id: str
    name: str
    category: str
    role: str
    price: float  # in the room's currency
    cost: float
    launched_on: date
    appeal: float  # multiplies the chance of a click
    closing: float  # multiplies the chance that a click becomes an order
    quality: float  # share of happy talk and good reviews
    return_rate: float


@dataclass
class Room:
    number: int
    room_id: str
    name: str
    platform: str
    market: str
    timezone: str
    currency: str
    stages: list[tuple[date, str]]
    popularity: float
    stall_share: float  # share of viewers whose playback stalls
    first_frame: float  # median, ms
    latency: float  # median, ms
    regions: list[str]
    products: list[Product] = field(default_factory=list)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass
class Person:
    staff_id: str
    name: str
    role: str
    room: int | None
    hired_on: date
    left_on: date | None
    pay: int
    talk: float  # skill: engagement
    sell: float  # skill: clicks and orders
    hold: float  # skill: watch time
    leaves: list[tuple[date, date]] = field(default_factory=list)
    busy: list[tuple[datetime, datetime]] = field(default_factory=list)

    def works_on(self, day: date) -> bool:
        employed = self.hired_on <= day and (self.left_on is None or day <= self.left_on)
        return employed and not any(first <= day <= last for first, last in self.leaves)

    def is_free(self, start: datetime, end: datetime) -> bool:
        margin = timedelta(minutes=40)
        return all(end + margin <= on or off + margin <= start for on, off in self.busy)


@dataclass
class Shift:
    person: Person
    role: str
    on_at: datetime
    off_at: datetime


@dataclass
class Segment:
    kind: str
    start: float  # seconds from the session's start
    end: float
    product: int | None  # position in the room's products


@dataclass
class Session:
    session_id: str
    room: Room
    number: int
    day: date  # business date
    title: str
    mode: str
    start: datetime
    end: datetime
    weight: float  # expected audience relative to the others
    shifts: list[Shift] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    hosts: list[tuple[float, float, Person]] = field(default_factory=list)  # who presents, in seconds

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


# market, platform, zone, currency, popularity, stalled share, first frame ms, latency ms, regions;
# cycled past the third room
_MARKETS: list[tuple[str, str, str, str, float, float, float, float, list[str]]] = [
    (
        "CN",
        "douyin",
        "Asia/Shanghai",
        "CNY",
        1.0,
        0.06,
        520,
        2600,
        ["浙江", "广东", "江苏", "四川", "河南", "北京", "上海"],
    ),
    (
        "MY",
        "tiktok_shop",
        "Asia/Kuala_Lumpur",
        "MYR",
        0.85,
        0.12,
        690,
        3700,
        ["Selangor", "Johor", "Penang", "Sabah", "Sarawak"],
    ),
    (
        "US",
        "tiktok_shop",
        "America/New_York",
        "USD",
        0.75,
        0.09,
        610,
        4300,
        ["New York", "California", "Texas", "Florida", "Washington"],
    ),
]
PER_CNY = {"CNY": 1.0, "MYR": 1 / 1.62, "USD": 1 / 7.06}


def turning_date(start: date, end: date) -> date:
    """The day planted changes begin: the first of the last month, or the middle of a shorter span."""
    first = end.replace(day=1)
    return first if first > start else start + (end - start) // 2


def make_rooms(
    rng: np.random.Generator, count: int, start: date, end: date, plant: frozenset[str]
) -> list[Room]:
    """Rooms with ten products each; the first room changes stage in the middle of the last month."""
    rooms = []
    opened = start - timedelta(days=200)
    for number in range(count):
        market, platform, zone, currency, popularity, stall, frame, latency, regions = _MARKETS[
            number % len(_MARKETS)
        ]
        change = turning_date(start, end) + timedelta(days=14 if (end - start).days > 20 else 0)
        stages = [[(opened, "growth"), (change, "mature")], [(opened, "growth")], [(opened, "startup")]][
            number % 3
        ]
        rooms.append(
            Room(
                number=number,
                room_id=f"{71 + 31 * number:04d}" if number != 2 else "US-03",
                name=phrases.ROOM_NAMES[number % len(phrases.ROOM_NAMES)]
                + ("" if number < 6 else f" {number // 6 + 1} 号"),
                platform=platform,
                market=market,
                timezone=zone,
                currency=currency,
                stages=stages,
                popularity=popularity,
                stall_share=stall,
                first_frame=frame,
                latency=latency,
                regions=regions,
            )
        )
        rooms[-1].products = _make_products(rng, rooms[-1], start, end, plant)
    return rooms


def _make_products(
    rng: np.random.Generator, room: Room, start: date, end: date, plant: frozenset[str]
) -> list[Product]:
    roles = [
        "hero",
        "hero",
        "profit",
        "profit",
        "traffic",
        "traffic",
        "profit",
        "hero",
        "clearance",
        "clearance",
    ]
    spans = {"hero": (79, 199), "profit": (159, 459), "traffic": (9, 29), "clearance": (29, 69)}
    turn = turning_date(start, end)
    products = []
    for position, (name, category) in enumerate(phrases.PRODUCTS[room.number % len(phrases.PRODUCTS)]):
        role = roles[position]
        low, high = spans[role]
        price = np.floor(rng.uniform(low, high) * PER_CNY[room.currency]) + 0.9
        launched = start - timedelta(days=int(rng.integers(60, 500)))
        if position in (0, 6):  # new products: one before the turning date, one after it
            launched = turn + timedelta(days=-12 if position == 0 else 3)
        product = Product(
            product_id=f"{room.number:02d}{position + 1:04d}"
            if position % 2
            else f"P{room.number + 1}{position + 1:03d}",
            name=name,
            category=category,
            role=role,
            price=float(price),
            cost=round(float(price) * {"traffic": 0.95, "clearance": 1.05}.get(role, 0.52), 2),
            launched_on=launched,
            appeal=float(rng.uniform(0.8, 1.25)) * (1.2 if role == "traffic" else 1.0),
            closing=float(rng.uniform(0.8, 1.2)) * {"traffic": 1.4, "profit": 0.75}.get(role, 1.0),
            quality=float(rng.uniform(0.78, 0.93)),
            return_rate=float(rng.uniform(0.06, 0.13)),
        )
        if position == 7 and room.number == 0 and "looks_good_product" in plant:
            product.appeal, product.closing, product.quality, product.return_rate = 1.7, 1.5, 0.35, 0.48
        products.append(product)
    return products


def make_staff(rng: np.random.Generator, rooms: list[Room], start: date, end: date) -> list[Person]:
    """About six people per room; a joiner, a leaver, a technician of no room, leaves."""
    plans: list[tuple[str, int | None]] = []
    for room in rooms:
        home = room.number
        plans += [("host", home)] * (3 if home % 3 < 2 else 2) + [
            ("operations", home),
            ("customer_service", home),
        ]
        if home % 3 < 2:
            plans.append(("floor_control", home))
        if home % 3 == 0:
            plans.append(("technical", home))
    plans.append(("technical", None))
    plans.sort(key=lambda plan: (ROLES.index(plan[0]), -1 if plan[1] is None else plan[1]))
    pays = {
        "host": 8000,
        "operations": 6000,
        "floor_control": 5000,
        "customer_service": 4000,
        "technical": 6500,
    }
    turn = turning_date(start, end)
    people: list[Person] = []
    names = rng.permutation(len(phrases.GIVEN_NAMES))
    seen: dict[tuple[str, int | None], int] = {}
    for number, (role, base) in enumerate(plans):
        rank = seen.get((role, base), -1) + 1
        seen[role, base] = rank
        level = [1.22, 0.92, 0.74][rank] * [1.0, 0.92, 1.08][(base or 0) % 3] if role == "host" else 1.0
        hired, left = start - timedelta(days=int(rng.integers(90, 900))), None
        if role == "host" and rank == 2 and (end - start).days > 20:
            if base == 0:
                hired = turn - timedelta(days=17)
            elif base == 1:
                left = turn + timedelta(days=11)
        people.append(
            Person(
                staff_id=f"{1001 + 7 * number:06d}",
                name=phrases.SURNAMES[int(rng.integers(len(phrases.SURNAMES)))]
                + phrases.GIVEN_NAMES[names[number % len(names)]],
                role=role,
                room=base,
                hired_on=hired,
                left_on=left,
                pay=pays[role] + 500 * int(rng.integers(0, 4)),
                talk=level * float(rng.uniform(0.9, 1.1)),
                sell=level * float(rng.uniform(0.92, 1.08)),
                hold=level**0.6 * float(rng.uniform(0.95, 1.05)),
            )
        )
        if (end - start).days > 20 and number % 3 == 1:
            first = start + timedelta(days=int(rng.integers(5, (end - start).days - 6)))
            people[-1].leaves.append((first, first + timedelta(days=int(rng.integers(0, 4)))))
    return people


def plan_sessions(rng: np.random.Generator, rooms: list[Room], start: date, end: date) -> list[Session]:
    """Every room's sessions, in order of their start; most evenings, some mornings, some past midnight."""
    sessions: list[Session] = []
    for room in rooms:
        day = start
        while day <= end:
            month_end = (day + timedelta(days=1)).day == 1 or day == end
            slots: list[tuple[int, int]] = []  # local start minute of the day, length in minutes
            if rng.random() < 0.22 and not month_end:
                slots.append((int(rng.integers(590, 620)), int(rng.integers(80, 130))))
            if month_end:
                slots.append((int(rng.integers(1320, 1345)), int(rng.integers(150, 200))))
            elif rng.random() < 0.97:
                late = rng.random() < 0.18
                slots.append(
                    (
                        int(rng.integers(1290, 1340)) if late else int(rng.integers(1150, 1230)),
                        int(rng.integers(140, 225)),
                    )
                )
            for nth, (minute, length) in enumerate(slots):
                local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=room.zone)
                began = local.astimezone(UTC) + timedelta(milliseconds=int(rng.integers(0, 60_000)))
                weekday = 1.25 if day.weekday() >= 4 else 1.0
                sessions.append(
                    Session(
                        session_id=f"{room.number + 1:02d}{day:%Y%m%d}{nth + 1:02d}",
                        room=room,
                        number=len(sessions),
                        day=day,
                        title=f"{rng.choice(phrases.TITLES)} {day.month}月{day.day}日",
                        mode=MODES[int(rng.choice(5, p=[0.4, 0.17, 0.14, 0.18, 0.11]))],
                        start=began,
                        end=began + timedelta(seconds=length * 60 + int(rng.integers(0, 59))),
                        weight=room.popularity
                        * weekday
                        * float(rng.uniform(0.75, 1.3))
                        * (0.6 if minute < 700 else 1.0),
                    )
                )
            day += timedelta(days=1)
    return sessions


def fill_rosters(rng: np.random.Generator, sessions: list[Session], people: list[Person]) -> None:
    """Give every session its shifts and its presenters; nobody is ever in two sessions at once."""
    by_start = sorted(sessions, key=lambda session: (session.start, session.session_id))
    # Home sessions first claim their own people: a role without shift rows puts all of them on duty.
    for session in by_start:
        for person in people:
            if person.room == session.room.number:
                person.busy.append((session.start, session.end))
    for session in by_start:
        home = [
            person for person in people if person.room == session.room.number and person.works_on(session.day)
        ]
        hosts = [person for person in home if person.role == "host"]
        turn = session.day.toordinal() + session.number
        hosts = [hosts[(turn + step) % len(hosts)] for step in range(len(hosts))] if hosts else []
        _roster_hosts(rng, session, hosts)
        for role in ROLES[1:]:
            own = [person for person in home if person.role == role]
            if own and rng.random() < 0.08:
                continue  # no shift row of this role: duty falls to the home room
            if not own and rng.random() < 0.9:
                own = [
                    person
                    for person in people
                    if person.role == role
                    and person.works_on(session.day)
                    and person.is_free(session.start, session.end)
                    and (person.room is None or role == "floor_control")
                ][:1]
                for person in own:
                    person.busy.append((session.start, session.end))
            for person in own:
                late = (
                    timedelta(minutes=int(rng.integers(0, 25)))
                    if rng.random() < 0.15
                    else -timedelta(minutes=10)
                )
                early = (
                    timedelta(minutes=int(rng.integers(5, 30)))
                    if rng.random() < 0.15
                    else -timedelta(minutes=5)
                )
                session.shifts.append(Shift(person, role, session.start + late, session.end - early))
        if session.room.number == 2 and rng.random() < 0.3:
            # the overseas room has no floor control of its own: its operations person steps in
            for person in [person for person in home if person.role == "operations"]:
                if not any(shift.role == "floor_control" for shift in session.shifts):
                    session.shifts.append(Shift(person, "floor_control", session.start, session.end))


def _roster_hosts(rng: np.random.Generator, session: Session, hosts: list[Person]) -> None:
    length = session.seconds
    if not hosts:
        return
    if len(hosts) < 2:
        session.mode = "single"
    if session.mode == "single" and rng.random() < 0.05:
        session.hosts = [(0.0, length, person) for person in hosts]  # no host row at all: home room duty
        return
    middle = length * float(rng.uniform(0.42, 0.58))
    if session.mode == "single" and (len(hosts) < 2 or rng.random() < 0.45):
        spans = [(0.0, length, hosts[0])]
    elif session.mode == "single":
        gap = float(rng.integers(60, 240)) if rng.random() < 0.4 else 0.0
        spans = [(0.0, middle - gap / 2, hosts[0]), (middle + gap / 2, length, hosts[1])]
    elif session.mode == "handoff":
        spans = [(0.0, middle + 60, hosts[0]), (middle, length, hosts[1])]
    elif session.mode == "co_host":
        spans = [(0.0, length, hosts[0]), (middle * 0.6, middle * 1.4, hosts[1])]
    elif session.mode == "pk":
        spans = [(0.0, length, hosts[0]), (middle, length, hosts[1])]
    else:
        spans = [(0.0, length, hosts[0]), (0.0, length, hosts[1])]
        if len(hosts) > 2:
            spans.append((middle, length, hosts[2]))
    session.hosts = spans
    for on, off, person in spans:
        session.shifts.append(
            Shift(
                person,
                "host",
                session.start + timedelta(seconds=round(on)),
                session.start + timedelta(seconds=round(off)),
            )
        )


def write_run_sheet(rng: np.random.Generator, session: Session) -> None:
    """Blocks from the opening talk to the closing one; a new product is explained once launched."""
    length, at = session.seconds, 0.0
    on_sale = [
        position
        for position, product in enumerate(session.room.products)
        if product.launched_on <= session.day
    ]
    order = [on_sale[step] for step in rng.permutation(len(on_sale))]
    special = {"pk": ["pk"], "co_host": ["co_host"], "handoff": [], "multi": ["co_host", "pk"], "single": []}[
        session.mode
    ]
    extras = ["red_packet", *special, "vote", "lottery", *special, "red_packet", "talk", "vote", "lottery"]
    switch = session.hosts[1][0] if session.mode == "handoff" and len(session.hosts) > 1 else None
    spans = {"red_packet": 120, "vote": 150, "lottery": 180, "pk": 480, "co_host": 720, "talk": 240}

    def put(kind: str, seconds: float, product: int | None = None) -> None:
        nonlocal at
        stop = min(at + seconds, length)
        if stop - at >= 20:
            session.segments.append(Segment(kind, round(at), round(stop), product))
        at = stop

    put("talk", float(rng.integers(180, 420)))
    explained = 0
    while at < length - 420:
        if switch is not None and at >= switch - 30:
            put("handoff", 120)
            switch = None
        put("explain", float(rng.integers(300, 640)), order[explained % len(order)])
        explained += 1
        if rng.random() < 0.62 and extras:
            kind = extras.pop(0)
            before = at
            put(kind, spans[kind] * float(rng.uniform(0.8, 1.3)))
            if kind == "red_packet" and rng.random() < 0.3:
                # a red packet rained while the next product is already on: overlapping blocks
                at = before + 30
        if rng.random() < 0.25:
            at += float(rng.integers(20, 120))  # nothing on the run sheet
    put("talk", length - at)
