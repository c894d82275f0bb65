"""Small, nasty worlds of exports by seed: a few rooms, a handful of sessions, every edge the pages name.

Everything in them is valid: no row is to be quarantined or left pending. Keys come more than once, with the
same and with other content. All instants lie in the past of any machine that runs the tests.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.delivered import CONTRACT, columns_of

Row = dict[str, Any]
ALWAYS = ("rooms", "sessions", "viewer_events", "orders", "staff")
ROLES = ("host", "operations", "floor_control", "customer_service", "technical")
MS = timedelta(milliseconds=1)
TEXTS = ["好看", "多少钱？", 'a "quoted", text', "=1+1", "line\nbreak", "😀", "null", "<b>"]
# First day and what is near: a month's end each, with the clocks of New York going back, forward, or neither.
PERIODS = [date(2025, 10, 22), date(2025, 2, 24), date(2024, 12, 24), date(2025, 7, 25)]


@dataclass
class World:
    """Delivered rows by export; an export that is no key was never delivered."""

    seed: int
    exports: dict[str, list[Row]]

    def write(self, folder: Path, shuffle_seed: int | None = None) -> None:
        """One folder per export below `folder`, in one to four files of mixed formats.

        With `shuffle_seed` the rows come in another order, cut into other files of other formats.
        """
        rng = random.Random(f"{self.seed}/{shuffle_seed}")
        for export, rows in self.exports.items():
            rows = list(rows)
            if shuffle_seed is not None:
                rng.shuffle(rows)
            places = range(1, len(rows))
            cuts = sorted(rng.sample(places, min(rng.randint(0, 3), len(places))))
            for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
                place = folder / export / rng.choice(["", "dt=2025-11-01", "a/b"])
                place.mkdir(parents=True, exist_ok=True)
                kind = rng.choice(["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet", "text.parquet"])
                if not rows:
                    kind = "csv"  # only a header says which columns there would be
                (place / f"part-{number:04}.{kind}").write_bytes(encoded(export, rows[start:end], kind, rng))


def encoded(export: str, rows: list[Row], kind: str, rng: random.Random) -> bytes:
    """The bytes of a file of one of the formats."""
    names = [name for name, _ in columns_of(export)]
    if kind.endswith("parquet"):
        return parquet(export, rows, typed=kind == "parquet", rng=rng)
    out = io.StringIO()
    if kind.startswith("csv"):
        rng.shuffle(names)
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = [as_text(row.get(name), rng) for name in names]
            writer.writerow([rng.choice(["", "-"]) if value is None else value for value in values])
    else:
        for row in rows:
            cells = {name: as_json(row.get(name), rng) for name in names}
            if rng.random() < 0.5:
                cells = {name: value for name, value in cells.items() if value is not None}
                cells |= {name: None for name in names if name not in cells}
            out.write(json.dumps(cells, ensure_ascii=False) + "\n")
    data = out.getvalue().encode()
    return gzip.compress(data, mtime=0) if kind.endswith(".gz") else data


def as_text(value: Any, rng: random.Random) -> str | None:
    """A cell as text; an instant with one of the offsets that mean the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        offset = rng.choice([None, 0, 8, -5])
        if offset is None:
            return value.replace(tzinfo=None).isoformat()
        if offset == 0:
            return value.replace(tzinfo=None).isoformat() + "Z"
        return value.astimezone(timezone(timedelta(hours=offset))).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return None if value is None else str(value)


def as_json(value: Any, rng: random.Random) -> Any:
    """A cell of JSON Lines: numbers as numbers or as text."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal) and rng.random() < 0.5 and Decimal(repr(float(value))) == value:
        return float(value)
    return as_text(value, rng)


def parquet(export: str, rows: list[Row], *, typed: bool, rng: random.Random) -> bytes:
    """A Parquet file with typed columns, or with all columns text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"text": pa.string(), "instant": pa.timestamp("us", tz="UTC"), "date": pa.date32(),
             "number": pa.decimal128(28, 10), "whole": pa.int64(), "truth": pa.bool_()}
    columns = {}
    for name, kind in columns_of(export):
        values = [row.get(name) for row in rows]
        if typed:
            columns[name] = pa.array(values, types[kind])
        else:
            columns[name] = pa.array([as_text(value, rng) for value in values], pa.string())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def random_world(seed: int) -> World:
    """The world of a seed: about 40 people, 4–8 sessions, some hundred events."""
    return _Maker(seed).world()


