"""Which declaration turns a file into the canonical form of its export; without one the file is its own."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dagster_project.landing import values
from dagster_project.landing.contracts import AMBIGUOUS, CONTRACTS, UNPARSABLE_NUMBER
from dagster_project.landing.declarations import Declaration, Rule, declarations, plain
from dagster_project.landing.documents import (
    HEADER_WITHIN_ROWS,
    LostDigits,
    at_path,
    cell_text,
    document_format,
    json_document,
    json_line_records,
    workbook_rows,
)
from dagster_project.landing.readers import BadRow, Batch, FileRejected, Sought, Source, format_of, open_source, refuse_names
from dagster_project.settings import Settings

CANONICAL = "canonical"
BATCH_ROWS = 50_000
LOOKED_AT = 200
_NAMES_IN_A_CELL = re.compile(r"[、，,/;；]")

Record = Mapping[str, Any]


@dataclass
class Content:
    """What a file holds before any adapter: its format, the columns it offers, and its records, read once.

    names: plain header names; None for JSON, whose columns are paths looked up in `samples`. `records` gives
    (row number, record or BadRow) for a declaration; CSV and Parquet are read through `source` instead.
    """

    form: str
    names: list[str] | None = None
    samples: list[Any] = field(default_factory=list)
    records: Callable[[Declaration], Iterator[tuple[int, Any]]] = lambda declaration: iter(())
    source: Source | None = None


@dataclass(frozen=True)
class Fit:
    """How far a declaration fits a file: the columns it needs, and which of them are not there."""

    declaration: Declaration
    needed: int
    missing: tuple[str, ...]


@dataclass
class People:
    """Who and what an adapter may have to find: staff by name, sessions by room and overlap."""

    staff: dict[str, list[str]] = field(default_factory=dict)
    sessions: dict[str, list[tuple[str, Any, Any]]] = field(default_factory=dict)
    sought: Sought = field(default_factory=Sought)


def canonical_batches(
    path: Path,
    export: str,
    settings: Settings,
    folder_values: Mapping[str, str] | None = None,
    con: duckdb.DuckDBPyConnection | None = None,
) -> tuple[str, Source]:
    """(adapter name, rows under contract column names) of a file; raises FileRejected when none takes it.

    con: the private warehouse, where an adapter finds people and sessions that a file only names.
    """
    names = {column.name for column in CONTRACTS[export].columns}
    folder = dict(folder_values or {})
    form = format_of(path)
    if form is None and document_format(path) is None:
        raise FileRejected("no adapter takes this file: its format is none of csv, jsonl, parquet, json, xlsx")
    content = open_content(path, settings, names)
    if form is not None and is_canonical(content, export, folder):
        # A CSV file is proved by a pass over all its bytes, so it is not opened twice.
        return CANONICAL, content.source or open_source(path, settings, wanted=names)
    content = open_content(path, settings)
    fits = [fit_of(item, content) for item in declarations(settings) if content.form in item.formats]
    fitting = [fit for fit in fits if not fit.missing and fit.declaration.export == export]
    if not fitting:
        if form is not None and not _is_from_a_platform(fits, export, content, folder):
            # Read as its own, so that what is wrong with it is said in the words of its contract.
            return CANONICAL, open_source(path, settings, wanted=names)
        raise FileRejected(_told_unknown(fits, export, content, folder))
    chosen, *others = sorted(fitting, key=lambda fit: (-fit.declaration.priority, fit.declaration.name))
    declaration = chosen.declaration
    _refuse_without_folder(declaration, content, folder)
    source = _adapted(declaration, content, folder, _people(con, declaration))
    if others:
        also = ", ".join(f"{fit.declaration.name} (priority {fit.declaration.priority})" for fit in others)
        source.notes.append(f"{declaration.name} by priority {declaration.priority}; {also} fits too")
    return declaration.name, source


# --- what a file offers ------------------------------------------------------------------------------------


def open_content(path: Path, settings: Settings, wanted: Collection[str] | None = None) -> Content:
    """A file's columns and records, whatever its format; raises FileRejected for a broken one.

    wanted: the columns of a CSV file whose text must be sound; None = all.
    """
    form = format_of(path) or document_format(path)
    if form in ("csv", "parquet"):
        source = open_source(path, settings, wanted)
        return Content(form, [plain(name) for name in source.columns], source=source)
    if form == "xlsx":
        return _workbook_content(workbook_rows(path, settings), declarations(settings))
    if form == "json":
        document = json_document(path, settings)
        return Content("json", samples=[document], records=lambda item: enumerate(_listed(document, item), 1))
    records = json_line_records(path, settings)
    first = list(itertools.islice(records, LOOKED_AT))
    samples = [record for _, record in first if isinstance(record, dict)]
    return Content("jsonl", samples=samples, records=lambda item: itertools.chain(first, records))


def _workbook_content(rows: list[list[Any]], known: list[Declaration]) -> Content:
    """The sheet below its header: of the first rows, the one that names most columns an adapter reads."""
    wanted = {
        name
        for item in known
        if "xlsx" in item.formats
        for names in [*(rule.reads for rule in item.rules), *item.people.values()]
        + [measure["from"] for measure in item.measures.values()]
        for name in names
    }
    heads = [[plain(str(cell)) for cell in row] for row in rows[:HEADER_WITHIN_ROWS]]
    at = max(range(len(heads)), key=lambda index: (len(wanted & set(heads[index])), -index))
    header = heads[at]
    refuse_names(header, "header")
    kept = [(index, name) for index, name in enumerate(header) if name]

    def records(_: Declaration) -> Iterator[tuple[int, Any]]:
        for row_no, row in enumerate(rows[at + 1 :], 1):
            record = {name: cell_text(row[index]) for index, name in kept if index < len(row)}
            if any(value is not None for value in record.values()):
                yield row_no, record

    return Content("xlsx", [name for _, name in kept], records=records)


def _listed(document: Any, declaration: Declaration) -> list[Any]:
    """The records of a JSON document at the first of the declared paths that holds a list."""
    for path in declaration.rows or ("",):
        found = at_path(document, tuple(path.split("."))) if path else document
        if isinstance(found, list):
            return found
        if path == "" and isinstance(found, dict):
            return [found]
    return []


def is_canonical(content: Content, export: str, folder: Mapping[str, str]) -> bool:
    """True when every required column is there under its own name."""
    return not _lacking(export, content, folder)


def _canonical_names(content: Content) -> set[str]:
    if content.names is not None:
        return set(content.names)
    return {name for record in content.samples for name in record if isinstance(record, dict)}


def _is_from_a_platform(fits: list[Fit], export: str, content: Content, folder: Mapping[str, str]) -> bool:
    """True when some declaration fits, or lacks a smaller share of what it needs than the canonical form does."""
    return any(not fit.missing for fit in fits) or _nearest(fits, export, content, folder) is not None


def _nearest(fits: list[Fit], export: str, content: Content, folder: Mapping[str, str]) -> Fit | None:
    """The declaration that lacks least, those of the export before others; None where the canonical form is as near."""
    near = [fit for fit in fits if len(fit.missing) < fit.needed]
    if not near:
        return None
    best = min(near, key=lambda fit: (len(fit.missing) / fit.needed, fit.declaration.export != export))
    required = sum(column.required for column in CONTRACTS[export].columns)
    return best if len(best.missing) / best.needed < len(_lacking(export, content, folder)) / required else None


def _lacking(export: str, content: Content, folder: Mapping[str, str]) -> list[str]:
    """The required columns that neither the file nor its folders hold under their own names."""
    present = {*_canonical_names(content), *folder}
    return [column.name for column in CONTRACTS[export].columns if column.required and column.name not in present]


def fit_of(declaration: Declaration, content: Content) -> Fit:
    """Which of the columns that prove the declaration the file lacks, each by its first name."""
    groups = [rule.sources for rule in declaration.rules if rule.must and rule.sources]
    groups += [(name,) for rule in declaration.rules if rule.must for name in rule.join]
    groups += [names for names in declaration.people.values() if declaration.people]
    groups += [*declaration.needs]
    groups += [(declaration.series[key],) for key in ("id", "list") if declaration.series]
    groups = list(dict.fromkeys(groups))
    if content.form == "json" and _is_empty_list(content, declaration):
        return Fit(declaration, len(groups), ())
    missing = tuple(names[0] for names in groups if not any(_has(content, name, declaration) for name in names))
    return Fit(declaration, len(groups), missing)


def _is_empty_list(content: Content, declaration: Declaration) -> bool:
    """True for an envelope without records: its list's path is all there is to know it by."""
    return any(at_path(content.samples[0], tuple(path.split("."))) == [] for path in declaration.rows if path)


