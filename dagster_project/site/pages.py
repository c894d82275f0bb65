"""The pages of the review site: what each template is given, and what a browser may run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import ChoiceLoader, Environment, FileSystemLoader
from markupsafe import Markup, escape

from dagster_project.reports import figures, wording
from dagster_project.reports.charts import share_at
from dagster_project.reports.pages import ROLES_IN_ORDER, content_security_policy, file_path, page_environment
from dagster_project.reports.policy_in_force import PolicyInForce
from dagster_project.reports.published import days_in, month_before
from dagster_project.reports.safe_text import page_link
from dagster_project.site import plots, words
from dagster_project.site.marts import INSIGHT_ROWS, Insight, Row, SiteMonth

TEMPLATES = Path(__file__).parent / "templates"
# (file, zh, en) in the order of the menu.
MENU = (
    ("index.html", "总览", "Overview"),
    ("sessions.html", "场次复盘", "Sessions"),
    ("audience.html", "人", "Audience"),
    ("products.html", "货", "Products"),
    ("scenes.html", "场", "Scenes"),
    ("funnel.html", "漏斗", "Funnel"),
    ("staff.html", "团队", "People"),
    ("insights.html", "洞察", "Insights"),
    ("checks.html", "数据质量", "Data quality"),
    ("kpis.html", "指标词典", "KPI dictionary"),
)
ENGAGEMENT = ("chats", "likes", "follows", "shares", "gifts")
MONTHS_SHOWN = 6
# Insights of which a few rows stand on the page of their subject too; each has a page of its own.
BESIDE = {
    "index.html": ("leading_indicators", "watch_time_diagnosis"),
    "audience.html": ("audience_segments", "mix_shift"),
    "products.html": ("product_actions",),
    "scenes.html": ("scene_highlights", "mode_summary"),
    "staff.html": ("fair_comparison",),
}
ROWS_BESIDE = 12


@dataclass(frozen=True)
class Tile:
    """A KPI of a subject: its row of the month, the value before, the months before and the days' curve."""

    kpi: Row
    now: Row
    previous: Decimal | None
    months: list[tuple[str, Decimal | None]]
    curve: plots.Curve | None

    @property
    def value(self) -> Decimal | None:
        return self.now.get("value")

    @property
    def turn(self) -> str:
        """good, bad or even: the step from last month, in the KPI's own direction."""
        if self.value is None or self.previous is None or self.value == self.previous:
            return "even"
        return "good" if (self.value > self.previous) == (self.kpi["direction"] == "up") else "bad"


def site_environment(currency: str) -> Environment:
    """The environment of the reports with the site's templates, style and script in front."""
    environment = page_environment(currency)
    reports = environment.loader
    assert reports is not None
    environment.auto_reload = False
    environment.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), reports])
    style = str(environment.globals["style"]) + (TEMPLATES / "site.css").read_text(encoding="utf-8")
    script = str(environment.globals["script"]) + (TEMPLATES / "site.js").read_text(encoding="utf-8")
    environment.globals.update(
        style=Markup(style),
        script=Markup(script),
        content_security_policy=content_security_policy(style, script),
        menu=MENU,
        nav_label="页面 / Pages",
        named=lambda table, code: wording.named(getattr(words, table), code),
        pair=lambda table, code: wording.words_for(getattr(words, table), code),
        change=lambda now, before, unit: figures.change(now, before, unit, currency),
        value_of=lambda value, unit: figures.measured(value, unit, currency),
        share=lambda part, whole, places=1: figures.percent(_ratio(part, whole), places),
        ratio=_ratio,
        month_short=lambda month: wording.either(f"{int(month[5:])}月", wording.month_words(month)[1][:3]),
        share_at=lambda part, whole: share_at(Decimal(part or 0), Decimal(whole or 0)),
        minutes=lambda seconds: figures.number(Decimal(seconds or 0) / 60, 1),
        hours_of=lambda seconds: figures.number(Decimal(seconds or 0) / 3600, 1) + "\u00a0h",
        category_name=partial(wording.named, wording.CATEGORY_NAMES),
    )
    return environment


