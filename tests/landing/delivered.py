"""A landing folder in a temporary place, a private database in memory, short ways to deliver and to look."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import duckdb

from dagster_project.landing import LandingSummary, land
from dagster_project.settings import Settings, connect

ROOM = {
    "room_id": "R1", "effective_from": "2026-01-01", "name": "一号房", "platform": "douyin", "market": "CN",
    "timezone": "Asia/Shanghai", "currency": "CNY", "stage": "growth",
}  # fmt: skip
SESSION = {
    "session_id": "S1", "room_id": "R1", "title": "开场", "mode": "single",
    "started_at": "2026-10-01T12:00:00Z", "ended_at": "2026-10-01T14:00:00Z",
    "updated_at": "2026-10-01T15:00:00Z",
}  # fmt: skip
EVENT = {
    "session_id": "S1", "event_id": "E1", "viewer_id": "V1", "event_type": "enter",
    "event_at": "2026-10-01T12:30:00Z", "product_id": None, "quantity": None, "amount": None, "text": None,
}  # fmt: skip
ORDER = {
    "order_line_id": "L1", "order_id": "O1", "session_id": "S1", "room_id": "R1", "viewer_id": "V1",
    "product_id": "P1", "quantity": "1", "unit_price": "9.90", "paid_amount": "9.90", "currency": "CNY",
    "created_at": "2026-10-01T12:40:00Z", "paid_at": "2026-10-01T12:41:00Z",
    "updated_at": "2026-10-01T12:41:00Z",
}  # fmt: skip
REFUND = {
    "refund_id": "F1", "order_line_id": "L1", "refund_type": "return", "quantity": "1", "amount": "9.90",
    "currency": "CNY", "requested_at": "2026-10-03T12:00:00Z", "updated_at": "2026-10-03T12:00:00Z",
}  # fmt: skip
REVIEW = {
    "review_id": "W1",
    "order_line_id": "L1",
    "rating": "5",
    "reviewed_at": "2026-10-05T12:00:00Z",
    "text": "好",
}


def csv_bytes(rows: Iterable[dict]) -> bytes:
    """Rows as a CSV file, the columns of the first row as header; None is empty."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def json_bytes(rows: Iterable[dict]) -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def many(row: dict, key: str, count: int = 40) -> list[dict]:
    """`count` good rows that differ in their key, so that a bad row beside them stays under the 5 % limit."""
    return [{**row, key: f"{row[key]}-{number}"} for number in range(count)]


class World:
    """A landing folder and its private warehouse."""

    def __init__(self, folder: Path):
        self.exports = folder / "exports"
        self.exports.mkdir()
        self.settings = Settings(
            exports=self.exports,
            data=folder / "data",
            policy=folder / "policy",
            secret="a secret of this test",
            memory_limit="1GB",
            threads=2,
        )
        self.con: duckdb.DuckDBPyConnection = connect(":memory:", self.settings)
        self._runs = itertools.count(1)

    def set(self, **changes) -> None:
        self.settings = replace(self.settings, **changes)

    def put(self, path: str, content: bytes | str | Iterable[dict]) -> Path:
        """Deliver a file below EXPORTS: bytes and text as they are, rows by the format of the name."""
        file = self.exports / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        elif not isinstance(content, bytes):
            content = json_bytes(content) if ".jsonl" in path else csv_bytes(content)
        file.write_bytes(content)
        return file

    def put_required(self, **without: bool) -> None:
        """One good file of each export that must be there, but for those named false."""
        for export, row in (
            ("rooms", ROOM),
            ("sessions", SESSION),
            ("viewer_events", EVENT),
            ("orders", ORDER),
        ):
            if without.get(export, True):
                self.put(f"{export}/first.csv", [row])

    def land(self) -> LandingSummary:
        summary = land(self.con, self.settings, f"run-{next(self._runs)}")
        self.check_accounts()
        return summary

    def rows(self, query: str) -> list[tuple]:
        return self.con.execute(query).fetchall()

    def one(self, query: str):
        return self.rows(query)[0][0]

    def verdict(self, path: str) -> tuple:
        """(verdict, reason) of the file last recorded under the path."""
        return self.con.execute(
            "SELECT verdict, reason FROM raw.files WHERE path = ? ORDER BY file_no DESC LIMIT 1", [path]
        ).fetchall()[0]

    def reasons(self, path: str) -> list[str]:
        """Quarantine reasons of the file's rows, by row number."""
        return [
            reason
            for (reason,) in self.con.execute(
                "SELECT q.reason FROM raw.quarantine q JOIN raw.files f USING (file_no) "
                "WHERE path = ? ORDER BY row_no",
                [path],
            ).fetchall()
        ]

    def check_accounts(self) -> None:
        """rows_in = accepted + quarantined + duplicate + pending, and every count is what the tables hold."""
        wrong = self.rows(
            "SELECT * FROM raw.files "
            "WHERE rows_in <> rows_accepted + rows_quarantined + rows_duplicate + rows_pending"
        )
        assert wrong == []
        for file_no, export, *counts in self.rows(
            "SELECT file_no, export, rows_accepted, rows_quarantined, rows_duplicate, rows_pending "
            "FROM raw.files"
        ):
            held = dict(
                self.rows(
                    f"SELECT _status, count(*) FROM raw.{export} WHERE _file_no = {file_no} GROUP BY _status"
                )
            )
            quarantined = self.one(f"SELECT count(*) FROM raw.quarantine WHERE file_no = {file_no}")
            assert counts == [
                held.get("current", 0) + held.get("superseded", 0),
                quarantined,
                held.get("duplicate", 0),
                held.get("pending", 0),
            ], (export, file_no)
            assert held.get("quarantined", 0) <= quarantined
