"""Text from outside, made harmless for the place it is going to: a file name, a CSV cell, a workbook cell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from urllib.parse import quote

_FILE_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
# File systems take 255 bytes; the rest is room for ".html" and a temporary suffix.
_LONGEST_FILE_STEM = 200

# The full-width forms are read as formulas by spreadsheets in East Asian locales.
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")

# What XML 1.0 cannot carry at all; lone surrogates cannot be encoded either.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_SHEET_TITLE = re.compile(r"[\[\]:*?/\\]")
_LONGEST_SHEET_TITLE = 31
_LONGEST_CELL = 32_767

FIRST_STRONG_ISOLATE = "\u2068"
POP_ISOLATE = "\u2069"


def file_stem(identifier: str) -> str:
    """The id as a file name: bytes of characters outside [A-Za-z0-9_-] percent-encoded.

    An id too long for a file system keeps its beginning and gets a digest, so two long ids never meet.
    """
    stem = "".join(
        character if character in _FILE_SAFE else "".join(f"%{byte:02X}" for byte in _utf8(character))
        for character in identifier
    )
    if len(stem) <= _LONGEST_FILE_STEM:
        return stem
    return f"{stem[:120]}-{hashlib.sha256(_utf8(identifier)).hexdigest()}"


def page_link(folder: str, identifier: str) -> str:
    """The relative link to a page: the percent signs of its file name are themselves encoded."""
    return f"{folder}{quote(file_stem(identifier))}.html"


def csv_cell(value: object) -> str:
    """A CSV cell. Text that a spreadsheet would run gets an apostrophe in front; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA_STARTS) else value
    return str(value)


def sheet_text(text: str) -> str:
    """Text that a workbook cell can hold."""
    return _NOT_XML.sub("", text)[:_LONGEST_CELL]


def starts_like_a_formula(text: str) -> bool:
    return text.startswith(_FORMULA_STARTS)


def sheet_titles(reserved: list[str]) -> Callable[[str, str], str]:
    """A function from (name, id) to a sheet title that the workbook allows and has not used yet."""
    used = {title.casefold() for title in reserved}

    def title_for(name: str, identifier: str) -> str:
        cleaned = _NOT_IN_SHEET_TITLE.sub(" ", sheet_text(name or identifier))
        cleaned = re.sub(r"[\s\u200e\u200f\u202a-\u202e\u2066-\u2069]+", " ", cleaned).strip(" '") or "room"
        # Excel counts UTF-16 units, so an emoji is two.
        base, number = _utf16_cut(cleaned, _LONGEST_SHEET_TITLE), 1
        title = base
        while title.casefold() in used or title.casefold() == "history":
            number += 1
            ending = f" ({number})"
            title = _utf16_cut(base, _LONGEST_SHEET_TITLE - len(ending)) + ending
        used.add(title.casefold())
        return title

    return title_for


def isolated(text: str) -> str:
    """Text whose direction marks end with it, for places where <bdi> cannot stand (attributes, titles)."""
    return f"{FIRST_STRONG_ISOLATE}{text}{POP_ISOLATE}"


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _utf16_cut(text: str, units: int) -> str:
    while len(text.encode("utf-16-le", "surrogatepass")) // 2 > units:
        text = text[:-1]
    return text.rstrip(" '")
