"""What comes of the clicks: orders and their status changes, refunds, reviews, complaints, service talk."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from dagster_project.simulator import phrases
from dagster_project.simulator.audience import Clicks, Pool, viewer_text
from dagster_project.simulator.cast import PER_CNY, Person, Product, Room, Session

ORDER_COLUMNS = [
    "order_line_id",
    "order_id",
    "session_id",
    "room_id",
    "viewer_id",
    "product_id",
    "quantity",
    "unit_price",
    "paid_amount",
    "currency",
    "created_at",
    "paid_at",
    "cancelled_at",
    "updated_at",
]
REFUND_COLUMNS = [
    "refund_id",
    "order_line_id",
    "refund_type",
    "quantity",
    "amount",
    "currency",
    "requested_at",
    "completed_at",
    "reason",
    "updated_at",
]
REVIEW_COLUMNS = ["review_id", "order_line_id", "rating", "reviewed_at", "text"]
COMPLAINT_COLUMNS = ["complaint_id", "room_id", "order_id", "conversation_id", "filed_at", "reason"]
MESSAGE_COLUMNS = [
    "conversation_id",
    "message_id",
    "room_id",
    "viewer_id",
    "sender",
    "staff_id",
    "ai_assisted",
    "sent_at",
    "text",
]

Row = tuple[object, ...]


def iso(instant: datetime | None, room: Room | None = None) -> str | None:
    """ISO 8601 to the second: in UTC, or with the room's own offset."""
    if instant is None:
        return None
    shown = instant.replace(microsecond=0)
    return (
        shown.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if room is None
        else shown.astimezone(room.zone).isoformat()
    )


@dataclass
class Ledger:
    """Rows of the sales exports, by file: small beside the events, so they are held until the end."""

    cutoff: datetime  # nothing later is delivered
    orders: dict[str, list[tuple[datetime, Row]]] = field(default_factory=dict)
    refunds: list[tuple[datetime, Row]] = field(default_factory=list)
    reviews: list[tuple[datetime, Row]] = field(default_factory=list)
    complaints: list[tuple[datetime, Row]] = field(default_factory=list)
    messages: dict[str, list[tuple[datetime, Row]]] = field(default_factory=dict)
    last_order: int = 0
    last_line: int = 0
    gmv: dict[tuple[int, str], float] = field(default_factory=dict)  # (room, month) in reporting currency
    paid_orders: dict[tuple[int, str], int] = field(default_factory=dict)

    def put_order(self, at: datetime, row: Row) -> None:
        if at < self.cutoff:
            self.orders.setdefault(f"{at:%Y-%m}", []).append((at, row))

    def put(self, rows: list[tuple[datetime, Row]], at: datetime, row: Row) -> None:
        if at < self.cutoff:
            rows.append((at, row))


def sell(rng: np.random.Generator, ledger: Ledger, session: Session, pool: Pool, clicks: Clicks) -> None:
    """Turn clicks into orders: most in the session, some a few hours later, some from nowhere."""
    room = session.room
    closing = np.array([product.closing for product in room.products])
    ready = 0.115 * closing[clicks.product] * np.where(clicks.carted, 2.4, 0.75)
    ready *= np.where(pool.bought[clicks.member] > 0, 1.7, 1.0) * pool.keen[clicks.member] ** 0.3
    bought = np.flatnonzero(rng.random(len(ready)) < np.minimum(ready, 0.8))
    by_viewer: dict[int, list[int]] = {}
    for index in bought.tolist():
        by_viewer.setdefault(int(clicks.member[index]), []).append(index)
    for member, indices in by_viewer.items():
        together = len(indices) > 1 and rng.random() < 0.5
        groups = [indices] if together else [[index] for index in indices]
        for group in groups:
            after = int(max(clicks.at_ms[index] for index in group)) + int(rng.integers(15_000, 240_000))
            if rng.random() < 0.05:
                after += int(rng.integers(1, 15)) * 3_600_000  # thought it over
            created = session.start + timedelta(milliseconds=after)
            products = _distinct([room.products[int(clicks.product[index])] for index in group])
            named = session.session_id if rng.random() < 0.74 else None
            _place_order(rng, ledger, room, pool, member, products, created, named, session.day)
    strays = rng.poisson(0.05 * max(len(bought), 1))
    for member in rng.integers(0, len(pool.number), strays).tolist():
        product = room.products[int(rng.integers(len(room.products)))]
        if product.launched_on > session.day:
            continue
        noon = datetime.combine(session.day, time(12), tzinfo=room.zone).astimezone(UTC)
        created = noon + timedelta(seconds=int(rng.integers(-30_000, 20_000)))
        _place_order(
            rng, ledger, room, pool, member, [product], created, None, created.astimezone(room.zone).date()
        )


