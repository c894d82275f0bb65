"""Files read ahead of their storing: the next chunk while one is stored, and behind a file's last the next file's first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType

import duckdb
import pyarrow as pa

from dagster_project.landing.adapters import CANONICAL, canonical_batches
from dagster_project.landing.discovery import Delivery
from dagster_project.landing.readers import BadRow, Source, format_of
from dagster_project.settings import Settings

# Eight of DuckDB's row groups: a statement of fewer rows leaves more groups that have to be written twice.
CHUNK_ROWS = 983_040
CHUNK_BYTES = 256 * 1024 * 1024

Chunk = tuple[pa.Table, list[BadRow]]


class OpenedFile:
    """A file being read: its adapter, its source, and its rows in chunks large enough for a statement each."""

    def __init__(self, adapter: str, source: Source):
        self.adapter = adapter
        self.source = source
        self._chunks = _gathered(source)

    def next_chunk(self) -> Chunk | None:
        """The next chunk, None behind the last; raises FileRejected where the file breaks off."""
        return next(self._chunks, None)

    def begin(self) -> None:
        """Read the first chunk and keep it for next_chunk."""
        self._chunks = itertools.chain([self.next_chunk()], self._chunks)


class Reader:
    """One thread that reads, and the file it has begun; a context manager.

    following: the file likely to be asked for after one; None to read none ahead.
    Two chunks are held at most, the one being stored and the one read.
    """

    def __init__(self, settings: Settings, following: Callable[[Delivery], Delivery | None] = lambda _: None):
        self._settings = settings
        self._following = following
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
        self._begun: tuple[Delivery, Future[OpenedFile]] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def open(self, delivery: Delivery, con: duckdb.DuckDBPyConnection) -> tuple[OpenedFile, Iterator[Chunk]]:
        """The file, opened, and its chunks; raises FileRejected when no adapter takes it. con: where adapters look up."""
        begun, self._begun = self._begun, None
        file = None
        if begun is not None and begun[0] == delivery:
            # Whatever went wrong ahead goes wrong again here, where it can be told.
            with suppress(Exception):
                file = begun[1].result()
        file = file or self._opened(delivery, con)
        return file, self._chunks(delivery, file)

    def _opened(self, delivery: Delivery, con: duckdb.DuckDBPyConnection | None = None) -> OpenedFile:
        folder_values = dict(delivery.folder_values)
        return OpenedFile(*canonical_batches(delivery.path, delivery.export, self._settings, folder_values, con))

    def _chunks(self, delivery: Delivery, file: OpenedFile) -> Iterator[Chunk]:
        reading = self._pool.submit(self._read_on, delivery, file)
        while (chunk := reading.result()) is not None:
            reading = self._pool.submit(self._read_on, delivery, file)
            yield chunk

    def _read_on(self, delivery: Delivery, file: OpenedFile) -> Chunk | None:
        chunk = file.next_chunk()
        if chunk is None and (after := self._following(delivery)) is not None:
            self._begun = after, self._pool.submit(self._begin, after)
        return chunk

    def _begin(self, delivery: Delivery) -> OpenedFile:
        # What an adapter makes of a file may hang on rows that are not stored yet; a document always needs one.
        if format_of(delivery.path) is not None and (file := self._opened(delivery)).adapter == CANONICAL:
            file.begin()
            return file
        raise LookupError(delivery.relative)


def _gathered(source: Source) -> Iterator[Chunk | None]:
    tables: list[pa.Table] = []
    bad: list[BadRow] = []
    rows = size = 0
    for batch in source.batches:
        tables.append(batch.table)
        bad.extend(batch.bad)
        rows += batch.table.num_rows
        size += batch.table.nbytes
        if rows >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield pa.concat_tables(tables, promote_options="default"), bad
            tables, bad, rows, size = [], [], 0, 0
    if tables:
        yield pa.concat_tables(tables, promote_options="default"), bad
