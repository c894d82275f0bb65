"""`make explain`: how a score came about, from the total to the raw rows; every sum is made again.

total → lines (points) → numerator and denominator → sessions (share and whole) → raw rows (file and row).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb

from dagster_project.appraisal import evidence, seals
from dagster_project.appraisal.asked import asked_month, asked_text
from dagster_project.appraisal.evidence import Scope
from dagster_project.appraisal.figures import as_text
from dagster_project.settings import Settings, UserError, settings_from_env
from dagster_project.warehouse.read import as_table

# On the terminal; JSON has every row.
ITEMS_SHOWN = 5
CENT, MILLIONTH = Decimal("0.01"), Decimal("0.000001")


@dataclass
class Checks:
    """The sums that were made again: how many agreed, and those that did not."""

    made: int = 0
    failed: list[str] = field(default_factory=list)

    def equal(self, what: str, stated: object, found: object) -> bool:
        self.made += 1
        if stated != found:
            self.failed.append(f"{what}: stated {stated}, its parts give {found}")
        return stated == found


def explain(environ: Mapping[str, str]) -> int:
    """`make explain STAFF= MONTH= [KPI=] [FORMAT=json]`; exit status 1 where a sum does not agree."""
    month = asked_month(environ, "explain")
    staff_id = asked_text(environ, "STAFF", "STAFF=001092")
    kpi_id = asked_text(environ, "KPI", "KPI=gmv") if environ.get("KPI") else None
    style = environ.get("FORMAT") or "text"
    if style not in ("text", "json"):
        raise UserError(f"FORMAT is {style!r}: give text or json")
    settings = settings_from_env({**environ, "MONTH": month})
    with read_only(settings) as con:
        told = explained(con, staff_id, month, kpi_id)
    told["sealed"] = _sealed_total(settings, month, staff_id)
    if style == "json":
        print(json.dumps(told, indent=1, ensure_ascii=False, default=as_text))
    else:
        _print(told)
    return 1 if told["checks"]["failed"] else 0


@contextmanager
def read_only(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The private warehouse, while no run is at work on it; nothing in it can be changed."""
    from dagster_project.lock import run_lock
    from dagster_project.settings import connect

    if not settings.warehouse_path.is_file():
        raise UserError(f"there is no warehouse under {settings.data} yet: run make scorecards first")
    with run_lock(settings.private / "run.lock"):
        con = connect(settings.warehouse_path, settings, read_only=True)
        try:
            yield con
        finally:
            con.close()


def explained(
    con: duckdb.DuckDBPyConnection, staff_id: str, month: str, kpi_id: str | None
) -> dict[str, Any]:
    """The walk as nested dicts: one KPI down to its rows, or without it all lines down to their sessions."""
    checks = Checks()
    card = _card(con, staff_id, month)
    lines = _rows(
        con,
        "select * from scorecards.scorecard_lines where subject_type = 'staff' and subject_id = ? and "
        "month = ? "
        "order by part, room_id nulls first, effective_weight desc, kpi_id",
        [staff_id, month],
    )
    rooms = _rows(
        con,
        "select room_id, team_score, share_ms, all_ms from scorecards_work.people_rooms_shared "
        "where staff_id = ? and month = ? order by room_id",
        [staff_id, month],
    )
    told: dict[str, Any] = {
        "staff_id": staff_id,
        "month": month,
        "card": card,
        "rooms": rooms,
        "total": _total(con, card, lines, rooms, month, checks),
        "lines": lines,
    }
    if kpi_id is not None:
        registered = _rows(con, "select kpi_id from kpis.kpi_registry where kpi_id = ?", [kpi_id])
        if not registered:
            known = [
                row["kpi_id"] for row in _rows(con, "select kpi_id from kpis.kpi_registry order by all", [])
            ]
            raise UserError(f"there is no KPI {kpi_id!r} in the registry: KPI is one of {', '.join(known)}")
        told["lines"] = [line for line in lines if line["kpi_id"] == kpi_id]
    wanted = [("staff", staff_id, card["role"], kpi_id)] if kpi_id is not None else []
    for line in told["lines"]:
        subject = (
            ("staff", staff_id, card["role"]) if line["room_id"] is None else ("room", line["room_id"], None)
        )
        wanted.append((*subject, line["kpi_id"]))
    files = dict(con.execute("select file_no, path from raw.files").fetchall())
    told["kpis"] = [
        _kpi(con, subject_type, subject_id, role, month, kpi, files if kpi_id is not None else None, checks)
        for subject_type, subject_id, role, kpi in dict.fromkeys(wanted)
    ]
    for line in told["lines"]:
        _check_line(line, told["kpis"], checks)
    told["checks"] = {"made": checks.made, "failed": checks.failed}
    return told


