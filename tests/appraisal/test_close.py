"""Sealing: what a sealed folder holds, when a month may not be sealed, and what a kill leaves behind."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dagster_project.appraisal import close as closing
from dagster_project.appraisal import seals, signing
from dagster_project.appraisal.close import close, reopen
from dagster_project.settings import REPOSITORY, UserError, settings_from_env
from tests.appraisal.conftest import MONTH, Company

Fresh = Callable[[Company], Company]


def test_every_sealed_file_is_read_only_and_stands_in_the_manifest_with_its_hash(
    sealed_once: Company,
) -> None:
    manifest = json.loads((sealed_once.sealed / "manifest.json").read_text(encoding="utf-8"))
    listed = {**manifest["outputs"], **manifest["policy"]}
    found = {
        path.relative_to(sealed_once.sealed).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sealed_once.sealed.rglob("*")
        if path.is_file() and path.name not in ("manifest.json", "manifest.sha256")
    }
    assert listed == found
    assert {"index.html", "scorecards.xlsx", "scorecards.json", "lines.csv", "figures.json"} <= listed.keys()
    for path in [sealed_once.sealed, *sealed_once.sealed.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o500 if path.is_dir() else 0o400), path


def test_the_manifest_names_every_file_of_the_ledger_and_what_decided(sealed_once: Company) -> None:
    manifest = json.loads((sealed_once.sealed / "manifest.json").read_text(encoding="utf-8"))
    delivered = {
        path.relative_to(sealed_once.exports).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sealed_once.exports.rglob("*")
        if path.is_file()
    }
    assert {file["path"]: file["sha256"] for file in manifest["inputs"]} == delivered
    assert {file["verdict"] for file in manifest["inputs"]} == {"accepted"}
    assert manifest["sealed_by"] == "Li Wei"
    assert manifest["code_version"] and manifest["policy_hash"] and manifest["reporting_currency"] == "CNY"


def test_each_manifest_holds_the_hash_of_the_month_before(sealed_once: Company) -> None:
    before = (sealed_once.data / "scorecards" / "2026-09" / "manifest.json").read_bytes()
    manifest = json.loads((sealed_once.sealed / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["month_before"] == {
        "month": "2026-09",
        "revision": 1,
        "manifest_sha256": hashlib.sha256(before).hexdigest(),
    }


def test_a_sealed_month_is_not_sealed_twice(sealed_once: Company) -> None:
    with pytest.raises(UserError, match=r"2026-10 is sealed already \(revision 1, manifest sha256"):
        close(sealed_once.environ(BY="Li Wei"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"BY": ""}, "BY is missing"),
        ({"BY": "two\nlines"}, "BY must be one line"),
        ({"MONTH": ""}, "MONTH is missing"),
        ({"MONTH": "../../etc"}, "which is no month"),
        ({"MONTH": "2099-01"}, "2099-01 is not over yet"),
        ({"MONTH": "2020-01"}, "there are no scorecards of 2020-01"),
        ({"SIGNING_KEY_FILE": "/nowhere/key.pem"}, "SIGNING_KEY_FILE /nowhere/key.pem cannot be read"),
    ],
)
def test_a_mistake_is_one_clear_line(published: Company, given: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as mistake:
        close(published.environ(**{"BY": "Li Wei", **given}))
    assert said in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_one_person_in_two_sessions_at_once_blocks_the_close_and_is_named(
    published: Company, fresh: Fresh
) -> None:
    company = fresh(published)
    with duckdb.connect(str(company.data / "private" / "warehouse.duckdb")) as con:
        (staff_id, one, other, on_at, day) = con.execute(
            """
            select d.staff_id, d.session_id, s.session_id, d.on_at::varchar, d.business_date::varchar
            from core.fct_duty as d join core.fct_session as s on s.session_id <> d.session_id
            where d.business_date >= '2026-10-01' order by all limit 1
            """
        ).fetchall()[0]
        con.execute(
            "insert into core.fct_duty (staff_id, role, session_id, on_at, off_at, source, room_id, "
            "business_date) "
            "select staff_id, role, ?, on_at, off_at, source, room_id, business_date from core.fct_duty "
            "where staff_id = ? and session_id = ? and on_at = ?::timestamp limit 1",
            [other, staff_id, one, on_at],
        )
    with pytest.raises(UserError) as refusal:
        close(company.environ(BY="Li Wei"))
    for named in ("one person in two sessions at once", staff_id, one, other, day[:7]):
        assert named in str(refusal.value)
    assert not seals.is_sealed(company.sealed)


def test_a_failed_check_keeps_the_month_open_and_is_named(published: Company, fresh: Fresh) -> None:
    company = fresh(published)
    with duckdb.connect(str(company.data / "private" / "warehouse.duckdb")) as con:
        con.execute("update scorecards.scorecard_lines set weight = weight + 1 where month = '2026-10'")
    with pytest.raises(UserError, match="weights_add_up_to_one on scorecards.scorecard_lines"):
        close(company.environ(BY="Li Wei"))
    assert not seals.is_sealed(company.sealed)


def test_rows_that_nobody_has_seen_in_the_scorecards_are_not_sealed(published: Company, fresh: Fresh) -> None:
    company = fresh(published)
    with duckdb.connect(str(company.data / "private" / "warehouse.duckdb")) as con:
        con.execute("update raw.files set rows_accepted = rows_accepted + 1 where export = 'orders'")
    with pytest.raises(UserError, match="run make scorecards first"):
        close(company.environ(BY="Li Wei"))


def test_a_configured_key_signs_the_manifest(published: Company, fresh: Fresh, tmp_path: Path) -> None:
    key, key_file = new_key(tmp_path / "key.pem")
    company = fresh(published)
    assert close(company.environ(BY="Li Wei", SIGNING_KEY_FILE=key_file)) == 0
    manifest, signature = (company.sealed / "manifest.json").read_bytes(), company.sealed / "manifest.sig"
    key.public_key().verify(signature.read_bytes(), manifest)
    settings = settings_from_env(company.environ())
    sealed = seals.sealed_month(settings, MONTH)
    assert sealed is not None and seals.damage(sealed) == []
    signature.chmod(0o600)
    flip_one_byte(signature, 7)
    assert seals.damage(sealed) == ["2026-10/manifest.sig: is not this manifest's signature"]


def test_own_adapters_are_sealed_along_since_they_say_how_raw_files_are_read(
    published: Company, fresh: Fresh, tmp_path: Path
) -> None:
    company = fresh(published)
    own = tmp_path / "adapters"
    own.mkdir()
    shipped = (REPOSITORY / "dagster_project" / "landing" / "platforms" / "douyin_orders.yml").read_text(encoding="utf-8")
    (own / "ours.yml").write_text(shipped.replace("name: douyin_orders", "name: ours"), encoding="utf-8")
    assert close(company.environ(BY="Li Wei", ADAPTERS=str(own))) == 0
    manifest = json.loads((company.sealed / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((own / "ours.yml").read_bytes()).hexdigest()
    assert manifest["outputs"]["adapters/ours.yml"] == digest
    sealed = seals.sealed_month(settings_from_env(company.environ()), MONTH)
    assert sealed is not None and seals.damage(sealed) == []
    flip_one_byte(company.sealed / "adapters" / "ours.yml", 3)
    assert seals.damage(sealed) == ["2026-10/adapters/ours.yml: changed since it was sealed"]


def new_key(path: Path) -> tuple[Ed25519PrivateKey, str]:
    """An Ed25519 key and the file that holds it, as SIGNING_KEY_FILE takes it."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key, str(path)