class SitePages:
    """The pages of a month's site, each made when it is asked for.

    weights: KPI → the roles it has weight for; scorecards_href: their folder.
    """

    def __init__(self, month: SiteMonth, policy: PolicyInForce, weights: dict[str, list[str]], scorecards_href: str | None):
        self.month = month
        self.policy = policy
        self.weights = weights
        self.scorecards_href = scorecards_href
        self._environment = site_environment(month.currency)
        self._sessions = {session["session_id"]: session for session in month.sessions}
        self._around = neighbours(month)
        self._shared: dict[str, Any] = {
            "month": month,
            "before": month_before(month.month),
            "provisional": is_provisional(month),
            "data_through": month.data_through,
            "scorecards_href": scorecards_href,
            "insight_table": partial(insight_table, month),
            "insight_title": insight_title,
            "insight_rows": INSIGHT_ROWS,
            "sentences": words.SENTENCES,
            "sessions_of": _by(month.sessions, "room_id"),
            "local": partial(local, month),
        }

    def of_session(self, session_id: str, files: Sequence[Row], lines: Sequence[Row]) -> str:
        """A session's page, of its minutes in month.scenes. files, lines: the raw rows behind it, as RawRows has them."""
        return self._render(
            session_page(session_id),
            "session.html.j2",
            **_session(self.month, self._sessions[session_id]),
            around=self._around[session_id],
            raw=(files, lines),
            # A page that tells of the whole month's data would change every night.
            data_through=None,
        )

    def others(self) -> Iterator[tuple[str, str]]:
        """(path, page) of every page but those of sessions."""
        month = self.month
        for page, template, context in (
            ("index.html", "overview.html.j2", _overview(month)),
            ("sessions.html", "sessions.html.j2", _sessions(month)),
            ("audience.html", "audience.html.j2", _audience(month, self.policy)),
            ("products.html", "products.html.j2", _products(month)),
            ("scenes.html", "scenes.html.j2", {"sums": _sums}),
            ("funnel.html", "funnel.html.j2", _funnel(month)),
            ("staff.html", "staff.html.j2", _staff(month)),
            ("insights.html", "insights.html.j2", {"questions": _questions(month)}),
            ("checks.html", "checks.html.j2", _checks(month)),
            ("kpis.html", "kpis.html.j2", dictionary(month.registry, self.weights)),
        ):
            yield page, self._render(page, template, **context)
        for name, insight in month.insights.items():
            page = file_path("insights", name)
            yield page, self._render(page, "insight.html.j2", insight=insight)
        online = {session_id: plots.sparkline(peaks) for session_id, peaks in month.online.items()}
        for room_id in month.rooms:
            if self._shared["sessions_of"].get(room_id):
                page = file_path("rooms", room_id)
                yield page, self._render(page, "room.html.j2", **_room(month, room_id), online=online)
        for product_id, rows in month.product_sessions.items():
            page = file_path("products", product_id)
            yield page, self._render(page, "product.html.j2", **_product(month, product_id, rows))
        on_duty = _sessions_on_duty(month)
        for role, people in _people_by_role(month):
            for staff_id in people:
                page = file_path("staff", staff_id)
                yield page, self._render(page, "staff_member.html.j2", **_person(month, role, staff_id, on_duty))

    def _render(self, page: str, template: str, **context: Any) -> str:
        beside = [
            (self.month.insights[name], most_telling(self.month.insights[name]))
            for name in BESIDE.get(page, ())
            if name in self.month.insights and self.month.insights[name].rows
        ]
        return self._environment.get_template(template).render(
            **{**self._shared, "page": page, "beside": beside, "root": "../" * page.count("/"), **context}
        )


def session_page(session_id: str) -> str:
    """The path of a session's page in the site's folder."""
    return file_path("sessions", session_id)


def is_provisional(month: SiteMonth) -> bool:
    """Whether the data ends before the month does."""
    last_day = date(int(month.month[:4]), int(month.month[5:]), days_in(month.month))
    return month.data_through is not None and month.data_through < last_day


# --- one page each ---------------------------------------------------------------------------------------


def _overview(month: SiteMonth) -> dict[str, Any]:
    rooms = [room_id for room_id in month.rooms if (room_id, "gmv") in month.kpi_months]
    return {
        "pyramid": pyramid(month, None),
        "totals": {kpi_id: tile(month, None, kpi_id) for kpi_id in month.registry},
        "rooms": [(room_id, {kpi_id: tile(month, room_id, kpi_id) for kpi_id in month.registry}) for room_id in rooms],
        "pace": _pace(month, None),
        "latest": month.sessions[-8:][::-1],
        "days": days_in(month.month),
    }


