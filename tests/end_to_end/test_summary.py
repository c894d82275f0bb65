"""What the end of a run says on the screen of what it landed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_project.landing import FileOutcome, LandingSummary
from dagster_project.run import new_run, print_summary, step, summary
from dagster_project.settings import settings_from_env


def test_what_was_set_aside_waits_or_is_missing_is_said_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = new_run(settings_from_env({"DATA": str(tmp_path)}))
    run.landed = LandingSummary(
        files=[FileOutcome("orders", "orders/a.csv", "rejected", "column \x1b[2J stands twice in the header")],
        quarantine_reasons={"null key": 2},
        pending=[{"export": "refunds", "path": "refunds/a.csv", "rows": 3, "age_seconds": 2 * 86_400 + 5 * 3600 + 59}],
        late_exports=["reviews", "shifts"],
        unknown_folders=["order"],
        schema_drift={"orders": ["coupon", "shop"]},
        key_conflicts={"viewer_events": 4},
        still_written=["orders/b.csv"],
    )
    print_summary(run)
    said = capsys.readouterr().out.splitlines()
    for line in (
        r"rejected   orders/a.csv: column \x1b[2J stands twice in the header",
        "set aside  2 rows: null key",
        "pending    3 rows of refunds/a.csv, for 2 days 5 hours",
        "conflicts  4 keys of viewer_events came with other content; one row of each counts",
        "new column coupon, shop of orders is kept aside",
        "late       reviews, shifts: delivered before, nothing new tonight",
        "unknown    order: no export of that name",
        "written    orders/b.csv changed while it was read; it is left for the next run",
    ):
        assert line in said
    assert summary(run)["still_written"] == ["orders/b.csv"]


def test_a_run_that_found_no_new_file_calls_nothing_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = new_run(settings_from_env({"DATA": str(tmp_path)}))
    run.landed = LandingSummary(late_exports=["orders", "reviews"])
    print_summary(run)
    assert "late" not in capsys.readouterr().out


def test_a_step_inside_a_step_counts_for_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = new_run(settings_from_env({"DATA": str(tmp_path)}))
    now = iter([0.0, 2.0, 10.0, 15.0, 20.0, 21.0])
    monkeypatch.setattr("dagster_project.run.time.monotonic", lambda: next(now))
    with step(run, "land"), step(run, "libraries"):
        pass
    assert run.seconds == {"libraries": 8.0, "land": 7.0}
    with step(run, "land"):
        pass
    assert run.seconds == {"libraries": 8.0, "land": 8.0}
