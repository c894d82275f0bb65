"""Which files of the landing folder are delivered: regular files inside it, one folder per export."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dagster_project.landing.contracts import CONTRACTS

_LINK_OUT = "symbolic link out of the landing folder"
FOLDER_KEYS = ("dt", "room_id", "session_id")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED_BYTE = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Delivery:
    """A file below EXPORTS/<export>. `refused` says why it may not even be opened."""

    export: str
    path: Path
    relative: str
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    folder_values: tuple[tuple[str, str], ...] = ()
    companion: Path | None = None
    refused: str | None = None


def deliveries(exports: Path) -> tuple[list[Delivery], list[str]]:
    """(files in landing order, names under `exports` that belong to no export); nothing is opened.

    `relative` is text whatever the name is on the disk: bytes that are no UTF-8 (a GBK name) stand there as \\xNN.
    """
    found: list[Delivery] = []
    unknown: list[str] = []
    root = Path(os.path.realpath(exports))
    for entry in sorted(os.scandir(root), key=lambda item: item.name):
        if entry.name.startswith((".", "_")):
            continue
        if entry.name not in CONTRACTS:
            unknown.append(as_text(entry.name))
        elif entry.is_symlink() and not _is_inside(Path(entry.path), root):
            found.append(Delivery(entry.name, Path(entry.path), entry.name, refused=_LINK_OUT))
        elif entry.is_dir():
            found.extend(_below(entry.name, Path(entry.path), root))
    order = {export: position for position, export in enumerate(CONTRACTS)}
    return sorted(found, key=lambda item: (order[item.export], item.relative)), unknown


def _below(export: str, folder: Path, root: Path) -> Iterator[Delivery]:
    for entry in sorted(os.scandir(folder), key=lambda item: item.name):
        path = Path(entry.path)
        relative = as_text(path.relative_to(root).as_posix())
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_symlink() and not _is_inside(path, root):
            yield Delivery(export, path, relative, refused=_LINK_OUT)
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(export, path, root)
        elif not entry.name.lower().endswith((".tmp", ".part", ".sha256")):
            status = _status(path)
            if status is None:
                continue
            if not stat.S_ISREG(status.st_mode):
                yield Delivery(export, path, relative, refused="not a regular file")
                continue
            companion = path.with_name(path.name + ".sha256")
            yield Delivery(
                export,
                path,
                relative,
                status.st_size,
                status.st_mtime_ns,
                status.st_ino,
                folder_values(relative),
                companion if companion.is_file() else None,
            )


def as_text(path: str) -> str:
    """A path with the bytes that are no UTF-8, U+FFFD and control characters written as backslash escapes."""
    text = os.fsencode(path).decode(errors="backslashreplace").replace("\ufffd", "\\xef\\xbf\\xbd")
    return _CONTROL.sub(lambda character: f"\\x{ord(character[0]):02x}", text)


def place_of(exports: Path, relative: str) -> Path:
    """Where a file lies that the ledger names `relative`."""
    place = exports / relative
    if place.exists() or "\\x" not in relative:
        return place
    named = _ESCAPED_BYTE.sub(lambda escape: bytes.fromhex(escape[1].decode()), os.fsencode(relative))
    return exports / os.fsdecode(named)


def _status(path: Path) -> os.stat_result | None:
    """The file's status, or None for one that vanished since it was listed."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_inside(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def folder_values(relative: str) -> tuple[tuple[str, str], ...]:
    """key=value pairs of the folders on the way to the file, the deepest last; percent signs decoded where that gives text."""
    pairs: dict[str, str] = {}
    for part in relative.split("/")[1:-1]:
        name, _, value = part.partition("=")
        if name in FOLDER_KEYS and value not in ("", "__HIVE_DEFAULT_PARTITION__"):
            try:
                pairs[name] = unquote(value, errors="strict")
            except UnicodeDecodeError:
                pairs[name] = value
    return tuple(pairs.items())
