"""One value of a platform file as canonical text: ids bare, numbers plain, instants in UTC.

What cannot be read is handed on as it stands, so that typing quarantines it under its documented reason.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

_ID_MARKS = " \t\r\n'\"‘’“”\u200b\ufeff"
_NUMBER_MARKS = str.maketrans("", "", ", ，\t¥￥$£€'\"")
_LOCAL = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T\t]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?"
)
_CLOCK = re.compile(r"(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))?")


def bare_id(text: str) -> str | None:
    """An id without the tab, quote or ="…" that keeps Excel from rounding it; digits and zeros untouched."""
    bare = text.strip(_ID_MARKS)
    if bare.startswith("="):
        bare = bare[1:].strip(_ID_MARKS)
    return bare or None


def plain_number(text: str, times: Decimal | None) -> str:
    """A number without thousands commas and currency signs, multiplied where the unit is another one."""
    bare = text.translate(_NUMBER_MARKS)
    if times is None:
        return bare
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return text
    return format(number * times, "f") if number.is_finite() else text


def product(factors: list[str | None]) -> str | None:
    """The exact product of decimal texts; None where one is missing or no number."""
    result = Decimal(1)
    for factor in factors:
        try:
            result *= Decimal(factor or "")
        except InvalidOperation:
            return None
    return format(result, "f")


def epoch_instant(text: str, unit: str) -> str | None:
    """Seconds (s), milliseconds (ms) or either (auto) since 1970 as ISO 8601; 0 is how APIs write that it never happened."""
    try:
        count = Decimal(text.strip(_ID_MARKS))
        if count == 0:
            return None
        # Seconds have ten digits until the year 2286, milliseconds have had twelve and more since 1973.
        is_seconds = unit == "s" or unit == "auto" and count < 100_000_000_000
        milliseconds = int(count * 1000 if is_seconds else count)
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except (InvalidOperation, OverflowError, ValueError):
        return text
    return iso(instant)


def local_instant(text: str, zone: ZoneInfo, plus_days: int = 0) -> str:
    """A wall-clock time of `zone` as ISO 8601 in UTC; one with an offset is kept as it is."""
    bare = text.strip(_ID_MARKS)
    matched = _LOCAL.fullmatch(bare)
    if matched is None:
        return bare
    year, month, day, hour, minute, second = (int(part or 0) for part in matched.groups()[:6])
    micro = int((matched[7] or "0").ljust(6, "0")[:6])
    try:
        wall = datetime(year, month, day, hour, minute, second, micro) + timedelta(days=plus_days)
        return iso(wall.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return bare


def clock_on_day(clock: str, day: str | None, zone: ZoneInfo) -> str:
    """A time of day on a date of `zone` as ISO 8601 in UTC; a full instant stands for itself."""
    bare = clock.strip(_ID_MARKS)
    matched = _CLOCK.fullmatch(bare)
    date_given = _LOCAL.fullmatch(day.strip(_ID_MARKS)) if day else None
    if matched is None:
        return local_instant(bare, zone)
    if date_given is None:
        return bare
    try:
        midnight = datetime(int(date_given[1]), int(date_given[2]), int(date_given[3]))
        hour, minute, second = (int(part or 0) for part in matched.groups())
        # 24:00 and 25:30 are how a roster writes the hours after midnight.
        if hour > 47 or minute > 59 or second > 59:
            return bare
        wall = midnight + timedelta(hours=hour, minutes=minute, seconds=second)
        return iso(wall.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return bare


def next_day_unless_after(instant: str, start: str | None, zone: ZoneInfo) -> str:
    """`instant`, a day of `zone` later where it does not come after `start`: a shift that ends past midnight."""
    given, begun = parsed(instant), parsed(start)
    if given is None or begun is None or given > begun:
        return instant
    wall = given.astimezone(zone).replace(tzinfo=None) + timedelta(days=1)
    return iso(wall.replace(tzinfo=zone))


def plain_date(text: str) -> str:
    """A calendar date as YYYY-MM-DD; a time of midnight beside it is dropped."""
    matched = _LOCAL.fullmatch(text.strip(_ID_MARKS))
    if matched is None:
        return text
    return f"{int(matched[1]):04d}-{int(matched[2]):02d}-{int(matched[3]):02d}"


def iso(instant: datetime) -> str:
    """An instant with zone as ISO 8601 in UTC, cut to milliseconds."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def parsed(text: str | None) -> datetime | None:
    """The instant of an ISO 8601 text, UTC where it names no offset; None for anything else."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