def _has(content: Content, name: str, declaration: Declaration) -> bool:
    if content.names is not None:
        return name in content.names
    for sample in content.samples:
        records = _listed(sample, declaration) if content.form == "json" else [sample]
        for record in records[:LOOKED_AT]:
            for child in _children(record, declaration) or [None]:
                if _value({"": record, "each": child}, name) is not None:
                    return True
    return False


def _told_unknown(fits: list[Fit], export: str, content: Content, folder: Mapping[str, str]) -> str:
    """Why no adapter takes a file: the nearest one and what it misses, or the folder where it belongs."""
    elsewhere = [fit.declaration for fit in fits if not fit.missing]
    if elsewhere:
        best = max(elsewhere, key=lambda item: item.priority)
        return (
            f"no adapter of {export} takes this file, {best.name} of {best.export} does: "
            f"put it into EXPORTS/{best.export}/"
        )
    if (nearest := _nearest(fits, export, content, folder)) is not None:
        return (
            f"no adapter takes this file; the nearest is {nearest.declaration.name}, "
            f"for which {', '.join(nearest.missing)} is missing"
        )
    return f"no adapter takes this file; in the canonical form {', '.join(_lacking(export, content, folder))} is missing"


def _refuse_without_folder(declaration: Declaration, content: Content, folder: Mapping[str, str]) -> None:
    """Raises FileRejected when a required column can only come from a folder name and there is none."""
    rules = {rule.column: rule for rule in declaration.rules}
    for column in CONTRACTS[declaration.export].columns:
        if not column.required or column.name in folder:
            continue
        rule = rules.get(column.name)
        key = column.name if rule is None else rule.options.get("folder")
        has_source = rule is not None and (
            not rule.options.get("folder") or any(_has(content, name, declaration) for name in rule.reads)
        )
        made = declaration.measures and column.name in ("measure", "theirs", "definition")
        if not (has_source or made or key in folder):
            raise FileRejected(
                f"required column {column.name} is missing: {declaration.name} files do not say it, "
                f"put the file below a folder {key}=…"
            )
    needs_room = any(rule.options.get("find") == "session" for rule in declaration.rules)
    if needs_room and "session_id" not in folder and "room_id" not in folder:
        raise FileRejected(f"{declaration.name} finds sessions by room: put the file below a folder room_id=…")


