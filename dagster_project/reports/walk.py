"""How a score came about: the stored lines of a card laid out step by step, with the sum at each step.

Nothing here decides a score. Products are formed from stored figures, so that a reader can follow by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from dagster_project.reports.policy_in_force import PolicyInForce
from dagster_project.reports.published import Card, Duty, Line, Month

CATEGORIES = ("traffic", "engagement", "conversion", "retention", "quality", "technical")
LEVELS = ("R", "P", "T")
ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(frozen=True)
class Step:
    """A line: contribution = line score × effective weight; exact = its part of the total, uncut."""

    line: Line
    contribution: Decimal | None
    exact: Decimal | None


@dataclass(frozen=True)
class Part:
    """The personal part, or the team part of one room; shares are 0-1."""

    part: str
    room_id: str | None
    share: Decimal
    duty_fraction: Fraction
    duty: Duty | None
    counted: bool
    steps: list[Step]

    @property
    def duty_share(self) -> Decimal:
        return _decimal(self.duty_fraction)

    @property
    def weight(self) -> Decimal:
        return sum((step.line.weight for step in self.steps), ZERO)

    @property
    def effective_weight(self) -> Decimal:
        return sum((step.line.effective_weight or ZERO for step in self.steps), ZERO)

    @property
    def contribution(self) -> Decimal:
        return sum((step.contribution or ZERO for step in self.steps), ZERO)

    @property
    def exact(self) -> Decimal:
        return sum((step.exact or ZERO for step in self.steps), ZERO)

    @property
    def points(self) -> Decimal:
        return sum((step.line.points or ZERO for step in self.steps), ZERO)


@dataclass(frozen=True)
class Bar:
    """One step of the waterfall: where it starts and how far it goes, in points."""

    step: Step
    part: Part
    start: Decimal


@dataclass(frozen=True)
class Story:
    """A card with its parts; points add up to the total score."""

    card: Card
    parts: list[Part]

    @property
    def points(self) -> Decimal:
        return sum((part.points for part in self.parts), ZERO)

    @property
    def every_target_is_late(self) -> bool:
        """Whether no line with a target had it in time: told once, not beside each line."""
        lines = [step.line for part in self.parts for step in part.steps if step.line.target is not None]
        return bool(lines) and all(line.is_target_late for line in lines)

    def bars(self) -> list[Bar]:
        """The scored lines in reading order, each beginning where the one before ended."""
        bars, start = [], ZERO
        for part in self.parts:
            for step in part.steps:
                if step.line.line_score is not None and part.counted:
                    bars.append(Bar(step, part, start))
                    start += step.line.points or ZERO
        return bars

    def by_category(self) -> list[tuple[str, Decimal]]:
        """Points per KPI category, in reading order, categories without a scored line left out."""
        sums = dict.fromkeys(CATEGORIES, ZERO)
        seen = set()
        for bar in self.bars():
            category = bar.step.line.kpi.category
            sums[category] = sums.get(category, ZERO) + (bar.step.line.points or ZERO)
            seen.add(category)
        return [(category, points) for category, points in sums.items() if category in seen]

    def unmeasured(self) -> list[tuple[Part, Line]]:
        return [
            (part, step.line) for part in self.parts for step in part.steps if step.line.line_score is None
        ]


def story_of(card: Card, month: Month, policy: PolicyInForce) -> Story:
    """Lay a card's lines out by part and room, in reading order of the KPI categories."""
    lines = month.lines.get((card.subject_type, card.subject_id), [])
    personal_share = policy.rule("personal_share")
    parts: list[Part] = []
    own = [line for line in lines if line.part == "personal"]
    if own:
        parts.append(_part("personal", None, personal_share, Fraction(1), None, True, own))
    rooms = sorted({line.room_id for line in lines if line.part == "team" and line.room_id is not None})
    shares = _duty_shares(card, rooms, month)
    team_share = ONE if card.subject_type == "room" else ONE - personal_share
    for room_id in rooms:
        team = [line for line in lines if line.part == "team" and line.room_id == room_id]
        duty = month.duty.get((card.subject_id, room_id)) if card.subject_type == "staff" else None
        share = shares.get(room_id, Fraction(0))
        parts.append(_part("team", room_id, team_share, share, duty, room_id in shares, team))
    return Story(card, parts)


def _part(
    part: str,
    room_id: str | None,
    share: Decimal,
    duty_fraction: Fraction,
    duty: Duty | None,
    counted: bool,
    lines: list[Line],
) -> Part:
    ordered = sorted(
        lines, key=lambda line: (_place(line.kpi.category), LEVELS.index(line.kpi.level), line.kpi.kpi_id)
    )
    steps = []
    for line in ordered:
        scored = line.line_score is not None and line.effective_weight is not None
        contribution = line.line_score * line.effective_weight if scored else None  # type: ignore[operator]
        exact = None
        if contribution is not None and counted:
            # A fraction, because thirds of a duty would leave a cent's edge on the wrong side.
            exact = _decimal(Fraction(share) * duty_fraction * Fraction(contribution))
        steps.append(Step(line, contribution, exact))
    return Part(part, room_id, share, duty_fraction, duty, counted, steps)


def _duty_shares(card: Card, rooms: list[str], month: Month) -> dict[str, Fraction]:
    """Each scored room's share of the person's duty; without duty the home room has all of it."""
    if card.subject_type == "room":
        return dict.fromkeys(rooms, Fraction(1))
    scored = {room.subject_id for room in month.room_cards() if room.status == "scored"}
    counted = [room_id for room_id in rooms if room_id in scored]
    milliseconds = {
        room_id: month.duty[card.subject_id, room_id].duty_ms
        for room_id in counted
        if (card.subject_id, room_id) in month.duty
    }
    whole = sum(milliseconds.values())
    if whole:
        return {room_id: Fraction(part, whole) for room_id, part in milliseconds.items() if part}
    home = month.staff.get(card.subject_id, {}).get("room_id")
    return {room_id: Fraction(1) for room_id in counted if room_id == home or len(counted) == 1}


def _place(category: str) -> int:
    return CATEGORIES.index(category) if category in CATEGORIES else len(CATEGORIES)


def _decimal(fraction: Fraction) -> Decimal:
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)
