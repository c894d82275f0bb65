"""The policy files: read, checked whole before use, hashed, and loaded into the warehouse's schema `policy`.

Folder: kpis.csv, weights.csv, weight_overrides.csv, grades.csv, rules.csv. A mistake in one of them raises
UserError with the file, the row and what to do, before the first export is read.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from dagster_project.settings import UserError

MEASURES = (
    "views", "watch_seconds", "viewers", "new_viewers", "live_seconds", "peak_online",
    "chats", "likes", "follows", "unfollows", "shares", "gifts", "gift_amount", "red_packet_claims", "votes",
    "mic_joins", "commenters", "engaged_viewers", "feature_viewers",
    "exposures", "clicks", "carts", "exposed_viewers", "click_viewers", "cart_viewers", "order_viewers",
    "buyers", "orders_created", "orders_paid", "units_sold", "gmv", "net_gmv", "refunded_amount",
    "new_product_clicks", "new_product_units", "explained_seconds",
    "return_base", "returned_next_day", "repurchase_base", "repurchased_7d", "net_followers",
    "units_returned", "reviews_received", "negative_reviews", "complained_orders",
    "conversations", "answered_conversations", "answered_within_3min", "first_response_seconds",
    "human_replies", "ai_assisted_replies", "bot_only_conversations",
    "playback_ms", "stall_ms", "play_ms", "rated_play_ms", "qualified_play_ms",
    "first_frames", "first_frame_ms", "instant_starts", "latency_weighted_ms", "latency_play_ms",
    "gmv_target",
)  # fmt: skip
# It rolls up by maximum and is never divided.
MAXIMUM_MEASURE = "peak_online"

ROLES = ("host", "operations", "floor_control", "customer_service", "technical")
WEIGHTED_ROLES = (*ROLES, "room")
STAGES = ("startup", "growth", "mature")
SCOPES = ("own", "room")
CATEGORIES = ("traffic", "engagement", "conversion", "retention", "quality", "technical")
LEVELS = ("R", "P", "T")
KINDS = ("lead", "lag")
UNITS = ("count", "seconds", "ms", "money", "rate")
DIRECTIONS = ("up", "down")
POOL_SHARES = tuple(f"pool_share_{role}" for role in ROLES)

ONE = Decimal(1)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
# The greatest value a rule may take, None where any amount goes; each rule is 0 or more.
RULE_LIMITS: Mapping[str, Decimal | None] = {
    "personal_share": ONE,
    "pass_score": Decimal(120),
    "min_scored_weight": ONE,
    "overachievement_rate": ONE,
    **dict.fromkeys(POOL_SHARES, ONE),
    "innovation_award": None,
    "best_contributor_award": None,
    "best_room_award": None,
    "best_contributor_min_days": Decimal(31),
    "strike_months": Decimal(12),
    "spend_tier_low": None,
    "spend_tier_high": None,
}
WHOLE_RULES = ("best_contributor_min_days", "strike_months")


@dataclass(frozen=True)
class Kpi:
    """A row of kpis.csv; denominator and min_base are None for a total."""

    kpi_id: str
    name_en: str
    name_zh: str
    category: str
    level: str
    kind: str
    numerator: str
    denominator: str | None
    factor: Decimal
    unit: str
    direction: str
    maturity_days: int
    min_base: int | None


@dataclass(frozen=True)
class Weight:
    """A row of weights.csv."""

    role: str
    stage: str
    kpi_id: str
    scope: str
    weight: Decimal
    valid_from: date


@dataclass(frozen=True)
class WeightOverride:
    """A row of weight_overrides.csv; valid_to is inclusive, None is open."""

    room_id: str
    role: str
    kpi_id: str
    multiplier: Decimal
    valid_from: date
    valid_to: date | None
    reason: str | None


@dataclass(frozen=True)
class Grade:
    """A row of grades.csv."""

    grade: str
    min_score: Decimal
    coefficient: Decimal
    valid_from: date


@dataclass(frozen=True)
class Rule:
    """A row of rules.csv."""

    rule: str
    value: Decimal
    valid_from: date


@dataclass(frozen=True)
class Policy:
    """All five files, checked. KPIs keep the file's order: it is the registry order."""

    kpis: tuple[Kpi, ...]
    weights: tuple[Weight, ...]
    weight_overrides: tuple[WeightOverride, ...]
    grades: tuple[Grade, ...]
    rules: tuple[Rule, ...]


