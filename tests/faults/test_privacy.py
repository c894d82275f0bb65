"""Who may see what: canaries in every export must not be found where their audience does not look, nor on any wire."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from dagster_project.settings import DEMO_SECRET, REPOSITORY, UserError, parse_date, parse_month, settings_from_env
from dagster_project.simulator.world import simulate
from dagster_project.warehouse.policy import read_policy
from tests.faults.conftest import Record

SECRET = "canary-secret-7f3a9c51e2"
# Who may read: nobody but the owner; the group of analysts; everybody.
OWNER_ONLY = ("private", "scorecards", "runs", "tmp", "appraisal.duckdb")


def texts_of(file: Path) -> Iterator[str]:
    """All text of a file, opened as what it is: tables, workbooks, Parquet, else its bytes."""
    if file.suffix == ".duckdb":
        with duckdb.connect(str(file), read_only=True) as con:
            for schema, table in con.execute(
                "select table_schema, table_name from information_schema.tables where table_catalog = current_database()"
            ).fetchall():
                yield from (str(row) for row in con.execute(f'select t::varchar from "{schema}"."{table}" as t').fetchall())
    elif file.suffix == ".parquet":
        yield from (str(row) for row in duckdb.sql(f"select t::varchar from '{file}' as t").fetchall())
    elif file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as archive:
            yield from (archive.read(name).decode(errors="replace") for name in archive.namelist())
    yield file.read_bytes().decode("utf-8", errors="replace")


def found_in(files: list[Path], canaries: set[str]) -> list[str]:
    """Which canaries stand in which files, as whole words."""
    seen = []
    for file in files:
        words = {word for text in texts_of(file) for word in re.findall(r"[A-Za-z0-9_.@-]+", text)}
        words |= {word.strip(".") for word in words}
        seen += [f"{file.name}: {canary}" for canary in sorted(canaries & words)]
    return seen


def files_of(data: Path, *folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((data / folder).rglob("*")) if file.is_file() and not file.is_symlink()]


def wrong_modes(data: Path) -> list[str]:
    """Files and folders that more people may read than their content allows, or that others may write."""
    wrong = []
    for path in [data, *sorted(data.rglob("*"))]:
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        parts = path.relative_to(data).parts
        inside_closed = any((data / Path(*parts[:depth])).stat().st_mode & 0o077 == 0 for depth in range(1, len(parts)))
        if mode & 0o022 and not inside_closed or any(part in OWNER_ONLY for part in parts) and mode & 0o077 and not inside_closed:
            wrong.append(f"{path.relative_to(data)} {mode:o}")
    return wrong


def viewer_ids(data: Path) -> set[str]:
    with duckdb.connect(str(data / "private" / "warehouse.duckdb"), read_only=True) as con:
        return {viewer for (viewer,) in con.execute("select viewer_id from raw.viewers").fetchall()}


def test_no_file_of_the_sample_run_is_open_to_more_people_than_its_content_allows(sample_data):
    assert wrong_modes(sample_data) == []
    current = (sample_data / "published" / "current").resolve()
    modes = {
        name: stat.S_IMODE((current / name).stat().st_mode) for name in ("marts.duckdb", "appraisal.duckdb", "manifest.json")
    }
    assert modes == {"marts.duckdb": 0o640, "appraisal.duckdb": 0o600, "manifest.json": 0o644}
    for folder in ("private", "scorecards", "runs"):
        assert stat.S_IMODE((sample_data / folder).stat().st_mode) == 0o700


def test_the_secret_is_in_no_file_of_the_sample_run(sample_data):
    files = [file for file in sample_data.rglob("*") if file.is_file()]
    assert len(files) > 50
    assert [file for file in files if DEMO_SECRET.encode() in file.read_bytes()] == []


# --- a company of canaries ------------------------------------------------------------------------------------------

WATCHED = """
import os, sys
log = open(os.environ["SEEN"], "a")
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        to_itself = event != "socket.getaddrinfo" and (arguments[0].family == 1 or arguments[1][0] in ("127.0.0.1", "::1"))
        if not to_itself:
            log.write(f"{event} {arguments[1:] if event != 'socket.getaddrinfo' else arguments}\\n"); log.flush()
