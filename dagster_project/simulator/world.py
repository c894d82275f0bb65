"""One simulated world, written as the exports of `exports.md`: same seed and settings, same bytes."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from dagster_project.settings import UserError
from dagster_project.simulator import phrases
from dagster_project.simulator.audience import (
    BLOCK_VIEWERS,
    CODE,
    EVENT_PACKING,
    EVENT_SCHEMA,
    QOS_PACKING,
    QOS_SCHEMA,
    Causes,
    Pool,
    Tally,
    choose_viewers,
    play_block,
    set_stage,
    talk_table,
)
from dagster_project.simulator.cast import (
    PER_CNY,
    Person,
    Room,
    Session,
    fill_rosters,
    make_rooms,
    make_staff,
    plan_sessions,
    turning_date,
    write_run_sheet,
)
from dagster_project.simulator.delivery import ParquetStack, write_rows
from dagster_project.simulator.plan import TARGET_COLUMNS, Actuals, plan_targets
from dagster_project.simulator.sales import (
    COMPLAINT_COLUMNS,
    MESSAGE_COLUMNS,
    ORDER_COLUMNS,
    REFUND_COLUMNS,
    REVIEW_COLUMNS,
    Ledger,
    iso,
    sell,
    talk_to_service,
)

PLANTS = frozenset(
    {
        "regional_outage",
        "dull_script",
        "mix_shift",
        "red_packet_lift",
        "leading_lag",
        "simpson",
        "looks_good_product",
        "cart_script",
    }
)
SAMPLE_SEED, SAMPLE_START, SAMPLE_END = 20261001, date(2026, 8, 15), date(2026, 10, 31)
SAMPLE_EVENTS = 400_000
PILOT_VIEWERS = 2000
DEFAULT_VIEWERS = 78  # of an average session when no number of events is asked for


@dataclass
class World:
    """What was written, and the truth behind it for tests to find again."""

    rooms: list[Room]
    people: list[Person]
    sessions: list[Session]
    rows: dict[str, int] = field(default_factory=dict)
    # planted cause -> where: session_id, product_id, region, first day ...
    planted: dict[str, dict[str, object]] = field(default_factory=dict)


def simulate(
    out: Path,
    *,
    seed: int,
    start: date,
    end: date,
    rooms: int = 3,
    events: int | None = None,
    plant: frozenset[str] = PLANTS,
    is_steady: bool = False,
) -> World:
    """Write exports for business dates start..end (inclusive) into `out`, which must be new or empty.

    `events` is the approximate number of viewer events over all sessions; `plant` names the causes to plant.
    In a steady world hosts hold viewers alike and keen viewers stay no longer, else rosters and a room's growing
    circle of regulars move watch time from month to month beside what is planted.
    Raises UserError for settings that make no world.
    """
    if end < start:
        raise UserError(f"sample: end {end} is before start {start}; give an end on or after the start")
    if rooms < 1:
        raise UserError(f"sample: {rooms} rooms; ask for at least 1")
    if events is not None and events < 1:
        raise UserError(f"sample: {events} events; ask for at least 1")
    if plant - PLANTS:
        raise UserError(
            f"sample: unknown causes {', '.join(sorted(plant - PLANTS))}; "
            f"known are {', '.join(sorted(PLANTS))}"
        )
    if out.exists() and any(out.iterdir()):
        raise UserError(f"sample: {out} is not empty; remove it or name another folder")

    rng = np.random.default_rng([seed, 0])
    cast = make_rooms(rng, rooms, start, end, plant)
    people = make_staff(rng, cast, start, end)
    sessions = plan_sessions(rng, cast, start, end)
    if not sessions:
        raise UserError(f"sample: no session falls between {start} and {end}; ask for more days")
    fill_rosters(rng, sessions, people)
    for session in sessions:
        write_run_sheet(rng, session)
    world = World(cast, people, sessions)
    causes = _plant(world, start, end, plant)
    for cause in causes:
        cause.is_steady = is_steady

    ledger = Ledger(cutoff=datetime.combine(end + timedelta(days=19), time(0), tzinfo=UTC))
    actuals: dict[tuple[int, str], Actuals] = {}
    _run_sessions(out, seed, world, causes, events, ledger, actuals)
    _write_tables(out, np.random.default_rng([seed, 1]), world, ledger, actuals, start, end)
    return world


def _plant(world: World, start: date, end: date, plant: frozenset[str]) -> list[Causes]:
    """The causes of every session, in the order of world.sessions."""
    turn = turning_date(start, end)
    causes = []
    late = [session for session in world.sessions if session.day >= turn] or world.sessions
    abroad = 1 % len(world.rooms)
    outage = next(
        (
            session
            for session in sorted(late, key=lambda each: each.start)[len(late) // 2 :]
            if session.room.number == abroad
        ),
        late[0],
    )
    dull_room = world.rooms[0]
    dull = 3  # position among the room's products
    for session in world.sessions:
        cause = Causes(
            packet_lift=2.6 if "red_packet_lift" in plant else 1.0,
            lead_seconds=180.0 if "leading_lag" in plant else None,
        )
        turned = session.day >= turn
        if "regional_outage" in plant and session is outage:
            cause.outage = (session.seconds * 0.4, session.seconds * 0.55, 0)
            begun = session.start + timedelta(seconds=cause.outage[0])
            world.planted["regional_outage"] = {
                "session_id": session.session_id,
                "region": session.room.regions[0],
                "from": begun,
                "to": session.start + timedelta(seconds=cause.outage[1]),
            }
        if "dull_script" in plant and turned and session.room is dull_room:
            cause.dull_product = dull
        if "mix_shift" in plant and turned and session.room.number == 0:
            cause.ads_factor = 2.4
        if "simpson" in plant and turned and session.room.number == abroad:
            cause.known_share, cause.click_factor = 0.25, 1.06
        if "cart_script" in plant and session.room.number == 0 and session.day >= turn + timedelta(days=10):
            cause.cart_factor = 1.45
        causes.append(cause)
    first = {"from": turn}
    if "dull_script" in plant:
        world.planted["dull_script"] = {
            **first,
            "room_id": dull_room.room_id,
            "product_id": dull_room.products[dull].product_id,
        }
    if "mix_shift" in plant:
        world.planted["mix_shift"] = {**first, "room_id": dull_room.room_id, "traffic_source": "paid_ads"}
    if "simpson" in plant:
        world.planted["simpson"] = {
            **first,
            "room_id": world.rooms[abroad].room_id,
            "kpi_id": "product_click_rate",
        }
    if "cart_script" in plant:
        world.planted["cart_script"] = {
            "from": turn + timedelta(days=10),
            "room_id": dull_room.room_id,
            "kpi_id": "add_to_cart_rate",
        }
    if "red_packet_lift" in plant:
        world.planted["red_packet_lift"] = {"lift": 2.6}
    if "leading_lag" in plant:
        world.planted["leading_lag"] = {"minutes": 3, "before": "chats", "after": "clicks"}
    if "looks_good_product" in plant:
        world.planted["looks_good_product"] = {"product_id": world.rooms[0].products[7].product_id}
    return causes


def _run_sessions(
    out: Path,
    seed: int,
    world: World,
    causes: list[Causes],
    events: int | None,
    ledger: Ledger,
    actuals: dict[tuple[int, str], Actuals],
) -> None:
    """Play room after room, each in order of time, and write events and playback samples as they come."""
    event_files = ParquetStack(out / "viewer_events", EVENT_SCHEMA, EVENT_PACKING)
    sample_files = ParquetStack(out / "playback_qos", QOS_SCHEMA, QOS_PACKING)
    next_number = 1
    whole_weight = sum(session.weight for session in world.sessions)
    average = whole_weight / len(world.sessions)
    for room in world.rooms:
        weight_left = sum(session.weight for session in world.sessions if session.room is room)
        events_left = None if events is None else events * weight_left / whole_weight
        per_viewer, played_viewers, played_events = 13.0, 0, 0
        pool, talk = Pool(), talk_table(room)
        chat_rng = np.random.default_rng([seed, 2, room.number])
        served: date | None = None
        for position, session in enumerate(world.sessions):
            if session.room is not room:
                continue
            rng = np.random.default_rng([seed, 3, position])
            if events_left is None:
                count = round(DEFAULT_VIEWERS * session.weight / average)
            else:
                # what is still to be made, at the events per viewer seen so far
                budget = (events_left - played_events) * session.weight / weight_left
                if budget / per_viewer > PILOT_VIEWERS and played_viewers < PILOT_VIEWERS:
                    per_viewer = _pilot(seed, session, causes[position], talk)
                count = round(budget / per_viewer)
            count = max(count, 1)
            weight_left -= session.weight
            met = len(pool.number)
            members, next_number = choose_viewers(rng, pool, session, count, next_number, causes[position])
            stage, tally = set_stage(rng, session, causes[position]), Tally()
            first_event = first_sample = 1
            froms, tos = [], []
            month_file = f"room-{room.room_id}/{session.day:%Y-%m}"
            rng.shuffle(members)
            for block_start in range(0, count, BLOCK_VIEWERS):
                chosen = members[block_start : block_start + BLOCK_VIEWERS]
                block = play_block(
                    rng,
                    session,
                    stage,
                    causes[position],
                    pool,
                    chosen,
                    chosen < met,
                    talk,
                    first_event,
                    first_sample,
                    tally,
                )
                event_files.add(month_file, block.events)
                sample_files.add(month_file, block.samples)
                first_event += block.events.num_rows
                first_sample += block.samples.num_rows
                froms.append(block.online_from)
                tos.append(block.online_to)
                sell(rng, ledger, session, pool, block.clicks)
            pool.last_day[members] = session.day.toordinal()
            played_viewers += count
            played_events += first_event - 1
            per_viewer = played_events / played_viewers
            begins, ends = np.concatenate(froms), np.concatenate(tos)
            tally.peak, tally.watch_seconds = _peak(begins, ends), float((ends - begins).sum())
            _count(actuals.setdefault((room.number, f"{session.day:%Y-%m}"), Actuals()), session, tally)
            if served != session.day:
                served = session.day
                talk_to_service(
                    chat_rng,
                    ledger,
                    room,
                    pool,
                    world.people,
                    session.day,
                    int(chat_rng.poisson(max(4.0, min(0.12 * count, 400.0)))),
                )
    event_files.close()
    sample_files.close()
    world.rows["viewer_events"], world.rows["playback_qos"] = event_files.rows, sample_files.rows


def _pilot(
    seed: int, session: Session, cause: Causes, talk: tuple[list[str], dict[str, tuple[int, int]]]
) -> float:
    """Events per viewer, from a trial run of a big session that is not written."""
    rng, pool = np.random.default_rng([seed, 4, session.number]), Pool()
    pool.add(rng, np.arange(PILOT_VIEWERS), session.room)
    members = np.arange(PILOT_VIEWERS)
    block = play_block(
        rng, session, set_stage(rng, session, cause), cause, pool, members, members < 0, talk, 1, 1, Tally()
    )
    return block.events.num_rows / PILOT_VIEWERS


def _peak(begin: np.ndarray, end: np.ndarray) -> int:
    """Most people online at once, on a one-second grid."""
    change = np.bincount(begin.astype(np.int64), minlength=1)
    change = np.concatenate([change, np.zeros(int(end.max()) + 2 - len(change), np.int64)])
    np.subtract.at(change, np.ceil(end).astype(np.int64), 1)
    return int(np.cumsum(change).max())


def _count(actual: Actuals, session: Session, tally: Tally) -> None:
    totals = actual.totals
    gained = {
        name: float(tally.counts[CODE[event]])
        for name, event in (("chats", "chat"), ("follows", "follow"), ("shares", "share"))
    }
    gained["viewers"], gained["likes"] = float(tally.viewers), float(tally.likes)
    gained["net_followers"] = gained["follows"] - float(tally.counts[CODE["unfollow"]])
    for name, amount in gained.items():
        totals[name] = totals.get(name, 0.0) + amount
    actual.watch_seconds += tally.watch_seconds
    actual.live_seconds += session.seconds
    totals["peak_online"] = max(totals.get("peak_online", 0.0), float(tally.peak))
    for shift in session.shifts:
        if shift.role == shift.person.role:
            seconds = (min(shift.off_at, session.end) - max(shift.on_at, session.start)).total_seconds()
            actual.duty[shift.person.staff_id] = actual.duty.get(shift.person.staff_id, 0.0) + max(
                seconds, 0.0
            )


def _write_tables(
    out: Path,
    rng: np.random.Generator,
    world: World,
    ledger: Ledger,
    actuals: dict[tuple[int, str], Actuals],
    start: date,
    end: date,
) -> None:
    """Everything but the events and samples: CSV, JSON Lines, plain and gzipped."""

    def put(path: str, columns: list[str], rows: list[tuple[object, ...]]) -> None:
        export = path.split("/")[0]
        world.rows[export] = world.rows.get(export, 0) + write_rows(out / path, columns, rows)

    turn = turning_date(start, end)
    updated = f"{start - timedelta(days=30)}T08:00:00Z"
    put(
        "rooms/rooms.csv",
        ["room_id", "effective_from", "name", "platform", "market", "timezone", "currency", "stage"],
        [
            (room.room_id, day, room.name, room.platform, room.market, room.timezone, room.currency, stage)
            for room in world.rooms
            for day, stage in room.stages
        ],
    )

    def precise(instant: datetime) -> str:
        return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"

    columns = ["session_id", "room_id", "title", "mode", "started_at", "ended_at", "updated_at"]
    by_month: dict[str, list[Session]] = {}
    for session in sorted(world.sessions, key=lambda each: (each.start, each.session_id)):
        by_month.setdefault(f"{session.day:%Y-%m}", []).append(session)
    for month, held in by_month.items():
        rows: list[tuple[object, ...]] = []
        for number, session in enumerate(held):
            facts = (
                session.session_id,
                session.room.room_id,
                session.title,
                session.mode,
                precise(session.start),
            )
            if number % 9 == 4:  # the planned end came first, the true one after the session
                rows.append((*facts, precise(session.end + timedelta(minutes=12)), iso(session.start)))
            rows.append((*facts, precise(session.end), iso(session.end + timedelta(minutes=5))))
        put(f"sessions/{month}.csv", columns, rows)
        put(
            f"shifts/{month}.csv",
            ["shift_id", "session_id", "staff_id", "role", "on_at", "off_at", "updated_at"],
            [
                (
                    f"{session.session_id}-{number:02d}",
                    session.session_id,
                    shift.person.staff_id,
                    shift.role,
                    # an instant without an offset is UTC
                    shift.on_at.strftime("%Y-%m-%d %H:%M:%S"),
                    shift.off_at.strftime("%Y-%m-%d %H:%M:%S"),
                    iso(session.start),
                )
                for session in held
                for number, shift in enumerate(session.shifts, 1)
            ],
        )
        put(
            f"segments/{month}.csv.gz",
            [
                "segment_id",
                "session_id",
                "segment_type",
                "product_id",
                "label",
                "started_at",
                "ended_at",
                "updated_at",
            ],
            [
                (
                    f"{session.session_id}-{number:02d}",
                    session.session_id,
                    segment.kind,
                    None if segment.product is None else session.room.products[segment.product].product_id,
                    None
                    if segment.product is None
                    else f"讲解 {session.room.products[segment.product].name}",
                    iso(session.start + timedelta(seconds=segment.start)),
                    iso(session.start + timedelta(seconds=segment.end)),
                    iso(session.end),
                )
                for session in held
                for number, segment in enumerate(session.segments, 1)
            ],
        )

    staff_columns = [
        "staff_id",
        "name",
        "role",
        "room_id",
        "hired_on",
        "left_on",
        "performance_pay",
        "updated_at",
    ]
    staff: list[tuple[object, ...]] = []
    for number, person in enumerate(world.people):
        home = None if person.room is None else world.rooms[person.room].room_id
        if number % 6 == 2:  # a raise: an older row with the pay before it
            staff.append(
                (
                    person.staff_id,
                    person.name,
                    person.role,
                    home,
                    person.hired_on,
                    None,
                    f"{person.pay - 500}.00",
                    f"{person.hired_on}T09:00:00Z",
                )
            )
        staff.append(
            (
                person.staff_id,
                person.name,
                person.role,
                home,
                person.hired_on,
                person.left_on,
                f"{person.pay}.00",
                updated,
            )
        )
    put("staff/staff.csv", staff_columns, staff)
    put(
        "leaves/leaves.csv",
        ["staff_id", "from_date", "to_date", "updated_at"],
        [
            (person.staff_id, first, last, f"{first - timedelta(days=3)}T10:00:00Z")
            for person in world.people
            for first, last in person.leaves
        ],
    )
    put(
        "products/products.jsonl",
        [
            "product_id",
            "name",
            "category",
            "product_role",
            "list_price",
            "unit_cost",
            "currency",
            "launched_on",
            "updated_at",
        ],
        [
            (
                product.product_id,
                product.name,
                product.category,
                product.role,
                f"{product.price:.2f}",
                None if number % 10 == 9 else f"{product.cost:.2f}",
                room.currency,
                str(product.launched_on),
                updated,
            )
            for room in world.rooms
            for number, product in enumerate(room.products)
        ],
    )

    def in_time(rows: list[tuple[datetime, tuple[object, ...]]]) -> list[tuple[object, ...]]:
        return [row for _, row in sorted(rows, key=lambda each: (each[0], str(each[1][0]), str(each[1][1])))]

    for month in sorted(ledger.orders):
        put(f"orders/{month}.csv.gz", ORDER_COLUMNS, in_time(ledger.orders[month]))
    put("refunds/refunds.jsonl.gz", REFUND_COLUMNS, in_time(ledger.refunds))
    put("reviews/reviews.jsonl.gz", REVIEW_COLUMNS, in_time(ledger.reviews))
    put("complaints/complaints.jsonl", COMPLAINT_COLUMNS, in_time(ledger.complaints))
    for month in sorted(ledger.messages):
        put(f"service_messages/{month}.jsonl.gz", MESSAGE_COLUMNS, in_time(ledger.messages[month]))

    # No rate is published on Sundays: the latest earlier one holds
    rates: list[tuple[object, ...]] = []
    foreign = sorted({room.currency for room in world.rooms} - {"CNY"})
    level = {currency: 1 / PER_CNY[currency] for currency in foreign}
    day = start - timedelta(days=10)
    while day < ledger.cutoff.date():
        for currency in foreign:
            level[currency] *= 1 + float(rng.normal(0, 0.0015))
            if day.weekday() != 6:
                rates.append((day, currency, f"{level[currency]:.6f}"))
        day += timedelta(days=1)
    put("fx_rates/fx_rates.csv", ["rate_date", "currency", "rate"], rates)

    for (number, month), actual in actuals.items():
        actual.totals["gmv"] = ledger.gmv.get((number, month), 0.0)
        actual.totals["orders_paid"] = float(ledger.paid_orders.get((number, month), 0))
    months = sorted({month for _, month in actuals})
    put("targets/targets.csv", TARGET_COLUMNS, plan_targets(rng, world.rooms, world.people, months, actuals))

    month, room = f"{end:%Y-%m}", world.rooms[0]
    changed = min(turn + timedelta(days=10), end)
    windows = (
        max(start, changed - timedelta(days=14)),
        max(start, changed - timedelta(days=1)),
        changed,
        min(end, changed + timedelta(days=20)),
    )
    nominations: list[tuple[object, ...]] = []
    for nth, (kpi, roles, where) in enumerate(
        (
            ("add_to_cart_rate", ("host", "operations"), room),
            ("payment_rate", ("operations",), world.rooms[1 % len(world.rooms)]),
            ("smoothness_rate", ("technical",), room),
        )
    ):
        named = [
            next(
                person
                for person in world.people
                if person.role == role and person.room in (where.number, None)
            )
            for role in roles
            if any(person.role == role and person.room in (where.number, None) for person in world.people)
        ]
        nominations += [
            (
                f"N{month}-{nth + 1:02d}",
                person.staff_id,
                month,
                where.room_id,
                kpi,
                *windows,
                phrases.CLAIMS[nth],
            )
            for person in named
        ]
    put(
        "award_nominations/nominations.csv",
        [
            "nomination_id",
            "staff_id",
            "month",
            "room_id",
            "kpi_id",
            "before_from",
            "before_to",
            "after_from",
            "after_to",
            "claim",
        ],
        nominations,
    )


def write_sample(out: Path) -> World:
    """The sample that is committed under data/sample."""
    return simulate(out, seed=SAMPLE_SEED, start=SAMPLE_START, end=SAMPLE_END, events=SAMPLE_EVENTS)


def sample_from_args(
    out: Path,
    events: int | None = None,
    seed: int = SAMPLE_SEED,
    rooms: int = 3,
    start: date | None = None,
    end: date | None = None,
) -> World:
    """What `make sample` calls: without dates the committed sample's three months."""
    return simulate(
        Path(out),
        seed=seed,
        start=start or SAMPLE_START,
        end=end or SAMPLE_END,
        rooms=rooms,
        events=events if events is not None else SAMPLE_EVENTS,
    )
