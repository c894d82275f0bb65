"""`make close` seals a month, `make reopen` begins its next revision.

Everything is computed into a staging folder, made durable and read-only, and then exchanged with the draft in
one step, so that a kill at any moment leaves the month open or sealed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dagster_project.appraisal import adjustments, seals, signing
from dagster_project.appraisal.asked import asked_month, asked_text
from dagster_project.appraisal.figures import figures_bytes, read_figures
from dagster_project.settings import Settings, UserError, settings_from_env
from dagster_project.warehouse.publish import current_manifest, current_snapshot

if TYPE_CHECKING:
    from dagster_project.run import Run

POLICY_FILES = ("kpis.csv", "weights.csv", "weight_overrides.csv", "grades.csv", "rules.csv")
NAMED_AT_MOST = 5


def close(environ: Mapping[str, str]) -> int:
    """`make close MONTH= BY=`: seal the month as it is published; raises UserError where it may not be."""
    from dagster_project import run as steps

    month, by = asked_month(environ, "close"), asked_text(environ, "BY", "BY='Li Wei'")
    key = signing.signing_key(environ)
    settings = settings_from_env({**environ, "MONTH": month})
    run = steps.new_run(settings)
    steps.check_policy(run)
    with steps.locked(run):
        sealed = seal(run, month, by, key)
    print(f"{month} is sealed (revision {sealed.revision}) in {sealed.folder}")
    print(
        f"manifest  sha256 {sealed.manifest_sha256}"
        + (", signed" if key else ", not signed: no SIGNING_KEY_FILE")
    )
    return 0


def seal(run: Run, month: str, by: str, key: Any) -> seals.Sealed:
    """Check, stage and seal; needs the run's lock. Returns the sealed month."""
    from dagster_project import run as steps

    settings = run.settings
    folder = seals.scorecards_folder(settings) / month
    staging = folder.with_name(f".{month}.sealing")
    seals.restore_draft(folder)
    seals.remove_tree(staging)
    if (already := seals.sealed_month(settings, month)) is not None:
        raise UserError(
            f"{month} is sealed already (revision {already.revision}, manifest sha256 "
            f"{already.manifest_sha256[:16]}…): verify it with make verify, or make reopen with a REASON"
        )
    _refuse_unpublished(run)
    with steps.warehouse(settings) as con:
        _refuse_not_over(con, month)
        _refuse_without_cards(con, month)
        _refuse_roster_overlaps(con, month)
    _refuse_failed_checks(run)
    earlier = seals.sealed_months(settings)
    for one in earlier:
        if found := seals.damage(one):
            raise UserError(f"{one.month} is no longer as sealed, nothing is built on it: {found[0]}")
    closed = {one.month for one in earlier}
    with steps.warehouse(settings) as con:
        taking = [one.month for one in earlier if adjustments.taken_by(one.month, closed) == month]
        adjustments.refresh(con, earlier, taking)
    adjustments.publish_adjustments(run)
    try:
        _stage(run, month, by, key, staging, earlier)
        note = folder.with_name(f".{month}.snapshot")
        note.unlink(missing_ok=True)
        seals.make_durable(staging)
        seals.put_in_place(staging, folder)
    except BaseException:
        seals.remove_tree(staging)
        raise
    done = seals.sealed_month(settings, month)
    assert done is not None
    return done


