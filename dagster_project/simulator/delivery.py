"""Writing exports to disk so that the same rows always give the same bytes."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 250_000
FILE_ROWS = 3_000_000


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows as CSV or JSON Lines, gzipped where the name says so; returns the number of rows.

    None is empty text in a CSV and an absent field in JSON Lines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("wb") as raw:
        # mtime=0 and no file name in the header: same rows, same bytes
        binary = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else raw
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        if ".csv" in path.suffixes:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            for row in rows:
                writer.writerow(["" if value is None else value for value in row])
                count += 1
        else:
            for row in rows:
                fields = {name: value for name, value in zip(columns, row, strict=True) if value is not None}
                text.write(json.dumps(fields, ensure_ascii=False) + "\n")
                count += 1
        text.flush()
        text.detach()
        if binary is not raw:
            binary.close()
    return count


class ParquetStack:
    """Parquet files under one folder, one per name, a further part each time one is full.

    Rows are held until a row group is full, so memory stays bounded however many rows pass through.
    """

    def __init__(self, folder: Path, schema: pa.Schema, plain_columns: dict[str, str]):
        self.folder, self.schema, self.plain = folder, schema, plain_columns
        self.name: str | None = None
        self.part = 0
        self.held: list[pa.Table] = []
        self.held_rows = self.file_rows = self.rows = 0
        self.writer: pq.ParquetWriter | None = None

    def add(self, name: str, table: pa.Table) -> None:
        """Append a table to the files of this name; names come in runs: a new one ends the last one."""
        if name != self.name:
            self.close()
            self.name, self.part = name, 0
        self.held.append(table)
        self.held_rows += table.num_rows
        self.rows += table.num_rows
        if self.held_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self.held:
            return
        if self.writer is None:
            self.part += 1
            path = self.folder / f"{self.name}{'' if self.part == 1 else f'-part{self.part:03d}'}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            coded = [name for name in self.schema.names if name not in self.plain]
            # plain string types in the file (no Arrow schema), and page checksums so that a flipped bit shows
            self.writer = pq.ParquetWriter(
                path,
                self.schema,
                compression="zstd",
                compression_level=12,
                use_dictionary=coded,
                column_encoding=self.plain,
                store_schema=False,
                write_page_checksum=True,
            )
        self.writer.write_table(
            pa.concat_tables(self.held).cast(self.schema), row_group_size=2 * ROW_GROUP_ROWS
        )
        self.file_rows += self.held_rows
        self.held, self.held_rows = [], 0
        if self.file_rows >= FILE_ROWS:
            self._end_file()

    def _end_file(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer, self.file_rows = None, 0

    def close(self) -> None:
        """Write what is held and end the current file."""
        self._flush()
        self._end_file()