def _room(month: SiteMonth, room_id: str) -> dict[str, Any]:
    sessions = [session for session in month.sessions if session["room_id"] == room_id]
    return {
        "room_id": room_id,
        "room": month.rooms[room_id],
        "pyramid": pyramid(month, room_id),
        "totals": {kpi_id: tile(month, room_id, kpi_id) for kpi_id in month.registry},
        "pace": _pace(month, room_id),
        "days": days_in(month.month),
        "sessions": sessions,
        "phases": [row for row in month.phases if row["room_id"] == room_id],
        "sums": _sums,
        "hosts_of": partial(_hosts, month),
    }


def _sessions(month: SiteMonth) -> dict[str, Any]:
    return {
        "sums": _sums,
        "hosts_of": partial(_hosts, month),
        "online": {session_id: plots.sparkline(peaks) for session_id, peaks in month.online.items()},
    }


def _session(month: SiteMonth, session: Row) -> dict[str, Any]:
    session_id = session["session_id"]
    scenes = month.scenes.get(session_id, [])
    zone = ZoneInfo(month.rooms[session["room_id"]]["timezone"])
    before = month.before(session)
    segment = partial(_segment_label, month, {row["segment_id"]: row["product_id"] for row in scenes})
    engagement = [sum(row[name] for name in ENGAGEMENT) for row in scenes]
    stalled = [float(_ratio(row["stall_ms"], row["stall_ms"] + row["play_ms"]) or 0) * 100 for row in scenes]
    compared = []
    for kpi_id, kpi in month.registry.items():
        if kpi_id in session["kpis"]:
            now = session["kpis"][kpi_id]
            compared.append((kpi, now, plots.dots(now, [other["kpis"][kpi_id] for other in before])))
    return {
        "session": session,
        "room": month.rooms[session["room_id"]],
        "zone": zone,
        "panels": [
            (
                "traffic",
                "在线人数",
                "Viewers online",
                "人",
                "viewers",
                plots.area([row["peak_online"] for row in scenes]),
                5,
            ),
            ("engagement", "互动次数", "Engagement", "次", "actions", plots.bars(engagement), None),
            (
                "conversion",
                "商品点击",
                "Product clicks",
                "次",
                "clicks",
                plots.bars([row["clicks"] for row in scenes]),
                None,
            ),
            (
                "retention",
                "成交订单",
                "Orders paid",
                "单",
                "orders",
                plots.bars([row["orders_paid"] for row in scenes]),
                None,
            ),
            ("technical", "卡顿占比", "Stalled", "%", "%", plots.bars(stalled), None),
        ],
        "phases": plots.stretches([(row["phase"], row["phase"]) for row in scenes], lambda _, code: code),
        "run_sheet": plots.stretches(
            [(row["segment_id"], row["segment_type"]) if row["segment_id"] else None for row in scenes],
            segment,
        ),
        "on_duty": _on_duty(month, session),
        "alerts": _alerts(month, session, len(scenes)),
        "marks": [
            (
                at,
                f"{scenes[minute]['minute_at'].replace(tzinfo=ZoneInfo('UTC')).astimezone(zone):%H:%M}",
                minute,
            )
            for at, minute in plots.hour_marks(len(scenes))
        ]
        if scenes
        else [],
        "minute_rows": _minute_rows(month, scenes, zone, engagement, stalled),
        "minute_count": len(scenes),
        "compared": [(level, [one for one in compared if one[0]["level"] == level]) for level in words.LEVELS],
        "before_count": len(before),
        "products": sorted(
            month.sold.get(session_id, []),
            key=lambda row: (-(row["gmv"] or 0), -(row["exposures"] or 0), row["product_id"]),
        ),
        "segments": _segment_sums(month, scenes),
        "sums": _sums,
        "told": [
            (name, month.told.get((name, session_id), []))
            for name, insight in month.insights.items()
            if "session_id" in insight.columns and name not in ("session_review", *words.SUPPORTING)
        ],
        "review": _review(month, session_id),
    }


