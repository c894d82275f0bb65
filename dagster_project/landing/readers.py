"""Files as record batches: CSV, JSON Lines, Parquet; gzip checked, text proved to be text, rows numbered."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from dagster_project.landing.contracts import INVALID_UTF8, MALFORMED_ROW
from dagster_project.settings import Settings

BLOCK_BYTES = 4 * 1024 * 1024
BATCH_ROWS = 131_072
REPLACEMENT = "\ufffd"
_REPLACEMENT_BYTES = REPLACEMENT.encode()


class FileRejected(Exception):
    """The file cannot be taken as a whole; the text is the reason kept in the ledger."""


@dataclass(frozen=True)
class BadRow:
    """A row that never became columns: number (1 = first data row), reason, the row whole as JSON text."""

    row_no: int
    reason: str
    content: str


@dataclass
class Batch:
    """Rows of a file: `table` has the file's columns and `_row_no`; `bad` rows are known to be unusable."""

    table: pa.Table
    bad: list[BadRow] = field(default_factory=list)


@dataclass
class Sought:
    """Whom and what a file names without an id: staff, and a room's sessions from the first instant to the last (UTC)."""

    staff: bool = False
    room_id: str | None = None
    first: datetime | None = None
    last: datetime | None = None


@dataclass
class Source:
    """An opened file: column name → Arrow type, batches to be read once, NUL characters removed so far.

    null_tokens: texts that stand for null in every column (CSV only). columns grows while JSON Lines are
    read, since only their rows tell which columns there are; `columns_known` is False then. Tables may hold
    `_extra`: columns nobody asked for, as JSON text. notes: what the ledger says of an accepted file, complete
    when all is read. folder_used: folder values that rows were made with, beside those that fill columns.
    sought: what an adapter looked up in other exports, complete when all is read; None where it looks nothing up.
    """

    columns: dict[str, pa.DataType]
    batches: Iterator[Batch]
    null_tokens: tuple[str, ...] = ()
    nul_removed: int = 0
    columns_known: bool = True
    notes: list[str] = field(default_factory=list)
    folder_used: dict[str, str] = field(default_factory=dict)
    sought: Sought | None = None


def format_of(path: Path) -> str | None:
    """csv, jsonl or parquet by the file's name; None for anything else."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".csv"):
        return "csv"
    if name.endswith((".jsonl", ".ndjson")):
        return "jsonl"
    return "parquet" if name.endswith(".parquet") and not path.name.lower().endswith(".gz") else None


def open_source(path: Path, settings: Settings, wanted: Collection[str] | None = None) -> Source:
    """Open a CSV, JSON Lines or Parquet file; raises FileRejected for a file that is broken as a whole.

    wanted: the columns whose text must be sound; None = all. Others of JSON Lines are gathered in `_extra`.
    """
    kind = format_of(path)
    if kind == "csv":
        return open_csv(path, settings, wanted)
    if kind == "jsonl":
        return open_json_lines(path, settings, wanted)
    return open_parquet(path, settings, wanted)


# --- bytes -------------------------------------------------------------------------------------------------


def byte_blocks(path: Path, settings: Settings) -> Iterator[bytes]:
    """The file's bytes, unzipped where it is gzip; raises FileRejected on a bad CRC, a cut end or a bomb."""
    with open(path, "rb") as file:
        if not path.name.lower().endswith(".gz"):
            yield from iter(lambda: file.read(BLOCK_BYTES), b"")
            return
        size = path.stat().st_size
        if not size:
            # Python reads no bytes as an archive of nothing; a gzip file of no rows has 20 bytes.
            raise FileRejected("gzip file is cut short")
        expanded = 0
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                while block := unzipped.read(BLOCK_BYTES):
                    expanded += len(block)
                    if expanded > settings.max_expanded_bytes:
                        raise FileRejected(f"expands to more than {settings.max_expanded_bytes} bytes")
                    if expanded > 16 * BLOCK_BYTES and expanded > settings.max_gzip_ratio * size:
                        raise FileRejected(f"gzip expands more than {settings.max_gzip_ratio} times")
                    yield block
        except EOFError:
            raise FileRejected("gzip file is cut short") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FileRejected(f"gzip file is corrupt: {error}") from None