def test_months_of_a_replaced_key_and_from_before_any_key_stay_good(
    sealed_once: Company, fresh: Fresh, tmp_path: Path
) -> None:
    """September unsigned, October signed with the old key; then only the new key is at hand."""
    company = fresh(sealed_once)
    settings = settings_from_env(company.environ())
    old, old_file = new_key(tmp_path / "old.pem")
    new, new_file = new_key(tmp_path / "new.pem")
    _sign_again(company.sealed, old)
    september, october = (seals.sealed_month(settings, month) for month in ("2026-09", MONTH))
    assert september is not None and october is not None
    assert seals.damage(october) == []

    def asked(sealed: seals.Sealed, **keys: str) -> list[str]:
        return seals.not_vouched_for(settings, sealed, signing.trusted_keys(keys))

    assert asked(october) == asked(september) == []
    assert asked(october, SIGNING_KEY_FILE=old_file) == []
    # October, signed with the trusted key, was sealed on top of September.
    assert asked(september, SIGNING_KEY_FILE=old_file) == []
    (refusal,) = asked(october, SIGNING_KEY_FILE=new_file)
    assert "2026-10/manifest.sig: signed with key" in refusal and "which is not trusted" in refusal
    (refusal,) = asked(september, SIGNING_KEY_FILE=new_file)
    assert "2026-09/manifest.sig: sealed without a signature" in refusal
    retired = tmp_path / "trusted.pem"
    retired.write_bytes(b"keys of the company\n" + signing.public_pem(new) + signing.public_pem(old))
    assert asked(october, TRUSTED_KEYS_FILE=str(retired)) == asked(september, TRUSTED_KEYS_FILE=str(retired)) == []