def _audience(month: SiteMonth, policy: PolicyInForce) -> dict[str, Any]:
    cuts = []
    for cut in words.CUTS:
        now = [row for row in month.audience if row["cut"] == cut and row["month"] == month.month]
        earlier = {row["label"]: row for row in month.audience if row["cut"] == cut and row["month"] != month.month}
        if cut == "tier":
            order = ("none", "low", "mid", "high")
            now.sort(key=lambda row: order.index(row["label"]) if row["label"] in order else 9)
        if now:
            cuts.append((cut, now, earlier, sum(row["viewers"] for row in earlier.values())))
    return {
        "cuts": cuts,
        "sums": _sums,
        "tier_low": policy.rules.get("spend_tier_low"),
        "tier_high": policy.rules.get("spend_tier_high"),
    }


def _products(month: SiteMonth) -> dict[str, Any]:
    insight = month.insights.get("product_actions")
    actions = {(row.get("product_id"), row.get("room_id")): row for row in insight.rows} if insight else {}
    return {"sums": _sums, "actions": actions}


def _product(month: SiteMonth, product_id: str, rows: list[Row]) -> dict[str, Any]:
    sessions = {session["session_id"]: session for session in month.sessions}
    totals = [row for row in month.product_months if row["product_id"] == product_id]
    steps = ("exposed_viewers", "click_viewers", "cart_viewers", "order_viewers", "buyers")
    return {
        "product_id": product_id,
        "product": month.products.get(product_id, {}),
        "rows": [(row, sessions[row["session_id"]]) for row in rows],
        "totals": totals,
        "sums": _sums,
        "steps": [(step, sum(row[step] or 0 for row in totals)) for step in steps],
    }


def _funnel(month: SiteMonth) -> dict[str, Any]:
    steps = ("viewers", "exposed_viewers", "click_viewers", "order_viewers", "buyers")

    def counted(chosen: Sequence[Row]) -> list[int]:
        return [sum(row[step] for row in chosen) for step in steps]

    def both_months(keep: Any) -> tuple[list[int], list[int]]:
        chosen = [row for row in month.funnels if keep(row)]
        return (
            counted([row for row in chosen if row["month"] == month.month]),
            counted([row for row in chosen if row["month"] != month.month]),
        )

    scopes: list[tuple[str, str | None, list[int], list[int]]] = [
        ("all", None, *both_months(lambda row: True)),
        ("new", None, *both_months(lambda row: row["is_new"])),
        ("returning", None, *both_months(lambda row: not row["is_new"])),
    ]
    for room_id in month.rooms:
        scopes.append(("room", room_id, *both_months(lambda row, room_id=room_id: row["room_id"] == room_id)))
    return {"scopes": [scope for scope in scopes if scope[2][0]], "sums": _sums}


def _staff(month: SiteMonth) -> dict[str, Any]:
    return {
        "roles": [
            (
                role,
                [month.registry[kpi_id] for kpi_id in month.role_kpis.get(role, ())],
                [
                    (
                        staff_id,
                        {kpi_id: person_tile(month, staff_id, kpi_id) for kpi_id in month.role_kpis.get(role, ())},
                    )
                    for staff_id in people
                ],
            )
            for role, people in _people_by_role(month)
        ],
        "staff_link": partial(_scorecard_link, "staff"),
    }


def _person(month: SiteMonth, role: str, staff_id: str, on_duty: dict[str, list[tuple[Row, Decimal]]]) -> dict[str, Any]:
    named = month.role_kpis.get(role, [])
    others = [kpi_id for kpi_id in month.registry if kpi_id not in named]
    return {
        "staff_id": staff_id,
        "person": month.staff[staff_id],
        "tiles": [person_tile(month, staff_id, kpi_id) for kpi_id in named],
        "others": [one for kpi_id in others if (one := person_tile(month, staff_id, kpi_id)).value is not None],
        "duty": on_duty.get(staff_id, []),
        "sums": _sums,
        "staff_link": partial(_scorecard_link, "staff"),
    }


def _checks(month: SiteMonth) -> dict[str, Any]:
    return {
        "suites": sorted(_by(month.checks, "suite").items()),
        "sums": _sums,
        "credit": partial(_credit, month.currency),
        "exports": sorted(_by(month.files, "export").items()),
    }


