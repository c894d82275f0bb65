"""Documents as numbered records: workbooks (.xlsx), JSON documents (.json) and nested JSON Lines, within caps."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from dagster_project.landing.contracts import MALFORMED_ROW
from dagster_project.landing.readers import BadRow, FileRejected, byte_blocks
from dagster_project.settings import Settings

# A document is held in memory whole, so its caps are far below those of files that are streamed.
MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
MAX_EXPANDED_BYTES = 1024 * 1024 * 1024
MAX_RATIO = 200
MAX_CELLS = 20_000_000
HEADER_WITHIN_ROWS = 20
# Beyond this a float no longer holds every digit of a whole number.
EXACT_BELOW = 2**53
DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)

_CELL = re.compile(rb'<c [^>]*?r="([A-Z]{1,3})([0-9]{1,7})"')


@dataclass(frozen=True)
class LostDigits:
    """A cell whose number has more digits than the workbook kept; `shown` is what is left of it."""

    shown: str


def document_format(path: Path) -> str | None:
    """xlsx, json or jsonl by the file's name; None for anything else."""
    name = path.name.lower()
    if name.endswith(".xlsx"):
        return "xlsx"
    name = name.removesuffix(".gz")
    if name.endswith(".json"):
        return "json"
    return "jsonl" if name.endswith((".jsonl", ".ndjson")) else None


# --- workbooks ---------------------------------------------------------------------------------------------


def workbook_rows(path: Path, settings: Settings) -> list[list[Any]]:
    """The cells of the first sheet that has any, row by row; raises FileRejected for a broken or bloated file."""
    from python_calamine import CalamineError, CalamineWorkbook, ZipError

    _refuse_bloated(path, settings)
    try:
        with CalamineWorkbook.from_path(str(path)) as workbook:
            for name in workbook.sheet_names:
                rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
                if any(cell != "" for row in rows for cell in row):
                    return rows
    except (CalamineError, ZipError, OSError, ValueError) as error:
        raise FileRejected(f"workbook cannot be read: {error}") from None
    raise FileRejected("the workbook has no cells")


def _refuse_bloated(path: Path, settings: Settings) -> None:
    """Unzip the parts once, keeping nothing: sizes in a zip's directory may lie, and two far cells span a sheet."""
    size = path.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        raise FileRejected(f"workbook is larger than {MAX_DOCUMENT_BYTES} bytes")
    limit = min(MAX_EXPANDED_BYTES, settings.max_expanded_bytes)
    expanded = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                columns = rows = 0
                rest = b""
                with archive.open(part) as stream:
                    while block := stream.read(1 << 20):
                        expanded += len(block)
                        if expanded > limit:
                            raise FileRejected(f"workbook expands to more than {limit} bytes")
                        if expanded > 16 << 20 and expanded > MAX_RATIO * size:
                            raise FileRejected(f"workbook expands more than {MAX_RATIO} times")
                        if not part.filename.startswith("xl/worksheets/"):
                            continue
                        for letters, number in _CELL.findall(rest + block):
                            columns = max(columns, _column_number(letters))
                            rows = max(rows, int(number))
                        rest = block[-256:]
                if columns * rows > MAX_CELLS:
                    raise FileRejected(f"a sheet spans more than {MAX_CELLS} cells")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FileRejected(f"no adapter takes this file: it is no workbook, or cut short ({error})") from None


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def cell_text(cell: Any) -> str | LostDigits | None:
    """A cell as text: instants and dates ISO, whole numbers without a point, numbers too long for Excel marked."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        if cell == int(cell) if abs(cell) != float("inf") and cell == cell else False:
            return str(int(cell)) if abs(cell) < EXACT_BELOW else LostDigits(str(int(cell)))
        return repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(int(cell.total_seconds()), 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    return str(cell)


# --- JSON --------------------------------------------------------------------------------------------------


def json_document(path: Path, settings: Settings) -> Any:
    """A JSON document with every number as its text; raises FileRejected for a broken or too large one."""
    limit = min(MAX_DOCUMENT_BYTES, settings.max_expanded_bytes)
    held = bytearray()
    for block in byte_blocks(path, settings):
        held += block
        if len(held) > limit:
            raise FileRejected(f"JSON document is larger than {limit} bytes")
    try:
        return DECODER.decode(held.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FileRejected("JSON document is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise FileRejected(f"JSON document is cut short or broken: {error}") from None


def json_line_records(path: Path, settings: Settings) -> Iterator[tuple[int, Any]]:
    """(row number, record or BadRow) of a JSON Lines file whose records may be nested."""
    row_no = 0
    for line, is_last in _lines(path, settings):
        if not line.strip():
            continue
        row_no += 1
        try:
            record = DECODER.decode(line.decode())
            if isinstance(record, dict):
                yield row_no, record
                continue
        except (ValueError, RecursionError):
            if is_last:
                raise FileRejected("JSON Lines file is cut inside its last row") from None
        shown = json.dumps({"row": line.decode(errors="backslashreplace")}, ensure_ascii=False)
        yield row_no, BadRow(row_no, MALFORMED_ROW, shown)


def _lines(path: Path, settings: Settings) -> Iterator[tuple[bytes, bool]]:
    """Lines without their end, and whether the line is a last one that lacks it."""
    rest = b""
    is_first = True
    for block in byte_blocks(path, settings):
        if is_first:
            block, is_first = block.removeprefix(b"\xef\xbb\xbf"), False
        *lines, rest = (rest + block).split(b"\n")
        if max(map(len, [rest, *lines])) > settings.max_row_bytes:
            raise FileRejected(f"a row is longer than {settings.max_row_bytes} bytes")
        for line in lines:
            yield line, False
    if rest:
        yield rest, True


def at_path(record: Any, path: tuple[str, ...]) -> Any:
    """What stands at a dotted path of a JSON value (numbers index lists), or None."""
    for step in path:
        if isinstance(record, dict):
            record = record.get(step)
        elif isinstance(record, list) and step.isdigit() and int(step) < len(record):
            record = record[int(step)]
        else:
            return None
    return record