sys.addaudithook(hook)
from dagster_project.cli import main
status = main(sys.argv[1:], os.environ)
counters = open("/proc/self/net/dev").read() if os.path.exists("/proc/self/net/dev") else ""
log.write("interfaces " + " ".join(line.split(":")[0].strip() for line in counters.splitlines()[2:]) + "\\n")
sys.exit(status)
"""


@pytest.fixture(scope="module")
def canaries(tmp_path_factory) -> tuple[Path, set[str], str]:
    """(DATA of a whole run in a network namespace without any route, every pay as text, what its sockets did)."""
    root = tmp_path_factory.mktemp("canaries")
    simulate(root / "exports", seed=11, start=date(2026, 9, 26), end=date(2026, 10, 5), rooms=2, events=1500)
    pays = set()
    staff = root / "exports" / "staff" / "staff.csv"
    with staff.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["performance_pay"] = f"{70000 + 13 * number}.37"
        row["name"] = f"<script>alert({number})</script>'\"--=cmd"
        pays.add(row["performance_pay"])
    with staff.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    policy = root / "policy"
    shutil.copytree(REPOSITORY / "dbt" / "seeds", policy)
    kpis = (policy / "kpis.csv").read_text(encoding="utf-8")
    (policy / "kpis.csv").write_text(
        kpis.replace("成交额", "成交额'; drop table core.fct_session; -- {{ env_var('HOME') }}<b>", 1), encoding="utf-8"
    )
    seen = root / "seen"
    environ = {**os.environ, "SEEN": str(seen), "EXPORTS": str(root / "exports"), "DATA": str(root / "data"),
               "POLICY": str(policy),
               "VIEWER_KEY_SECRET": SECRET, "MONTH": "2026-10"}  # fmt: skip
    command = [sys.executable, "-c", WATCHED, "scorecards"]
    apart = ["unshare", "-n", "--"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace may be made here")
    done = subprocess.run([*apart, *command], cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    (root / "data" / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return root / "data", pays, seen.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_without_any_network_succeeds_and_opens_no_socket_outside(canaries):
    _, _, seen = canaries
    asked = [line for line in seen.splitlines() if not line.startswith("interfaces")]
    assert asked == []
    assert set(seen.splitlines()[-1].split()[1:]) <= {"lo", "sit0", "tunl0", "ip6tnl0"}


@pytest.mark.slow
def test_canaries_are_found_only_where_their_audience_looks(canaries, record: Record):
    data, pays, _ = canaries
    ids = viewer_ids(data)
    assert len(ids) > 20 and len(pays) > 3
    everywhere = [file for file in data.rglob("*") if file.is_file() and not file.is_symlink()]
    private = set(files_of(data, "private"))
    closed = {file for file in everywhere if file.name == "appraisal.duckdb"} | set(files_of(data, "scorecards"))
    public = [file for file in everywhere if file not in private]
    assert found_in(public, ids) == []
    assert found_in([file for file in public if file not in closed], pays) == []
    assert found_in([file for file in everywhere if "appraisal" in file.name or "scorecards" in file.parts], pays) != []
    assert [file for file in everywhere if SECRET.encode() in file.read_bytes()] == []
    assert [file for file in files_of(data, "private/dbt") if any(viewer.encode() in file.read_bytes() for viewer in ids)] == []
    record("privacy", count=len(ids) + len(pays) + 1, viewer_ids=len(ids), pays=len(pays), files_searched=len(everywhere))


@pytest.mark.slow
def test_no_file_of_the_canaries_is_open_to_more_people_than_its_content_allows(canaries):
    assert wrong_modes(canaries[0]) == []


@pytest.mark.slow
def test_hostile_names_are_text_on_every_page_and_in_every_table(canaries):
    data, _, _ = canaries
    pages = [file for file in files_of(data, "scorecards", "site") if file.suffix == ".html"]
    assert len(pages) > 5
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert(" not in text, page.name
        assert "core.fct_session; -- {{ env_var('HOME') }}<b>" not in text, page.name
    with duckdb.connect(str(data / "published" / "current" / "marts.duckdb"), read_only=True) as con:
        told = con.execute("select name_zh from kpis.kpi_registry where kpi_id = 'gmv'").fetchall()
        assert told == [("成交额'; drop table core.fct_session; -- {{ env_var('HOME') }}<b>",)]
        assert con.execute("select count(*) > 0 from core.fct_session").fetchall() == [(True,)]


# --- what is typed by a person ---------------------------------------------------------------------------------------

HOSTILE = [
    "2026-10'; drop table raw.orders; --", "../../etc/passwd", "2026-10\n2026-11", "$(touch pwned)", "`id`", "２０２６-１０",
    "2026-10 ",
    "\x00", "{{ env_var('HOME') }}", "2026-10/../2026-09", "-1", "9" * 400, "%2e%2e", "2026-W40", "\u202e2026-10",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_month_or_a_date_that_is_none_is_refused_in_one_short_line(text):
    for parse in (parse_month, parse_date):
        with pytest.raises(UserError) as refused:
            parse(text)
        assert "\n" not in str(refused.value) and "\x00" not in str(refused.value) and len(str(refused.value)) < 200


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\x00" not in text], ids=ascii)
def test_a_policy_folder_that_is_none_is_refused_in_one_line(text, tmp_path):
    with pytest.raises(UserError) as refused:
        read_policy(settings_from_env({"DATA": str(tmp_path), "POLICY": text, "VIEWER_KEY_SECRET": "x"}).policy)
    assert "\n" not in str(refused.value) and "\u202e" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("kpis.csv", "gmv,", "gmv'; drop table x; --,"),
        ("kpis.csv", "gmv,", "{{ env_var('HOME') }},"),
        ("weights.csv", "host,", "host' or 1=1 --,"),
        ("rules.csv", "pass_score,70", "pass_score,(select 1)"),
        ("grades.csv", "S,110", "S,1e400"),
        ("grades.csv", "S,110", "S,１１０"),
    ],
)
def test_policy_that_tries_to_be_sql_is_refused_naming_the_file(tmp_path, file, before, after):
    policy = Path(shutil.copytree(REPOSITORY / "dbt" / "seeds", tmp_path / "policy"))
    text = (policy / file).read_text(encoding="utf-8")
    assert before in text
    (policy / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(file)) as refused:
        read_policy(policy)
    assert "\n" not in str(refused.value)


def started(name: str, *given: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "dagster_project.cli", name, *given]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["explain", "close", "reopen", "whatif", "query", "verify", "targets", "site"])
def test_what_a_person_types_is_never_obeyed(canaries, tmp_path, name):
    """STAFF, BY, REASON, MONTH and SQL with quotes, shell and template text: one line, nothing written, nothing run."""
    data, _, _ = canaries
    before = (data / "published" / "current" / "manifest.json").read_bytes()
    hostile = "x'; drop table core.fct_session; --$(touch pwned)`touch pwned`{{ 7*7 }}"
    given = {
        "explain": [f"STAFF={hostile}", "MONTH=2026-10"], "close": [f"BY={hostile}\n2", "MONTH=2026-10"],
        "reopen": ["BY=x", f"REASON={hostile}", "MONTH=2026-10"], "whatif": ["MONTH=2026-10", f"POLICY={hostile}"],
        "query": [f"SQL=select '{hostile}"], "verify": [f"MONTH={hostile}"], "targets": [f"MONTH={hostile}"],
        "site": [f"MONTH={hostile}"],
    }[name]  # fmt: skip
    exports = data.parent / "exports"
    done = started(name, f"DATA={data}", f"EXPORTS={exports}", f"VIEWER_KEY_SECRET={SECRET}", *given, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    assert (data / "published" / "current" / "manifest.json").read_bytes() == before
    assert not list(tmp_path.iterdir()) and not (REPOSITORY / "pwned").exists()
    json.loads(before)
