"""Sealed months on disk: what makes a folder sealed, how it is put in place, and if it is still as sealed.

$DATA/scorecards/<month>/       the open draft, or the sealed month (its latest revision)
$DATA/scorecards/<month>.r1/    revision 1, kept as sealed after `make reopen`; .r2 and so on after it
$DATA/scorecards/<month>.r1.reopened.json   who reopened it, when and why

A sealed folder holds the scorecards, figures.json (every figure as exact text), policy/ (the policy files),
manifest.json, manifest.sha256, where own adapters are configured adapters/ (their declarations), and where a key
is configured public_key.pem and manifest.sig.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project.appraisal import signing
from dagster_project.appraisal.figures import Figures
from dagster_project.settings import Settings, UserError

MANIFEST, CHECKSUM, SIGNATURE = "manifest.json", "manifest.sha256", "manifest.sig"
PUBLIC_KEY, FIGURES, POLICY, ADAPTERS = "public_key.pem", "figures.json", "policy", "adapters"
# The manifest cannot name its own hash, nor what is made from it.
NOT_IN_MANIFEST = frozenset({MANIFEST, CHECKSUM, SIGNATURE})
RENAME_EXCHANGE = 2
AT_FDCWD = -100


@dataclass(frozen=True)
class Sealed:
    """One sealed revision of a month; manifest_sha256 is that of the file as it lies there now."""

    month: str
    revision: int
    folder: Path
    manifest_sha256: str

    def manifest(self) -> dict[str, Any]:
        """The manifest; raises UserError where it is no longer readable as one."""
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            manifest = None
        if not isinstance(manifest, dict) or manifest.get("month") is None:
            raise UserError(
                f"{self.folder / MANIFEST} can no longer be read: run make verify MONTH={self.month}"
            )
        return manifest

    def figures(self) -> Figures:
        """The figures as sealed; raises UserError where they are not the bytes the manifest names."""
        content = _read(self.folder / FIGURES)
        if content is None or hashlib.sha256(content).hexdigest() != self.manifest()["outputs"].get(FIGURES):
            raise UserError(f"{self.folder / FIGURES} is not as sealed: run make verify MONTH={self.month}")
        return json.loads(content)

    def reference(self) -> dict[str, Any]:
        """How another manifest names this one."""
        return {"month": self.month, "revision": self.revision, "manifest_sha256": self.manifest_sha256}


def scorecards_folder(settings: Settings) -> Path:
    return settings.data / "scorecards"


def is_sealed(folder: Path) -> bool:
    """Whether the month's folder is sealed: a draft never has the checksum of a manifest."""
    return (folder / CHECKSUM).is_file() or (folder.is_dir() and not folder.stat().st_mode & 0o200)


def sealed_months(settings: Settings) -> list[Sealed]:
    """The latest sealed revision of every month that is sealed now, in order of the month."""
    root = scorecards_folder(settings)
    found = []
    for folder in sorted(root.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]")) if root.is_dir() else []:
        if is_sealed(folder):
            found.append(_sealed(folder, folder.name, revisions_before(settings, folder.name) + 1))
    return found


def sealed_month(settings: Settings, month: str) -> Sealed | None:
    """The month as sealed now, None where it is open."""
    return next((sealed for sealed in sealed_months(settings) if sealed.month == month), None)


def sealed_revision(settings: Settings, month: str, revision: int) -> Sealed | None:
    """A certain revision, whether it is the current one or a reopened one."""
    reopened = reopened_folder(settings, month, revision)
    if reopened.is_dir():
        return _sealed(reopened, month, revision)
    current = sealed_month(settings, month)
    return current if current is not None and current.revision == revision else None


def revisions_before(settings: Settings, month: str) -> int:
    """How many revisions of the month were sealed and reopened."""
    revision = 0
    while reopened_folder(settings, month, revision + 1).is_dir():
        revision += 1
    return revision


def reopened_folder(settings: Settings, month: str, revision: int) -> Path:
    return scorecards_folder(settings) / f"{month}.r{revision}"


def reopening_note(settings: Settings, month: str, revision: int) -> Path:
    return scorecards_folder(settings) / f"{month}.r{revision}.reopened.json"


# --- is it still as sealed? ------------------------------------------------------------------------------


def damage(sealed: Sealed) -> list[str]:
    """What is no longer as sealed in one folder, each a line naming the file; empty where all is.

    A signature is checked against the key stored beside it; whose key that is, `not_vouched_for` asks.
    """
    named = f"{sealed.folder.name}/"
    content = _read(sealed.folder / MANIFEST)
    if content is None:
        return [f"{named}{MANIFEST}: missing"]
    found = _damaged_manifest(sealed, named, content)
    try:
        manifest = json.loads(content)
        listed = {**manifest["outputs"], **manifest["policy"]}
        signed = manifest["signed_with"]
    except (ValueError, KeyError, TypeError):
        return [*(found or [f"{named}{MANIFEST}: changed"]), f"{named}{MANIFEST}: can no longer be read"]
    found += _wrong_signature(sealed, named, content, signed)
    for path, digest in listed.items():
        on_disk = _read(sealed.folder / path)
        if on_disk is None:
            found.append(f"{named}{path}: missing")
        elif hashlib.sha256(on_disk).hexdigest() != digest:
            found.append(f"{named}{path}: changed since it was sealed")
    for path in files_below(sealed.folder):
        if path not in listed and path not in NOT_IN_MANIFEST:
            found.append(f"{named}{path}: was not there when the month was sealed")
    return found