def _credit(currency: str, measure: str, amount: Decimal) -> str:
    """An amount of a measure with its unit; a share of a count keeps two places only where it has a rest."""
    if measure in ("gmv", "net_gmv"):
        return figures.money(amount, currency)
    text = figures.number(amount, 0 if amount == amount.to_integral_value() else 2)
    return text + "\u00a0s" if measure.endswith("_seconds") else text


def dictionary(registry: dict[str, Row], weights: dict[str, list[str]]) -> dict[str, Any]:
    """The KPI dictionary's context: the registry by category, and the roles each KPI has weight for."""
    return {"categories": list(_by(list(registry.values()), "category").items()), "weights": weights}


# --- what several pages show ------------------------------------------------------------------------------


def tile(month: SiteMonth, room_id: str | None, kpi_id: str) -> Tile:
    """A KPI of a room, or of all rooms together."""
    rows = month.kpi_months.get((room_id, kpi_id), {})
    days = month.kpi_days.get((room_id, kpi_id), [])
    return Tile(
        month.registry[kpi_id],
        rows.get(month.month, {}),
        rows.get(month_before(month.month), {}).get("value"),
        [(name, row["value"]) for name, row in sorted(rows.items()) if name < month.month][-MONTHS_SHOWN:],
        plots.sparkline([value for _, value in days]),
    )


def person_tile(month: SiteMonth, staff_id: str, kpi_id: str) -> Tile:
    """A KPI of a person over all rooms; its curve is by month."""
    rows = month.person_months.get((staff_id, kpi_id), {})
    months = [(name, row["value"]) for name, row in sorted(rows.items())][-MONTHS_SHOWN:]
    return Tile(
        month.registry[kpi_id],
        rows.get(month.month, {}),
        rows.get(month_before(month.month), {}).get("value"),
        [one for one in months if one[0] < month.month],
        plots.sparkline([None if value is None else float(value) for _, value in months]),
    )


def pyramid(month: SiteMonth, room_id: str | None) -> list[tuple[str, list[tuple[str, list[Tile]]]]]:
    """Level → category → KPIs: results on top, process under them, the technical base below."""
    levels = []
    for level in words.LEVELS:
        tiles = [tile(month, room_id, kpi_id) for kpi_id, kpi in month.registry.items() if kpi["level"] == level]
        groups: dict[str, list[Tile]] = defaultdict(list)
        for one in tiles:
            groups[one.kpi["category"]].append(one)
        levels.append((level, list(groups.items())))
    return levels


def insight_title(name: str) -> tuple[str, str, str, str]:
    """Title and question of an insights table in both languages; an unknown one goes by its name."""
    plain = name.replace("_", " ")
    return words.INSIGHTS.get(name, (plain, plain.capitalize(), "", ""))


def _questions(month: SiteMonth) -> list[Insight]:
    """The insights in the order of their words, tables that only stand behind another one at the end."""
    order = {name: place for place, name in enumerate(words.INSIGHTS)}
    return sorted(
        month.insights.values(), key=lambda one: (one.name in words.SUPPORTING, order.get(one.name, len(order)), one.name)
    )


def most_telling(insight: Insight) -> list[Row]:
    """The few rows to show beside another subject; they come strongest first."""
    rows = insight.rows
    if "is_strongest_lag" in insight.columns:
        rows = [row for row in rows if row["is_strongest_lag"]]
    return rows[:ROWS_BESIDE]


def insight_table(
    month: SiteMonth, insight: Insight, rows: Sequence[Row], root: str, without: Sequence[str] = ()
) -> dict[str, Any]:
    """Heads and cells of a table: ids as names with links, numbers with units, bounds under their figure."""
    bounds = _bounds(insight.columns)
    hidden = {
        "month",
        *without,
        *words.LEFT_OUT.get(insight.name, ()),
        *(name for pair in bounds.values() for name in pair),
    }
    shown = [column for column in insight.columns if column not in hidden and any(row.get(column) is not None for row in rows)]
    heads = []
    for column in shown:
        zh, en = words.COLUMNS.get(column) or (column.replace("_", " "), column.replace("_", " "))
        heads.append(
            {
                "column": column,
                "zh": zh,
                "en": en,
                "about": insight.columns[column],
                "numeric": _is_numeric(rows, column),
            }
        )
    cells = []
    for row in rows[:INSIGHT_ROWS]:
        line = []
        for column in shown:
            cell = _cell(month, column, row, root)
            if column in bounds and all(row.get(name) is not None for name in bounds[column]):
                low, high = (_plain(month, column, row, row[name]) for name in bounds[column])
                cell = Markup("{}<small>{} – {}</small>").format(cell, low, high)
            line.append(cell)
        cells.append(line)
    left_out = (insight.found if rows is insight.rows else len(rows)) - len(cells)
    return {"heads": heads, "rows": cells, "left_out": left_out}