# --- from records to canonical rows ------------------------------------------------------------------------


def _adapted(declaration: Declaration, content: Content, folder: dict[str, str], people: People) -> Source:
    """The file's rows as text columns of the contract."""
    rules = [
        rule for rule in declaration.rules if not (rule.options.get("unless_folder") and rule.column in folder)
    ]
    names = [rule.column for rule in rules]
    if declaration.measures:
        names += [name for name in ("measure", "theirs", "definition") if name not in names]
    canonical = {column.name for column in CONTRACTS[declaration.export].columns}
    read = {name for rule in (*declaration.rules, *declaration.aside) for name in rule.reads}
    read |= {item["column"] for item in declaration.leave_out}
    read |= {name for group in declaration.people.values() for name in group}
    read |= {name for item in declaration.measures.values() for name in item["from"]}
    read |= {str(rule.options[key]) for rule in declaration.rules for key in ("day",) if key in rule.options}
    extra = [name for name in content.names or [] if name not in read and name not in canonical and name]
    columns = dict.fromkeys([*names, *extra], pa.string())
    source = Source(columns, iter(()))
    used = {rule.options["folder"] for rule in rules if rule.options.get("folder")}
    if any(rule.options.get("find") == "session" for rule in rules):
        used |= {"room_id"}
    source.folder_used = {name: folder[name] for name in used & folder.keys()}
    if any("find" in rule.options for rule in rules):
        source.sought = people.sought
    maker = _Maker(declaration, rules, names, extra, folder, people, source)
    source.batches = maker.batches(content)
    return source


