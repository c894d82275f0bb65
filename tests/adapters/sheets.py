"""Workbooks for the tests, written cell by cell with the types given."""

from __future__ import annotations

import io
from collections.abc import Iterable

from openpyxl import Workbook


def workbook(rows: Iterable[Iterable]) -> bytes:
    """One sheet of the rows as an XLSX file; text stays text, numbers and dates are typed cells."""
    book = Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(list(row))
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()
