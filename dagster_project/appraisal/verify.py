"""`make verify`: is a sealed month still as sealed, and does it come out the same from its raw files?"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from dagster_project.appraisal import adjustments, awards, seals, signing
from dagster_project.appraisal.asked import asked_month
from dagster_project.appraisal.figures import Figures, differences, read_figures
from dagster_project.landing.discovery import place_of
from dagster_project.run import CODE, SCORE_MODELS
from dagster_project.settings import REPOSITORY, Settings, UserError, connect, settings_from_env
from dagster_project.warehouse.hashes import hash_files

NEEDED_MODELS = (f"+{SCORE_MODELS}", "+int_appraisal_nominations_grouped")
NO_TESTS = "resource_type:test"


def verify(environ: Mapping[str, str]) -> int:
    """`make verify MONTH=`: prints `identical`, or each thing that differs; exit status 1 then."""
    month = asked_month(environ, "verify")
    settings = settings_from_env({**environ, "MONTH": month})
    sealed = seals.sealed_month(settings, month)
    if sealed is None:
        raise UserError(f"{month} is open: there is nothing sealed to verify; make close seals it")
    trusted = signing.trusted_keys(environ)
    found = seals.damage(sealed) + seals.not_vouched_for(settings, sealed, trusted) + seals.broken_chain(settings, sealed)
    other_code = None
    if not found:
        manifest = sealed.manifest()
        found = changed_inputs(settings, manifest)
        if not found:
            found = rebuilt_differently(settings, sealed, manifest)
            other_code = _other_code(manifest)
    for line in found:
        print(line)
    if found and other_code:
        print(f"{other_code}; with the code it was sealed by it may come out the same")
    if found:
        print(f"{month} differs from what was sealed: {len(found)} findings")
        return 1
    _print_identical(sealed, manifest)
    return 0


def changed_inputs(settings: Settings, manifest: Mapping[str, Any]) -> list[str]:
    """The accepted raw files of the manifest that are missing or have other bytes now, each as a line."""
    found = []
    for file in manifest["inputs"]:
        if file["verdict"] == "accepted" and _located(settings, manifest, file) is None:
            is_there = place_of(settings.exports, file["path"]).is_file()
            what = "has other bytes than when it landed" if is_there else "missing"
            found.append(f"raw file {file['path']}: {what}")
    return found


def rebuilt_differently(settings: Settings, sealed: seals.Sealed, manifest: Mapping[str, Any]) -> list[str]:
    """Rebuild the month in a scratch folder; one line per figure that comes out differently."""
    with scratch_folder(settings, f"verify-{sealed.month}") as scratch:
        rebuilt = rebuilt_figures(settings, sealed, manifest, scratch)
    return differences(sealed.figures(), rebuilt)


def rebuilt_figures(
    settings: Settings, sealed: seals.Sealed, manifest: Mapping[str, Any], scratch: Path
) -> Figures:
    """The month's figures from the manifest's raw files and the sealed policy alone."""
    from dagster_project.landing import land
    from dagster_project.landing.ledger import create_tables
    from dagster_project.warehouse.build import run_dbt
    from dagster_project.warehouse.policy import load_policy, read_policy

    inside = replace(
        settings,
        exports=scratch / "exports",
        data=scratch,
        policy=sealed.folder / seals.POLICY,
        adapters=adapters if (adapters := sealed.folder / seals.ADAPTERS).is_dir() else None,
        reporting_currency=manifest["reporting_currency"],
        # Each file was judged when it first landed; here all parents are known at once.
        quarantine_limit=1.0,
        quarantine_limits={},
    )
    _lay_out(settings, manifest, inside.exports)
    con = connect(inside.warehouse_path, inside)
    try:
        create_tables(con)
        _note_first_landings(con, manifest)
        land(con, inside, f"verify-{sealed.month}")
        load_policy(con, read_policy(inside.policy))
    finally:
        con.close()
    os.environ["REPORTING_CURRENCY"] = inside.reporting_currency
    reuse_parse(settings, inside)
    run_dbt(inside, select=NEEDED_MODELS, exclude=(SCORE_MODELS, NO_TESTS))
    con = connect(inside.warehouse_path, inside)
    try:
        awards.test_nominations(con)
    finally:
        con.close()
    run_dbt(inside, select=SCORE_MODELS, exclude=NO_TESTS)
    con = connect(inside.warehouse_path, inside, read_only=True)
    try:
        taken = adjustments.adjustments_into(con, sealed.month, _sealed_then(settings, manifest))
        return read_figures(con, sealed.month, taken)
    finally:
        con.close()


@contextmanager
def scratch_folder(settings: Settings, name: str) -> Iterator[Path]:
    """A private folder below $DATA/tmp that is gone afterwards, whatever happens."""
    settings.tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = settings.tmp / f"{name}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lay_out(settings: Settings, manifest: Mapping[str, Any], exports: Path) -> None:
    """The manifest's accepted files under EXPORTS-like paths, numbered so that two of one name have room."""
    for number, file in enumerate(manifest["inputs"]):
        if file["verdict"] != "accepted":
            continue
        source = _located(settings, manifest, file)
        if source is None:
            raise UserError(f"raw file {file['path']} changed while the month was verified: run it again")
        export, rest = file["path"].split("/", 1)
        target = exports / export / f"{number:06d}" / rest
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


