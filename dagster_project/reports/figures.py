"""Numbers as people read them: thousands, units, signs. Decimals only, half away from zero."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

NOTHING = "—"
MINUS = "\u2212"

CURRENCY_SIGNS = {"CNY": "¥", "JPY": "JP¥", "USD": "US$", "EUR": "€", "GBP": "£", "HKD": "HK$", "SGD": "S$"}


def number(value: Decimal | int | None, places: int = 0) -> str:
    """1234.5 → '1,234.50' at 2 places; None → a dash."""
    if value is None:
        return NOTHING
    rounded = rounded_to(Decimal(value), places)
    text = f"{abs(rounded):,.{places}f}"
    return MINUS + text if rounded < 0 else text


def money(value: Decimal | None, currency: str, places: int = 2) -> str:
    """¥1,234.50; a currency without a known sign shows its code."""
    if value is None:
        return NOTHING
    text = number(value, places)
    sign = CURRENCY_SIGNS.get(currency, f"{currency} ")
    return MINUS + sign + text[1:] if text.startswith(MINUS) else sign + text


def percent(value: Decimal | None, places: int = 2) -> str:
    return NOTHING if value is None else number(Decimal(value) * 100, places) + "%"


def measured(value: Decimal | None, unit: str, currency: str) -> str:
    """A KPI's value with its unit (count, seconds, ms, money, rate)."""
    if value is None:
        return NOTHING
    if unit == "rate":
        return percent(value)
    if unit == "money":
        return money(value, currency)
    if unit == "seconds":
        return number(value, 1) + "\u00a0s"
    if unit == "ms":
        return number(value, 0) + "\u00a0ms"
    return number(value, 0 if value == value.to_integral_value() else 1)


def change(now: Decimal | None, before: Decimal | None, unit: str, currency: str) -> str:
    """The step from last month in the KPI's unit, rates in percentage points, with its sign."""
    if now is None or before is None:
        return NOTHING
    step = now - before
    size = abs(step)
    text = number(size * 100, 2) + "\u00a0pp" if unit == "rate" else measured(size, unit, currency)
    if step == 0:
        return "±" + text
    return ("+" if step > 0 else MINUS) + text


def rounded_to(value: Decimal, places: int) -> Decimal:
    """Half away from zero, as every figure of the appraisal."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
