"""What a person asks for by MONTH, STAFF, KPI, BY and REASON, checked before it is used anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from dagster_project.settings import UserError, parse_month


def asked_month(environ: Mapping[str, str], command: str) -> str:
    """MONTH as YYYY-MM; raises UserError where it is absent or no month."""
    if not environ.get("MONTH"):
        raise UserError(f"MONTH is missing: make {command} MONTH=2026-10")
    return parse_month(environ["MONTH"])


def asked_text(environ: Mapping[str, str], name: str, example: str, longest: int = 200) -> str:
    """A required one-line text; raises UserError naming the variable and an example."""
    text = environ.get(name, "").strip()
    if not text:
        raise UserError(f"{name} is missing: give it, for example {example}")
    if len(text) > longest or any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text
    ):
        raise UserError(
            f"{name} must be one line of at most {longest} characters, without control characters"
        )
    return text


def month_after(month: str) -> str:
    """The calendar month after one given as YYYY-MM."""
    year, number = map(int, month.split("-"))
    return f"{year + 1:04d}-01" if number == 12 else f"{year:04d}-{number + 1:02d}"