def _located(settings: Settings, manifest: Mapping[str, Any], file: Mapping[str, Any]) -> Path | None:
    """A file below EXPORTS with the bytes that landed, under any name the ledger knew them by."""
    same = [other["path"] for other in manifest["inputs"] if other["sha256"] == file["sha256"]]
    for path in dict.fromkeys([file["path"], *same]):
        candidate = place_of(settings.exports, path)
        if candidate.is_file() and _sha256(candidate) == file["sha256"]:
            return candidate
    return None


def _note_first_landings(con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> None:
    """When each file first landed, as a ledger row of the same bytes: landing judges by that time."""
    from dagster_project.landing.ledger import FileRow, insert_file

    for number, file in enumerate(manifest["inputs"], start=1):
        if file["verdict"] == "accepted":
            landed_at = datetime.fromisoformat(file["loaded_at"].removesuffix("Z"))
            row = FileRow(
                number,
                file["export"],
                "",
                file["sha256"],
                0,
                "rejected",
                "first landing",
                loaded_at=landed_at,
            )
            insert_file(con, row, "sealed")


def _sealed_then(settings: Settings, manifest: Mapping[str, Any]) -> list[seals.Sealed]:
    found = []
    for reference in manifest["sealed_months"]:
        earlier = seals.sealed_revision(settings, reference["month"], reference["revision"])
        assert earlier is not None, "the chain was checked before"
        found.append(earlier)
    return found


def reuse_parse(settings: Settings, inside: Settings) -> None:
    """dbt parses a project in seconds; the parse of the last run serves as well."""
    from dagster_project.warehouse.build import target_folder

    parsed = target_folder(settings) / "partial_parse.msgpack"
    if parsed.is_file():
        target_folder(inside).mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(parsed, target_folder(inside) / parsed.name)


def _print_identical(sealed: seals.Sealed, manifest: Mapping[str, Any]) -> None:
    accepted = sum(file["verdict"] == "accepted" for file in manifest["inputs"])
    outputs = len(manifest["outputs"]) + len(manifest["policy"])
    signed = f"signed with key {manifest['signed_with']}" if manifest["signed_with"] else "not signed"
    print(
        f"identical: {sealed.month} revision {sealed.revision}, "
        f"sealed by {manifest['sealed_by']} at {manifest['sealed_at']}"
    )
    print(
        f"           {outputs} files as sealed, {signed}, "
        f"{len(manifest['sealed_months'])} sealed months below it"
    )
    print(f"           rebuilt from {accepted} raw files with the sealed policy: every figure the same")
    if other_code := _other_code(manifest):
        print(f"           {other_code}")


def _other_code(manifest: Mapping[str, Any]) -> str | None:
    """Which code sealed the month and which is there now, where they are not the same."""
    code = hash_files(REPOSITORY, CODE)
    return None if code == manifest["code_version"] else f"sealed by code {manifest['code_version']}, rebuilt by code {code}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
