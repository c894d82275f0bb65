"""The month's plan: targets for people and rooms, drawn from what the simulated months turned out to be."""

from dataclasses import dataclass, field

import numpy as np

from dagster_project.simulator.cast import ROLES, Person, Room

TARGET_COLUMNS = ["month", "scope_type", "scope_id", "kpi_id", "floor", "target", "stretch", "updated_at"]

# kpi: floor, target, stretch
RATES: dict[str, tuple[float, float, float]] = {
    "average_watch_seconds": (360, 620, 760),
    "new_viewer_rate": (0.30, 0.46, 0.60),
    "comment_rate": (0.30, 0.48, 0.58),
    "engagement_rate": (0.50, 0.70, 0.80),
    "feature_rate": (0.08, 0.16, 0.21),
    "explained_share": (0.60, 0.76, 0.82),
    "product_click_rate": (0.07, 0.125, 0.16),
    "add_to_cart_rate": (0.35, 0.54, 0.64),
    "order_rate": (0.18, 0.31, 0.38),
    "payment_rate": (0.75, 0.87, 0.93),
    "units_per_click": (0.12, 0.22, 0.28),
    "viewer_conversion_rate": (0.035, 0.075, 0.10),
    "spend_per_buyer": (90, 145, 190),
    "gmv_per_thousand_views": (4000, 9500, 14000),
    "new_product_conversion": (0.10, 0.20, 0.27),
    "next_day_return_rate": (0.06, 0.16, 0.22),
    "repurchase_rate_7d": (0.08, 0.25, 0.34),
    "return_rate_15d": (0.20, 0.09, 0.05),
    "refund_rate_15d": (0.25, 0.12, 0.07),
    "negative_review_rate": (0.18, 0.085, 0.04),
    "complaint_rate": (0.04, 0.013, 0.005),
    "first_response_seconds": (220, 105, 70),
    "response_within_3min_rate": (0.50, 0.72, 0.80),
    "ai_assisted_reply_rate": (0.25, 0.42, 0.52),
    "smoothness_rate": (0.975, 0.991, 0.995),
    "stall_rate": (0.025, 0.009, 0.005),
    "first_frame_ms": (950, 620, 540),
    "instant_start_rate": (0.80, 0.90, 0.95),
    "latency_ms": (4200, 2900, 2400),
    "picture_quality_rate": (0.65, 0.79, 0.84),
    "gmv_target_attainment": (0.70, 1.00, 1.20),
}
# Rooms abroad play over longer lines and are asked for less.
ABROAD: dict[str, tuple[float, float, float]] = {
    "smoothness_rate": (0.970, 0.988, 0.993),
    "stall_rate": (0.030, 0.012, 0.007),
    "first_frame_ms": (1050, 760, 640),
    "instant_start_rate": (0.79, 0.85, 0.92),
    "latency_ms": (6200, 4300, 3700),
}
TOTALS = [
    "viewers",
    "peak_online",
    "chats",
    "likes",
    "follows",
    "shares",
    "gmv",
    "orders_paid",
    "net_followers",
]
GMV_PLAN = [0.76, 1.14, 0.94]  # a room's gmv target against what it sold: over, under, about met


@dataclass
class Actuals:
    """What a room's month came to, and how its people's duty was divided (seconds)."""

    totals: dict[str, float] = field(default_factory=dict)
    duty: dict[str, float] = field(default_factory=dict)  # staff_id in the own role
    watch_seconds: float = 0.0
    live_seconds: float = 0.0

    @property
    def average_online(self) -> float:
        return self.watch_seconds / self.live_seconds