class _Maker:
    """Turns records into batches of canonical rows, counting what the declaration leaves out."""

    def __init__(
        self,
        declaration: Declaration,
        rules: list[Rule],
        names: list[str],
        extra: list[str],
        folder: dict[str, str],
        people: People,
        source: Source,
    ):
        self.declaration, self.names, self.extra = declaration, names, extra
        self.folder, self.people, self.source = folder, people, source
        self.rules = [(rule, _reader(rule, declaration, folder, people)) for rule in rules]
        self.aside = [(rule, _reader(rule, declaration, folder, people)) for rule in declaration.aside]
        self.left_out: Counter[str] = Counter()

    def batches(self, content: Content) -> Iterator[Batch]:
        """Batches of canonical rows; the notes are complete once all are read."""
        made: list[tuple[int, dict[str, str | None], str | None]] = []
        bad: list[BadRow] = []
        for row_no, record, refused in self._numbered(content):
            if refused is not None:
                bad.append(refused)
                continue
            outcome = self._row(row_no, record)
            if isinstance(outcome, BadRow):
                bad.append(outcome)
            else:
                made.append((row_no, *outcome))
            if len(made) + len(bad) >= BATCH_ROWS:
                yield self._batch(made, bad)
                made, bad = [], []
        for why, count in sorted(self.left_out.items()):
            self.source.notes.append(f"{count} left out: {why}")
        yield self._batch(made, bad)

    def _numbered(self, content: Content) -> Iterator[tuple[int, dict[str, Any], BadRow | None]]:
        """(row number, record, None), or a bad row; the declared rows are left out and counted here."""
        made = 0
        for row_no, item in _records(content, self.declaration):
            if isinstance(item, BadRow):
                made += 1
                number = made if self.declaration.splits else row_no
                yield number, {}, BadRow(number, item.reason, item.content)
                continue
            for record in _split(item, self.declaration):
                if (why := self._reason_to_leave_out(record)) is not None:
                    self.left_out[why] += 1
                    continue
                made += 1
                yield (made if self.declaration.splits else row_no), record, None

    def _reason_to_leave_out(self, record: dict[str, Any]) -> str | None:
        for item in self.declaration.leave_out:
            value = _text(_value(record, item["column"]))
            bare = values.bare_id(value) if isinstance(value, str) else None
            tests = (
                ("in", lambda given, bare=bare: bare in map(str, given)),
                ("not_in", lambda given, bare=bare: bare not in map(str, given)),
                ("matches", lambda given, bare=bare: bare is not None and re.search(given, bare) is not None),
                ("not_matches", lambda given, bare=bare: bare is None or re.search(given, bare) is None),
            )
            if any(test(item[key]) for key, test in tests if key in item):
                return str(item["why"])
        return None

    def _row(self, row_no: int, record: dict[str, Any]) -> tuple[dict[str, str | None], str | None] | BadRow:
        row: dict[str, str | None] = {}
        if "measure" in record:
            row.update({name: record[name] for name in ("measure", "theirs", "definition")})
        for rule, read in self.rules:
            value = read(record, row)
            if isinstance(value, LostDigits):
                return BadRow(row_no, UNPARSABLE_NUMBER, _shown(record, f"{rule.column} lost digits in the workbook"))
            if value is AMBIGUOUS_VALUE:
                return BadRow(row_no, AMBIGUOUS, _shown(record, f"{rule.column} is not one"))
            row[rule.column] = value
        kept = {name: record[""].get(name) for name in self.extra if record[""].get(name) is not None}
        kept |= {rule.column: read(record, row) for rule, read in self.aside}
        return row, json.dumps(kept, ensure_ascii=False, default=str) if kept else None

    def _batch(
        self, made: list[tuple[int, dict[str, str | None], str | None]], bad: list[BadRow]
    ) -> Batch:
        columns = {name: pa.array([row.get(name) for _, row, _ in made], pa.string()) for name in self.names}
        if self.extra or self.aside:
            columns["_extra"] = pa.array([extra for _, _, extra in made], pa.string())
        columns["_row_no"] = pa.array([number for number, _, _ in made], pa.int64())
        return Batch(pa.table(columns), bad)


