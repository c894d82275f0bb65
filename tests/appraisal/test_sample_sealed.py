"""October of the embedded sample is sealed; then refunds, events and a corrected roster of October are delivered."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dagster_project.appraisal import seals
from dagster_project.appraisal.close import close, reopen
from dagster_project.appraisal.verify import verify
from dagster_project.appraisal.whatif import differences_under
from dagster_project.job import scorecards
from dagster_project.settings import SAMPLE_EXPORTS, settings_from_env
from tests.appraisal.conftest import MONTH, Company
from tests.appraisal.test_adjustments import adjustments_into, figures_sealed, figures_today, published_rows
from tests.appraisal.test_close import contents, new_key
from tests.appraisal.test_explain import explain_at_random
from tests.appraisal.test_whatif import compared, weight_moved

pytestmark = pytest.mark.slow

NEXT = "2026-11"
FOLLOWS = 40


@dataclass(frozen=True)
class Late:
    """The sealed sample after the late deliveries; the sealed folder as it was before them."""

    company: Company
    before: dict[str, bytes]
    follows: dict[str, int]  # room → late follows of October
    shift: dict[str, str]  # the row of shifts as it was delivered first


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Late]:
    root = tmp_path_factory.mktemp("sample")
    company = Company(root)
    shutil.copytree(SAMPLE_EXPORTS, company.exports)
    _, key_file = new_key(root / "key.pem")
    assert scorecards(company.environ()) == 0
    for month in ("2026-08", "2026-09", MONTH):
        assert close(company.environ(MONTH=month, BY="Li Wei", SIGNING_KEY_FILE=key_file)) == 0
    before = contents(company.sealed)
    follows, shift = _deliver_late(company.exports)
    assert scorecards(company.environ()) == 0
    yield Late(company, before, follows, shift)
    for folder in (company.data / "scorecards").iterdir():
        seals.remove_tree(folder)


def _deliver_late(exports: Path) -> tuple[dict[str, int], dict[str, str]]:
    """40 new followers in every session of October, a refund of 60 lines, and one host off duty after a minute."""
    with (exports / "sessions" / "2026-10.csv").open(encoding="utf-8-sig", newline="") as file:
        # Some are there twice: as planned, and as they ended.
        sessions = {row["session_id"]: row for row in csv.DictReader(file)}.values()
    follows: dict[str, int] = {}
    with (exports / "viewer_events" / "late.jsonl").open("w", encoding="utf-8") as out:
        for session in sessions:
            follows[session["room_id"]] = follows.get(session["room_id"], 0) + FOLLOWS
            for number in range(FOLLOWS):
                event = {"event_id": f"late-{number}", "viewer_id": f"late viewer {number}", "event_type": "follow"}
                event |= {"session_id": session["session_id"], "event_at": session["started_at"]}
                out.write(json.dumps(event) + "\n")
    with gzip.open(exports / "orders" / "2026-10.csv.gz", "rt", encoding="utf-8-sig", newline="") as lines:
        paid = {row["order_line_id"]: row for row in csv.DictReader(lines) if row["paid_at"] not in ("", "-")}
    with (exports / "refunds" / "late.jsonl").open("w", encoding="utf-8") as out:
        for line_id, line in sorted(paid.items())[:60]:
            refund = {"refund_id": f"late-{line_id}", "order_line_id": line_id, "refund_type": "return", "quantity": 1}
            refund |= {"amount": line["paid_amount"], "currency": line["currency"]}
            refund |= dict.fromkeys(("requested_at", "completed_at", "updated_at"), line["paid_at"])
            out.write(json.dumps(refund) + "\n")
    with (exports / "shifts" / "2026-10.csv").open(encoding="utf-8-sig", newline="") as file:
        shift = next(row for row in csv.DictReader(file) if row["role"] == "host")
    corrected = {**shift, "updated_at": "2026-11-20T08:00:00Z", "off_at": shift["on_at"][:17] + "59"}
    assert corrected["off_at"] > shift["on_at"]
    with (exports / "shifts" / "corrected.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, shift.keys())
        writer.writeheader()
        writer.writerow(corrected)
    return follows, shift


def test_the_sealed_folder_stays_byte_for_byte_and_is_identical_from_raw(
    late: Late, capsys: pytest.CaptureFixture[str]
) -> None:
    assert contents(late.company.sealed) == late.before
    capsys.readouterr()
    assert verify(late.company.environ()) == 0
    said = capsys.readouterr().out
    assert said.startswith("identical: 2026-10 revision 1, sealed by Li Wei at ")
    assert "2 sealed months below it" in said
    assert f"rebuilt from {len(json.loads(late.before['manifest.json'])['inputs'])} raw files" in said


def test_novembers_adjustments_name_each_change_and_sum_to_the_difference(late: Late) -> None:
    sealed, today = figures_sealed(late.company, MONTH), figures_today(late.company, MONTH)
    nothing = Decimal(0)
    differing = {key: today.get(key, nothing) - sealed.get(key, nothing) for key in sealed.keys() | today.keys()}
    rows = adjustments_into(late.company, NEXT, MONTH)
    assert {key: row["difference"] for key, row in rows.items() if row["difference"]} == {
        key: difference for key, difference in differing.items() if difference
    }
    totals = {key[:2]: row["difference"] for key, row in rows.items() if key[4] == "total_score"}
    assert len(totals) > 5
    for subject, difference in totals.items():
        lines = [row["difference"] for key, row in rows.items() if key[:2] == subject and key[2]]
        assert sum(lines, nothing) == difference


def test_each_kind_of_late_delivery_is_told_by_its_own_adjustments(late: Late) -> None:
    rows = adjustments_into(late.company, NEXT, MONTH)
    for room_id, count in late.follows.items():
        told = rows["room", room_id, "team", room_id, "follows"]
        assert told["today_value"] - told["sealed_value"] == count
    refunds = published_rows(
        late.company,
        "select subject_id, value from scorecards.scorecard_lines"
        " where month = ? and subject_type = 'room' and kpi_id = 'refund_rate_15d'",
        MONTH,
    )
    told_of_refunds = {
        row["subject_id"]: (rows["room", row["subject_id"], "team", row["subject_id"], "refund_rate_15d"], row["value"])
        for row in refunds
        if ("room", row["subject_id"], "team", row["subject_id"], "refund_rate_15d") in rows
    }
    assert told_of_refunds
    for told, value in told_of_refunds.values():
        assert told["today_value"] == value > told["sealed_value"]
    host = late.shift["staff_id"]
    gmv = rows["staff", host, "personal", "", "gmv"]
    assert gmv["today_value"] < gmv["sealed_value"]


def test_a_hundred_explanations_of_the_sample_agree_at_every_step(late: Late, tmp_path: Path) -> None:
    copy = tmp_path / "warehouse.duckdb"
    shutil.copyfile(late.company.data / "private" / "warehouse.duckdb", copy)
    with duckdb.connect(str(copy), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        made, rows = explain_at_random(con, 100)
    assert made > 3000 and len(rows) > 10_000
    assert all((late.company.exports / file).is_file() for file, _ in rows)


def test_one_weight_moved_on_the_sample_changes_exactly_what_the_oracle_says(late: Late, tmp_path: Path) -> None:
    policy, expected = weight_moved(late.company, tmp_path)
    found = differences_under(settings_from_env(late.company.environ(POLICY=str(policy))), MONTH)
    assert expected
    assert compared(found) == expected


def test_revision_two_takes_the_late_rows_in_and_both_revisions_verify(
    late: Late, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    company = late.company.copy(tmp_path / "company")
    assert reopen(company.environ(BY="Zhao Min", REASON="roster of 1 October was wrong")) == 0
    assert scorecards(company.environ()) == 0
    assert close(company.environ(BY="Zhao Min")) == 0
    assert contents(company.data / "scorecards" / f"{MONTH}.r1") == late.before
    assert figures_sealed(company, MONTH) == figures_today(company, MONTH)
    assert adjustments_into(company, NEXT, MONTH) == {}
    (company.data / "private" / "warehouse.duckdb").unlink()
    capsys.readouterr()
    assert verify(company.environ()) == 0
    assert capsys.readouterr().out.startswith("identical: 2026-10 revision 2, sealed by Zhao Min at ")
    for folder in (company.data / "scorecards").iterdir():
        seals.remove_tree(folder)
