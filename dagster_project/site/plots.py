"""Where the curves and strips of the review site run. Templates draw them; paths stretch with the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# Height units of a panel's box; its width units are minutes (or points of a series).
HEIGHT = 100
HEADROOM = 0.92


@dataclass(frozen=True)
class Curve:
    """A path in a box `length` wide and 100 high, its highest value and where that is (per cent)."""

    path: str
    length: int
    highest: float
    at: float
    top: float


@dataclass(frozen=True)
class Stretch:
    """Something that lasts: start and width in per cent of the session, its minutes, code and label."""

    start: float
    width: float
    minute: int
    until: int
    code: str
    label: str


def bars(values: Sequence[float]) -> Curve:
    """One bar per minute as a single path; gaps where nothing happened."""
    highest = max(values, default=0)
    scale = HEIGHT * HEADROOM / highest if highest else 0
    path = "".join(
        f"M{minute} {HEIGHT}V{_short(HEIGHT - value * scale)}h.82V{HEIGHT}z" for minute, value in enumerate(values) if value
    )
    return _curve(path, values, highest, scale, 0.41)


def area(values: Sequence[float]) -> Curve:
    """A filled step curve: the level of each minute."""
    highest = max(values, default=0)
    scale = HEIGHT * HEADROOM / highest if highest else 0
    steps = "".join(f"V{_short(HEIGHT - value * scale)}h1" for value in values)
    return _curve(f"M0 {HEIGHT}{steps}V{HEIGHT}z", values, highest, scale, 0.5)


def sparkline(values: Sequence[float | None]) -> Curve | None:
    """A line through a series between its own lowest and highest value, over gaps; None below two points."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    spread = (high - low) or 1
    path, pen = "", "M"
    last = 0.0
    for place, value in enumerate(values):
        if value is None:
            continue
        last = HEIGHT - 10 - (value - low) / spread * (HEIGHT - 20)
        path += f"{pen}{place} {_short(last)}"
        pen = "L"
    end = max(place for place, value in enumerate(values) if value is not None)
    length = len(values) - 1
    return Curve(path, length, high, round(end / length * 100, 2), round(last, 2))


def running(values: Sequence[float | None], target: float | None, days: int) -> dict[str, Any]:
    """Sums so far day by day as a line in a box `days` wide, with the straight line to the target."""
    sums, so_far = [], 0.0
    for value in values:
        so_far += value or 0
        sums.append(so_far)
    highest = max(so_far, target or 0)
    scale = HEIGHT * HEADROOM / (highest or 1)
    line = "M0 100" + "".join(f"L{day} {_short(HEIGHT - value * scale)}" for day, value in enumerate(sums, 1))
    pace = None if target is None else f"M0 100L{days} {_short(HEIGHT - target * scale)}"
    return {"line": line, "area": f"{line}V100z", "pace": pace, "days": days, "highest": highest}


def stretches(codes: Sequence[tuple[str, str] | None], labels: Any) -> list[Stretch]:
    """Runs of equal (id, code) over the minutes of a session; None leaves a gap. labels(id, code) names it."""
    found: list[Stretch] = []
    begun = 0
    for minute in range(1, len(codes) + 1):
        if minute == len(codes) or codes[minute] != codes[begun]:
            one = codes[begun]
            if one is not None:
                found.append(
                    Stretch(
                        round(begun / len(codes) * 100, 3),
                        round((minute - begun) / len(codes) * 100, 3),
                        begun,
                        minute,
                        one[1],
                        labels(*one),
                    )
                )
            begun = minute
    return found


def hour_marks(minutes: int) -> list[tuple[float, int]]:
    """(per cent across, minute) every half hour, or every ten minutes of a short session."""
    step = 30 if minutes > 90 else 10
    return [(round(minute / minutes * 100, 3), minute) for minute in range(0, minutes, step)]


def dots(now: Decimal | None, before: Sequence[Decimal | None]) -> dict[str, Any] | None:
    """Places (per cent) of this session's value among those before it; None without any of them."""
    known = [value for value in before if value is not None]
    if now is None or len(known) < 2:
        return None
    low, high = min([now, *known]), max([now, *known])
    spread = (high - low) or 1
    ordered = sorted(known)
    half = len(ordered) // 2
    middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2

    def place(value: Decimal) -> float:
        return round(float((value - low) / spread) * 92 + 4, 2)

    return {
        "now": place(now),
        "before": [place(value) for value in known],
        "middle": place(middle),
        "median": middle,
        "n": len(known),
    }


def _curve(path: str, values: Sequence[float], highest: float, scale: float, offset: float) -> Curve:
    if not values or not highest:
        return Curve(path, max(len(values), 1), 0, 0, HEIGHT)
    where = list(values).index(highest)
    return Curve(
        path,
        len(values),
        highest,
        round((where + offset) / len(values) * 100, 2),
        round(HEIGHT - highest * scale, 2),
    )


def _short(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")