def _records(content: Content, declaration: Declaration) -> Iterator[tuple[int, Any]]:
    """(row number, record or BadRow), rows in the order of the file."""
    if content.source is None:
        yield from content.records(declaration)
        return
    for batch in content.source.batches:
        table = batch.table
        numbers = table.column("_row_no").to_pylist()
        names = [name for name in table.column_names if name not in ("_row_no", "_extra")]
        lists = [map(_text, table.column(name).to_pylist()) for name in names]
        heads = [plain(name) for name in names]
        for row_no, *fields in zip(numbers, *lists, strict=True):
            yield row_no, dict(zip(heads, fields, strict=True))
        yield from ((row.row_no, row) for row in batch.bad)


def _split(item: Any, declaration: Declaration) -> Iterator[dict[str, Any]]:
    """The rows one record stands for: itself, its children, its people, its measures or its points."""
    if declaration.series:
        for point in _points(item, declaration.series):
            yield {"": point}
    elif declaration.each:
        children = _children(item, declaration)
        for number, child in enumerate(children, 1):
            yield {"": item, "each": child, "number": str(number), "siblings": len(children)}
    elif declaration.people:
        for role, columns in declaration.people.items():
            cells = [item.get(name) for name in columns if item.get(name)]
            names = [part.strip() for cell in cells[:1] for part in _NAMES_IN_A_CELL.split(str(cell))]
            for name in names:
                if name and name not in declaration.null_tokens:
                    yield {"": {**item, "role": role, "name": name}}
    elif declaration.measures:
        for measure, rule in declaration.measures.items():
            cell = next((item[name] for name in rule["from"] if item.get(name) is not None), None)
            given = _text(cell)
            if isinstance(given, str) and given.strip() not in declaration.null_tokens:
                times = Decimal(rule["times"])
                theirs = values.plain_number(given.removesuffix("%"), times)
                if given.endswith("%"):
                    theirs = values.plain_number(theirs, Decimal("0.01"))
                yield {"": item, "measure": measure, "theirs": theirs, "definition": rule["definition"]}
    else:
        yield {"": item if isinstance(item, dict) else {}}


def _children(record: Any, declaration: Declaration) -> list[Any]:
    if not declaration.each:
        return []
    found = at_path(record, tuple(declaration.each.split(".")))
    return found if isinstance(found, list) else []