Row = TypeVar("Row", Kpi, Weight, WeightOverride, Grade, Rule)


class _Cells:
    """The cells of one CSV row, taken one at a time with a check; each error names file, row and column."""

    def __init__(self, file: Path, row_no: int, cells: Mapping[str, str]) -> None:
        self.file, self.row_no, self.cells = file, row_no, cells

    def error(self, text: str) -> UserError:
        return UserError(f"policy file {self.file.name}, row {self.row_no}: {text}")

    def text(self, column: str) -> str:
        value = self.cells[column]
        if value == "":
            raise self.error(f"{column} is empty; give a value")
        return value

    def optional(self, column: str) -> str | None:
        return self.cells[column] or None

    def one_of(self, column: str, allowed: Iterable[str]) -> str:
        value = self.text(column)
        allowed = tuple(allowed)
        if value not in allowed:
            raise self.error(f"unknown {column} {value!r}; use one of {', '.join(allowed)}")
        return value

    def number(self, column: str) -> Decimal:
        value = self.text(column)
        # Decimal also takes NaN, 1_000 and digits of other scripts, which a person may read as something else.
        if not NUMBER.fullmatch(value):
            raise self.error(f"{column} {value!r} is no number; write it like 0.25")
        number = Decimal(value)
        if abs(number) >= 10**12 or number != number.quantize(Decimal("0.000001")):
            raise self.error(f"{column} {value!r} needs more than 6 decimals or 12 digits; shorten it")
        return number

    def whole(self, column: str, least: int = 0) -> int:
        number = self.number(column)
        if number != int(number) or number < least or number > 10**6:
            raise self.error(f"{column} {self.cells[column]!r} must be a whole number of at least {least}")
        return int(number)

    def day(self, column: str) -> date:
        value = self.text(column)
        try:
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            raise self.error(f"{column} {value!r} is no date; write it like 2026-10-01") from None


def read_policy(folder: Path) -> Policy:
    """Read and check the five files of a policy folder. Raises UserError at the first mistake."""
    folder = Path(folder)
    # os.path.isdir, unlike Path.is_dir, takes a name that is too long for one that is not there.
    if not os.path.isdir(folder):
        raise UserError(f"policy folder {folder} does not exist; set POLICY to one with the policy files")
    kpis = _read(folder / "kpis.csv", Kpi, _kpi, key=("kpi_id",))
    known = {kpi.kpi_id for kpi in kpis}
    policy = Policy(
        kpis=kpis,
        weights=_read(
            folder / "weights.csv",
            Weight,
            lambda cells: _weight(cells, known),
            key=("role", "stage", "kpi_id", "scope", "valid_from"),
        ),
        weight_overrides=_read(
            folder / "weight_overrides.csv",
            WeightOverride,
            lambda cells: _weight_override(cells, known),
            # Overrides that match together multiply, so only a row that is there twice is a mistake.
            key=("room_id", "role", "kpi_id", "multiplier", "valid_from", "valid_to", "reason"),
            may_be_empty=True,
        ),
        grades=_read(folder / "grades.csv", Grade, _grade, key=("grade", "valid_from")),
        rules=_read(folder / "rules.csv", Rule, _rule, key=("rule", "valid_from")),
    )
    _check_weights(policy.weights)
    _check_overrides(policy.weight_overrides, policy.weights)
    _check_grades(policy.grades)
    _check_rules(policy.rules)
    return policy