# --- the total and its lines -----------------------------------------------------------------------------


def _card(con: duckdb.DuckDBPyConnection, staff_id: str, month: str) -> dict[str, Any]:
    cards = _rows(
        con,
        "select * from scorecards.scorecards where subject_type = 'staff' and subject_id = ? and month = ?",
        [staff_id, month],
    )
    if cards:
        return cards[0]
    if not _rows(con, "select staff_id from core.dim_staff where staff_id = ?", [staff_id]):
        raise UserError(f"there is no employee {staff_id!r} in the data: correct STAFF")
    months = [
        row["month"]
        for row in _rows(
            con,
            "select month from scorecards.scorecards where subject_type = 'staff' and subject_id = ? "
            "order by 1",
            [staff_id],
        )
    ]
    have = f"there are {', '.join(months)}" if months else "there is none of any month"
    raise UserError(f"{staff_id} has no scorecard of {month} ({have}): choose another MONTH")


def _total(
    con: duckdb.DuckDBPyConnection,
    card: dict[str, Any],
    lines: list[dict[str, Any]],
    rooms: list[dict[str, Any]],
    month: str,
    checks: Checks,
) -> dict[str, Any]:
    """The total from its parts, the parts from their lines, and the points of the lines up to the total."""
    share = _rows(con, "select personal_share from scorecards_work.policy_by_month where month = ?", [month])[
        0
    ]["personal_share"]
    points = sum((line["points"] for line in lines if line["points"] is not None), Decimal(0))
    if card["personal_score"] is not None:
        own = _weighted(line for line in lines if line["part"] == "personal")
        checks.equal("personal score from its lines", card["personal_score"], own)
    for room in rooms:
        team = _weighted(
            line for line in lines if line["part"] == "team" and line["room_id"] == room["room_id"]
        )
        checks.equal(f"team score of room {room['room_id']} from its lines", room["team_score"], team)
    if rooms and card["team_score"] is not None:
        weighed = sum((Fraction(room["team_score"]) * int(room["share_ms"]) for room in rooms), Fraction(0))
        team = _rounded(weighed / int(rooms[0]["all_ms"]), CENT)
        checks.equal("team score from its rooms by time on duty", card["team_score"], team)
    if card["total_score"] is not None:
        own_part = Fraction(share) * Fraction(card["personal_score"])
        both = _rounded(own_part + (1 - Fraction(share)) * Fraction(card["team_score"]), CENT)
        checks.equal("total from personal and team score", card["total_score"], both)
        checks.equal("total from the points of the lines", card["total_score"], points)
    return {"personal_share": share, "points_of_lines": points}


def _weighted(lines: Iterator[dict[str, Any]]) -> Decimal:
    scored = (line for line in lines if line["line_score"] is not None)
    parts = (Fraction(line["line_score"]) * Fraction(line["effective_weight"]) for line in scored)
    return _rounded(sum(parts, Fraction(0)), CENT)


def _check_line(line: dict[str, Any], kpis: list[dict[str, Any]], checks: Checks) -> None:
    subject = line["subject_id"] if line["room_id"] is None else line["room_id"]
    of = next(kpi for kpi in kpis if (kpi["subject_id"], kpi["kpi_id"]) == (subject, line["kpi_id"]))
    where = f"line {line['part']} {line['kpi_id']}"
    where += "" if line["room_id"] is None else f" of room {line['room_id']}"
    for name in ("numerator", "denominator", "value"):
        checks.equal(f"{name} of {where}", line[name], of[name])


# --- a KPI, its measures, their sessions and rows --------------------------------------------------------