class _Maker:
    """Holds the dice and the parents while the exports of one world are drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.first = self.rng.choice(PERIODS)
        self.span = self.rng.choice([3, 8, 14, 40])
        self.exports: dict[str, list[Row]] = {export: [] for export in CONTRACT}

    def world(self) -> World:
        """Draws every export, then takes some away."""
        for draw in (self.rooms, self.products, self.staff, self.sessions, self.segments, self.shifts,
                     self.events, self.orders, self.follow_ups, self.service, self.playback, self.rates,
                     self.targets, self.again):
            draw()
        kept = {}
        for export, rows in self.exports.items():
            dice = self.rng.random()
            needed = export in ALWAYS or (export == "fx_rates" and self.foreign)
            if needed or dice > 0.12:
                kept[export] = [] if not needed and dice > 0.96 else rows
        return World(self.seed, kept)

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.rng.random() < probability

    def add(self, export: str, **row: Any) -> Row:
        """One delivered row; columns not given are null."""
        full = {name: row.pop(name, None) for name, _ in columns_of(export)}
        assert not row, f"{export} has no {sorted(row)}"
        self.exports[export].append(full)
        return full

    def money(self, low: int, high: int) -> Decimal:
        """An amount with two decimals between low and high."""
        return Decimal(self.rng.randint(low * 100, high * 100)).scaleb(-2)

    def midnight(self, room: Row, day: date) -> datetime:
        """The instant a local date begins in a room."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(room["timezone"])).astimezone(UTC)

    def rooms(self) -> None:
        choices = [("r01", "一号直播间", "Asia/Shanghai", "CNY", "CN"),
                   ("0007", "Night Owl", "America/New_York", "USD", "US"),
                   ("r03", "Kedai", "Asia/Kuala_Lumpur", "USD", "MY")]
        if self.chance(0.4):
            choices.pop(self.rng.randrange(3))
        self.rng.shuffle(choices)
        self.all_rooms = []
        for room_id, name, zone, currency, market in choices:
            fixed = {"room_id": room_id, "platform": "douyin", "market": market, "timezone": zone,
                     "currency": currency}
            room = self.add("rooms", **fixed, effective_from=date(2024, 1, 1), name=name, stage="startup")
            if self.chance(0.6):
                self.add("rooms", **fixed, effective_from=self.first + timedelta(days=5), name=name + "2",
                         stage="growth")
            if self.chance(0.4):
                self.add("rooms", **fixed, effective_from=date(2024, 1, 1), name=name + "'", stage="mature")
            self.all_rooms.append(room)
        self.foreign = any(room["currency"] != "CNY" for room in self.all_rooms)

    def products(self) -> None:
        self.product_ids = ["p1", "p2", "0003", "98765432109876543210", "p5"]
        for product_id in self.product_ids:
            launched = self.rng.choice([None, *(self.first + timedelta(days=d)
                                                for d in (-31, -30, -29, -25, 0, 1, 4, 9))])
            row = {"product_id": product_id, "name": f"商品 {product_id}", "category": "beauty",
                   "product_role": self.rng.choice(["traffic", "profit", "hero", "clearance", None]),
                   "list_price": self.rng.choice([None, self.money(5, 300)]), "currency": "CNY"}
            updated = self.instant_of(self.first) if self.chance(0.7) else None
            self.add("products", **row, launched_on=launched, updated_at=updated)
            if self.chance(0.4):
                self.add("products", **row, launched_on=self.first - timedelta(days=10),
                         updated_at=self.rng.choice([None, updated]))

    def instant_of(self, day: date) -> datetime:
        """Noon UTC of a date."""
        return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    def staff(self) -> None:
        self.people: dict[str, list[str]] = {role: [] for role in ROLES}
        number = 0
        for room in self.all_rooms:
            for role in ROLES:
                for _ in range(self.rng.choice([0, 1, 1, 2]) + (role == "host")):
                    number += 1
                    staff_id = f"{self.rng.choice('ahz')}{number:03}"
                    self.people[role].append(staff_id)
                    hired = self.first + timedelta(days=self.rng.choice([-300, -300, 0, 1, 3]))
                    left = self.rng.choice([None, None, self.first + timedelta(days=self.rng.randint(1, 9))])
                    left = None if left is None or left < hired else left
                    home = room["room_id"] if self.chance(0.85) else None
                    self.add("staff", staff_id=staff_id, name=f"员工{number}", role=role, room_id=home,
                             hired_on=hired, left_on=left, performance_pay=self.money(500, 5000),
                             updated_at=self.instant_of(self.first))
                    if self.chance(0.2):
                        self.add("staff", staff_id=staff_id, name=f"旧{number}", role="host", room_id=None,
                                 hired_on=hired, left_on=None, updated_at=self.instant_of(self.first) - MS)
                    if self.chance(0.3):
                        start = self.first + timedelta(days=self.rng.randint(0, 6))
                        self.add("leaves", staff_id=staff_id, from_date=start, updated_at=None,
                                 to_date=start + timedelta(days=self.rng.randint(0, 2)))
                        if self.chance(0.3):
                            self.add("leaves", staff_id=staff_id, from_date=start, to_date=start,
                                     updated_at=self.instant_of(start))

    def sessions(self) -> None:
        self.all_sessions: list[Row] = []
        number = 0
        for room in self.all_rooms:
            days = [self.rng.randint(0, 3)]
            while len(days) < self.rng.randint(2, 4):
                step = self.rng.choice([1, 1, 1, 2, max(2, self.span // 3)])
                days.append(days[-1] + step)
            until = None
            for offset in days:
                number += 1
                begin = self.midnight(room, self.first + timedelta(days=offset))
                begin += self.rng.choice([
                    timedelta(), timedelta(minutes=30), timedelta(hours=10, milliseconds=250),
                    timedelta(hours=20), timedelta(hours=22, minutes=58), timedelta(hours=23, minutes=30)])
                begin = max(begin, until or begin)
                length = self.rng.choice([
                    timedelta(minutes=20), timedelta(minutes=60), timedelta(minutes=61, milliseconds=1),
                    timedelta(minutes=95, seconds=30), timedelta(minutes=150, milliseconds=777)])
                until = begin + length
                session_id = f"s{number}" if number % 3 else f"2025000000000000000{number}"
                updated = self.rng.choice([None, until])
                row = {"session_id": session_id, "room_id": room["room_id"], "ended_at": until,
                       "mode": self.rng.choice(["single", "co_host", "pk", "handoff", "multi"])}
                session = self.add("sessions", **row, title="z今晚", started_at=begin, updated_at=updated)
                self.all_sessions.append(session)
                if updated and self.chance(0.5):
                    self.add("sessions", **row, title="zz", started_at=begin - timedelta(minutes=20),
                             updated_at=self.rng.choice([None, updated - MS]))
                elif self.chance(0.3):  # a tie: the greater title wins
                    self.add("sessions", **row, title="a", started_at=begin + timedelta(minutes=7),
                             updated_at=updated)

        self.crowd(number)

    def crowd(self, number: int) -> None:
        """The day before all others: two sessions of one room, of whole minutes, one of another room at the same time; now and
        then one more, long after the others."""
        early = min(self.all_sessions, key=lambda session: session["started_at"])
        room = self.room_of(early)
        day = early["started_at"].astimezone(ZoneInfo(room["timezone"])).date() - timedelta(days=1)
        noon = self.midnight(room, day) + timedelta(hours=12)
        first_minutes = self.rng.choice([75, 120])
        again = noon + timedelta(minutes=first_minutes + self.rng.choice([0, 7]))
        planned = [(room, noon, first_minutes), (room, again, 90)]
        planned += [(other, noon + timedelta(minutes=20), 90) for other in self.all_rooms if other is not room][:1]
        if self.chance(0.3):
            planned.append((room, noon + timedelta(days=self.span + 75), 40))
        added = [
            self.add("sessions", session_id=f"s{place}x", room_id=room["room_id"], title="z加场", mode="single",
                     started_at=begin, ended_at=begin + timedelta(minutes=minutes), updated_at=None)
            for place, (room, begin, minutes) in enumerate(planned, start=number + 1)
        ]  # fmt: skip
        self.all_sessions += added
        self.one_after_another = added[:2]

    def room_of(self, session: Row) -> Row:
        """The room of a session."""
        return next(room for room in self.all_rooms if room["room_id"] == session["room_id"])

    def within(self, session: Row, *, stray: float = 0.1) -> datetime:
        """An instant, most often inside the session, often shared with others, sometimes far outside."""
        start, end = session["started_at"], session["ended_at"]
        length = end - start
        if self.chance(stray):
            return self.rng.choice([
                start, end, end - MS, end + MS, start - MS, start - timedelta(hours=5),
                start - timedelta(hours=24), end + timedelta(hours=24), end + timedelta(hours=3),
                start - timedelta(seconds=30), end + timedelta(seconds=30)])
        if self.chance(0.6):
            return start + length * self.rng.randint(0, 24) / 24
        return start + timedelta(microseconds=self.rng.randrange(int(length / timedelta(microseconds=1))))

    def segments(self) -> None:
        number = 0
        for session in self.all_sessions:
            for _ in range(self.rng.randint(0, 7)):
                number += 1
                start = self.within(session, stray=0.15)
                kind = self.rng.choice(["explain", "explain", "explain", "lottery", "red_packet", "vote",
                                        "co_host", "pk", "handoff", "talk"])
                product_id = self.rng.choice([*self.product_ids, None]) if kind == "explain" else None
                row = {"segment_id": f"g{number % 7}-{number}", "session_id": session["session_id"],
                       "segment_type": kind, "product_id": product_id}
                end = start + timedelta(seconds=self.rng.choice([60, 300, 900, 1800]))
                self.add("segments", **row, started_at=start, ended_at=end, updated_at=start)
                if self.chance(0.15):
                    self.add("segments", **row, started_at=start, ended_at=end + timedelta(minutes=5),
                             updated_at=self.rng.choice([None, end]))

    def shifts(self) -> None:
        number = 0
        for session in self.all_sessions:
            for role in ROLES:
                if self.chance(0.35) or not self.people[role]:
                    continue  # whoever's home room it is
                for _ in range(self.rng.randint(1, 4)):
                    number += 1
                    others = [s for theirs in self.people.values() for s in theirs]
                    person = self.rng.choice(self.people[role] if self.chance(0.9) else others)
                    ends = sorted([self.within(session), self.within(session)])
                    if self.chance(0.3):
                        ends = [session["started_at"] - timedelta(minutes=9), session["ended_at"]]
                    if ends[0] == ends[1]:
                        ends[1] += timedelta(minutes=10)
                    row = {"shift_id": f"d{number}", "session_id": session["session_id"],
                           "staff_id": person, "role": role}
                    self.add("shifts", **row, on_at=ends[0], off_at=ends[1], updated_at=None)
                    if self.chance(0.2):  # one person's next interval overlaps or touches
                        again = ends[1] - self.rng.choice([timedelta(), timedelta(minutes=5)])
                        self.add("shifts", **row | {"shift_id": f"d{number}b"}, on_at=again,
                                 off_at=ends[1] + timedelta(minutes=15))
                    if self.chance(0.15):
                        longer = self.rng.choice([timedelta(minutes=3), (ends[0] - ends[1]) / 2])
                        self.add("shifts", **row, on_at=ends[0], off_at=ends[1] + longer, updated_at=ends[1])

    def events(self) -> None:
        count = self.rng.randint(20, 36)
        self.viewers = [f"v{n:03}" for n in range(count)] + ["00017", "12345678901234567890", "观众七"]
        self.clicks: list[tuple[Row, Row]] = []
        for session in self.all_sessions:
            ids = list(range(400))
            self.rng.shuffle(ids)
            watching = self.rng.sample(self.viewers, self.rng.randint(6, 16))
            for viewer in watching:
                for _ in range(self.rng.randint(1, 16)):
                    kind = self.rng.choices(
                        ["enter", "leave", "heartbeat", "chat", "like", "follow", "unfollow", "share", "gift",
                         "product_exposure", "product_click", "add_to_cart", "red_packet_claim", "vote",
                         "mic_join"],
                        [16, 12, 6, 8, 8, 3, 3, 3, 4, 14, 14, 6, 3, 3, 2])[0]
                    self.event(session, f"e{ids.pop()}", viewer, kind)
            if self.chance(0.5):  # someone of whom only a leave is known
                self.event(session, f"e{ids.pop()}", self.rng.choice(self.viewers), "leave")
        self.same_instants()

    def same_instants(self) -> None:
        """Viewers whose first events in two sessions of one room are of one instant; which was first hangs on the ids alone."""
        first, second = self.one_after_another
        at = second["started_at"] - timedelta(minutes=5)
        for number, kinds in enumerate([("enter", "chat"), ("enter", "like"), ("enter", "share"), ("chat", "follow")]):
            viewer = f"twice {number}"
            self.viewers.append(viewer)
            ids = self.rng.sample(range(10), 4)
            for session in (first, second):
                for kind in kinds:
                    self.add("viewer_events", session_id=session["session_id"], event_type=kind, viewer_id=viewer,
                             event_id=f"t{number}{ids.pop()}", event_at=at)  # fmt: skip
                # Enters once more, and within milliseconds leaves and is back.
                for place, (kind, wait) in enumerate([("enter", 0), ("chat", 1), ("leave", 2), ("enter", 3), ("leave", 90_000)]):
                    self.add("viewer_events", session_id=session["session_id"], event_type=kind, viewer_id=viewer,
                             event_id=f"u{number}{place}",
                             event_at=session["started_at"] + timedelta(minutes=5, milliseconds=wait))  # fmt: skip

    def event(self, session: Row, event_id: str, viewer: str, kind: str) -> None:
        """One event, and now and then another row of the same key."""
        product_id = None
        if kind in ("product_exposure", "product_click", "add_to_cart") or self.chance(0.05):
            favourite = self.product_ids[len(viewer) * 7 % 5 - self.viewers.index(viewer) % 2]
            product_id = favourite if self.chance(0.7) else self.rng.choice(self.product_ids)
        quantity = self.rng.choice([None, None, 0, 1, 3, 28]) if kind == "like" else None
        amount = self.rng.choice([None, Decimal("0.10"), self.money(1, 90)]) if kind == "gift" else None
        row = {"session_id": session["session_id"], "event_id": event_id, "viewer_id": viewer,
               "event_type": kind, "event_at": self.within(session), "product_id": product_id,
               "quantity": quantity, "amount": amount,
               "text": self.rng.choice(TEXTS) if kind == "chat" else None,
               "region": self.rng.choice([None, "CN-GD", "US-NY", "MY"]),
               "device": self.rng.choice([None, "ios", "android"]),
               "traffic_source": self.rng.choice([None, "recommend", "follow", "paid"])}
        self.add("viewer_events", **row)
        if kind == "product_click":
            self.clicks.append((session, row))
        if self.chance(0.04):
            other = row | self.rng.choice([
                {"event_at": min(row["event_at"] + timedelta(minutes=2),
                                 session["ended_at"] + timedelta(hours=24))},
                {"viewer_id": self.rng.choice(self.viewers)},
                {"region": "ZZ"}, {"event_type": "chat", "text": "换", "product_id": None}])
            self.add("viewer_events", **other)

    def orders(self) -> None:
        self.order_lines: list[Row] = []
        for number in range(self.rng.randint(18, 36)):
            session, click = self.rng.choice(self.clicks)
            room = self.room_of(session)
            viewer = click["viewer_id"]
            product_id, created = click["product_id"], click["event_at"]
            dice = self.rng.random()
            if dice < 0.55:
                created += self.rng.choice([timedelta(), timedelta(minutes=3), timedelta(hours=7),
                                            timedelta(hours=24), timedelta(hours=24, milliseconds=1)])
            elif dice < 0.8:
                created = self.within(session, stray=0.3)
            else:
                viewer = self.rng.choice([*self.viewers, "buyer-only"])
                created = session["started_at"] + timedelta(hours=self.rng.randint(-40, 200))
            given = session["session_id"] if self.chance(0.5) else None
            for line in range(self.rng.choice([1, 1, 2, 3])):
                self.line(f"o{number}", f"o{number}-{line}", given, room, viewer,
                          product_id if line == 0 else self.rng.choice(self.product_ids), created)

    def line(self, order_id: str, line_id: str, session_id: str | None, room: Row, viewer: str,
             product_id: str, created: datetime) -> None:
        """One order line in all its states."""
        quantity = self.rng.randint(1, 4)
        price = self.money(1, 150)
        currency = room["currency"] if self.chance(0.9) or not self.foreign else "USD"
        row = {"order_line_id": line_id, "order_id": order_id, "session_id": session_id,
               "room_id": room["room_id"], "viewer_id": viewer, "product_id": product_id,
               "quantity": quantity, "unit_price": price, "currency": currency, "created_at": created,
               "updated_at": created}
        self.add("orders", **row)
        self.order_lines.append(row)
        if self.chance(0.15):
            self.add("orders", **row | {"cancelled_at": created + timedelta(minutes=1),
                                        "updated_at": created + timedelta(minutes=1)})
        if self.chance(0.25):
            if self.chance(0.2):  # what there would be to pay
                self.add("orders", **row | {"paid_amount": price, "updated_at": created + timedelta(minutes=5)})
            return
        paid_at = created + self.rng.choice([timedelta(), timedelta(minutes=2), timedelta(hours=9),
                                             timedelta(days=2)])
        amount = self.rng.choice([Decimal("0.00"), price * quantity, price * quantity, price * quantity / 2])
        paid = row | {"paid_at": paid_at, "paid_amount": amount.quantize(Decimal("0.01")),
                      "updated_at": paid_at + timedelta(minutes=2),
                      "cancelled_at": self.rng.choice([None, None, paid_at + timedelta(minutes=1)])}
        if self.chance(0.1):
            paid["paid_amount"] = None  # paid, they say, but not how much
        self.add("orders", **paid)
        if self.chance(0.2):  # late news of an older state
            self.add("orders", **row | {"quantity": quantity + 1,
                                        "updated_at": paid["updated_at"] - self.rng.choice([MS, MS * 0])})

    def follow_ups(self) -> None:
        refund = 0
        for line in self.order_lines:
            room = next(room for room in self.all_rooms if room["room_id"] == line["room_id"])
            created = line["created_at"]
            local = created.astimezone(ZoneInfo(room["timezone"])).date()
            too_late = self.midnight(room, local + timedelta(days=16))

            def later(created: datetime = created, too_late: datetime = too_late) -> datetime:
                return self.rng.choice([created + timedelta(days=1), created + timedelta(days=9), too_late,
                                        too_late - MS, too_late + timedelta(days=4)])

            worth = line["unit_price"] * line["quantity"]
            for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
                refund += 1
                amount = self.rng.choice([worth, worth / 2, worth / 3, worth * 2]).quantize(Decimal("0.01"))
                row = {"refund_id": f"f{refund}", "order_line_id": line["order_line_id"],
                       "refund_type": self.rng.choice(["refund_only", "return", "return"]),
                       "quantity": self.rng.randint(0, 6), "amount": amount, "currency": line["currency"],
                       "requested_at": created + timedelta(hours=2)}
                self.add("refunds", **row, updated_at=created + timedelta(hours=2))
                if self.chance(0.7):
                    done = later()
                    self.add("refunds", **row, completed_at=done, updated_at=done)
            for number in range(self.rng.choice([0, 0, 1, 1, 2])):
                review = {"review_id": f"w{line['order_line_id']}{number}", "reviewed_at": later(),
                          "order_line_id": line["order_line_id"], "rating": self.rng.randint(1, 5)}
                self.add("reviews", **review, text=self.rng.choice(TEXTS))
                if self.chance(0.1):
                    self.add("reviews", **review | {"rating": self.rng.randint(1, 5)})
            if self.chance(0.2):
                self.add("complaints", complaint_id=f"c{line['order_line_id']}", room_id=line["room_id"],
                         order_id=line["order_id"], filed_at=later(), reason="慢")
        for order_id in {line["order_id"]: None for line in self.rng.sample(self.order_lines, 2)}:  # of one order, then another
            self.add("complaints", complaint_id="c-moved", room_id=self.all_rooms[0]["room_id"], order_id=order_id,
                     filed_at=self.all_sessions[0]["ended_at"], reason="moved")  # fmt: skip
        self.add("complaints", complaint_id="c-none", room_id=self.all_rooms[0]["room_id"],
                 filed_at=self.all_sessions[0]["ended_at"])
        self.add("complaints", complaint_id="c-other", room_id=self.all_rooms[0]["room_id"],
                 order_id="no such order", filed_at=self.all_sessions[0]["ended_at"])

    def service(self) -> None:
        agents = [*self.people["customer_service"], *self.people["host"][:1], None]
        for number in range(self.rng.randint(8, 16)):
            session = self.rng.choice(self.all_sessions)
            room = self.room_of(session)
            day = self.first + timedelta(days=self.rng.randint(0, 5))
            near_midnight = self.midnight(room, day) + timedelta(seconds=self.rng.randint(-90, 90))
            asked = near_midnight if self.chance(0.4) else self.within(session)
            pattern = self.rng.choice(
                ["c", "ca", "cia", "ci", "caa", "a", "aca", "c=a", "cca", "ic", "c=aa", "i", "ii", "aic", "aci"]
            )
            at = asked
            for place, letter in enumerate(pattern.replace("=", "")):
                if place and not (place == 1 and "=" in pattern):
                    at += self.rng.choice([timedelta(seconds=5), timedelta(seconds=180),
                                           timedelta(seconds=180, milliseconds=1), timedelta(hours=1)])
                sender = {"c": "customer", "a": "agent", "i": "ai"}[letter]
                row = {"conversation_id": f"k{number}", "message_id": f"m{9 - place}",
                       "room_id": room["room_id"], "viewer_id": f"v{number:03}", "sender": sender,
                       "staff_id": self.rng.choice(agents) if letter == "a" else None,
                       "ai_assisted": self.rng.choice([None, True, False]) if letter == "a" else None,
                       "sent_at": at, "text": self.rng.choice(TEXTS)}
                self.add("service_messages", **row)
                if self.chance(0.06):
                    self.add("service_messages", **row | {"sent_at": at + timedelta(seconds=1)})

    def playback(self) -> None:
        for session in self.all_sessions:
            for number in range(self.rng.randint(0, 25)):
                play, stall = self.rng.choice([
                    (Decimal(9800), Decimal(200)), (Decimal(9799), Decimal(201)), (Decimal(0), Decimal(0)),
                    (Decimal("60000.125"), Decimal(0)), (Decimal("1234.5"), Decimal("400.25"))])
                row = {"session_id": session["session_id"], "sample_id": f"q{number}",
                       "viewer_id": self.rng.choice([*self.viewers, "lurker"]),
                       "network": self.rng.choice([None, "wifi", "5g", "3g"]),
                       "sampled_at": self.within(session), "play_ms": play, "stall_ms": stall,
                       "stall_count": self.rng.choice([None, 1]),
                       "first_frame_ms": self.rng.choice([None, Decimal(1000), Decimal("1000.5")]),
                       "height": self.rng.choice([None, 480, 720, 1080]),
                       "fps": self.rng.choice([None, Decimal(24), Decimal("23.999"), Decimal(60)]),
                       "latency_ms": self.rng.choice([None, Decimal("812.125"), Decimal(3000)])}
                self.add("playback_qos", **row)
                if self.chance(0.05):
                    self.add("playback_qos", **row | {"play_ms": play + 1})

    def rates(self) -> None:
        day = self.first - timedelta(days=12)
        last = max(row["created_at"] for row in self.order_lines).date() + timedelta(days=5)
        while day <= last:
            rate = Decimal(self.rng.randint(70_000_000_000, 73_000_000_000)).scaleb(-10)
            self.add("fx_rates", rate_date=day, currency="USD", rate=rate)
            if self.chance(0.1):
                self.add("fx_rates", rate_date=day, currency="USD", rate=rate + Decimal("0.01"))
            day += timedelta(days=self.rng.choice([1, 1, 2, 5, 8]))

    def targets(self) -> None:
        months = {f"{self.first + timedelta(days=d):%Y-%m}" for d in (0, 20)}
        for month in sorted(months):
            for room in self.all_rooms:
                row = {"month": month, "scope_type": "room", "scope_id": room["room_id"], "kpi_id": "gmv",
                       "floor": Decimal(100)}
                if self.chance(0.8):
                    self.add("targets", **row, target=self.money(200, 900), stretch=Decimal(2000))
                if self.chance(0.3):
                    self.add("targets", **row, target=self.money(901, 1500), stretch=Decimal(2000),
                             updated_at=self.instant_of(self.first))
                self.add("targets", **row | {"kpi_id": "follows"}, target=Decimal(150), stretch=Decimal(200))
            self.add("targets", month=month, scope_type="role", scope_id="host", kpi_id="gmv",
                     floor=Decimal(1), target=Decimal(2), stretch=Decimal(3))
        if staff := self.people["host"]:
            near = self.first
            self.add("award_nominations", nomination_id="n1", staff_id=staff[0],
                     month=f"{near:%Y-%m}", room_id=self.all_rooms[0]["room_id"], kpi_id="comment_rate",
                     before_from=near, before_to=near + timedelta(days=1),
                     after_from=near + timedelta(days=2), after_to=near + timedelta(days=4), claim="新玩法")

    def again(self) -> None:
        """Some rows are delivered twice, and no export comes in the order it was made."""
        for rows in self.exports.values():
            rows += [dict(row) for row in rows if self.chance(0.03)]
            self.rng.shuffle(rows)