def check_policy_covers(policy: Policy, first_month: str) -> None:
    """Raise UserError where the policy is not in force yet on the first day of a month (YYYY-MM)."""
    first_day = date.fromisoformat(f"{first_month}-01")

    def in_force(rows: Iterable[Weight | Grade | Rule]) -> bool:
        return any(row.valid_from <= first_day for row in rows)

    missing = [
        f"weights.csv: role {role}, stage {stage}"
        for role in WEIGHTED_ROLES
        for stage in STAGES
        if not in_force(row for row in policy.weights if (row.role, row.stage) == (role, stage))
    ]
    missing += [
        f"rules.csv: {name}"
        for name in RULE_LIMITS
        if not in_force(row for row in policy.rules if row.rule == name)
    ]
    if not in_force(policy.grades):
        missing.append("grades.csv: the grades")
    if missing:
        raise UserError(
            f"policy has nothing in force on {first_day} for {missing[0]}"
            f" ({len(missing)} such groups); add rows with an earlier valid_from"
        )


def check_targets(con: duckdb.DuckDBPyConnection) -> None:
    """Raise UserError at a landed target that is not strictly monotonic, or runs against its KPI's direction.

    Reads raw.targets and policy.kpis, so it comes after landing and load_policy and before any score.
    """
    wrong = con.execute(
        """
        select targets.month, targets.scope_type, targets.scope_id, targets.kpi_id, kpis.direction,
            targets.floor, targets.target, targets.stretch, files.path, targets._row_no,
            count(*) over ()
        from raw.targets as targets
        inner join policy.kpis as kpis on targets.kpi_id = kpis.kpi_id
        left join raw.files as files on targets._file_no = files.file_no
        where targets._status = 'current' and not case kpis.direction
            when 'up' then targets.floor < targets.target
                and (targets.stretch is null or targets.target < targets.stretch)
            else targets.floor > targets.target
                and (targets.stretch is null or targets.target > targets.stretch)
        end
        order by targets.month, targets.scope_type, targets.scope_id, targets.kpi_id
        limit 1
        """
    ).fetchone()
    if wrong is None:
        return
    month, scope_type, scope_id, kpi_id, direction, floor, target, stretch, path, row_no, count = wrong
    order = "floor < target < stretch" if direction == "up" else "floor > target > stretch"
    figures = ", ".join(
        f"{name} {figure.normalize():f}"
        for name, figure in (("floor", floor), ("target", target), ("stretch", stretch))
        if figure is not None
    )
    raise UserError(
        f"target of {kpi_id} for {scope_type} {scope_id} in {month} ({path}, row {row_no}) has {figures},"
        f" but this KPI needs {order}; deliver the row again, corrected ({count} such targets)"
    )


def policy_hash(policy: Policy) -> str:
    """SHA-256 (64 hex digits) of what the policy says.

    Row order (outside kpis.csv), trailing zeros and line ends do not matter.
    """
    content = {
        table: [[_canonical(value) for value in astuple(row)] for row in rows]
        for table, rows in _tables(policy).items()
    }
    for table, rows in content.items():
        if table != "kpis":
            rows.sort(key=json.dumps)
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def load_policy(con: duckdb.DuckDBPyConnection, policy: Policy) -> None:
    """Replace the tables of schema `policy`, one per file; kpis gains registry_order, counted from 1."""
    con.execute("create schema if not exists policy")
    for table, columns in _COLUMN_TYPES.items():
        rows: list[tuple[Any, ...]] = [astuple(row) for row in _tables(policy)[table]]
        if table == "kpis":
            rows = [(*row, order) for order, row in enumerate(rows, start=1)]
        con.execute(f"create or replace table policy.{table} ({columns})")
        if rows:
            con.executemany(f"insert into policy.{table} values ({', '.join('?' * len(rows[0]))})", rows)


