"""Session pages that need no writing again, so that a night writes what the night changed and not the whole month.

A page of a session is a function of what `session_fingerprints` hashes: its rows, the names in them, and the code. The
folder keeps, in a hidden file, from which fingerprint each page was made and the digest of its bytes; where both still
hold, the page stands as it is. `tests/reports/test_earlier_pages.py` holds such a site to one written whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.reports import pages as report_pages
from dagster_project.site.marts import Row, SiteMonth
from dagster_project.site.pages import neighbours
from dagster_project.site.raw_rows import RawRows

RECORD = ".made_of.json"


def standing_pages(folder: Path, fingerprints: Mapping[str, str]) -> dict[str, str]:
    """The pages of `folder` that were made of these fingerprints and still are what was written then: path → digest."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        made_of = {str(page): (str(fingerprint), str(digest)) for page, (fingerprint, digest) in record.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
    found = {}
    for page, fingerprint in fingerprints.items():
        earlier, digest = made_of.get(page, ("", ""))
        if earlier != fingerprint:
            continue
        try:
            content = (folder / page).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(content).hexdigest() == digest:
            found[page] = digest
    return found


def with_record(
    fingerprints: Mapping[str, str], standing: Mapping[str, str], pages: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    """The pages, and behind them the hidden file of their folder: page → its fingerprint and the digest of its bytes.

    A standing page keeps the digest it was found with: were it changed meanwhile, the next night would find out.
    """
    record = {}
    for page, content in pages:
        if page in fingerprints:
            record[page] = fingerprints[page], standing.get(page) or hashlib.sha256(content).hexdigest()
        yield page, content
    yield RECORD, json.dumps(dict(sorted(record.items())), indent=0).encode()


def session_fingerprints(month: SiteMonth, shared: tuple[Any, ...], raw_rows: RawRows | None) -> dict[str, str]:
    """session_id → hash of everything its page shows. shared: what the caller gives every page alike."""
    of_all = _digest(
        code_digest(), month.month, month.currency, month.registry, month.rooms, month.staff, month.products,
        [(one.name, one.about, one.columns) for one in month.insights.values()], shared,
    )  # fmt: skip
    around = neighbours(month)
    found = {}
    for session in month.sessions:
        session_id = session["session_id"]
        told = [(name, month.told.get((name, session_id), [])) for name in month.insights]
        found[session_id] = _digest(
            of_all,
            session,
            [other["kpis"] for other in month.before(session)],
            [other and other["session_id"] for other in around[session_id]],
            month.scene_digests.get(session_id),
            month.duty.get(session_id, []),
            month.sold.get(session_id, []),
            told,
            sorted(_linked(month, told)),
            None if raw_rows is None else (raw_rows.files.get(session_id, []), raw_rows.lines.get(session_id, [])),
        )
    return found


def _linked(month: SiteMonth, told: Iterable[tuple[str, list[Row]]]) -> set[str]:
    """Products named in rows about a session that have a page to link to."""
    named = {row.get(column) for _, rows in told for row in rows for column in ("product_id", "subject")}
    return {str(product_id) for product_id in named if product_id in month.product_sessions}


@cache
def code_digest() -> str:
    """Hash of the code and templates that make pages, and of the library that fills them."""
    folders = (Path(__file__).parent, Path(report_pages.__file__).parent)
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.suffix in (".py", ".j2", ".css", ".js"))
    return _digest(version("jinja2"), [hashlib.sha256(file.read_bytes()).hexdigest() for file in files])


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()