def reopen(environ: Mapping[str, str]) -> int:
    """`make reopen MONTH= BY= REASON=`: keep the sealed revision beside and open the month again."""
    from dagster_project import run as steps

    month, by = asked_month(environ, "reopen"), asked_text(environ, "BY", "BY='Li Wei'")
    reason = asked_text(environ, "REASON", "REASON='roster of 12 October was wrong'", 500)
    settings = settings_from_env({**environ, "MONTH": month})
    run = steps.new_run(settings)
    with steps.locked(run):
        sealed = seals.sealed_month(settings, month)
        if sealed is None:
            raise UserError(f"{month} is open, so there is nothing to reopen")
        note = {
            **sealed.reference(),
            "reopened_by": by,
            "reopened_at": _now(),
            "reason": reason,
        }
        seals.write_synced(
            seals.reopening_note(settings, month, sealed.revision),
            (json.dumps(note, indent=1, ensure_ascii=False) + "\n").encode(),
        )
        kept = seals.reopened_folder(settings, month, sealed.revision)
        os.rename(sealed.folder, kept)
        seals.sync(kept.parent)
        if settings.warehouse_path.is_file():
            with steps.warehouse(settings) as con:
                adjustments.refresh(con, seals.sealed_months(settings), [])
            if current_manifest(settings.published) is not None:
                adjustments.publish_adjustments(run)
    print(
        f"{month} is open again for revision {sealed.revision + 1}; "
        f"revision {sealed.revision} stays in {kept}"
    )
    print(f"next: make scorecards MONTH={month}, then make close MONTH={month} BY=…")
    return 0


# --- when a month may not be sealed ----------------------------------------------------------------------


def _refuse_unpublished(run: Run) -> None:
    from dagster_project import run as steps

    if current_manifest(run.settings.published) is None or not run.settings.warehouse_path.is_file():
        raise UserError("nothing is published yet, so there is nothing to seal: run make scorecards first")
    if steps.is_up_to_date(run):
        return
    with steps.warehouse(run.settings) as con:
        failed = _failed_last_time(con)
    if failed:
        raise UserError(f"the checks of the last run failed, so the month stays open: {failed}")
    raise UserError(
        "the published scorecards are not made from the rows, policy and code there are now: "
        "run make scorecards first and see that it ends well"
    )


def _failed_last_time(con: duckdb.DuckDBPyConnection) -> str | None:
    """What failed at error severity in the last run that was audited, the first by name."""
    rows = con.execute(
        'select "check", "table", observed, expected from audit.check_results '
        "where not passed and severity = 'error' "
        "and run_id = (select arg_max(run_id, checked_at) from audit.check_results) order by all"
    ).fetchall()
    if not rows:
        return None
    check, table, observed, expected = rows[0]
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    return f"{check} on {table}: observed {observed}, expected {expected}{more}"


def _refuse_not_over(con: duckdb.DuckDBPyConnection, month: str) -> None:
    """The month has to be over on the calendar of every room."""
    now = datetime.now(UTC).replace(tzinfo=None)
    still = con.execute(
        "select room_id from core.dim_room "
        "where strftime(timezone(timezone, timezone('UTC', ?::timestamp)), '%Y-%m') <= ? order by room_id",
        [now, month],
    ).fetchall()
    if still:
        raise UserError(f"{month} is not over yet (room {still[0][0]}): seal it when it is")


def _refuse_without_cards(con: duckdb.DuckDBPyConnection, month: str) -> None:
    if not con.execute("select count(*) from scorecards.scorecards where month = ?", [month]).fetchall()[0][
        0
    ]:
        raise UserError(f"there are no scorecards of {month} in the published data: choose another MONTH")


def _refuse_roster_overlaps(con: duckdb.DuckDBPyConnection, month: str) -> None:
    """One person in two sessions at once, in the month."""
    overlaps = con.execute(
        """
        select one.staff_id, one.session_id, other.session_id,
            strftime(greatest(one.on_at, other.on_at), '%Y-%m-%d %H:%M:%S'),
            strftime(least(one.off_at, other.off_at), '%H:%M:%S')
        from core.fct_duty as one
        join core.fct_duty as other
            on one.staff_id = other.staff_id and one.session_id < other.session_id
            and one.on_at < other.off_at and other.on_at < one.off_at
        where strftime(one.business_date, '%Y-%m') = ? or strftime(other.business_date, '%Y-%m') = ?
        group by all order by all
        """,
        [month, month],
    ).fetchall()
    if overlaps:
        named = "; ".join(
            f"{staff} in {one} and {other} from {start} to {end} UTC"
            for staff, one, other, start, end in overlaps[:NAMED_AT_MOST]
        )
        more = f"; and {len(overlaps) - NAMED_AT_MOST} more" if len(overlaps) > NAMED_AT_MOST else ""
        raise UserError(
            f"the roster has one person in two sessions at once: {named}{more}; "
            "correct the shifts and run make scorecards"
        )