def _kpi(
    con: duckdb.DuckDBPyConnection,
    subject_type: str,
    subject_id: str,
    role: str | None,
    month: str,
    kpi_id: str,
    files: dict[int, str] | None,
    checks: Checks,
) -> dict[str, Any]:
    """One KPI of a person (over all rooms) or a room; with `files` down to the raw rows."""
    found = _rows(
        con,
        "select k.kpi_id, k.from_date, k.to_date, k.numerator, k.denominator, k.value, k.reason, "
        "r.numerator as numerator_measure, r.denominator as denominator_measure, r.factor "
        "from kpis.kpi_month as k join kpis.kpi_registry as r using (kpi_id) "
        "where k.subject_type = ? and k.subject_id = ? and k.month = ? and k.kpi_id = ? "
        "and k.role is not distinct from ? and k.room_id is not distinct from ?",
        [subject_type, subject_id, month, kpi_id, role, subject_id if subject_type == "room" else None],
    )
    nothing: dict[str, Any] = {
        "numerator": None,
        "denominator": None,
        "value": None,
        "reason": "no_base",
        "measures": [],
    }
    told: dict[str, Any] = {"subject_type": subject_type, "subject_id": subject_id, "kpi_id": kpi_id}
    if not found:
        return {**told, **nothing}
    told |= found[0]
    told["measures"] = []
    where = f"{kpi_id} of {subject_id}"
    if told["value"] is not None:
        divisor = Fraction(1 if told["denominator"] is None else told["denominator"])
        value = _rounded(Fraction(told["numerator"]) * Fraction(told["factor"]) / divisor, MILLIONTH)
        checks.equal(f"value of {where}", told["value"], value)
    if told["numerator"] is None:
        return told
    scope = Scope(subject_type, subject_id, role, told["from_date"], told["to_date"])
    evidence.prepare(con, scope)
    is_total = told["denominator_measure"] is None
    sides = [("numerator", told["numerator_measure"]), ("denominator", told["denominator_measure"])]
    for side, measure in sides:
        if measure is not None:
            told["measures"].append(
                _measure(con, scope, side, measure, month, told[side], is_total, files, checks)
            )
    return told


def _measure(
    con: duckdb.DuckDBPyConnection,
    scope: Scope,
    side: str,
    measure: str,
    month: str,
    stated: Decimal,
    is_total: bool,
    files: dict[int, str] | None,
    checks: Checks,
) -> dict[str, Any]:
    """A measure by session; a total sums shares, a ratio whole amounts, a peak is the greatest."""
    groups = evidence.groups(con, scope, measure, month)
    counted = [group.share if is_total else group.whole for group in groups]
    summed = max(counted, default=Decimal(0)) if measure == "peak_online" else sum(counted, Decimal(0))
    where = f"{measure} of {scope.subject_id}"
    checks.equal(f"{where} from its sessions", stated, summed)
    sessions = []
    for group in groups:
        checks.equal(f"share of {where} in {group.key} from its rows", group.share, group.rows_share)
        checks.equal(f"whole of {where} in {group.key} from its rows", group.whole, group.rows_whole)
        session: dict[str, Any] = {
            "session": group.key,
            "business_date": group.business_date,
            "share": group.share,
            "whole": group.whole,
            "items": group.items,
            "agrees": group.agrees,
        }
        if files is not None:
            session["rows"] = [_with_paths(item, files) for item in evidence.counted_items(con, group.key)]
        sessions.append(session)
    return {
        "side": side,
        "measure": measure,
        "sum": summed,
        "uses": "share" if is_total else "whole",
        "sessions": sessions,
    }


def _with_paths(item: dict[str, Any], files: dict[int, str]) -> dict[str, Any]:
    raw = [{"file": files[ref["file_no"]], "row": ref["row"]} for ref in item["refs"] or []]
    return {
        **{name: item[name] for name in ("begun_at", "until_at", "label", "amount", "counted")},
        "raw": raw,
    }


# --- on the terminal -------------------------------------------------------------------------------------


