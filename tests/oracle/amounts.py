"""Exact arithmetic of the oracle: seconds from milliseconds, rounding half away from zero, fair cuts."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction


def seconds(milliseconds: int) -> Decimal:
    """Whole milliseconds as seconds with three decimals."""
    return Decimal(milliseconds).scaleb(-3)


def rounded(value: Decimal | Fraction | int, places: int) -> Decimal:
    """Half away from zero. Decimal's ROUND_HALF_UP means just that, for negative numbers too."""
    if isinstance(value, Fraction):
        scaled = abs(value) * 10**places
        units = (scaled.numerator * 2 + scaled.denominator) // (scaled.denominator * 2)
        return Decimal(units if value >= 0 else -units).scaleb(-places)
    return Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def ratio(numerator: Decimal | int, denominator: Decimal | int, factor: Decimal | int = 1) -> Decimal | None:
    """factor × numerator / denominator at six decimals; null where the denominator is 0."""
    if not denominator:
        return None
    return rounded(Fraction(numerator) * Fraction(factor) / Fraction(denominator), 6)


def cut(total: Decimal | int, people: list[str]) -> dict[str, Decimal]:
    """The total among the people: trunc(total / k, 6 decimals) each, the smallest id also the rest."""
    millionths = Fraction(total) * 1_000_000
    if millionths.denominator != 1:
        raise ValueError(f"{total} has more than six decimals")
    units = abs(millionths.numerator) // len(people) * (1 if total >= 0 else -1)
    shares = dict.fromkeys(people, Decimal(units).scaleb(-6))
    shares[min(people)] += Decimal(total) - Decimal(units).scaleb(-6) * len(people)
    return shares
