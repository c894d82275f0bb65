"""The benchmark as one SVG: a bar per contender and size, processor seconds per million events."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 18, 6, 250, 110
INK, QUIET, OURS = "#1f2933", "#9fb3c8", "#c05621"
NOT_DRAWN = ("a night without files", "the month end")


class Measured(Protocol):
    """What the picture needs of a measurement."""

    @property
    def contender(self) -> str: ...
    @property
    def events(self) -> int: ...
    @property
    def cpu_seconds(self) -> float: ...


def picture_of(measured: Sequence[Measured]) -> str:
    """SVG text; ours in another colour than the others, every bar with its figure."""
    drawn = [one for one in measured if one.contender not in NOT_DRAWN]
    longest = max(1e6 * one.cpu_seconds / one.events for one in drawn)
    parts, y, events = [], 10, 0
    for one in drawn:
        if one.events != events:
            events, y = one.events, y + 22
            parts.append(_text(10, y, f"{events:,} events, processor seconds per million", weight="bold"))
            y += 12
        rate = 1e6 * one.cpu_seconds / one.events
        length = round((WIDTH - LEFT - RIGHT) * rate / longest, 1)
        colour = OURS if one.contender == "a night" else QUIET
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length}" height="{BAR}" fill="{colour}"/>')
        parts.append(_text(LEFT - 10, y + 14, one.contender, anchor="end"))
        parts.append(_text(LEFT + length + 6, y + 14, f"{rate:.1f}"))
        y += BAR + GAP
    shown = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" width="{WIDTH}" height="{y + 10}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/>{shown}</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" fill="{INK}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