def _refuse_failed_checks(run: Run) -> None:
    """The suites are measured again, on the very rows that are sealed."""
    from dagster_project import run as steps
    from dagster_project.audit.suites import SUITES

    results = [result for suite in SUITES for result in steps.measure(run, suite)]
    failed = [result for result in results if not result.passed and result.severity == "error"]
    if failed:
        first = failed[0]
        raise UserError(
            f"{len(failed)} checks failed, so the month stays open: {first.check} on {first.table}: "
            f"observed {first.observed}, expected {first.expected}"
        )


# --- what is sealed --------------------------------------------------------------------------------------


def _stage(run: Run, month: str, by: str, key: Any, staging: Path, earlier: list[seals.Sealed]) -> None:
    """All of the sealed folder, below its staging name."""
    from dagster_project import run as steps
    from dagster_project.reports.scorecards import write_scorecards

    settings = run.settings
    snapshot = current_snapshot(settings.published)
    write_scorecards(
        snapshot / "appraisal.duckdb",
        snapshot / "marts.duckdb",
        month,
        staging,
        provisional=False,
        policy_dir=settings.policy,
        currency=settings.reporting_currency,
    )
    (staging / seals.MANIFEST).unlink()
    with steps.warehouse(settings) as con:
        figures = read_figures(con, month, adjustments.into_month(con, month))
        inputs = _ledger(con)
    (staging / seals.FIGURES).write_bytes(figures_bytes(figures))
    policy_folder = staging / seals.POLICY
    policy_folder.mkdir(mode=0o700)
    for name in POLICY_FILES:
        shutil.copyfile(settings.policy / name, policy_folder / name)
    if settings.adapters is not None:
        # They decide how raw files are read, and stand outside the code.
        (staging / seals.ADAPTERS).mkdir(mode=0o700)
        for declaration in sorted(settings.adapters.glob("*.yml")):
            shutil.copyfile(declaration, staging / seals.ADAPTERS / declaration.name)
    if key is not None:
        (staging / seals.PUBLIC_KEY).write_bytes(signing.public_pem(key))
    digests = {path: _sha256(staging / path) for path in seals.files_below(staging)}
    made_with = steps.provenance(run)
    manifest = {
        "month": month,
        "sealed_by": by,
        "sealed_at": _now(),
        **_revision(settings, month),
        **made_with,
        "snapshot_id": snapshot.name,
        "outputs": {
            path: digest for path, digest in digests.items() if not path.startswith(f"{seals.POLICY}/")
        },
        "policy": {path: digest for path, digest in digests.items() if path.startswith(f"{seals.POLICY}/")},
        "inputs": inputs,
        "month_before": next((one.reference() for one in reversed(earlier) if one.month < month), None),
        "sealed_months": [one.reference() for one in earlier],
        "signed_with": signing.fingerprint(signing.public_pem(key)) if key is not None else None,
    }
    content = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
    (staging / seals.MANIFEST).write_bytes(content)
    (staging / seals.CHECKSUM).write_bytes(seals.checksum_line(content))
    if key is not None:
        (staging / seals.SIGNATURE).write_bytes(key.sign(content))


def _revision(settings: Settings, month: str) -> dict[str, Any]:
    """Number of this revision and, where one was reopened, which one it takes the place of and why."""
    before = seals.revisions_before(settings, month)
    if before == 0:
        return {"revision": 1, "supersedes": None}
    reopened = seals.sealed_revision(settings, month, before)
    assert reopened is not None
    note = json.loads(seals.reopening_note(settings, month, before).read_text(encoding="utf-8"))
    why = {name: note[name] for name in ("reopened_by", "reopened_at", "reason")}
    return {"revision": before + 1, "supersedes": {**reopened.reference(), **why}}


def _ledger(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every file the ledger knows, in the order it landed; loaded_at is UTC."""
    cursor = con.execute(
        "select path, sha256, export, verdict, reason, adapter, "
        "strftime(loaded_at, '%Y-%m-%dT%H:%M:%S.%gZ') as loaded_at from raw.files order by file_no"
    )
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
