"""The pages of the scorecard folder: what each template is given, and what a browser may run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from dagster_project.reports import charts, figures, wording
from dagster_project.reports.policy_in_force import PolicyInForce
from dagster_project.reports.published import Card, Duty, Line, Month, Row, month_before
from dagster_project.reports.safe_text import file_stem, isolated, page_link
from dagster_project.reports.walk import ZERO, Story, story_of

TEMPLATES = Path(__file__).parent / "templates"
ROLES_IN_ORDER = ("host", "operations", "floor_control", "customer_service", "technical")
# How many months the trend of a total shows.
TREND_MONTHS = 6


class _CompiledHere(BytecodeCache):
    """Templates as this process compiled them, for every folder that it writes; Jinja holds each against its file's text."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _CompiledHere()


def page_environment(currency: str) -> Environment:
    """Jinja with autoescape everywhere and the words, figures and places that the templates use."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=_COMPILED,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "switch.js").read_text(encoding="utf-8")
    environment.globals.update(
        style=Markup(style),
        script=Markup(script),
        content_security_policy=content_security_policy(style, script),
        both=wording.both,
        either=wording.either,
        role_name=partial(wording.named, wording.ROLES),
        stage_name=partial(wording.named, wording.STAGES),
        category_name=partial(wording.named, wording.CATEGORY_NAMES),
        part_name=partial(wording.named, wording.PARTS),
        reason_words=partial(wording.named, wording.REASONS),
        reason_name=partial(wording.named, wording.REASON_NAMES),
        award_name=partial(wording.named, wording.AWARDS),
        verdict_name=partial(wording.named, wording.VERDICTS),
        option_name=partial(wording.named, wording.OPTIONS),
        severity_name=partial(wording.named, wording.SEVERITIES),
        kpi_name=lambda kpi: wording.either(kpi.name_zh, kpi.name_en),
        month_name=lambda month: wording.either(*wording.month_words(month)),
        month_zh=lambda month: wording.month_words(month)[0],
        month_en=lambda month: wording.month_words(month)[1],
        nav_label="页面 / Pages",
        bdi=lambda text: Markup(f"<bdi>{escape(text)}</bdi>"),
        isolated=isolated,
        number=figures.number,
        percent=figures.percent,
        money=lambda value: figures.money(value, currency),
        measured=lambda value, kpi: figures.measured(value, kpi.unit, currency),
        plain=_plain,
        hours=hours,
        page_link=page_link,
        bullet=charts.bullet,
        score_at=charts.score_at,
        share_at=charts.share_at,
    )
    environment.filters["payout_of"] = payout
    return environment


def content_security_policy(style: str, script: str) -> str:
    """Nothing may load; the one style sheet and the one script run because of their digests."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def scorecard_pages(month: Month, policy: PolicyInForce, provisional: bool) -> dict[str, str]:
    """Every page by its path in the folder."""
    environment = page_environment(month.currency)
    stories = {(card.subject_type, card.subject_id): story_of(card, month, policy) for card in month.cards}
    shared: dict[str, Any] = {
        "month": month,
        "policy": policy,
        "provisional": provisional,
        "data_through": month.data_through if provisional else None,
        "team_share": 1 - policy.rule("personal_share"),
        "marks": grade_marks(policy),
        "rules": wording.rules_in_words(
            policy.rules,
            [(grade.grade, grade.min_score, grade.coefficient) for grade in policy.grades],
            figures.CURRENCY_SIGNS.get(month.currency, f"{month.currency} "),
        ),
        "change": partial(_change, month.currency),
        "evidence_of": partial(evidence_of, month),
    }
    render = partial(_render, environment, shared)
    pages = {
        "index.html": render("index.html.j2", **_overview(month)),
        "managers.html": render("managers.html.j2", **_reviews(month)),
    }
    for card in month.people():
        story = stories["staff", card.subject_id]
        pages[file_path("staff", card.subject_id)] = render("person.html.j2", **_person(month, policy, story))
    for card in month.room_cards():
        story = stories["room", card.subject_id]
        pages[file_path("rooms", card.subject_id)] = render("room.html.j2", **_room(month, policy, story))
    return pages


def file_path(folder: str, identifier: str) -> str:
    """Where a subject's page lies in the folder."""
    return f"{folder}/{file_stem(identifier)}.html"