def plan_targets(
    rng: np.random.Generator,
    rooms: list[Room],
    people: list[Person],
    months: list[str],
    actuals: dict[tuple[int, str], Actuals],
) -> list[tuple[object, ...]]:
    """One row per target of every KPI: by room, by role, by both where they differ, for some people."""
    rows: list[tuple[object, ...]] = []
    before = {month: f"{_month_before(month)}-25T09:00:00Z" for month in months}

    def put(
        month: str, scope: str, scope_id: str, kpi: str, floor: float, target: float, stretch: float | None
    ) -> None:
        digits = 4 if abs(target) < 10 else 0
        texts = [None if value is None else f"{value:.{digits}f}" for value in (floor, target, stretch)]
        rows.append((month, scope, scope_id, kpi, *texts, before[month]))

    def put_total(month: str, scope: str, scope_id: str, kpi: str, expected: float) -> None:
        target = max(round(expected), 10)
        put(month, scope, scope_id, kpi, round(target * 0.55), target, round(target * 1.25))

    def put_average(month: str, scope: str, scope_id: str, expected: float) -> None:
        expected = max(expected, 0.01)
        put(month, scope, scope_id, "average_online", expected * 0.6, expected, expected * 1.25)

    for month in months:
        for room in rooms:
            actual = actuals.get((room.number, month))
            if actual is None:
                continue
            drift = float(rng.uniform(0.98, 1.03))
            for kpi in TOTALS:
                plan = GMV_PLAN[room.number % 3] if kpi in ("gmv", "orders_paid") else 1.0
                put_total(month, "room", room.room_id, kpi, actual.totals.get(kpi, 0.0) * plan * drift)
            rates = RATES if room.market == "CN" else RATES | ABROAD
            for kpi, (floor, target, stretch) in rates.items():
                put(month, "room", room.room_id, kpi, floor, target, stretch)
            put_average(month, "room", room.room_id, actual.average_online)
            if room.market != "CN":
                for kpi, (floor, target, stretch) in ABROAD.items():
                    put(month, "room_role", f"{room.room_id}:technical", kpi, floor, target, stretch)
        for role in ROLES:
            for kpi, (floor, target, stretch) in RATES.items():
                if kpi == "gmv_target_attainment":
                    continue
                # customer service is paid for the room's quality: no points beyond the target there
                capped = role == "customer_service" and kpi == "complaint_rate"
                put(month, "role", role, kpi, floor, target, None if capped else stretch)
            typical: dict[str, list[float]] = {kpi: [] for kpi in TOTALS}
            for room in rooms:
                actual = actuals.get((room.number, month))
                members = {person.staff_id for person in people if person.role == role}
                duty = (
                    {staff: spent for staff, spent in actual.duty.items() if staff in members}
                    if actual
                    else {}
                )
                if not duty or actual is None:
                    continue
                for kpi in TOTALS:
                    each = actual.totals.get(kpi, 0.0) * (
                        1.0
                        if kpi in ("peak_online", "viewers") and len(duty) == 1
                        else 0.9
                        if kpi == "peak_online"
                        else 1 / len(duty)
                    )
                    each *= 1.25 if kpi == "viewers" and len(duty) > 1 else 1.0
                    typical[kpi].append(each)
                    put_total(
                        month,
                        "room_role",
                        f"{room.room_id}:{role}",
                        kpi,
                        each * (GMV_PLAN[room.number % 3] ** 0.5 if kpi in ("gmv", "orders_paid") else 1.0),
                    )
            for kpi, values in typical.items():
                if values:
                    put_total(month, "role", role, kpi, float(np.mean(values)))
            averages = [
                actual.average_online for room in rooms if (actual := actuals.get((room.number, month)))
            ]
            put_average(month, "role", role, float(np.mean(averages)))
        joiners = [
            person
            for person in people
            if person.role == "host" and person.hired_on.strftime("%Y-%m") == month
        ]
        for person in joiners:
            # a joiner's first month asks for less
            put(month, "staff", person.staff_id, "average_watch_seconds", 180, 330, 420)
            put(month, "staff", person.staff_id, "product_click_rate", 0.04, 0.08, 0.11)
    operations = next((person for person in people if person.role == "operations"), None)
    if operations is not None and months:
        put(months[-1], "staff", operations.staff_id, "next_day_return_rate", 0.11, 0.22, 0.30)
    return rows


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year - (number == 1)}-{(number - 2) % 12 + 1:02d}"
