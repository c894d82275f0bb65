"""A folder of files that appears whole: written beside its place, then renamed into it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dagster_project.settings import UserError


def replace_folder(out: Path, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], private: bool = True) -> None:
    """Write the files and put the folder in place of what was there: 0600 in folders 0700, else 0644 in 0755.

    files: by path, or as pairs that are made one after the other while what was there still is.

    A folder without the owner's right to write is sealed; it is left alone and UserError says so.
    """
    if out.exists() and not out.stat().st_mode & 0o200:
        raise UserError(
            f"{out} is sealed: reopen the month before writing its scorecards again (make reopen)"
        )
    _make_folder(out.parent, private)
    beside, replaced = out.parent / f".{out.name}.writing", out.parent / f".{out.name}.replaced"
    for left_over in (beside, replaced):
        shutil.rmtree(left_over, ignore_errors=True)
    pairs = iter(files.items() if isinstance(files, Mapping) else files)
    try:
        # What fails while a file is made is not the disk's fault.
        for path, content in pairs:
            with _told(out):
                _write(beside / path, content, private)
        with _told(out):
            _sync(beside)
            if out.exists():
                out.rename(replaced)
            beside.rename(out)
            _sync(out.parent)
    except BaseException:
        if replaced.exists() and not out.exists():
            replaced.rename(out)
        shutil.rmtree(beside, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def _told(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {out}: {error.strerror or error}; free space or mend its rights and run again"
        ) from error


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file, by path."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}


def _write(path: Path, content: bytes, private: bool) -> None:
    _make_folder(path.parent, private)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), 0o600 if private else 0o644)
        file.write(content)
        file.flush()
        # What is not private can be built again from the snapshot in seconds, so no disk waits for it.
        if private:
            os.fsync(file.fileno())


def _make_folder(path: Path, private: bool) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent, private)
    mode = 0o700 if private else 0o755
    path.mkdir(mode=mode)
    path.chmod(mode)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