_COLUMN_TYPES = {
    "kpis": "kpi_id varchar, name_en varchar, name_zh varchar, category varchar, level varchar, kind varchar,"
    " numerator varchar, denominator varchar, factor decimal(18,6), unit varchar, direction varchar,"
    " maturity_days integer, min_base integer, registry_order integer",
    "weights": "role varchar, stage varchar, kpi_id varchar, scope varchar, weight decimal(18,6),"
    " valid_from date",
    "weight_overrides": "room_id varchar, role varchar, kpi_id varchar, multiplier decimal(18,6),"
    " valid_from date, valid_to date, reason varchar",
    "grades": "grade varchar, min_score decimal(18,6), coefficient decimal(18,6), valid_from date",
    "rules": "rule varchar, value decimal(18,6), valid_from date",
}


def _tables(policy: Policy) -> dict[str, tuple[Any, ...]]:
    return {field.name: getattr(policy, field.name) for field in fields(policy)}


def _canonical(value: object) -> str | None:
    if isinstance(value, Decimal):
        return f"{value:.6f}"
    return None if value is None else str(value)


def _read(
    path: Path,
    row_type: type[Row],
    parse: Callable[[_Cells], Row],
    key: tuple[str, ...],
    may_be_empty: bool = False,
) -> tuple[Row, ...]:
    """The rows of one file, typed; keys are unique and the header has exactly the columns of the row type."""
    columns = [field.name for field in fields(row_type)]
    lines = _lines(path)
    header = [name.strip() for name in lines[0]] if lines else []
    for name in columns:
        if header.count(name) != 1:
            found = "missing" if name not in header else "there twice"
            raise UserError(
                f"policy file {path.name}: column {name} is {found}; the header is {','.join(columns)}"
            )
    if unknown := [name for name in header if name not in columns]:
        raise UserError(
            f"policy file {path.name}: unknown column {unknown[0]!r}; the header is {','.join(columns)}"
        )
    rows: list[Row] = []
    seen: dict[tuple[Any, ...], int] = {}
    for row_no, line in enumerate(lines[1:], start=1):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise UserError(
                f"policy file {path.name}, row {row_no}: {len(line)} cells under {len(header)} columns;"
                " quote a text that has a comma"
            )
        cells = _Cells(path, row_no, dict(zip(header, (cell.strip() for cell in line), strict=True)))
        row = parse(cells)
        row_key = tuple(getattr(row, name) for name in key)
        if row_key in seen:
            named = ", ".join(f"{name} {value}" for name, value in zip(key, row_key, strict=True))
            raise cells.error(f"{named} is already in row {seen[row_key]}; keep one of them")
        seen[row_key] = row_no
        rows.append(row)
    if not rows and not may_be_empty:
        raise UserError(f"policy file {path.name} has no rows; copy the shipped one and change it")
    return tuple(rows)


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, strict=True))
    except FileNotFoundError:
        raise UserError(
            f"policy file {path.name} is missing in {path.parent}; copy the shipped one and change it"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"policy file {path.name} is no UTF-8 CSV ({error}); save it as such") from None
    except OSError as error:
        raise UserError(f"policy file {path.name} cannot be read: {error.strerror}") from None


def _kpi(cells: _Cells) -> Kpi:
    kpi_id = cells.text("kpi_id")
    # It becomes a column name of the per-role marts.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", kpi_id):
        raise cells.error(f"kpi_id {kpi_id!r} must be lower-case letters, digits and _, a letter first")
    numerator = cells.one_of("numerator", MEASURES)
    denominator = cells.one_of("denominator", MEASURES) if cells.optional("denominator") else None
    if denominator is not None and MAXIMUM_MEASURE in (numerator, denominator):
        raise cells.error(f"{MAXIMUM_MEASURE} is a maximum and never divided; leave denominator empty")
    factor = cells.number("factor")
    if factor <= 0:
        raise cells.error(f"factor {factor} must be above 0; use 1 where nothing is scaled")
    if denominator is None and cells.optional("min_base"):
        raise cells.error(f"min_base of {kpi_id}, a total, must be empty")
    return Kpi(
        kpi_id=kpi_id,
        name_en=cells.text("name_en"),
        name_zh=cells.text("name_zh"),
        category=cells.one_of("category", CATEGORIES),
        level=cells.one_of("level", LEVELS),
        kind=cells.one_of("kind", KINDS),
        numerator=numerator,
        denominator=denominator,
        factor=factor,
        unit=cells.one_of("unit", UNITS),
        direction=cells.one_of("direction", DIRECTIONS),
        maturity_days=cells.whole("maturity_days"),
        min_base=None if denominator is None else cells.whole("min_base"),
    )