def _distinct(products: list[Product]) -> list[Product]:
    return list({product.product_id: product for product in products}.values())


def _place_order(
    rng: np.random.Generator,
    ledger: Ledger,
    room: Room,
    pool: Pool,
    member: int,
    products: list[Product],
    created: datetime,
    session_id: str | None,
    day: date,
) -> None:
    ledger.last_order += 1
    order_id = str(69_100_000_000_000_000_000 + ledger.last_order * 7_919)
    viewer_id = viewer_text(int(pool.number[member]))
    pays = rng.random() < 0.87
    paid_at = created + timedelta(seconds=int(rng.integers(5, 1200))) if pays else None
    cancels = (not pays and rng.random() < 0.85) or (pays and rng.random() < 0.015)
    cancelled_at = (paid_at or created) + timedelta(minutes=30 if not pays else 95) if cancels else None
    month = f"{day:%Y-%m}"
    paid_lines: list[tuple[str, Product, int, float]] = []
    for product in products:
        ledger.last_line += 1
        line_id = f"{ledger.last_line * 13:010d}"
        quantity = int(rng.choice(4, p=[0.8, 0.14, 0.04, 0.02])) + 1
        unit_price = round(product.price * float(rng.choice([1.0, 0.95, 0.9, 0.85])), 2)
        discount = float(rng.choice([0.0, 0.0, 0.03, 0.1]))
        amount = round(unit_price * quantity * (1 - discount), 2)

        def row(
            at: datetime,
            paid: datetime | None,
            cancelled: datetime | None,
            *,
            line_id: str = line_id,
            product: Product = product,
            quantity: int = quantity,
            unit_price: float = unit_price,
            amount: float = amount,
        ) -> None:
            ledger.put_order(
                at,
                (
                    line_id,
                    order_id,
                    session_id,
                    room.room_id,
                    viewer_id,
                    product.product_id,
                    quantity,
                    f"{unit_price:.2f}",
                    f"{amount:.2f}" if paid else None,
                    room.currency,
                    iso(created, room),
                    iso(paid, room),
                    iso(cancelled, room),
                    iso(at, room),
                ),
            )

        row(created, None, None)
        if paid_at is not None:
            row(paid_at, paid_at, None)
            paid_lines.append((line_id, product, quantity, amount))
            key = (room.number, month)
            ledger.gmv[key] = ledger.gmv.get(key, 0.0) + amount / PER_CNY[room.currency]
        if cancelled_at is not None:
            row(cancelled_at, paid_at, cancelled_at)
    if not paid_lines or paid_at is None:
        return
    pool.bought[member] += 1
    ledger.paid_orders[room.number, month] = ledger.paid_orders.get((room.number, month), 0) + 1
    for line in paid_lines:
        _follow_up(rng, ledger, room, paid_at, *line)
    if rng.random() < 0.014:
        filed = paid_at + timedelta(hours=int(rng.integers(10, 300)))
        reason = phrases.COMPLAINT_REASONS[int(rng.integers(len(phrases.COMPLAINT_REASONS)))]
        ledger.put(
            ledger.complaints,
            filed,
            (f"CP{ledger.last_order:08d}", room.room_id, order_id, None, iso(filed), reason),
        )