def _bounds(columns: Any) -> dict[str, tuple[str, str]]:
    """Figure → the columns of its lower and upper bound, where a table has both."""
    found = {}
    for name in columns:
        stem = name.removesuffix("_low")
        if name.endswith("_low") and f"{stem}_high" in columns:
            figure = next((one for one in (stem, f"{stem}_rate", f"{stem}_seconds") if one in columns), None)
            if figure:
                found[figure] = (name, f"{stem}_high")
    return found


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    values = [row[column] for row in rows if row[column] is not None]
    return all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values)


def local(month: SiteMonth, room_id: str, instant: datetime) -> datetime:
    """An instant in the room's own time zone."""
    return instant.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(month.rooms[room_id]["timezone"]))


def _cell(month: SiteMonth, column: str, row: Row, root: str) -> Any:
    value = row[column]
    if value is None:
        return figures.NOTHING
    if column == "room_id" and value in month.rooms:
        return _link(page_link(f"{root}rooms/", value), month.room_name(value))
    if column == "session_id" and value in month.online:
        return _link(page_link(f"{root}sessions/", value), value)
    if column == "minute" and row.get("session_id") in month.online:
        return _link(f"{page_link(f'{root}sessions/', row['session_id'])}#m{value}", str(value))
    if column in ("product_id", "subject") and value in month.product_sessions:
        return _link(page_link(f"{root}products/", value), month.product_name(value))
    if column in ("host_id", "staff_id") and value in month.staff:
        return _link(page_link(f"{root}staff/", value), month.staff_name(value))
    if (column.endswith("kpi_id") or column in ("leader", "result")) and value in month.registry:
        return wording.either(month.registry[value]["name_zh"], month.registry[value]["name_en"])
    if column in ("leader", "result", "measure") and value in words.MEASURES:
        return wording.named(words.MEASURES, value)
    tables = (
        words.CODES_OF.get(column, {}),
        words.CODES,
        words.PHASES,
        words.SEGMENTS,
        words.MODES,
        words.AUDIENCE,
        wording.REASON_NAMES,
        wording.ROLES,
    )
    for table in tables:
        if isinstance(value, str) and value in table and column not in ("region", "subject", "top_terms"):
            return wording.named(table, value)
    if isinstance(value, str) and value in words.SENTENCES:
        return wording.either(words.SENTENCES[value], value)
    if isinstance(value, bool):
        return wording.either("是" if value else "否", "yes" if value else "no")
    if isinstance(value, date):
        return Markup(f'<span class="day">{_plain(month, column, row, value)}</span>')
    return Markup(f"<bdi>{escape(_plain(month, column, row, value))}</bdi>")