def grade_marks(policy: PolicyInForce) -> list[dict[str, Any]]:
    """The grade table's borders on the score scale."""
    return [
        {"at": charts.score_at(grade.min_score), "label": f"{grade.grade} {figures.number(grade.min_score)}"}
        for grade in policy.grades
        if grade.min_score
    ]


def hours(milliseconds: int) -> str:
    return figures.number(Decimal(milliseconds) / 3_600_000, 1) + "\u00a0h"


def payout(card: Card) -> Decimal:
    """What a person's month comes to: performance pay, bonus and awards, missing ones as nothing."""
    return sum(
        (part or ZERO for part in (card.performance_pay, card.overachievement_bonus, card.awards_amount)),
        ZERO,
    )


def people_on_duty(month: Month, room_id: str) -> list[tuple[Card, Duty]]:
    """Scored people with duty in the room in their own role, longest first, each with that duty."""
    found = [
        (card, month.duty[card.subject_id, room_id])
        for card in month.people()
        if (card.subject_id, room_id) in month.duty
    ]
    return sorted(found, key=lambda pair: (-pair[1].duty_ms, pair[0].subject_id))


def _render(environment: Environment, shared: dict[str, Any], template: str, **context: Any) -> str:
    return environment.get_template(template).render(**shared, **context)


def _overview(month: Month) -> dict[str, Any]:
    people = month.people()
    by_role = [
        (role, sorted((card for card in people if card.role == role), key=_ranked))
        for role in [*ROLES_IN_ORDER, *sorted({card.role or "" for card in people} - set(ROLES_IN_ORDER))]
    ]
    suites: dict[str, list[Row]] = defaultdict(list)
    for check in month.checks:
        suites[check["suite"]].append(check)
    return {
        "people": people,
        "by_role": [(role, cards) for role, cards in by_role if cards],
        "room_cards": sorted(month.room_cards(), key=_ranked),
        "payout": payout,
        "sum_of": _sum_of,
        "mix": _grade_mix(people),
        "suites": sorted(suites.items()),
        "pool_rooms": _pools_by_room(month),
        "pool_amounts": {room_id: rows[0]["pool_amount"] for room_id, rows in _pools_by_room(month)},
        "gmv_sum": _gmv_sum(month, "gmv", "value"),
        "target_sum": _gmv_sum(month, "gmv_target_attainment", "denominator"),
        "award_groups": _award_groups(month.awards),
        "before": partial(_previous_card, month),
    }


def _reviews(month: Month) -> dict[str, Any]:
    reviews = [
        {
            **row,
            "options_listed": [
                option.strip()
                for option in (row["options"] or "").replace(";", ",").split(",")
                if option.strip()
            ],
        }
        for row in month.reviews
    ]
    return {"reviews": reviews, "adjustments": [_adjustment(month, row) for row in month.adjustments]}


def _person(month: Month, policy: PolicyInForce, story: Story) -> dict[str, Any]:
    card = story.card
    in_role = [one for one in month.people() if one.role == card.role and one.status == "scored"]
    base, base_is_exact = pay_base(card, month.days)
    return {
        **_subject(month, policy, story),
        "card": card,
        "name": month.staff_name(card.subject_id),
        "home": month.staff.get(card.subject_id, {}).get("room_id"),
        "ranked_people": len(in_role),
        "base": base,
        "base_is_exact": base_is_exact,
        "pool_rows": [row for row in month.pools if row["staff_id"] == card.subject_id],
        "award_rows": [row for row in month.awards if row["staff_id"] == card.subject_id],
        "payout": payout(card),
    }


def _room(month: Month, policy: PolicyInForce, story: Story) -> dict[str, Any]:
    card = story.card
    duty = people_on_duty(month, card.subject_id)
    pools = [row for row in month.pools if row["room_id"] == card.subject_id]
    return {
        **_subject(month, policy, story),
        "card": card,
        "name": month.room_name(card.subject_id),
        "room": month.rooms.get(card.subject_id, {}),
        "on_duty": duty,
        "pool_roles": _pool_roles(month, policy, card.subject_id, pools),
        "pool": pools[0] if pools else None,
        "award_groups": _award_groups([row for row in month.awards if row["room_id"] == card.subject_id]),
        "gmv": month.gmv.get(card.subject_id, {}),
        "ranked_rooms": len([one for one in month.room_cards() if one.status == "scored"]),
    }