def _encoding(path: Path, settings: Settings) -> str:
    """utf-8 or gb18030, as the whole CSV file is; raises FileRejected for other text or an open quote."""
    quotes = _Quotes()
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    for block in _without_mark(byte_blocks(path, settings)):
        quotes.feed(block)
        if is_utf8:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                is_utf8 = False
                if _is_damaged_utf8(block):
                    raise FileRejected("text is damaged UTF-8") from None
    try:
        if is_utf8:
            decoder.decode(b"", final=True)
        else:
            chinese = codecs.getincrementaldecoder("gb18030")()
            for block in byte_blocks(path, settings):
                chinese.decode(block)
            chinese.decode(b"", final=True)
    except UnicodeDecodeError:
        raise FileRejected("text is neither UTF-8 nor GB18030") from None
    if (
        quotes.odd_places
        and _ends_inside_quotes(_without_mark(byte_blocks(path, settings)))
        or quotes.is_open_at_end()
    ):
        raise FileRejected("a quoted field is not closed before the end of the file")
    return "utf-8" if is_utf8 else "gb18030"


def _is_damaged_utf8(block: bytes) -> bool:
    """True for bytes that are UTF-8 but for a few: GB18030 would silently read them as other characters."""
    foreign = sum(1 for byte in block if byte > 127)
    readable = block.decode("utf-8", errors="ignore")
    return len(readable.encode()) - sum(map(str.isascii, readable)) > 0.8 * foreign


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks without a UTF-8 byte order mark before the first byte, and without empty blocks."""
    is_first = True
    for block in blocks:
        if block := block.removeprefix(codecs.BOM_UTF8) if is_first else block:
            yield block
        is_first = False


def _utf8_blocks(path: Path, settings: Settings, encoding: str, source: Source) -> Iterator[bytes]:
    """UTF-8 bytes of the file without byte order mark and NUL characters, which are counted on the source."""
    for block in _without_mark(_proved_blocks(path, settings, encoding)):
        if b"\0" in block:
            source.nul_removed += block.count(b"\0")
            block = block.replace(b"\0", b"")
        if block:
            yield block


def _proved_blocks(path: Path, settings: Settings, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for raw in itertools.chain(byte_blocks(path, settings), [b""]):
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError:
            raise FileRejected(f"text is not {encoding.upper()}") from None
        # UTF-8 is only proved, not rewritten: a character cut by the block's end is whole again in the next.
        yield raw if encoding == "utf-8" else text.encode()


class _BlockFile(io.RawIOBase):
    """A readable file over an iterator of byte blocks."""

    def __init__(self, blocks: Iterator[bytes]):
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


# --- CSV ---------------------------------------------------------------------------------------------------


def open_csv(path: Path, settings: Settings, wanted: Collection[str] | None = None) -> Source:
    """A CSV file (comma, double quote, header row) as text columns."""
    encoding = _encoding(path, settings)
    source = Source({}, iter(()), null_tokens=("", "-"))
    file = io.BufferedReader(_BlockFile(_utf8_blocks(path, settings, encoding, source)), BLOCK_BYTES)
    header = _csv_header(file, settings)
    refuse_names(header, "header", wanted)
    source.columns = {name: pa.string() for name in header if name}
    source.batches = _csv_batches(file, header, settings, wanted)
    return source


def _csv_header(file: IO[bytes], settings: Settings) -> list[str]:
    """Column names of the first record; the file is left at the first data row."""
    line = b""
    while True:
        part = file.readline(settings.max_row_bytes + 1)
        line += part
        if len(line) > settings.max_row_bytes:
            raise FileRejected(f"the header row is longer than {settings.max_row_bytes} bytes")
        if not part or line.count(b'"') % 2 == 0 and line.strip():
            break
    if not line.strip():
        raise FileRejected("the file is empty: it has no header row")
    if b"\r" in line.rstrip(b"\r\n"):
        raise FileRejected("lines of the file end in a carriage return alone; line feeds are needed")
    return [name.strip() for name in next(csv.reader(io.StringIO(line.decode(), newline="")))]


def _csv_batches(
    file: IO[bytes], header: list[str], settings: Settings, wanted: Collection[str] | None
) -> Iterator[Batch]:
    """Rows as text; rows with another number of fields than the header are bad rows of their batch."""
    names = [f"c{index}" for index in range(len(header))]
    kept = [index for index, name in enumerate(header) if name]
    invalid: list[Any] = []

    def skip(row: Any) -> str:
        invalid.append(row)
        return "skip"

    try:
        reader = pa_csv.open_csv(
            pa.PythonFile(file, mode="r"),
            read_options=pa_csv.ReadOptions(
                column_names=names, use_threads=False, block_size=max(BLOCK_BYTES, settings.max_row_bytes)
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):
            raise _csv_rejection(error, settings) from None
        yield from _invalid_only(header, invalid)
        return
    row_no = 0
    try:
        for records in reader:
            table = pa.Table.from_batches([records]).select(kept).rename_columns([header[i] for i in kept])
            _refuse_long_rows(table, settings)
            numbers: list[int] = []
            bad: list[BadRow] = []
            while (wanting := table.num_rows - len(numbers)) > 0:
                sound = min(wanting, invalid[0].number - 1 - row_no) if invalid else wanting
                numbers.extend(range(row_no + 1, row_no + 1 + sound))
                row_no += sound
                if sound < wanting:
                    row_no += 1
                    bad.append(_malformed(row_no, invalid.pop(0).text))
            numbered = table.append_column("_row_no", pa.array(numbers, pa.int64()))
            yield _without_replacement(Batch(numbered, bad), wanted)
    except pa.ArrowInvalid as error:
        raise _csv_rejection(error, settings) from None
    yield from _invalid_only(header, invalid)


def _csv_rejection(error: pa.ArrowInvalid, settings: Settings) -> FileRejected:
    if "straddling object" in str(error):
        return _row_too_long(settings)
    return FileRejected(f"CSV cannot be parsed: {_first_line(error)}")


def _invalid_only(header: list[str], invalid: list[Any]) -> Iterator[Batch]:
    """The broken rows after the last good one."""
    if invalid:
        empty = {name: pa.array([], pa.string()) for name in header if name}
        table = pa.table({**empty, "_row_no": pa.array([], pa.int64())})
        yield Batch(table, [_malformed(row.number, row.text) for row in invalid])


def _malformed(row_no: int, text: str | bytes) -> BadRow:
    shown = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    return BadRow(row_no, MALFORMED_ROW, json.dumps({"row": shown}, ensure_ascii=False))


class _Quotes:
    """Parity of the quotes of a CSV file, read block by block without looking at each field.

    Where every quote stands where a field opens or closes (or is doubled), the parity tells whether one is
    open at the end; with quotes in other places (`odd_places`) the file has to be read quote by quote.
    """

    def __init__(self) -> None:
        self.odd_places = False
        self._count = 0
        self._last = ord("\n")
        self._has_closing_last = False

    def feed(self, block: bytes) -> None:
        if b'"' in block:
            data = np.frombuffer(block, dtype=np.uint8)
            at = np.flatnonzero(data == ord('"'))
            opens = (np.arange(self._count, self._count + len(at)) % 2) == 0
            before = np.where(at > 0, data[at - 1], self._last)
            after = data[np.minimum(at + 1, len(data) - 1)]
            after[at + 1 == len(data)] = ord(",")
            wrong = np.where(opens, ~np.isin(before, _BEFORE_FIELD), ~np.isin(after, _AFTER_FIELD))
            self.odd_places |= bool(wrong.any())
            self._count += len(at)
        if self._has_closing_last and block[0] not in _AFTER_FIELD:
            self.odd_places = True
        self._last = block[-1]
        self._has_closing_last = self._last == ord('"') and self._count % 2 == 0

    def is_open_at_end(self) -> bool:
        return not self.odd_places and self._count % 2 == 1


_BEFORE_FIELD = np.array([ord(","), ord("\n"), ord("\r"), ord('"')], dtype=np.uint8)
_AFTER_FIELD = np.array([ord(","), ord("\n"), ord("\r"), ord('"')], dtype=np.uint8)


def _ends_inside_quotes(blocks: Iterator[bytes]) -> bool:
    """True when the text ends inside a quoted field. A quote opens a field only where the field starts."""
    inside, at_start, waiting = False, True, b""
    for block in blocks:
        data, waiting, position = waiting + block, b"", 0
        while (quote := data.find(b'"', position)) >= 0:
            if not inside:
                inside = data[quote - 1 : quote] in (b",", b"\r", b"\n") if quote else at_start
                position = quote + 1
            elif quote + 1 == len(data):
                # Closing, or the first of a doubled pair: the next block tells.
                waiting = data[quote:]
                break
            elif data[quote + 1 : quote + 2] == b'"':
                position = quote + 2
            else:
                inside, position = False, quote + 1
        at_start = data[-1:] in (b",", b"\r", b"\n")
    return inside and not waiting


# --- JSON Lines --------------------------------------------------------------------------------------------


def open_json_lines(path: Path, settings: Settings, wanted: Collection[str] | None = None) -> Source:
    """A JSON Lines file as text columns: numbers keep their digits, true and false become text."""
    source = Source({}, iter(()), columns_known=False)
    source.batches = _json_batches(_utf8_blocks(path, settings, "utf-8", source), source, settings, wanted)
    return source


def _line_groups(blocks: Iterator[bytes], settings: Settings) -> Iterator[tuple[list[bytes], bool]]:
    """Non-empty lines in groups, with whether the last of the group lacks a line end."""
    rest = b""
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > settings.max_row_bytes or max(map(len, lines), default=0) > settings.max_row_bytes:
            raise _row_too_long(settings)
        if sound := [line for line in lines if line.strip()]:
            yield sound, False
    if rest.strip():
        yield [rest], True


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def _records(lines: list[bytes]) -> list[Any]:
    """Each line parsed; a line that is no JSON becomes None."""
    try:
        # One call for all; a line holding two values, or half of one, shows in the number or fails.
        records = _DECODER.decode("[" + b"\n,".join(lines).decode() + "]")
        if len(records) == len(lines):
            return records
    except (ValueError, RecursionError):
        pass
    return [_record(line) for line in lines]


def _record(line: bytes) -> Any:
    try:
        return _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return None


def _json_batches(
    blocks: Iterator[bytes], source: Source, settings: Settings, wanted: Collection[str] | None
) -> Iterator[Batch]:
    row_no = 0
    for lines, is_cut in _line_groups(blocks, settings):
        records = _records(lines)
        if is_cut and not isinstance(records[-1], dict):
            raise FileRejected("JSON Lines file is cut inside its last row")
        sound: list[dict[str, Any]] = []
        numbers: list[int] = []
        bad: list[BadRow] = []
        for line, record in zip(lines, records, strict=True):
            row_no += 1
            if isinstance(record, dict):
                sound.append(record)
                numbers.append(row_no)
            else:
                bad.append(_malformed(row_no, line))
        yield _json_batch(sound, numbers, bad, any(b"\\u0000" in line for line in lines), source, wanted)


def _json_batch(
    records: list[dict[str, Any]],
    numbers: list[int],
    bad: list[BadRow],
    may_hold_nul: bool,
    source: Source,
    wanted: Collection[str] | None,
) -> Batch:
    """Records as a table; rows with half a character, or a list or object as a value, go to `bad`."""
    names = {name: None for record in records for name in record}
    source.columns.update(dict.fromkeys(names, pa.string()))
    kept = [name for name in names if wanted is None or name in wanted]
    extra = [name for name in names if wanted is not None and name not in wanted]
    try:
        table = _json_table(records, numbers, kept, extra, may_hold_nul, source)
    except (UnicodeEncodeError, TypeError):
        sound_records: list[dict[str, Any]] = []
        sound_numbers: list[int] = []
        for record, number in zip(records, numbers, strict=True):
            try:
                _json_table([record], [number], kept, extra, may_hold_nul, source)
            except (UnicodeEncodeError, TypeError) as error:
                reason = MALFORMED_ROW if isinstance(error, TypeError) else INVALID_UTF8
                bad.append(BadRow(number, reason, json.dumps(record)))
            else:
                sound_records.append(record)
                sound_numbers.append(number)
        table = _json_table(sound_records, sound_numbers, kept, extra, may_hold_nul, source)
    return _without_replacement(Batch(table, bad), wanted)


def _json_table(
    records: list[dict[str, Any]],
    numbers: list[int],
    kept: list[str],
    extra: list[str],
    may_hold_nul: bool,
    source: Source,
) -> pa.Table:
    """Raises TypeError for a list or object as a value, UnicodeEncodeError for half a character."""
    arrays: dict[str, pa.Array] = {}
    for name in kept:
        values = [record.get(name) for record in records]
        kinds = set(map(type, values))
        if bool in kinds:
            values = [str(value).lower() if isinstance(value, bool) else value for value in values]
        if dict in kinds or list in kinds:
            raise TypeError(name)
        if may_hold_nul:
            nul = sum(value.count("\0") for value in values if value is not None)
            if nul:
                source.nul_removed += nul
                values = [value if value is None else value.replace("\0", "") for value in values]
        arrays[name] = pa.array(values, pa.string())
    if extra:
        unknown = [{name: record[name] for name in extra if name in record} for record in records]
        texts = [json.dumps(values, ensure_ascii=True) if values else None for values in unknown]
        arrays["_extra"] = pa.array(texts, pa.string())
    return pa.table({**arrays, "_row_no": pa.array(numbers, pa.int64())})


# --- Parquet -----------------------------------------------------------------------------------------------


def open_parquet(path: Path, settings: Settings, wanted: Collection[str] | None = None) -> Source:
    """A Parquet file with its own types; text columns are proved to be UTF-8."""
    try:
        file = _opened_parquet(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileRejected(f"Parquet file is cut short or corrupt: {_first_line(error)}") from None
    refuse_names(schema.names, "schema", wanted)
    columns = {item.name: _plain_type(item.type) for item in schema}
    source = Source(columns, iter(()))
    repeating = _repeating(file.metadata, [name for name in wanted or () if columns.get(name) == pa.string()])
    source.batches = _parquet_batches(path, file.metadata, repeating, source, settings, wanted)
    return source


def _repeating(metadata: pq.FileMetaData, names: list[str]) -> list[str]:
    """Those of the text columns of which the file holds few values and, for each row, only which: they are read so, too."""
    places = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    repeating = []
    for name in names:
        chunks = [metadata.row_group(group).column(places[name]) for group in range(metadata.num_row_groups) if name in places]
        kept = [chunk.has_dictionary_page and chunk.total_uncompressed_size <= 3 * chunk.num_values for chunk in chunks]
        if kept and all(kept) and chunks[0].physical_type == "BYTE_ARRAY":
            repeating.append(name)
    return repeating


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type a Parquet column is handed on with: instants naive UTC in ms, odd types as text."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("ms")
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal256(kind):
        return pa.string()
    plain = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_nested,
    )
    return kind if any(test(kind) for test in plain) else pa.string()


def _opened_parquet(path: Path, **options: Any) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True, coerce_int96_timestamp_unit="us", **options)


def _parquet_batches(
    path: Path,
    metadata: pq.FileMetaData,
    repeating: list[str],
    source: Source,
    settings: Settings,
    wanted: Collection[str] | None,
) -> Iterator[Batch]:
    """Rows with the types of source.columns; text of the repeating columns stands as a dictionary."""
    row_no = 0
    try:
        file = _opened_parquet(path, metadata=metadata, read_dictionary=repeating)
        for records in file.iter_batches(BATCH_ROWS):
            unreadable: set[int] = set()
            columns = []
            for position, (name, kind) in enumerate(source.columns.items()):
                broken: set[int] = set()
                column = _plain_column(records.column(position), kind, broken, source, name in repeating)
                columns.append(column)
                if wanted is None or name in wanted:
                    unreadable |= broken
            numbers = pa.array(np.arange(row_no + 1, row_no + 1 + records.num_rows))
            row_no += records.num_rows
            table = pa.table([*columns, numbers], names=[*source.columns, "_row_no"])
            _refuse_long_rows(table, settings)
            yield _without_rows(Batch(table), unreadable)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileRejected(f"Parquet file is corrupt: {_first_line(error)}") from None
    # A page whose header is damaged is passed over without an error: checksums cover what a page holds, not its kind.
    if row_no != metadata.num_rows:
        raise FileRejected(f"Parquet file is corrupt: {row_no} of its {metadata.num_rows} rows can be read")


def _plain_column(
    column: pa.Array, kind: pa.DataType, unreadable: set[int], source: Source, is_repeating: bool
) -> pa.Array:
    """The column as `kind`; positions of text that is no UTF-8, or holds U+FFFD, go to `unreadable`.

    is_repeating: as a dictionary of `kind`, so that each text is looked at once.
    """
    if is_repeating:
        with suppress(pa.ArrowInvalid):
            # Arrow keeps a dictionary of text only; other bytes come one by one.
            if pa.types.is_dictionary(column.type) and _is_clean(texts := column.dictionary.cast(pa.string())):
                return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), texts)
        return _plain_column(column, kind, unreadable, source, False).dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        # Instants with a zone are stored as UTC; dropping the zone keeps that.
        return column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.timestamp("ms"))
    if not pa.types.is_string(kind):
        return column if column.type == kind else column.cast(kind, safe=False)
    try:
        text = column.cast(pa.string())
        if _is_clean(text):
            return text
    except pa.ArrowInvalid:
        pass
    values: list[str | None] = []
    for position, value in enumerate(column.cast(pa.binary()).to_pylist()):
        if value is None:
            values.append(None)
            continue
        source.nul_removed += value.count(b"\0")
        shown = value.replace(b"\0", b"").decode(errors="backslashreplace")
        if REPLACEMENT in shown or not _is_utf8(value):
            unreadable.add(position)
        values.append(shown)
    return pa.array(values, pa.string())


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_clean(text: pa.Array) -> bool:
    """True when every text is UTF-8 without NUL and U+FFFD; looks at the buffer, not at each value."""
    buffer = text.buffers()[2]
    if buffer is None:
        return True
    data = buffer.to_pybytes()
    if b"\0" in data or _REPLACEMENT_BYTES in data:
        return False
    if not data.isascii():
        text.validate(full=True)
    return True


def refuse_names(names: list[str], where: str, wanted: Collection[str] | None = None) -> None:
    """Raises FileRejected for columns that would be taken for one another: SQL knows no case, and rows are numbered.

    where: header or schema. wanted: the columns that are read; of others only the very same name is refused.
    """
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise FileRejected(f"column {', '.join(doubled)} stands twice in the {where}")
    for name in names:
        twins = [other for other in names if other != name and other.lower() == name.lower()]
        if twins and name in (wanted or ()):
            raise FileRejected(f"column {name} stands there as {', '.join(twins)} too")
        if name.lower() == "_row_no":
            raise FileRejected(f"column {name} has the name by which landing numbers rows; rename it")


# --- rows that cannot be kept ------------------------------------------------------------------------------


def _row_too_long(settings: Settings) -> FileRejected:
    return FileRejected(f"a row is longer than {settings.max_row_bytes} bytes")


def _refuse_long_rows(table: pa.Table, settings: Settings) -> None:
    """Raises FileRejected when the texts of a row together pass the cap."""
    texts = [column for column in table.columns if pa.types.is_string(plain_text(column.type))]
    if sum(map(_greatest_length, texts)) <= settings.max_row_bytes:
        return
    total: Any = pa.scalar(0, pa.int64())
    for column in texts:
        total = pc.add(total, pc.fill_null(pc.binary_length(column.cast(pa.string())), 0))
    if pc.max(total).as_py() > settings.max_row_bytes:
        raise _row_too_long(settings)


def _greatest_length(column: pa.ChunkedArray) -> int:
    """Bytes of the longest text of a column, or of its dictionaries."""
    values = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in column.chunks]
    return max((pc.max(pc.binary_length(texts)).as_py() or 0 for texts in values), default=0)


def plain_text(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, of a dictionary's too."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _without_replacement(batch: Batch, wanted: Collection[str] | None) -> Batch:
    """The batch without the rows that hold U+FFFD, which are added to its bad rows."""
    unreadable: set[int] = set()
    for name in batch.table.column_names:
        column = batch.table.column(name)
        if not pa.types.is_string(column.type) or (wanted is not None and name not in wanted):
            continue
        buffers = [chunk.buffers()[2] for chunk in column.chunks]
        if any(buffer is not None and _REPLACEMENT_BYTES in buffer.to_pybytes() for buffer in buffers):
            values = column.to_pylist()
            unreadable |= {
                at for at, value in enumerate(values) if value is not None and REPLACEMENT in value
            }
    return _without_rows(batch, unreadable)


def _without_rows(batch: Batch, unreadable: set[int]) -> Batch:
    if not unreadable:
        return batch
    for row in batch.table.take(sorted(unreadable)).to_pylist():
        number = row.pop("_row_no")
        batch.bad.append(BadRow(number, INVALID_UTF8, json.dumps(row, default=str)))
    kept = [at for at in range(batch.table.num_rows) if at not in unreadable]
    return Batch(batch.table.take(pa.array(kept, pa.int64())), batch.bad)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
