"""`make adapters` and `make inspect FILE=…`: what landing would make of a file, loading nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from dagster_project.landing import adapters, ledger
from dagster_project.landing.contracts import CONTRACTS
from dagster_project.landing.declarations import declarations
from dagster_project.landing.delivery import judge_file
from dagster_project.landing.discovery import Delivery, as_text, folder_values
from dagster_project.landing.readers import FileRejected
from dagster_project.settings import Settings, UserError, connect, settings_from_env

SHOWN_ROWS = 20
SHOWN_CHARACTERS = 160


def adapters_listed(environ: Mapping[str, str]) -> int:
    """Print every adapter: export, priority, name, formats, title and the columns that prove a file is its."""
    for item in declarations(_settings(environ)):
        print(f"{item.export:<16}{item.priority:>4}  {item.name:<24}{'/'.join(item.formats):<10}  {item.title}")
    print("Add yours: docs/adapters.md")
    return 0


def inspect(environ: Mapping[str, str]) -> int:
    """Print which adapter takes FILE, what each column becomes, and which rows would be quarantined."""
    settings = _settings(environ)
    if not environ.get("FILE"):
        raise UserError("FILE is not set: name a file, for example FILE=orders/room_id=R1/october.xlsx")
    path = Path(environ["FILE"]).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"FILE is no file: {path}")
    exports = [part for part in path.parts[:-1] if part in CONTRACTS]
    try:
        export = exports[-1] if exports else _export_of(path, settings)
        return _told(path, export, settings)
    except FileRejected as error:
        print(f"{path.name}: would be rejected: {error}")
        return 1


def _settings(environ: Mapping[str, str]) -> Settings:
    # Nothing is stored, so viewer keys made here need no secret of the company's.
    return settings_from_env({**environ, "VIEWER_KEY_SECRET": environ.get("VIEWER_KEY_SECRET") or "inspection"})


def _export_of(path: Path, settings: Settings) -> str:
    """The export of a file in no export's folder: the one it is canonical for, else that of its nearest adapter."""
    content = adapters.open_content(path, settings)
    fits = [
        adapters.fit_of(item, content) for item in declarations(settings) if content.form in item.formats
    ]
    for export in CONTRACTS:
        if adapters.is_canonical(content, export, {}):
            return export
    near = [fit for fit in fits if len(fit.missing) < max(fit.needed, 1)]
    if not near:
        raise FileRejected("no adapter takes this file, nor does it look like an export")
    return min(near, key=lambda fit: (len(fit.missing) / fit.needed, -fit.declaration.priority)).declaration.export


def _told(path: Path, export: str, settings: Settings) -> int:
    parts = path.parts
    inside = parts[len(parts) - 1 - parts[::-1].index(export) :] if export in parts else (export, path.name)
    relative = as_text("/".join(inside))
    delivery = Delivery(export, path, relative, path.stat().st_size, folder_values=folder_values(relative))
    with connect(":memory:", settings) as con:
        ledger.create_tables(con)
        _borrow_parents(con, settings)
        row = judge_file(con, settings, delivery)
        print(f"{relative}: adapter {row.adapter}, export {export}")
        for target, sources in _mapping(settings, row.adapter or "", export):
            print(f"  {target:<16} <- {sources}")
        if row.extra_columns:
            print(f"  kept aside: {row.extra_columns}")
        if row.reason:
            print(f"  {row.reason}")
        waiting = f", {row.pending} waiting for a parent that is not landed" if row.pending else ""
        print(f"{row.rows_in} rows: {row.accepted} fine{waiting}, {row.quarantined} quarantined; file {row.verdict}")
        listed = con.execute("SELECT row_no, reason, content FROM raw.quarantine ORDER BY row_no").fetchall()
        for row_no, reason, content in listed[:SHOWN_ROWS]:
            print(f"  row {row_no}: {reason}: {content[:SHOWN_CHARACTERS]}")
        if len(listed) > SHOWN_ROWS:
            print(f"  and {len(listed) - SHOWN_ROWS} more")
    return 0 if row.verdict == "accepted" else 1


def _borrow_parents(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Rooms, sessions, staff and lines landed so far, unless a run holds the warehouse just now."""
    if not settings.warehouse_path.exists():
        return
    path = str(settings.warehouse_path).replace("'", "''")
    try:
        con.execute(f"ATTACH '{path}' AS landed (READ_ONLY)")
    except duckdb.Error:
        print("(a run is writing just now: rooms, sessions and people are not known to this inspection)")
        return
    for table in ("rooms", "sessions", "staff", "orders"):
        con.execute(f"INSERT INTO raw.{table} BY NAME SELECT * FROM landed.raw.{table} WHERE _status = 'current'")
    con.execute("DETACH landed")


def _mapping(settings: Settings, name: str, export: str) -> list[tuple[str, str]]:
    """(canonical column, where it comes from) of an adapter, in contract order."""
    found = [item for item in declarations(settings) if item.name == name]
    if not found:
        return [(column.name, column.name) for column in CONTRACTS[export].columns]
    told = {}
    for rule in found[0].rules:
        options = dict(rule.options)
        parts = [" or ".join(rule.sources)] if rule.sources else []
        parts += [" : ".join(rule.join)] if rule.join else []
        parts += [
            f"{key} {options[key]}"
            for key in ("value", "times", "epoch", "map", "day", "only_if", "folder", "find", "latest", "else")
            if key in options
        ]
        told[rule.column] = ", ".join(parts)
    if found[0].measures:
        told["theirs"] = "one row per measure: " + ", ".join(found[0].measures)
    return [(column.name, told[column.name]) for column in CONTRACTS[export].columns if column.name in told]