def _subject(month: Month, policy: PolicyInForce, story: Story) -> dict[str, Any]:
    """What a person's and a room's page have in common."""
    key = (story.card.subject_type, story.card.subject_id)
    segments, start = [], ZERO
    for category, points in story.by_category():
        width = charts.score_at(start + points) - charts.score_at(start)
        segments.append(
            {
                "category": category,
                "points": points,
                "start": charts.score_at(start),
                "width": round(width, 2),
            }
        )
        start += points
    history = month.history.get(key, [])[-TREND_MONTHS:]
    columns = [
        {
            "month": row["month"],
            "grade": row["grade"],
            "label": figures.number(row["total_score"], 1),
            "height": None
            if row["total_score"] is None
            else max(float(round(row["total_score"] / 125 * 66, 1)), 1.0),
        }
        for row in history
    ]
    return {
        "story": story,
        "segments": segments,
        "columns": columns,
        "pass_at": float(policy.rule("pass_score") / 125 * 66),
        "previous": _previous_card(month, story.card),
        "adjustment_rows": [
            _adjustment(month, row)
            for row in month.adjustments
            if (row["subject_type"], row["subject_id"]) == key
        ],
    }


def pay_base(card: Card, days: int) -> tuple[Decimal | None, bool]:
    """The monthly base and whether it is as stored; else it is worked back from the pay, good to a cent."""
    if card.performance_pay_base is not None:
        return card.performance_pay_base, True
    if not card.performance_pay or not card.eligible_days or not card.coefficient:
        return None, False
    worked_back = card.performance_pay * days / (card.eligible_days * card.coefficient)
    return figures.rounded_to(worked_back, 2), False


def evidence_of(month: Month, text: str) -> list[tuple[str, str, str]]:
    """An award's evidence as (zh, en, figure); text that is no JSON object is one figure without words."""
    try:
        evidence = json.loads(text, parse_float=Decimal)
    except ValueError:
        return [("", "", text)]
    if not isinstance(evidence, dict):
        return [("", "", text)]
    kpi = month.kpis.get(str(evidence.get("kpi_id")))
    found = []
    for key, value in evidence.items():
        if value is None:
            continue
        zh, en = wording.words_for(wording.EVIDENCE, key)
        if isinstance(value, dict):
            number = Decimal(value["value"]) if value.get("value") is not None else None
            unit = kpi.unit if kpi else "count"
            shown = figures.measured(number, unit, month.currency)
            if value.get("denominator") is not None:
                shown += f" ({_grouped(value.get('numerator'))} ÷ {_grouped(value['denominator'])})"
            found.append((zh, en, shown))
        elif key == "kpi_id" and kpi:
            found.append((kpi.name_zh, kpi.name_en, kpi.kpi_id))
        elif key == "duty_seconds":
            found.append((zh, en, hours(int(value) * 1000)))
        elif key == "test" and value in wording.TESTS:
            found.append((zh, en, wording.named(wording.TESTS, value)))
        elif key == "p_value" and _decimal(value) == 0:
            found.append((zh, en, "< 0.000001"))
        else:
            found.append((zh, en, str(value)))
    return found


def _grouped(amount: object) -> str:
    """1234.50 → '1,234.50', digits as they are stored; text that is no number stays itself."""
    number = _decimal(amount)
    return str(amount) if number is None else f"{number:,f}"


def _decimal(amount: object) -> Decimal | None:
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _adjustment(month: Month, row: Row) -> Row:
    """An adjustment with its item named: a KPI, or a field of the card."""
    kpi = month.kpis.get(row["item"])
    words = (kpi.name_zh, kpi.name_en) if kpi else wording.words_for(wording.ITEMS, row["item"])
    return {**row, "words": words}


def _previous_card(month: Month, card: Card) -> Row | None:
    """The subject's card of the calendar month before, if there is one with a total."""
    rows = month.history.get((card.subject_type, card.subject_id), [])
    return next(
        (row for row in rows if row["month"] == month_before(month.month) and row["total_score"] is not None),
        None,
    )