def _print(told: dict[str, Any]) -> None:
    card, total = told["card"], told["total"]
    share = total["personal_share"].normalize()
    print(f"{told['staff_id']} ({card['role']}), {told['month']}: {card['status']}")
    if card["total_score"] is not None:
        print(
            f"total {card['total_score']} = {share:f} × personal {card['personal_score']} "
            f"+ {1 - share:f} × team {card['team_score']}; grade {card['grade']}, rank {card['rank_in_role']}"
        )
    if told["sealed"] is not None and told["sealed"] != str(card["total_score"]):
        print(
            f"sealed with {told['sealed'] or 'no total'}; today's data give the above (see the adjustments)"
        )
    for room in told["rooms"]:
        part = Decimal(int(room["share_ms"])) / int(room["all_ms"])
        print(f"  team part: room {room['room_id']} {room['team_score']}, {part:.4f} of the time on duty")
    print()
    columns = (
        "part",
        "room_id",
        "kpi_id",
        "value",
        "floor",
        "target",
        "stretch",
        "line_score",
        "effective_weight",
        "points",
        "reason",
    )
    print(as_table(columns, [[line[name] for name in columns] for line in told["lines"]]))
    print(f"points of all lines add up to {total['points_of_lines']}")
    for kpi in told["kpis"]:
        _print_kpi(kpi)
    print()
    checks = told["checks"]
    for line in checks["failed"]:
        print(f"does not agree: {line}")
    agreed = checks["made"] - len(checks["failed"])
    print(f"sums: {agreed} of {checks['made']} agree" + ("" if checks["failed"] else ", at every step"))


def _print_kpi(kpi: dict[str, Any]) -> None:
    whose = f"{'room ' if kpi['subject_type'] == 'room' else ''}{kpi['subject_id']}"
    print(
        f"\n{kpi['kpi_id']} of {whose}: "
        f"{'null, ' + str(kpi['reason']) if kpi['value'] is None else kpi['value']}"
    )
    if not kpi["measures"]:
        return
    over = f" / {kpi['denominator_measure']} {kpi['denominator']}" if kpi["denominator"] is not None else ""
    times = f" × {kpi['factor'].normalize():f}" if kpi["factor"] != 1 else ""
    print(
        f"  = {kpi['numerator_measure']} {kpi['numerator']}{over}{times}, business dates "
        f"{kpi['from_date']} to {kpi['to_date']}"
    )
    for measure in kpi["measures"]:
        sessions = measure["sessions"]
        print(
            f"  {measure['side']} {measure['measure']}: {measure['sum']} ({measure['uses']}) in "
            f"{len(sessions)} sessions"
        )
        columns = ("session", "business_date", "share", "whole", "items", "agrees")
        rows = [
            [
                "yes" if session[name] is True else "NO" if session[name] is False else session[name]
                for name in columns
            ]
            for session in sessions
        ]
        if sessions:
            print(_indented(as_table(columns, rows)))
        for session in sessions:
            _print_rows(session)


def _print_rows(session: dict[str, Any]) -> None:
    rows = session.get("rows")
    if not rows:
        return
    print(f"    rows of {session['session']}:")
    shown = [
        [
            item["begun_at"],
            item["label"],
            item["amount"],
            ", ".join(f"{ref['file']}:{ref['row']}" for ref in item["raw"]),
        ]
        for item in rows[:ITEMS_SHOWN]
    ]
    for at, label, amount, where in shown:
        print(f"      {as_table(('',), [[label]]).strip()}  {amount.normalize():f}  at {at}  {where}")
    if len(rows) > ITEMS_SHOWN:
        print(f"      and {len(rows) - ITEMS_SHOWN} more (FORMAT=json has every row)")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _sealed_total(settings: Settings, month: str, staff_id: str) -> str | None:
    """The total a sealed month has; empty where it has none, None where the month is open."""
    sealed = seals.sealed_month(settings, month)
    if sealed is None:
        return None
    for card in sealed.figures()["scorecards"]:
        if (card["subject_type"], card["subject_id"]) == ("staff", staff_id):
            return card["total_score"] or ""
    return ""


def _rounded(value: Fraction, step: Decimal) -> Decimal:
    """Half away from zero, as the warehouse rounds; the exact value comes as a fraction."""
    steps = abs(value) / Fraction(step)
    whole = (2 * steps.numerator + steps.denominator) // (2 * steps.denominator)
    return (-whole if value < 0 else whole) * step


def _rows(con: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> list[dict[str, Any]]:
    cursor = con.execute(sql, values)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
