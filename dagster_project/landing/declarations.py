"""Adapter declarations: one YAML file per platform format, read and checked before a file is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from dagster_project.landing.contracts import CONTRACTS
from dagster_project.settings import Settings, UserError

PLATFORMS = Path(__file__).resolve().parent / "platforms"
FORMATS = ("csv", "xlsx", "json", "jsonl", "parquet")
_DECLARATION_KEYS = {
    "name", "title", "export", "priority", "formats", "time_zone", "rows", "each", "people", "series",
    "measures", "leave_out", "columns", "aside", "null", "needs",
}  # fmt: skip
_COLUMN_KEYS = {
    "from", "join", "as", "epoch", "times", "map", "otherwise", "value", "else", "latest", "only_if", "folder",
    "unless_folder", "day", "after", "plus_days", "zero_if", "multiply", "find", "must", "only_child",
}  # fmt: skip
_KINDS = ("id", "text", "number", "instant", "date")


@dataclass(frozen=True)
class Rule:
    """Where one canonical column comes from; docs/adapters.md explains each key."""

    column: str
    sources: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    kind: str = "text"
    options: Mapping[str, Any] = field(default_factory=dict)
    must: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.sources, *self.join)


@dataclass(frozen=True)
class Declaration:
    """One platform format: which columns prove it, and what its rows become."""

    name: str
    title: str
    export: str
    priority: int
    formats: tuple[str, ...]
    zone: ZoneInfo
    rules: tuple[Rule, ...]
    rows: tuple[str, ...] = ()
    each: str | None = None
    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    series: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    leave_out: tuple[Mapping[str, Any], ...] = ()
    aside: tuple[Rule, ...] = ()
    null_tokens: frozenset[str] = frozenset()
    needs: tuple[tuple[str, ...], ...] = ()

    @property
    def splits(self) -> bool:
        """True when one row of the file may become several: row numbers then count the rows made."""
        return bool(self.each or self.people or self.series or self.measures)


def plain(name: str) -> str:
    """A header without the marks platforms put around it, full-width brackets made plain."""
    return name.strip(" \t\r\n\ufeff'\"").replace("（", "(").replace("）", ")")


def declarations(settings: Settings) -> list[Declaration]:
    """Every declaration shipped and below settings.adapters; raises UserError naming a wrong file and key."""
    folders = [PLATFORMS, *([settings.adapters] if settings.adapters else [])]
    if settings.adapters and not settings.adapters.is_dir():
        raise UserError(f"ADAPTERS is no folder: {settings.adapters}; put declaration files (*.yml) there")
    found: dict[str, Declaration] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.yml")):
            declaration = read_declaration(path)
            if declaration.name in found:
                raise UserError(f"{path}: there already is an adapter named {declaration.name}; rename one")
            found[declaration.name] = declaration
    return sorted(found.values(), key=lambda item: (item.export, -item.priority, item.name))


def read_declaration(path: Path) -> Declaration:
    """One declaration; raises UserError saying which key of the file is wrong."""
    return _read_as_of(path, path.stat().st_mtime_ns)


@cache
def _read_as_of(path: Path, mtime_ns: int) -> Declaration:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(given, dict):
        raise UserError(f"{path}: a declaration is a YAML mapping (name, title, export, columns …)")
    _refuse_unknown(path, "the declaration", given, _DECLARATION_KEYS)
    for key in ("name", "title", "export", "priority", "formats", "columns"):
        if key not in given:
            raise UserError(f"{path}: {key} is missing; docs/adapters.md shows a whole declaration")
    if given["export"] not in CONTRACTS:
        raise UserError(f"{path}: export {given['export']!r} is none of {', '.join(CONTRACTS)}")
    formats = _names(given["formats"])
    if wrong := [name for name in formats if name not in FORMATS]:
        raise UserError(f"{path}: format {wrong[0]!r} is none of {', '.join(FORMATS)}")
    try:
        zone = ZoneInfo(given.get("time_zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        raise UserError(f"{path}: time_zone {given['time_zone']!r} is no IANA time zone") from None
    contract = CONTRACTS[given["export"]]
    known = {column.name: column for column in contract.columns}
    if wrong := [name for name in given["columns"] if name not in known]:
        raise UserError(f"{path}: {wrong[0]} is no column of {contract.export} ({', '.join(known)})")
    is_flat = not (given.get("people") or given.get("measures") or given.get("series"))
    rules = tuple(
        _rule(path, name, options, known[name].required and is_flat)
        for name, options in given["columns"].items()
    )
    measures = {
        name: {"from": _names(item["from"]), "times": str(item.get("times", 1)), "definition": item["definition"]}
        for name, item in (given.get("measures") or {}).items()
    }
    return Declaration(
        name=given["name"],
        title=given["title"],
        export=contract.export,
        priority=int(given["priority"]),
        formats=formats,
        zone=zone,
        rules=rules,
        rows=_names(given.get("rows", ())),
        each=given.get("each"),
        people={role: _names(names) for role, names in (given.get("people") or {}).items()},
        series=given.get("series") or {},
        measures=measures,
        leave_out=tuple(given.get("leave_out") or ()),
        aside=tuple(_rule(path, name, item, False) for name, item in (given.get("aside") or {}).items()),
        null_tokens=frozenset({"", "-", "--", *map(str, given.get("null") or ())}),
        needs=tuple(_names(names) for names in given.get("needs") or ()),
    )


def _rule(path: Path, name: str, options: Any, is_required: bool) -> Rule:
    options = {"from": options} if isinstance(options, str | list) else dict(options)
    _refuse_unknown(path, name, options, _COLUMN_KEYS)
    kind = options.get("as", "text")
    if kind not in _KINDS:
        raise UserError(f"{path}: {name}: as {kind!r} is none of {', '.join(_KINDS)}")
    if "else" in options and (wrong := re.search(r"\{[^}]*[^a-z_}][^}]*\}", str(options["else"]))):
        raise UserError(f"{path}: {name}: {wrong[0]} in else names no canonical column")
    replaced = {"else", "latest", "multiply", "folder", "unless_folder", "value", "find"} & options.keys()
    sources, joined = _names(options.get("from", ())), _names(options.get("join", ()))
    must = options.get("must", is_required and not replaced and bool(sources or joined))
    return Rule(name, sources, joined, kind, options, must)


def _refuse_unknown(path: Path, where: str, given: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(map(str, given.keys() - known)):
        raise UserError(f"{path}: {where}: unknown key {unknown[0]}; known are {', '.join(sorted(known))}")


def _names(given: Any) -> tuple[str, ...]:
    return (plain(given),) if isinstance(given, str) else tuple(plain(str(name)) for name in given)