def _points(document: Any, series: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Time series of several metrics as one record per owner and instant: the metric ids are its columns.

    `window_ms` is the time to the owner's next instant (the last: since the one before). Of the alternatives
    under `one_of` only the first that the document holds is kept, since they count by different definitions.
    """
    lists = at_path(document, tuple(series["list"].split(".")))
    held: dict[tuple[str, ...], dict[Decimal, dict[str, Any]]] = {}
    present = {str(item.get(series["metric"])) for item in lists or [] if isinstance(item, dict)}
    chosen = {}
    for name, options in (series.get("one_of") or {}).items():
        chosen[name] = next((str(option) for option in options if str(option) in present), None)
    for item in lists or []:
        owner = tuple(str(item.get(name)) for name in series["by"])
        for point in item.get(series["points"]) or []:
            if isinstance(point, list) and len(point) >= 2 and point[1] is not None:
                held.setdefault(owner, {}).setdefault(Decimal(str(point[0])), {})[
                    str(item.get(series["metric"]))
                ] = str(point[1])
    for owner, by_instant in sorted(held.items()):
        instants = sorted(by_instant)
        for at, instant in enumerate(instants):
            if len(instants) == 1:
                window = Decimal(series["window_ms"])
            else:
                later, earlier = (at + 1, at) if at + 1 < len(instants) else (at, at - 1)
                window = (instants[later] - instants[earlier]) * 1000
            window = min(window, Decimal(series["window_ms"]))
            found = by_instant[instant]
            record: dict[str, Any] = {
                series["id"]: at_path(document, (series["id"],)),
                "at": format(instant, "f"),
                **dict(zip(series["by"], owner, strict=True)),
                **found,
            }
            for name, metric in chosen.items():
                record[name] = found.get(metric) if metric else None
                record[f"{name}_metric"] = metric
            stalled = min(Decimal(record.get("stalled") or 0), window)
            record["stalled_ms"], record["played_ms"] = format(stalled, "f"), format(window - stalled, "f")
            yield record


def _value(record: Mapping[str, Any], name: str) -> Any:
    """What a record holds under a column name or JSON path; each.… looks into the child."""
    own = record.get("")
    if isinstance(own, dict) and name in own:
        return own[name]
    if name in ("number", "siblings"):
        return record.get(name)
    steps = tuple(name.split("."))
    return at_path(record.get("each"), steps[1:]) if steps[0] == "each" else at_path(own, steps)


def _text(value: Any) -> Any:
    """A scalar as text; text, nothing and cells whose digits are lost stay what they are."""
    if value is None or isinstance(value, str | LostDigits):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return cell_text(value) if not isinstance(value, int) or isinstance(value, bool) else str(value)


def _shown(record: Mapping[str, Any], why: str) -> str:
    """A row as delivered and what is wrong with it, as JSON text."""
    return json.dumps({"row": record[""], "why": why}, ensure_ascii=False, default=lambda cell: cell.shown)


# --- one column --------------------------------------------------------------------------------------------

AMBIGUOUS_VALUE: Any = object()
# A chat goes on a little before the session's first and after its last second.
AROUND = timedelta(minutes=10)


def _reader(
    rule: Rule, declaration: Declaration, folder: Mapping[str, str], people: People
) -> Callable[[dict[str, Any], dict[str, str | None]], Any]:
    """A function of (record, the row so far) that gives the column's text, None, or a mark for a bad row."""
    options = rule.options
    zone, nulls = declaration.zone, declaration.null_tokens
    times = Decimal(str(options["times"])) if "times" in options else None
    mapping = {str(key): value for key, value in options.get("map", {}).items()}
    plus_days = int(options.get("plus_days", 0))

    def given(record: dict[str, Any]) -> Any:
        if rule.join:
            parts = [_text(_value(record, name)) for name in rule.join]
            return None if None in parts else ":".join(str(values.bare_id(str(part)) or "") for part in parts)
        for name in rule.sources:
            value = _text(_value(record, name))
            if isinstance(value, LostDigits) and rule.kind != "id":
                value = value.shown
            if isinstance(value, LostDigits) or value is not None and value.strip(" \t\r\n'\"") not in nulls:
                return value
        return None

    def shaped(record: dict[str, Any], row: dict[str, str | None], value: str) -> str | None:
        if rule.kind == "id":
            value = values.bare_id(value) or ""
        elif rule.kind == "number":
            value = values.plain_number(value, times)
        elif rule.kind == "date":
            value = values.plain_date(value)
        elif rule.kind == "instant":
            if "epoch" in options:
                return values.epoch_instant(value, options["epoch"])
            if "day" in options:
                day = _text(_value(record, options["day"]))
                value = values.clock_on_day(value, day, zone)
            else:
                value = values.local_instant(value, zone, plus_days)
            if "after" in options:
                value = values.next_day_unless_after(value, row.get(options["after"]), zone)
        if mapping or "otherwise" in options:
            value = mapping.get(value.strip(), options.get("otherwise", value))
        return None if value in ("", None) else str(value)

    people.sought.staff |= options.get("find") == "staff"

    def read(record: dict[str, Any], row: dict[str, str | None]) -> Any:
        if options.get("find") == "staff":
            return _only(people.staff.get(str(given(record)), []))
        if options.get("find") == "session":
            return _session(people, folder["room_id"], row)
        if (condition := options.get("only_if")) and not _holds(condition, record, row):
            return None
        if "zero_if" in options and _holds(options["zero_if"], record, row):
            return "0"
        if options.get("only_child") and record.get("siblings") != 1:
            found = _text(_value(record, rule.sources[0]))
            return None if found is None else shaped(record, row, found)
        value = str(options["value"]) if "value" in options else given(record)
        if isinstance(value, LostDigits):
            return value
        value = None if value is None else shaped(record, row, value)
        if value is None and options.get("folder") in folder:
            value = folder[options["folder"]]
        if value is None and "multiply" in options:
            value = values.product([row.get(name) for name in options["multiply"]])
        if value is None and "latest" in options:
            value = max(filter(None, (row.get(name) for name in options["latest"])), default=None)
        if value is None and "else" in options:
            value = str(options["else"]).format_map({name: text or "" for name, text in row.items()})
        return value

    return read


def _holds(condition: Mapping[str, Any], record: dict[str, Any], row: Mapping[str, str | None]) -> bool:
    """only_if: {given: canonical column} or {column: source column, in: […]}."""
    if "given" in condition:
        return row.get(condition["given"]) is not None
    value = _text(_value(record, plain(condition["column"])))
    return isinstance(value, str) and value.strip() in map(str, condition["in"])


def _only(found: Iterable[str]) -> Any:
    found = list(found)
    return found[0] if len(found) == 1 else AMBIGUOUS_VALUE


def _session(people: People, room_id: str, row: Mapping[str, str | None]) -> Any:
    """The one session of the room that the row's time span, or its instant, overlaps.

    Without one, room and instant stand in for its id, so that the row waits for its session as any orphan does.
    """
    span = [values.parsed(row.get(name)) for name in ("on_at", "off_at")]
    if span[0] is None or span[1] is None:
        instant = values.parsed(row.get("event_at") or row.get("sampled_at"))
        if instant is None:
            # Typing will name the instant that cannot be read; the session is not the fault.
            return "unknown"
        span = [instant, instant]
    start, end = (moment.astimezone(UTC).replace(tzinfo=None) for moment in span if moment is not None)
    sought = people.sought
    sought.room_id = room_id
    sought.first, sought.last = min(sought.first or start, start), max(sought.last or end, end)
    sessions = people.sessions.get(room_id, [])
    if start < end:
        found = [name for name, began, ended in sessions if began < end and start < ended]
    else:
        inside = [name for name, began, ended in sessions if began <= start < ended]
        found = inside or [name for name, began, ended in sessions if began - AROUND <= start < ended + AROUND]
    return _only(found) if found else f"{room_id}@{start.isoformat(timespec='milliseconds')}Z"


def lookup_hash(con: duckdb.DuckDBPyConnection, sought: Sought) -> str:
    """What the landed staff and sessions answer to a file's look-ups: another hash means that it reads otherwise now."""
    answers: list[Any] = []
    if sought.staff:
        answers += con.execute("SELECT staff_id, name FROM raw.staff WHERE _status = 'current' ORDER BY ALL").fetchall()
    if sought.first is not None and sought.last is not None:
        answers += con.execute(
            "SELECT session_id, started_at, ended_at FROM raw.sessions WHERE _status = 'current' AND room_id = ? "
            "AND started_at <= ? AND ended_at >= ? ORDER BY ALL",
            [sought.room_id, sought.last + AROUND, sought.first - AROUND],
        ).fetchall()
    return hashlib.sha256(repr(answers).encode()).hexdigest()


def _people(con: duckdb.DuckDBPyConnection | None, declaration: Declaration) -> People:
    """Staff and sessions as landed so far, read only where the declaration looks somebody up."""
    people = People()
    if con is None or not any("find" in rule.options for rule in declaration.rules):
        return people
    for name, staff_id in con.execute(
        "SELECT name, staff_id FROM raw.staff WHERE _status = 'current' ORDER BY staff_id"
    ).fetchall():
        people.staff.setdefault(name.strip(), []).append(staff_id)
    for room_id, *session in con.execute(
        "SELECT room_id, session_id, started_at, ended_at FROM raw.sessions WHERE _status = 'current' "
        "ORDER BY session_id"
    ).fetchall():
        people.sessions.setdefault(room_id, []).append(tuple(session))
    return people