def _follow_up(
    rng: np.random.Generator,
    ledger: Ledger,
    room: Room,
    paid_at: datetime,
    line_id: str,
    product: Product,
    quantity: int,
    amount: float,
) -> None:
    """Refund and review of one paid line."""
    disappointed = rng.random() > product.quality
    if rng.random() < product.return_rate * (2.2 if disappointed else 0.85):
        kind = "return" if rng.random() < 0.68 else "refund_only"
        whole = rng.random() < 0.8
        parts = 2 if whole and quantity > 1 and rng.random() < 0.4 else 1
        units = quantity if whole else max(quantity // 2, 1)
        total = (
            amount if whole else round(amount * units / quantity * (0.5 if kind == "refund_only" else 1.0), 2)
        )
        first = round(total / parts, 2)
        reason = phrases.REFUND_REASONS[int(rng.integers(len(phrases.REFUND_REASONS)))]
        for part in range(parts):
            refund_id = f"RF{line_id}{part + 1}"
            requested = paid_at + timedelta(hours=float(rng.gamma(2.0, 48.0)) + 2, seconds=part)
            granted = rng.random() < 0.93
            completed = requested + timedelta(hours=float(rng.gamma(2.0, 20.0)) + 1)
            share = first if part == 0 else round(total - first, 2)
            part_units = units if parts == 1 else (units // 2 if part else units - units // 2)
            facts = (refund_id, line_id, kind, part_units, f"{share:.2f}", room.currency, iso(requested))
            ledger.put(ledger.refunds, requested, (*facts, None, reason, iso(requested)))
            if granted:
                ledger.put(ledger.refunds, completed, (*facts, iso(completed), reason, iso(completed)))
    if rng.random() < 0.46:
        at = paid_at + timedelta(hours=float(rng.uniform(60, 330)))
        if disappointed and rng.random() < 0.5:
            rating, texts = int(rng.integers(1, 3)), phrases.BAD_REVIEWS
        elif rng.random() < 0.12:
            rating, texts = 3, phrases.MIDDLING_REVIEWS
        else:
            rating, texts = int(rng.choice([4, 5], p=[0.3, 0.7])), phrases.GOOD_REVIEWS
        text = texts[int(rng.integers(len(texts)))].format(p=product.name) if rng.random() < 0.85 else None
        ledger.put(ledger.reviews, at, (f"RV{line_id}", line_id, rating, iso(at), text))


def talk_to_service(
    rng: np.random.Generator,
    ledger: Ledger,
    room: Room,
    pool: Pool,
    people: list[Person],
    day: date,
    conversations: int,
) -> None:
    """A day's conversations of a room; its people answer, at their own pace, or the bot alone does."""
    agents = [
        person
        for person in people
        if person.role == "customer_service" and person.room == room.number and person.works_on(day)
    ]
    midnight = datetime.combine(day, time(0), tzinfo=room.zone).astimezone(UTC)
    rows = ledger.messages.setdefault(f"{day:%Y-%m}", [])
    for nth in range(conversations):
        conversation = f"{room.number + 1}{day:%y%m%d}{nth:05d}"
        viewer_id = viewer_text(int(pool.number[int(rng.integers(len(pool.number)))]))
        at = midnight + timedelta(seconds=int(rng.triangular(8 * 3600, 21 * 3600, 86_300)))
        count = 0

        def say(
            sender: str,
            text: str,
            at: datetime,
            agent: Person | None = None,
            assisted: bool | None = None,
            *,
            conversation: str = conversation,
            viewer_id: str = viewer_id,
        ) -> None:
            nonlocal count
            count += 1
            # not iso(): a delay counts from these to the millisecond
            shown = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
            ledger.put(
                rows,
                at,
                (
                    conversation,
                    f"{count:03d}",
                    room.room_id,
                    viewer_id,
                    sender,
                    agent.staff_id if agent else None,
                    assisted,
                    shown,
                    text,
                ),
            )

        def one(texts: list[str]) -> str:
            product = room.products[int(rng.integers(len(room.products)))]
            return texts[int(rng.integers(len(texts)))].format(p=product.name)

        say("customer", one(phrases.CUSTOMER_ASKS), at)
        has_bot = rng.random() < 0.55
        if has_bot:
            say("ai", one(phrases.AI_REPLIES), at + timedelta(seconds=int(rng.integers(1, 4))))
        fate = rng.random()
        if not agents or (has_bot and fate < 0.3) or fate < 0.03:
            if rng.random() < 0.04:
                ledger.put(
                    ledger.complaints,
                    at + timedelta(hours=5),
                    (
                        f"CC{conversation}",
                        room.room_id,
                        None,
                        conversation,
                        iso(at + timedelta(hours=5)),
                        phrases.COMPLAINT_REASONS[3],
                    ),
                )
            continue
        agent = agents[int(rng.integers(len(agents)))]
        # the pace differs by person: a median of one to two minutes
        at += timedelta(seconds=5 + float(rng.lognormal(np.log(52 + 24 * room.number), 0.75)))
        say("agent", one(phrases.AGENT_REPLIES), at, agent, bool(rng.random() < 0.38 + 0.1 * room.number))
        for _ in range(int(rng.integers(0, 3))):
            at += timedelta(seconds=int(rng.integers(20, 200)))
            say("customer", one(phrases.CUSTOMER_FOLLOWS), at)
            at += timedelta(seconds=int(rng.integers(15, 150)))
            say("agent", one(phrases.AGENT_REPLIES), at, agent, bool(rng.random() < 0.4))
