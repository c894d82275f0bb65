"""Reading bytes: our reader against Python's own csv and json modules."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from dagster_project.landing import readers
from dagster_project.landing.readers import FileRejected, open_csv, open_json_lines
from dagster_project.settings import Settings

FOLDER = Path("/nowhere")
SETTINGS = Settings(FOLDER, FOLDER, FOLDER, "secret", "1GB")


def read_csv(path: Path) -> list[list[str]]:
    source = open_csv(path, SETTINGS)
    rows = []
    for batch in source.batches:
        columns = [batch.table.column(name).to_pylist() for name in source.columns]
        rows.extend(map(list, zip(*columns, strict=True)))
    return rows


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "tested.csv"


@effort(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.text('ab",\n 好', max_size=6), min_size=3, max_size=3), min_size=1, max_size=8))
def test_any_csv_that_python_writes_is_read_back_cell_by_cell(file: Path, rows: list[list[str]]):
    text = io.StringIO()
    csv.writer(text).writerows([["x", "y", "z"], *rows])
    file.write_bytes(text.getvalue().encode())
    assert read_csv(file) == rows


@effort(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text('a,"\n', max_size=30), st.integers(1, 9))
def test_a_quote_left_open_is_noticed(tail: str, block: int):
    # Character by character: a quote opens only at the start of a field, a doubled one stays inside.
    inside, at_start, position = False, True, 0
    while position < len(tail):
        if inside and tail[position] == '"':
            if tail[position + 1 : position + 2] == '"':
                position += 1
            else:
                inside = False
        elif not inside and tail[position] == '"' and at_start:
            inside = True
        at_start = not inside and tail[position] in ",\n"
        position += 1
    data = tail.encode()
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    assert readers._ends_inside_quotes(iter(blocks)) == inside
    quotes = readers._Quotes()
    for part in blocks:
        quotes.feed(part)
    if not quotes.odd_places:
        assert quotes.is_open_at_end() == inside


@effort(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("a好\x00\U0001f600é", max_size=20), st.integers(1, 5))
def test_text_is_proved_across_block_borders(file: Path, text: str, size: int):
    file.write_bytes(text.encode())
    source = readers.Source({}, iter(()))
    previous, readers.BLOCK_BYTES = readers.BLOCK_BYTES, size
    try:
        proved = b"".join(readers._utf8_blocks(file, SETTINGS, "utf-8", source)).decode()
    finally:
        readers.BLOCK_BYTES = previous
    assert (proved, source.nul_removed) == (text.replace("\0", ""), text.count("\0"))


@effort(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"),
            st.none() | st.text("a-\0好\n", max_size=5) | st.integers() | st.booleans(),
        )
    )
)
def test_any_json_lines_that_python_writes_are_read_back(file: Path, records: list[dict]):
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    source = open_json_lines(file, SETTINGS, None)
    found = [row for batch in source.batches for row in batch.table.to_pylist()]
    expected = []
    for record in records:
        shown = {name: None if value is None else value if isinstance(value, str) else json.dumps(value)
                 for name, value in record.items()}  # fmt: skip
        expected.append({name: value.replace("\0", "") if value else value for name, value in shown.items()})
    assert [row["_row_no"] for row in found] == list(range(1, len(records) + 1))
    for row, wanted in zip(found, expected, strict=True):
        assert {name: row.get(name) for name in wanted} == wanted


def test_two_values_on_a_json_line_are_one_broken_row(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n{"a": 2}, {"a": 3}\n{"a": 4}\n')
    batches = list(open_json_lines(file, SETTINGS, None).batches)
    assert [row["a"] for batch in batches for row in batch.table.to_pylist()] == ["1", "4"]
    assert [bad.row_no for batch in batches for bad in batch.bad] == [2]


def test_a_header_without_rows_is_a_file_without_rows(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("x,y\n")
    assert read_csv(file) == []


def test_an_empty_csv_is_rejected(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("\n\n")
    with pytest.raises(FileRejected, match="no header row"):
        open_csv(file, SETTINGS)