def _plain(month: SiteMonth, column: str, row: Row, value: Any) -> str:
    """A figure with the unit of its column, or of the KPI its row is about; anything else as text."""
    if isinstance(value, float):
        value = Decimal(str(value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            return figures.NOTHING
        kpi = month.registry.get(str(row.get("kpi_id")))
        if kpi and column in ("value", "value_before", "baseline"):
            return figures.measured(value, kpi["unit"], month.currency)
        if kpi and column in ("change", "mix_effect", "rate_effect"):
            return figures.change(value, Decimal(0), kpi["unit"], month.currency)
        if column in ("p_value", "q_value") and value < Decimal("0.001"):
            return "< 0.001"
        if column.startswith("mape") or column.endswith(("_rate", "share", "share_before", "continuity", "coverage")):
            return figures.percent(value, 1)
        if column.startswith(("gmv", "net_gmv", "gross_profit", "monetary", "forecast", "actual_gmv")):
            return figures.money(value, month.currency)
        return figures.number(value, 0 if value == value.to_integral_value() else 2 if abs(value) >= 1 else 3)
    if isinstance(value, int):
        return figures.number(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return _flat(value)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " · ".join(_flat(item) for item in value)
    return figures.NOTHING if value is None else str(value)


def _link(href: str, text: str) -> Markup:
    return Markup(f'<a href="{escape(href)}"><bdi>{escape(text)}</bdi></a>')


def _pace(month: SiteMonth, room_id: str | None) -> dict[str, Any]:
    """GMV so far day by day against the straight way to the target."""
    by_day = dict(month.kpi_days.get((room_id, "gmv"), []))
    last = max(by_day, default=None)
    values = [by_day.get(day) for day in _days(month.month) if last is not None and day <= last]
    target = month.kpi_months.get((room_id, "gmv_target_attainment"), {}).get(month.month, {}).get("denominator")
    return plots.running(values, None if target is None else float(target), days_in(month.month))


def _days(month: str) -> list[date]:
    year, number = int(month[:4]), int(month[5:])
    return [date(year, number, day) for day in range(1, days_in(month) + 1)]


def _hosts(month: SiteMonth, session_id: str) -> list[str]:
    return sorted({duty["staff_id"] for duty in month.duty.get(session_id, []) if duty["role"] == "host"})


def _on_duty(month: SiteMonth, session: Row) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(role, staff_id, on-duty stretches) of a session; hosts first, the other roles after them."""
    length = (session["ended_at"] - session["started_at"]).total_seconds() or 1
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for duty in month.duty.get(session["session_id"], []):
        start = (duty["on_at"] - session["started_at"]).total_seconds()
        seconds = (duty["off_at"] - duty["on_at"]).total_seconds()
        found[duty["role"], duty["staff_id"]].append(
            {
                "start": round(start / length * 100, 3),
                "width": round(seconds / length * 100, 3),
                "on_at": local(month, session["room_id"], duty["on_at"]),
                "off_at": local(month, session["room_id"], duty["off_at"]),
            }
        )
    order = {role: number for number, role in enumerate(ROLES_IN_ORDER)}
    return [
        (role, staff_id, spans)
        for (role, staff_id), spans in sorted(found.items(), key=lambda item: (order.get(item[0][0], 9), item[0]))
    ]


def _review(month: SiteMonth, session_id: str) -> dict[str, list[Row]]:
    """strong, weak and try_next of insights.session_review; empty where the snapshot has no such table."""
    found: dict[str, list[Row]] = {"strong": [], "weak": [], "try_next": []}
    for row in month.told.get(("session_review", session_id), []):
        if row["kind"] in found:
            found[row["kind"]].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row.get("position") or 0)
    return found


def _alerts(month: SiteMonth, session: Row, minutes: int) -> list[dict[str, Any]]:
    """The session's alerts with their place on its time line, where the insights have them."""
    placed: list[dict[str, Any]] = []
    for row in month.told.get(("alerts", session["session_id"]), []) if minutes else []:
        start = int(row["minute"])
        seconds = (row["end_at"] - session["started_at"]).total_seconds() if row.get("end_at") else 0
        until = max(int(seconds // 60), start + 1)
        placed.append(
            {
                "row": row,
                "minute": min(start, minutes - 1),
                "start": round(start / minutes * 100, 3),
                "width": round(max((min(until, minutes) - start) / minutes * 100, 0.6), 3),
                "text": " ".join(wording.words_for(words.CODES, row.get("rule"))),
                "action": words.SENTENCES.get(str(row.get("suggested_action")), ""),
            }
        )
    return placed


def _segment_label(month: SiteMonth, products: dict[str, str | None], segment_id: str, code: str) -> str:
    return month.product_name(products.get(segment_id)) if products.get(segment_id) else ""


def _segment_sums(month: SiteMonth, scenes: list[Row]) -> list[Row]:
    """The run sheet as rows: each segment with what its minutes brought."""
    found: dict[str, Row] = {}
    for row in scenes:
        if row["segment_id"] is None:
            continue
        one = found.setdefault(
            row["segment_id"],
            {"minute": row["minute"], "type": row["segment_type"], "product_id": row["product_id"],
             "host_id": row["host_id"], "minutes": 0, "online": 0, "engagement": 0, "exposures": 0, "clicks": 0,
             "orders": 0, "gmv": Decimal(0)},
        )  # fmt: skip
        one["minutes"] += 1
        one["online"] = max(one["online"], row["peak_online"])
        one["engagement"] += sum(row[name] for name in ENGAGEMENT)
        one["exposures"] += row["exposures"]
        one["clicks"] += row["clicks"]
        one["orders"] += row["orders_paid"]
        one["gmv"] += row["gmv"]
    return list(found.values())


def _minute_rows(month: SiteMonth, scenes: list[Row], zone: ZoneInfo, engagement: list[int], stalled: list[float]) -> Markup:
    """The evidence under the curve, row by row; built as text because a month has very many of them."""
    rows = []
    said: dict[tuple[str | None, ...], str] = {}
    for row, actions, stall in zip(scenes, engagement, stalled, strict=True):
        at = row["minute_at"].replace(tzinfo=ZoneInfo("UTC")).astimezone(zone)
        what = row["segment_type"], row["product_id"], row["host_id"]
        if what not in said:
            segment = wording.named(words.SEGMENTS, what[0]) if what[0] else "—"
            product = f" <bdi>{escape(month.product_name(what[1]))}</bdi>" if what[1] else ""
            host = f"<bdi>{escape(month.staff_name(what[2]))}</bdi>" if what[2] else "—"
            said[what] = f"<td>{segment}{product}<td>{host}"
        figures_of = (
            row["peak_online"], row["views"], actions, row["chats"], row["exposures"], row["clicks"],
            row["carts"], row["orders_paid"], row["units_sold"],
        )  # fmt: skip
        cells = "".join(f"<td>{value:,}" for value in figures_of)
        rows.append(
            f'<tr id="m{row["minute"]}"><th scope="row">{row["minute"]}<td>{at:%H:%M}'
            f"{said[what]}{cells}<td>{row['gmv']:,.2f}<td>{stall:.1f}%"
        )
    return Markup("\n".join(rows))


def _sessions_on_duty(month: SiteMonth) -> dict[str, list[tuple[Row, Decimal]]]:
    sessions = {session["session_id"]: session for session in month.sessions}
    seconds: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for session_id, rows in month.duty.items():
        for duty in rows:
            if month.staff.get(duty["staff_id"], {}).get("role") == duty["role"]:
                length = (duty["off_at"] - duty["on_at"]).total_seconds()
                seconds[duty["staff_id"], session_id] += Decimal(str(length))
    found: dict[str, list[tuple[Row, Decimal]]] = defaultdict(list)
    for (staff_id, session_id), length in seconds.items():
        found[staff_id].append((sessions[session_id], length))
    for pairs in found.values():
        pairs.sort(key=lambda pair: (pair[0]["started_at"], pair[0]["session_id"]))
    return dict(found)


def _people_by_role(month: SiteMonth) -> list[tuple[str, list[str]]]:
    """People with KPIs in the month, by role, in the order of their rooms and ids."""
    measured = {staff_id for (staff_id, _), rows in month.person_months.items() if month.month in rows}
    found: dict[str, list[str]] = defaultdict(list)
    for staff_id, person in month.staff.items():
        if staff_id in measured:
            found[person["role"]].append(staff_id)
    for people in found.values():
        people.sort(key=lambda staff_id: (month.staff[staff_id]["room_id"] or "~", staff_id))
    order = [*ROLES_IN_ORDER, *sorted(set(found) - set(ROLES_IN_ORDER))]
    return [(role, found[role]) for role in order if role in found]


def neighbours(month: SiteMonth) -> dict[str, tuple[Row | None, Row | None]]:
    """The session before and after each one in the same room and month."""
    found: dict[str, tuple[Row | None, Row | None]] = {}
    for rows in _by(month.sessions, "room_id").values():
        for place, session in enumerate(rows):
            before = rows[place - 1] if place else None
            found[session["session_id"]] = (before, rows[place + 1] if place + 1 < len(rows) else None)
    return found


def _scorecard_link(folder: str, scorecards_href: str, identifier: str) -> str:
    return page_link(f"{scorecards_href.rstrip('/')}/{folder}/", identifier)


def _by(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return dict(found)


def _sums(rows: Sequence[Row], name: str) -> Any:
    return sum((row[name] or 0 for row in rows), start=0)


def _ratio(part: Any, whole: Any) -> Decimal | None:
    return None if part is None or not whole else Decimal(part) / Decimal(whole)