def _damaged_manifest(sealed: Sealed, named: str, content: bytes) -> list[str]:
    checksum = _read(sealed.folder / CHECKSUM)
    if checksum is None:
        return [f"{named}{CHECKSUM}: missing"]
    if checksum != checksum_line(content):
        return [f"{named}{MANIFEST}: changed since it was sealed (or {CHECKSUM} was)"]
    return []


def _wrong_signature(sealed: Sealed, named: str, content: bytes, signed_with: str | None) -> list[str]:
    signature, key = _read(sealed.folder / SIGNATURE), _read(sealed.folder / PUBLIC_KEY)
    if signed_with is None and signature is None:
        return []
    if signature is None or key is None:
        return [f"{named}{SIGNATURE if signature is None else PUBLIC_KEY}: missing"]
    if not signing.is_signed_by(key, signature, content):
        return [f"{named}{SIGNATURE}: is not this manifest's signature"]
    return []


def not_vouched_for(settings: Settings, sealed: Sealed, trusted: Collection[bytes]) -> list[str]:
    """A line where keys are trusted (public, PEM) and none of them stands for the month.

    It does by the month's own signature, or by that of a later month that was sealed on top of it: so the months
    of a key that was replaced, and those from before there was one, stay good.
    """
    key = _read(sealed.folder / PUBLIC_KEY)
    if not trusted or key in trusted:
        return []
    for later in sealed_months(settings):
        if (
            _read(later.folder / PUBLIC_KEY) in trusted
            and sealed.reference() in list(_built_on(later))
            and not damage(later)
        ):
            return []
    what = "sealed without a signature" if key is None else f"signed with key {signing.fingerprint(key)}, which is not trusted"
    return [
        f"{sealed.folder.name}/{SIGNATURE}: {what}, and no month signed with a trusted key is sealed on top of it; "
        "if that is as it should be, name the key in TRUSTED_KEYS_FILE or verify without keys"
    ]


def broken_chain(settings: Settings, sealed: Sealed) -> list[str]:
    """What is no longer as sealed in the months this one's manifest builds on, back to the first."""
    found: list[str] = []
    seen: set[tuple[str, int]] = {(sealed.month, sealed.revision)}
    waiting = list(_built_on(sealed))
    while waiting:
        reference = waiting.pop(0)
        key = (reference["month"], reference["revision"])
        earlier = sealed_revision(settings, *key)
        if earlier is None:
            found.append(
                f"{key[0]} revision {key[1]}: missing, though {sealed.month} was sealed on top of it"
            )
            continue
        if earlier.manifest_sha256 != reference["manifest_sha256"]:
            found.append(
                f"{earlier.folder.name}/{MANIFEST}: is not the one {sealed.month} was sealed on top of"
            )
        if key not in seen:
            seen.add(key)
            found += damage(earlier)
            waiting += _built_on(earlier)
    return list(dict.fromkeys(found))


def _built_on(sealed: Sealed) -> Iterator[dict[str, Any]]:
    try:
        manifest = sealed.manifest()
        references = [manifest["month_before"], manifest["supersedes"], *manifest["sealed_months"]]
        yield from (
            {name: reference[name] for name in ("month", "revision", "manifest_sha256")}
            for reference in references
            if reference
        )
    except (UserError, KeyError, TypeError):
        return  # the damaged manifest is named by its own check


def checksum_line(manifest: bytes) -> bytes:
    """manifest.sha256 in the format of sha256sum."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def files_below(folder: Path) -> list[str]:
    """Paths below the folder, in order; a link or a device is listed like a file."""
    found = []
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        found += [(Path(root) / name).relative_to(folder).as_posix() for name in [*names, *links]]
    return sorted(found)


# --- putting a folder in place ---------------------------------------------------------------------------


def make_durable(folder: Path) -> None:
    """Make the folder and all in it read-only for its owner, closed to others, and durable on the disk."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root) / name
            path.chmod(0o400)
            sync(path)
        Path(root).chmod(0o500)
        sync(Path(root))


def put_in_place(staged: Path, target: Path) -> None:
    """Make `staged` be `target` in one step of the file system; what was there before is removed after.

    A kill leaves either the old folder or the new one under the target's name.
    """
    if not target.exists():
        os.rename(staged, target)
    elif _exchange(staged, target):
        sync(target.parent)
        remove_tree(staged)
    else:
        aside = replaced_folder(target)
        remove_tree(aside)
        os.rename(target, aside)
        os.rename(staged, target)
        sync(target.parent)
        remove_tree(aside)
    sync(target.parent)


def restore_draft(target: Path) -> None:
    """Where the file system cannot exchange two folders, a kill may leave the draft aside: put it back."""
    aside = replaced_folder(target)
    if aside.is_dir() and not target.exists():
        os.rename(aside, target)
    remove_tree(aside)


def replaced_folder(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced-by-seal")


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths atomically where system and file system can; False where they cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    failed = renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if failed and ctypes.get_errno() not in (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EPERM):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    return not failed


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours, also a read-only one."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for root, _, _ in os.walk(folder):
        Path(root).chmod(0o700)
    shutil.rmtree(folder)


def write_synced(path: Path, content: bytes) -> None:
    """A new private file, whole on the disk before it has its name."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sealed(folder: Path, month: str, revision: int) -> Sealed:
    content = _read(folder / MANIFEST) or b""
    return Sealed(month, revision, folder, hashlib.sha256(content).hexdigest())


def _read(path: Path) -> bytes | None:
    """Bytes of a regular file, None where there is none; a link is not what was sealed."""
    if path.is_symlink() or not path.is_file():
        return None
    return path.read_bytes()
