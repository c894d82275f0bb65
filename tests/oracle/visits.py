"""Who watched when: the events of one viewer in one session → intervals, and how many watch at once."""

from __future__ import annotations

from .delivered import Row

# At one instant: leave before enter before anything else.
TYPE_ORDER = {"leave": 0, "enter": 1}
Span = tuple[int, int]  # [start, end) in milliseconds


def in_watch_order(events: list[Row]) -> list[Row]:
    """One viewer's events of one session, by instant, leave < enter < other, event id."""
    return sorted(events, key=lambda e: (e["event_at"], TYPE_ORDER.get(e["event_type"], 2), e["event_id"]))


def intervals(events: list[Row]) -> list[Span]:
    """The intervals at the delivered instants, zero lengths included, in order.

    Reading taken: an `enter` during an interval starts a new one, and the one before ends at its last event
    before that `enter`; the time in between is nobody's. A leave that is ignored still counts as a leave
    before what follows it.
    """
    spans: list[list[int]] = []
    after_leave = True  # nothing came before: as after a leave
    for event in in_watch_order(events):
        kind, at = event["event_type"], event["event_at"]
        if kind == "leave":
            if not after_leave:
                spans[-1][1] = at
            after_leave = True
        elif kind == "enter" or after_leave:
            spans.append([at, at])
            after_leave = False
        else:
            spans[-1][1] = at
    return [(start, end) for start, end in spans]


def clipped(spans: list[Span], start: int, end: int) -> list[Span]:
    """The parts of the spans inside [start, end) that have a length."""
    parts = [(max(a, start), min(b, end)) for a, b in spans]
    return [(a, b) for a, b in parts if a < b]


def united(spans: list[Span]) -> list[Span]:
    """Overlapping or touching spans merged, in order."""
    out: list[Span] = []
    for a, b in sorted(spans):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], b))
        else:
            out.append((a, b))
    return out


def overlap(spans: list[Span], start: int, end: int) -> int:
    """Milliseconds of the spans inside [start, end), counted once per span."""
    return sum(b - a for a, b in clipped(spans, start, end))


def peak(spans: list[Span], start: int, end: int) -> int:
    """The most spans that hold one instant of [start, end): at `start`, or where one begins later."""
    inside = clipped(spans, start, end)
    return max((sum(1 for a, b in inside if a <= at < b) for at in {a for a, _ in inside}), default=0)