def _sign_again(folder: Path, key: Ed25519PrivateKey) -> None:
    """What `close` would have left had this key been configured."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    public = signing.public_pem(key)
    manifest["outputs"]["public_key.pem"] = hashlib.sha256(public).hexdigest()
    manifest["signed_with"] = signing.fingerprint(public)
    content = json.dumps(manifest).encode()
    written = {
        "public_key.pem": public,
        "manifest.json": content,
        "manifest.sha256": seals.checksum_line(content),
        "manifest.sig": key.sign(content),
    }
    folder.chmod(0o700)
    for name, one in written.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(one)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"nothing", "holds no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no Ed25519 public key"),
    ],
)
def test_a_file_of_trusted_keys_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "trusted.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as mistake:
        signing.trusted_keys({"TRUSTED_KEYS_FILE": str(path)})
    assert said in str(mistake.value) and "\n" not in str(mistake.value)


def test_reopening_needs_a_reason_and_keeps_revision_one(sealed_once: Company, fresh: Fresh) -> None:
    company = fresh(sealed_once)
    with pytest.raises(UserError, match="REASON is missing"):
        reopen(company.environ(BY="Li Wei"))
    before = contents(company.sealed)
    assert reopen(company.environ(BY="Zhao Min", REASON="roster of 2 October was wrong")) == 0
    kept = company.data / "scorecards" / "2026-10.r1"
    assert contents(kept) == before
    assert not company.sealed.exists()
    assert close(company.environ(BY="Zhao Min")) == 0
    manifest = json.loads((company.sealed / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["revision"] == 2
    assert manifest["supersedes"]["manifest_sha256"] == hashlib.sha256(before["manifest.json"]).hexdigest()
    assert manifest["supersedes"]["reason"] == "roster of 2 October was wrong"
    with pytest.raises(UserError, match="2026-11 is open"):
        reopen(company.environ(MONTH="2026-11", BY="Zhao Min", REASON="none"))


def test_a_kill_at_any_moment_leaves_the_month_open_or_sealed(
    published: Company, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = fresh(published)
    # The checks write nothing and take most of the time: without them more kills fall where it matters.
    monkeypatch.setattr(closing, "_refuse_failed_checks", lambda run: None)
    draft = contents(company.sealed)
    settings = settings_from_env(company.environ())
    rng = random.Random(20261031)
    whole = _seconds_to_seal(company, settings, draft)
    outcomes = []
    for number in range(10):
        # Half of the kills fall anywhere, half into the last fifth, where the folder is put in place.
        delay = whole * (rng.random() if number % 2 else 0.8 + 0.25 * rng.random())
        _closing_in_a_child(company, killed_after=delay)
        outcomes.append(_state(company, settings, draft))
    assert set(outcomes) <= {"open", "sealed"}, outcomes
    assert close(company.environ(BY="Li Wei")) == 0
    assert _state(company, settings, draft) == "sealed"


def test_a_kill_at_each_step_of_putting_the_folder_in_place_leaves_it_open_or_sealed(
    published: Company, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = fresh(published)
    monkeypatch.setattr(closing, "_refuse_failed_checks", lambda run: None)
    draft = contents(company.sealed)
    settings = settings_from_env(company.environ())
    seen = []
    for function, before in (
        ("make_durable", True),
        ("make_durable", False),
        ("_exchange", True),
        ("_exchange", False),
    ):
        with monkeypatch.context() as patched:
            _kill_at(patched, function, before)
            _closing_in_a_child(company, killed_after=None)
        seen.append(_state(company, settings, draft))
    assert seen == ["open", "open", "open", "sealed"]


FILE_OPERATIONS = {"os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlopen"}


@pytest.mark.slow
def test_a_kill_at_any_of_its_file_operations_leaves_the_month_open_or_sealed(
    published: Company, fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every one of the last 30 operations on files or more, and 20 spread over those before."""
    company = fresh(published)
    monkeypatch.setattr(closing, "_refuse_failed_checks", lambda run: None)
    draft = contents(company.sealed)
    settings = settings_from_env(company.environ())
    counted = tmp_path / "operations"
    _closing_in_a_child(company, None, lambda: _at_file_operations(lambda number, out: os.write(out, b"."), counted))
    assert _state(company, settings, draft) == "sealed"
    whole = counted.stat().st_size
    assert whole > 100
    outcomes = []

    def killed_at(fatal: int) -> bool:
        was_killed = _closing_in_a_child(
            company,
            None,
            lambda: _at_file_operations(
                lambda number, out: os.kill(os.getpid(), signal.SIGKILL) if number == fatal else None, counted
            ),
        )
        outcomes.append(_state(company, settings, draft))
        return was_killed

    for fatal in range(1, whole - 30, (whole - 30) // 20):
        assert killed_at(fatal)
    # A run after a kill removes what that one left, so it has more operations than the first: on until one is not reached.
    fatal = whole - 30
    while killed_at(fatal):
        fatal += 1
    assert set(outcomes[:-1]) == {"open", "sealed"} and outcomes[-1] == "sealed"


def _at_file_operations(then: Callable[[int, int], object], path: Path) -> None:
    """From now on in this process: `then(its number, a descriptor of path)` before every operation on files."""
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    number = 0

    def notice(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal number
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in FILE_OPERATIONS:
            number += 1
            then(number, out)

    sys.addaudithook(notice)


def _kill_at(patched: pytest.MonkeyPatch, function: str, before: bool) -> None:
    original = getattr(seals, function)

    def killed(*arguments: Path) -> object:
        if not before:
            original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    patched.setattr(seals, function, killed)


def _seconds_to_seal(company: Company, settings: object, draft: dict[str, bytes]) -> float:
    began = time.monotonic()
    _closing_in_a_child(company, killed_after=None)
    took = time.monotonic() - began
    assert _state(company, settings, draft) == "sealed"
    return took


def _closing_in_a_child(
    company: Company, killed_after: float | None, first: Callable[[], None] = lambda: None
) -> bool:
    """Run close in a child process, after what it does first; killed after some seconds where they are given.

    Returns whether a signal ended it.
    """
    child = os.fork()
    if child == 0:
        try:
            first()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            close(company.environ(BY="Li Wei"))
        finally:
            os._exit(0)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _state(company: Company, settings: object, draft: dict[str, bytes]) -> str:
    """Whether the month is open with its whole draft, or sealed whole; a sealed one is opened again."""
    sealed = seals.sealed_month(settings, MONTH)  # type: ignore[arg-type]
    if sealed is None:
        assert contents(company.sealed) == draft
        return "open"
    assert seals.damage(sealed) == []
    seals.remove_tree(company.sealed)
    for path, content in draft.items():
        (company.sealed / path).parent.mkdir(parents=True, exist_ok=True)
        (company.sealed / path).write_bytes(content)
    return "sealed"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def flip_one_byte(path: Path, at: int) -> None:
    """Change one bit of one byte of a file, rights or none."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(bytes(content))
    path.chmod(mode)


def test_the_sealed_lines_are_those_of_the_published_scorecards(sealed_once: Company) -> None:
    with (sealed_once.sealed / "lines.csv").open(encoding="utf-8-sig", newline="") as file:
        points = {
            (row["subject_id"], row["part"], row["room_id"], row["kpi_id"]): row["points"]
            for row in csv.DictReader(file)
        }
    figures = json.loads((sealed_once.sealed / "figures.json").read_text(encoding="utf-8"))
    sealed = {
        (row["subject_id"], row["part"], row["room_id"] or "", row["kpi_id"]): row["points"] or ""
        for row in figures["scorecard_lines"]
    }
    assert points == sealed
