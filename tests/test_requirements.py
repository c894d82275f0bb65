"""What is installed is what is pinned, every pin has its hashes, and no pin names where it comes from."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
PINS = re.findall(
    r"^([A-Za-z0-9._-]+)(?:\[[a-z,-]+\])?==(\S+)(?: ;[^\\\n]*)?((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})*)", LOCK, re.MULTILINE
)


def test_every_requirement_is_pinned_exactly_with_a_hash():
    entries = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(PINS) > 100
    assert [name for name, _, hashes in PINS if "--hash=sha256:" not in hashes] == []


def test_no_requirement_names_a_host_a_path_or_a_repository():
    assert re.findall(r"://|@ |^-", LOCK, re.MULTILINE) == []


def test_what_the_project_asks_for_is_in_the_lock_at_the_version_asked_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = {(_plain(name), version) for name, version, _ in PINS}
    for requirement in asked:
        name, _, version = requirement.partition("==")
        assert (_plain(name), version) in pinned if version else _plain(name) in {found for found, _ in pinned}, requirement


def test_what_is_installed_is_what_is_pinned():
    """What supports another platform is pinned but not installed; nothing is installed at another version."""
    installed = {_plain(found.metadata["Name"]): found.version for found in metadata.distributions()}
    pinned: dict[str, set[str]] = {}
    for name, version, _ in PINS:  # a package may have a pin for each version of Python
        pinned.setdefault(_plain(name), set()).add(version)
    wrong = {name: installed[name] for name, versions in pinned.items() if name in installed and installed[name] not in versions}
    assert wrong == {}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
