"""Where the marks of the charts stand. Positions are per cent of the width; templates draw them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

WIDTH = 100
# The score scale ends a little past the cap of 120 so that its mark is not on the edge.
SCORE_END = Decimal(125)


@dataclass(frozen=True)
class Bullet:
    """Marks of a bullet chart, right is better; None where there is nothing to draw."""

    floor: float
    target: float
    stretch: float | None
    value: float | None
    previous: float | None
    beyond: str


def bullet(
    value: Decimal | None,
    previous: Decimal | None,
    floor: Decimal | None,
    target: Decimal | None,
    stretch: Decimal | None,
) -> Bullet | None:
    """Place value and last month's value against floor, target and stretch; None without floor and target.

    The scale runs from half a floor-to-target step below the floor to as much past the last mark, turned
    round where less is better. A value off the scale stands at its edge and `beyond` (left, right) says so.
    """
    if floor is None or target is None or floor == target:
        return None
    step = abs(target - floor)
    sign = 1 if target > floor else -1
    low = sign * floor - step / 2
    high = sign * (target if stretch is None else stretch) + step / 2

    def place(figure: Decimal | None) -> float | None:
        if figure is None:
            return None
        across = (sign * figure - low) / (high - low)
        return round(float(min(max(across, Decimal(0)), Decimal(1))) * WIDTH, 2)

    beyond = ""
    if value is not None and sign * value > high:
        beyond = "right"
    elif value is not None and sign * value < low:
        beyond = "left"
    at_floor, at_target = place(floor), place(target)
    assert at_floor is not None and at_target is not None
    return Bullet(at_floor, at_target, place(stretch), place(value), place(previous), beyond)


def score_at(points: Decimal | None) -> float:
    """A score or a sum of points on the common scale 0-125."""
    if points is None:
        return 0.0
    return round(float(min(max(points, Decimal(0)), SCORE_END) / SCORE_END) * WIDTH, 2)


def share_at(part: Decimal, whole: Decimal) -> float:
    """A part of a whole across the width; 0 where the whole is nothing."""
    return 0.0 if whole <= 0 else round(float(min(max(part / whole, Decimal(0)), Decimal(1))) * WIDTH, 2)