def _weight(cells: _Cells, known: set[str]) -> Weight:
    role, scope = cells.one_of("role", WEIGHTED_ROLES), cells.one_of("scope", SCOPES)
    weight = cells.number("weight")
    if role == "room" and scope != "room":
        raise cells.error("scope of role room must be room")
    if not 0 <= weight <= 1:
        raise cells.error(f"weight {weight} must be between 0 and 1")
    return Weight(
        role=role,
        stage=cells.one_of("stage", STAGES),
        kpi_id=_registered(cells, known),
        scope=scope,
        weight=weight,
        valid_from=cells.day("valid_from"),
    )


def _weight_override(cells: _Cells, known: set[str]) -> WeightOverride:
    override = WeightOverride(
        room_id=cells.text("room_id"),
        role=cells.one_of("role", WEIGHTED_ROLES),
        kpi_id=_registered(cells, known),
        multiplier=cells.number("multiplier"),
        valid_from=cells.day("valid_from"),
        valid_to=cells.day("valid_to") if cells.optional("valid_to") else None,
        reason=cells.optional("reason"),
    )
    if not 0 <= override.multiplier <= 1000:
        raise cells.error(f"multiplier {override.multiplier} must be at least 0 and at most 1000")
    if override.valid_to is not None and override.valid_to < override.valid_from:
        raise cells.error(f"valid_to {override.valid_to} is before valid_from {override.valid_from}")
    return override


def _registered(cells: _Cells, known: set[str]) -> str:
    kpi_id = cells.text("kpi_id")
    if kpi_id not in known:
        raise cells.error(f"unknown kpi_id {kpi_id!r}; add it to kpis.csv or correct it")
    return kpi_id


def _grade(cells: _Cells) -> Grade:
    grade = Grade(
        grade=cells.text("grade"),
        # The lowest grade has no bound of its own.
        min_score=cells.number("min_score") if cells.optional("min_score") else Decimal(0),
        coefficient=cells.number("coefficient"),
        valid_from=cells.day("valid_from"),
    )
    if not 0 <= grade.coefficient <= 10:
        raise cells.error(f"coefficient {grade.coefficient} must be between 0 and 10")
    return grade


def _rule(cells: _Cells) -> Rule:
    rule = Rule(
        rule=cells.one_of("rule", RULE_LIMITS),
        value=cells.number("value"),
        valid_from=cells.day("valid_from"),
    )
    limit = RULE_LIMITS[rule.rule]
    if rule.value < 0 or (limit is not None and rule.value > limit):
        at_most = f" and at most {limit}" if limit is not None else ""
        raise cells.error(f"{rule.rule} {rule.value} must be at least 0{at_most}")
    if rule.rule in WHOLE_RULES and rule.value != int(rule.value):
        raise cells.error(f"{rule.rule} {rule.value} must be a whole number")
    if rule.rule == "strike_months" and rule.value < 1:
        raise cells.error("strike_months must be at least 1")
    return rule