def _change(currency: str, line: Line) -> Markup:
    """The step from last month, coloured and worded as better or worse."""
    text = figures.change(line.value, line.previous, line.kpi.unit, currency)
    if line.value is None or line.previous is None or line.value == line.previous:
        return Markup('<span class="soft">{}</span>').format(text)
    better = (line.value > line.previous) == (line.kpi.direction == "up")
    arrow = "▲" if line.value > line.previous else "▼"
    words = wording.either("变好", "better") if better else wording.either("变差", "worse")
    return Markup('<span class="{}">{} {}<small>{}</small></span>').format(
        "good" if better else "bad", arrow, text, words
    )


def _plain(value: object) -> str:
    """A sealed or present item: a number without trailing zeros, or the text it is."""
    if isinstance(value, Decimal):
        exponent = value.normalize().as_tuple().exponent
        return figures.number(value, max(-exponent if isinstance(exponent, int) else 0, 2))
    return figures.NOTHING if value is None else str(value)


def _gmv_sum(month: Month, kpi_id: str, field: str) -> Decimal:
    rows = [month.gmv.get(card.subject_id, {}).get(kpi_id, {}) for card in month.room_cards()]
    return sum((row.get(field) or ZERO for row in rows), ZERO)


def _ranked(card: Card) -> tuple:
    return (card.rank_in_role is None, card.rank_in_role or 0, -(card.total_score or ZERO), card.subject_id)


def _sum_of(cards: list[Card], field: str) -> Decimal:
    return sum((getattr(card, field) or ZERO for card in cards), ZERO)


def _grade_mix(people: list[Card]) -> list[dict[str, Any]]:
    counts: dict[str, int] = defaultdict(int)
    for card in people:
        counts[card.grade or "none"] += 1
    order = sorted(counts, key=lambda grade: "SABCD".find(grade) if grade in "SABCD" else 9)
    steps, start = [], 0
    for grade in order:
        at = round(start * charts.WIDTH / len(people), 2)
        start += counts[grade]
        end = round(start * charts.WIDTH / len(people), 2)
        steps.append({"grade": grade, "count": counts[grade], "start": at, "width": round(end - at, 2)})
    return steps


def _pools_by_room(month: Month) -> list[tuple[str, list[Row]]]:
    rooms: dict[str, list[Row]] = defaultdict(list)
    for row in month.pools:
        rooms[row["room_id"]].append(row)
    return sorted(rooms.items())


def _pool_roles(month: Month, policy: PolicyInForce, room_id: str, pools: list[Row]) -> list[dict[str, Any]]:
    """The pool's cut by role: share by policy, what the role got, each person's basis (total × time)."""
    totals = {card.subject_id: card.total_score for card in month.people()}
    roles = []
    for role in ROLES_IN_ORDER:
        members = []
        for row in [one for one in pools if one["role"] == role]:
            key = (row["staff_id"], room_id)
            duty = month.duty.get(key)
            if role == "customer_service":
                amount, shown = month.answered.get(key), figures.number(month.answered.get(key))
            else:
                amount = Decimal(duty.duty_ms) / 1000 if duty else None
                shown = hours(duty.duty_ms) if duty else figures.NOTHING
            total = totals.get(row["staff_id"])
            basis = None if amount is None or total is None else total * amount
            members.append({**row, "total": total, "time": shown, "basis": basis})
        if members:
            basis_sum = sum((member["basis"] or ZERO for member in members), ZERO)
            roles.append(
                {
                    "role": role,
                    "share": policy.rule(f"pool_share_{role}"),
                    "amount": sum((member["amount"] for member in members), ZERO),
                    "members": members,
                    "basis": basis_sum,
                }
            )
    return roles


def _award_groups(awards: list[Row]) -> list[dict[str, Any]]:
    """Awards one by one, each with the people who share it, in the order of the rows."""
    groups: dict[tuple, dict[str, Any]] = {}
    for row in awards:
        key = (row["award"], row["room_id"], row["nomination_id"])
        group = groups.setdefault(key, {**row, "members": []})
        group["members"].append(row)
    for group in groups.values():
        group["amount"] = sum((member["amount"] or ZERO for member in group["members"]), ZERO)
    return list(groups.values())