def _check_weights(weights: tuple[Weight, ...]) -> None:
    """Each table of a role and stage (rows of one valid_from) adds up to exactly 1, and none is missing."""
    sums: dict[tuple[str, str, date], Decimal] = {}
    for row in weights:
        group = (row.role, row.stage, row.valid_from)
        sums[group] = sums.get(group, Decimal(0)) + row.weight
    for (role, stage, valid_from), total in sorted(sums.items()):
        if total != 1:
            raise UserError(
                f"policy file weights.csv: the weights of role {role}, stage {stage}, valid_from {valid_from}"
                f" add up to {total.normalize():f}, not to 1; correct them"
            )
    for role in WEIGHTED_ROLES:
        for stage in STAGES:
            if not any((row.role, row.stage) == (role, stage) for row in weights):
                raise UserError(f"policy file weights.csv: no rows for role {role}, stage {stage}; add them")


def _check_overrides(overrides: tuple[WeightOverride, ...], weights: tuple[Weight, ...]) -> None:
    """Overrides of 0 leave every table of their room and role some weight, on each day that they hold."""
    zeros: dict[tuple[str, str], list[WeightOverride]] = {}
    for row in overrides:
        if row.multiplier == 0:
            zeros.setdefault((row.room_id, row.role), []).append(row)
    tables: dict[tuple[str, str, date], list[Weight]] = {}
    for weight in weights:
        tables.setdefault((weight.role, weight.stage, weight.valid_from), []).append(weight)
    for (room_id, role), rows in sorted(zeros.items()):
        # What is switched off together is so from the first day of the one that began last.
        for day in sorted({row.valid_from for row in rows}):
            off = {
                row.kpi_id
                for row in rows
                if row.valid_from <= day and (row.valid_to is None or day <= row.valid_to)
            }
            for (of_role, stage, _), table in sorted(tables.items()):
                if of_role == role and all(one.weight == 0 or one.kpi_id in off for one in table):
                    raise UserError(
                        f"policy file weight_overrides.csv: on {day} the multipliers of 0 leave role {role}, stage {stage},"
                        f" in room {room_id} without any weight; let one KPI keep its own"
                    )


def _check_grades(grades: tuple[Grade, ...]) -> None:
    """Each table of grades (one valid_from) begins at 0 or below, and coefficients rise with scores."""
    for valid_from in sorted({row.valid_from for row in grades}):
        table = sorted((row for row in grades if row.valid_from == valid_from), key=lambda row: row.min_score)
        where = f"policy file grades.csv, valid_from {valid_from}"
        if table[0].min_score > 0:
            raise UserError(
                f"{where}: no grade for a score under {table[0].min_score}; let the lowest grade begin at 0"
            )
        for lower, higher in zip(table, table[1:], strict=False):
            if lower.min_score == higher.min_score:
                raise UserError(
                    f"{where}: grades {lower.grade} and {higher.grade} both begin at {lower.min_score}"
                )
            if higher.coefficient < lower.coefficient:
                raise UserError(
                    f"{where}: grade {higher.grade} is above {lower.grade}, but its coefficient"
                    f" {higher.coefficient} is below {lower.coefficient}; correct one"
                )


def _check_rules(rules: tuple[Rule, ...]) -> None:
    """Every rule is there; at each valid_from some pool share is above 0 and spend tiers rise."""
    for name in RULE_LIMITS:
        if not any(row.rule == name for row in rules):
            raise UserError(f"policy file rules.csv: rule {name} is missing; add it")
    for day in sorted({row.valid_from for row in rules}):
        in_force = sorted((row for row in rules if row.valid_from <= day), key=lambda row: row.valid_from)
        values = {row.rule: row.value for row in in_force}
        where = f"policy file rules.csv, in force on {day}"
        shares = [values.get(name) for name in POOL_SHARES]
        if None not in shares and not any(shares):
            raise UserError(f"{where}: the pool shares are all 0, so nobody could be paid; correct them")
        if {"spend_tier_low", "spend_tier_high"} <= values.keys() and not (
            0 < values["spend_tier_low"] < values["spend_tier_high"]
        ):
            raise UserError(f"{where}: spend_tier_low must be above 0 and below spend_tier_high")
