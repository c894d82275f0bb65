"""The workbook: every figure as stored, and formulas with which HR can check the lines by hand."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from xml.sax.saxutils import escape as xml_escape

from openpyxl import Workbook
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.formatting.rule import CellIsRule, ColorScaleRule, DataBarRule, FormulaRule, Rule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter, quote_sheetname
from openpyxl.worksheet.worksheet import Worksheet

from dagster_project.reports import figures, wording
from dagster_project.reports.pages import ROLES_IN_ORDER, payout, people_on_duty
from dagster_project.reports.policy_in_force import PolicyInForce
from dagster_project.reports.published import Card, Line, Month, month_before
from dagster_project.reports.safe_text import sheet_text, sheet_titles, starts_like_a_formula
from dagster_project.reports.walk import ZERO, Part, story_of

SUMMARY = "汇总 Summary"
LINES = "明细 Lines"
POOLS = "奖池 Pools"
AWARDS = "奖项 Awards"
REVIEWS = "面谈 Reviews"
ADJUSTMENTS = "调整 Adjustments"
RULES = "规则 Rules"

GRADE_COLOURS = {"S": "D9C8F0", "A": "CDE9D6", "B": "CFE0F5", "C": "F8E3BF", "D": "F6CFCB"}
PLAIN = "General"
TWO_PLACES = "#,##0.00"
SIX_PLACES = "0.000000"
PER_CENT = "0.00%"
WHOLE = "#,##0"
HOURS = '#,##0.0" h"'

_HEAD = PatternFill("solid", fgColor="E3F0F2")
_OURS = PatternFill("solid", fgColor="F5F6F8")
_RULE = Side(style="thin", color="B8C0CA")
_BOLD = Font(name="Calibri", bold=True, size=11)
_BLOCK_TITLE = Font(name="Calibri", bold=True, size=13)
# Zip entries carry a time; the earliest a zip can hold keeps the bytes the same on every run.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Column:
    """A column: header words, width in characters, number format."""

    zh: str
    en: str
    width: int = 12
    number_format: str = PLAIN


@dataclass
class Formula:
    """A live formula and the value it comes to, stored for viewers that do not calculate."""

    text: str
    value: Decimal | int | str | None


@dataclass
class _Sheet:
    """A worksheet being filled from the top; `cached` maps formula cells to their values."""

    sheet: Worksheet
    row: int = 1
    cached: dict[str, Decimal | int | str | None] = field(default_factory=dict)

    def put(
        self, column: int, value: object, number_format: str = PLAIN, bold: bool = False
    ) -> Cell | MergedCell:
        cell = self.sheet.cell(self.row, column)
        if isinstance(value, Formula):
            cell.value = value.text
            self.cached[cell.coordinate] = value.value
        elif isinstance(value, str):
            text = sheet_text(value)
            cell.value = text
            # Typed as text whatever it looks like, and kept so when somebody edits the cell: ids have leading zeros.
            cell.data_type = "s"
            if starts_like_a_formula(text):
                cell.quotePrefix = True
            if text.isdigit():
                cell.number_format = "@"
        else:
            cell.value = value  # type: ignore[assignment]
        if number_format != PLAIN:
            cell.number_format = number_format
        if bold:
            cell.font = _BOLD
        return cell

    def head(self, columns: Sequence[Column]) -> None:
        for number, column in enumerate(columns, 1):
            cell = self.put(number, f"{column.zh}\n{column.en}")
            cell.font = _BOLD
            cell.fill = _HEAD
            cell.border = Border(bottom=_RULE)
            cell.alignment = Alignment(wrap_text=True, vertical="center")
            letter = get_column_letter(number)
            self.sheet.column_dimensions[letter].width = max(
                column.width,
                self.sheet.column_dimensions[letter].width if letter in self.sheet.column_dimensions else 0,
            )
        self.sheet.row_dimensions[self.row].height = 48
        self.row += 1

    def add(
        self, columns: Sequence[Column], values: Sequence[object], formats: dict[int, str] | None = None
    ) -> None:
        for number, (column, value) in enumerate(zip(columns, values, strict=True), 1):
            if value is not None:
                self.put(number, value, (formats or {}).get(number, column.number_format))
        self.row += 1

    def total(
        self, columns: Sequence[Column], label_column: int, sums: dict[int, Decimal], first: int
    ) -> None:
        """A bold row that adds columns up from row `first`; sums: column → what it comes to."""
        last = self.row - 1
        for number in range(1, len(columns) + 1):
            cell = self.sheet.cell(self.row, number)
            cell.border = Border(top=_RULE)
            if number == label_column:
                self.put(number, "合计 Total", bold=True)
            elif number in sums and last >= first:
                letter = get_column_letter(number)
                self.put(
                    number,
                    Formula(f"=SUM({letter}{first}:{letter}{last})", sums[number]),
                    columns[number - 1].number_format,
                    True,
                )
        self.row += 1

    def title(self, text: str) -> None:
        self.put(1, text).font = _BLOCK_TITLE
        self.sheet.cell(self.row, 1).alignment = Alignment(wrap_text=False)
        self.row += 1


def workbook_bytes(month: Month, policy: PolicyInForce, provisional: bool) -> bytes:
    """The whole workbook as the bytes of an .xlsx file, the same for the same month."""
    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    book.calculation.fullCalcOnLoad = True
    first_day = datetime.fromisoformat(f"{month.month}-01")
    book.properties.creator = "scorecards"
    book.properties.created = first_day
    book.properties.title = f"{month.month}" + (" provisional" if provisional else "")
    title_for = sheet_titles([SUMMARY, LINES, POOLS, AWARDS, REVIEWS, ADJUSTMENTS, RULES])
    currency = _money_format(month.currency)

    summary = _Sheet(book.create_sheet(SUMMARY))
    lines = _Sheet(book.create_sheet(LINES))
    placed = _Placement()
    _lay_out_lines(month, placed)
    _fill_summary(summary, month, currency, placed, provisional)
    _fill_lines(lines, month, policy, currency, placed)
    sheets = [summary, lines]
    for card in month.room_cards():
        sheet = _Sheet(book.create_sheet(title_for(month.room_name(card.subject_id), card.subject_id)))
        _fill_room(sheet, month, policy, card, currency)
        sheets.append(sheet)
    for name, fill in (
        (POOLS, _fill_pools),
        (AWARDS, _fill_awards),
        (REVIEWS, _fill_reviews),
        (ADJUSTMENTS, _fill_adjustments),
    ):
        sheet = _Sheet(book.create_sheet(name))
        fill(sheet, month, currency)
        sheets.append(sheet)
    rules = _Sheet(book.create_sheet(RULES))
    _fill_rules(rules, month, policy)
    sheets.append(rules)
    for one in sheets:
        _page_set_up(one.sheet)
    buffer = io.BytesIO()
    book.save(buffer)
    return _settled(
        buffer.getvalue(),
        first_day,
        {f"xl/worksheets/sheet{n}.xml": s.cached for n, s in enumerate(sheets, 1)},
    )


PEOPLE_COLUMNS = (
    Column("编号", "Staff id", 12),
    Column("姓名", "Name", 22),
    Column("岗位", "Role", 24),
    Column("所属直播间", "Home room", 22),
    Column("总分", "Total", 9, TWO_PLACES),
    Column("等级", "Grade", 8),
    Column("同岗排名", "Rank in role", 9, WHOLE),
    Column("个人得分", "Personal", 10, TWO_PLACES),
    Column("团队得分", "Team", 10, TWO_PLACES),
    Column("上月总分", "Last month", 10, TWO_PLACES),
    Column("应出勤天数", "Eligible days", 10, WHOLE),
    Column("系数", "Coefficient", 10, "0.00"),
    Column("绩效工资", "Performance pay", 14, "money"),
    Column("超额奖", "Over-achievement", 14, "money"),
    Column("奖项", "Awards", 12, "money"),
    Column("合计", "In all", 14, "money"),
    Column("状态", "Status", 18),
    Column("技术预警", "Base warning", 10),
    Column("重算得分合计", "Points recomputed", 12, TWO_PLACES),
    Column("差异", "Difference", 10, TWO_PLACES),
)
ROOM_COLUMNS = (
    Column("编号", "Room id"),
    Column("直播间", "Room"),
    Column("平台", "Platform"),
    Column("市场", "Market"),
    Column("得分", "Score", 9, TWO_PLACES),
    Column("等级", "Grade"),
    Column("排名", "Rank", 9, WHOLE),
    Column("成交额", "GMV", 16, "money"),
    Column("GMV 目标", "GMV target", 16, "money"),
    Column("上月得分", "Last month", 10, TWO_PLACES),
    Column("达成率", "Attainment", 10, PER_CENT),
    Column("系数", "Coefficient", 10, "0.00"),
    Column("奖池", "Pool", 14, "money"),
    Column("状态", "Status", 14),
    Column("技术预警", "Base warning", 10),
    Column("重算得分合计", "Points recomputed", 12, TWO_PLACES),
    Column("差异", "Difference", 10, TWO_PLACES),
)
LINE_COLUMNS = (
    Column("对象", "Subject", 9),
    Column("编号", "Id", 12),
    Column("名称", "Name", 20),
    Column("部分", "Part", 14),
    Column("直播间", "Room", 12),
    Column("指标编号", "KPI id", 22),
    Column("指标", "KPI", 18),
    Column("指标（英）", "KPI (English)", 22),
    Column("方向", "Direction", 10),
    Column("实际值", "Value", 13),
    Column("上月", "Last month", 13),
    Column("底线", "Floor", 13),
    Column("目标", "Target", 13),
    Column("挑战值", "Stretch", 13),
    Column("权重", "Weight", 11, SIX_PLACES),
    Column("有效权重", "Effective weight", 11, SIX_PLACES),
    Column("部分占比", "Share of part", 9, "0%"),
    Column("在岗占比", "Duty share", 10, "0.0000%"),
    Column("单项得分", "Line score", 12, SIX_PLACES),
    Column("得分", "Points", 9, TWO_PLACES),
    Column("重算单项得分", "Line score recomputed", 13, SIX_PLACES),
    Column("重算精确得分", "Exact points recomputed", 13, "0.00000000"),
    Column("向下取到分", "Cut to 0.01", 10, TWO_PLACES),
    Column("余数", "Remainder", 12, "0.00000000"),
    Column("余数名次", "Remainder rank", 10, WHOLE),
    Column("重算得分", "Points recomputed", 11, TWO_PLACES),
    Column("差异", "Difference", 10, TWO_PLACES),
    Column("未计分原因", "Why not scored", 34),
    Column("分子", "Numerator", 16, "#,##0.######"),
    Column("分母", "Denominator", 16, "#,##0.######"),
    Column("数据起", "From", 11),
    Column("数据止", "To", 11),
)
_FIRST_LINE_ROW = 2
_TOTAL_LETTER = "E"


@dataclass
class _Placement:
    """Where things stand: a subject's rows among the lines, and its row in the summary."""

    lines: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    summary: dict[tuple[str, str], int] = field(default_factory=dict)


def _lay_out_lines(month: Month, placed: _Placement) -> None:
    row = _FIRST_LINE_ROW
    for card in month.cards:
        count = len(month.lines.get((card.subject_type, card.subject_id), []))
        if count:
            placed.lines[card.subject_type, card.subject_id] = (row, row + count - 1)
        row += count


def _fill_summary(sheet: _Sheet, month: Month, currency: str, placed: _Placement, provisional: bool) -> None:
    people_columns, room_columns = (
        _in_currency(PEOPLE_COLUMNS, currency),
        _in_currency(ROOM_COLUMNS, currency),
    )
    sheet.head(people_columns)
    first = sheet.row
    previous = _previous_totals(month)
    for card in _people_in_order(month):
        key = ("staff", card.subject_id)
        placed.summary[key] = sheet.row
        row = sheet.row
        home = month.staff.get(card.subject_id, {}).get("room_id")
        sheet.add(
            people_columns,
            [
                card.subject_id,
                month.staff_name(card.subject_id),
                _words(wording.ROLES, card.role),
                month.room_name(home) if home else None,
                card.total_score,
                card.grade,
                card.rank_in_role,
                card.personal_score,
                card.team_score,
                previous.get(key),
                card.eligible_days,
                card.coefficient,
                card.performance_pay,
                card.overachievement_bonus,
                card.awards_amount,
                Formula(f"=SUM(M{row}:O{row})", payout(card)),
                _words(wording.STATUSES, card.status),
                "⚠" if card.base_warning else None,
                *_points_check(card, row, placed),
            ],
        )
    people = month.people()
    last = sheet.row - 1
    sheet.total(
        people_columns,
        2,
        {
            13: sum((card.performance_pay or ZERO for card in people), ZERO),
            14: sum((card.overachievement_bonus or ZERO for card in people), ZERO),
            15: sum((card.awards_amount or ZERO for card in people), ZERO),
            16: sum((payout(card) for card in people), ZERO),
        },
        first,
    )
    sheet.row += 1
    sheet.title("直播间 Rooms")
    sheet.head(room_columns)
    first_room = sheet.row
    pools = {row["room_id"]: row["pool_amount"] for row in month.pools}
    for card in month.room_cards():
        key = ("room", card.subject_id)
        placed.summary[key] = sheet.row
        room = month.rooms.get(card.subject_id, {})
        gmv = month.gmv.get(card.subject_id, {})
        attainment = gmv.get("gmv_target_attainment", {})
        row = sheet.row
        sheet.add(
            room_columns,
            [
                card.subject_id,
                month.room_name(card.subject_id),
                room.get("platform"),
                room.get("market"),
                card.total_score,
                card.grade,
                card.rank_in_role,
                gmv.get("gmv", {}).get("value"),
                attainment.get("denominator"),
                previous.get(key),
                attainment.get("value"),
                card.coefficient,
                pools.get(card.subject_id),
                _words(wording.STATUSES, card.status),
                "⚠" if card.base_warning else None,
                *_points_check(card, row, placed),
            ],
        )
    last_room = sheet.row - 1
    sheet.total(
        room_columns,
        2,
        {
            8: sum(
                (
                    month.gmv.get(c.subject_id, {}).get("gmv", {}).get("value") or ZERO
                    for c in month.room_cards()
                ),
                ZERO,
            ),
            13: sum((amount or ZERO for amount in pools.values()), ZERO),
        },
        first_room,
    )
    if provisional:
        sheet.row += 1
        sheet.title("暂定，结果可能变化。 Provisional: figures may change.")
    sheet.sheet.freeze_panes = "C2"
    ranges = [f"{{0}}{first}:{{0}}{last}", f"{{0}}{first_room}:{{0}}{last_room}"]
    for cells in (
        one for one, empty in zip(ranges, (last < first, last_room < first_room), strict=True) if not empty
    ):
        _colour_grades(sheet.sheet, cells.format("F"))
        sheet.sheet.conditional_formatting.add(
            cells.format("E"),
            DataBarRule(start_type="num", start_value=0, end_type="num", end_value=120, color="7FB8C4"),
        )
    if last >= first:
        _colour_differences(sheet.sheet, f"T{first}:T{last}")
        sheet.sheet.auto_filter.ref = f"A1:{get_column_letter(len(people_columns))}{last}"


def _points_check(card: Card, row: int, placed: _Placement) -> list[object]:
    """The sum of the recomputed points, and how far it is from the total beside it."""
    span = placed.lines.get((card.subject_type, card.subject_id))
    if span is None or card.total_score is None:
        return [None, None]
    letter = "S" if card.subject_type == "staff" else "P"
    total = f"{quote_sheetname(LINES)}!Z{span[0]}:Z{span[1]}"
    return [
        Formula(f"=SUM({total})", card.total_score),
        Formula(f"=ROUND({letter}{row}-{_TOTAL_LETTER}{row},2)", ZERO),
    ]


def _fill_lines(
    sheet: _Sheet, month: Month, policy: PolicyInForce, currency: str, placed: _Placement
) -> None:
    sheet.head(LINE_COLUMNS)
    for card in month.cards:
        story = story_of(card, month, policy)
        part_of = {(part.part, part.room_id): part for part in story.parts}
        key = (card.subject_type, card.subject_id)
        name = (
            month.staff_name(card.subject_id)
            if card.subject_type == "staff"
            else month.room_name(card.subject_id)
        )
        exact_of = {id(step.line): step.exact for part in story.parts for step in part.steps}
        # As stored: part, room (null first), KPI id; ties of the cut are broken in this order.
        lines = month.lines.get(key, [])
        remainders = {
            id(line): exact - exact.quantize(Decimal("0.01"), rounding=ROUND_DOWN)
            for line in lines
            if (exact := exact_of[id(line)]) is not None and card.total_score is not None
        }
        order = sorted(remainders, key=lambda line: -remainders[line])
        for line in lines:
            part = part_of["personal", None] if line.part == "personal" else part_of["team", line.room_id]
            exact = exact_of[id(line)] if id(line) in remainders else None
            _add_line(
                sheet,
                line,
                part,
                name,
                placed,
                exact,
                order.index(id(line)) + 1 if exact is not None else None,
                currency,
            )
    last = sheet.row - 1
    sheet.sheet.freeze_panes = "D2"
    if last >= _FIRST_LINE_ROW:
        sheet.sheet.auto_filter.ref = f"A1:{get_column_letter(len(LINE_COLUMNS))}{last}"
        sheet.sheet.conditional_formatting.add(f"S2:S{last}", _score_colours())
        _colour_differences(sheet.sheet, f"AA2:AA{last}")


def _add_line(
    sheet: _Sheet,
    line: Line,
    part: Part,
    name: str,
    placed: _Placement,
    exact: Decimal | None,
    rank: int | None,
    currency: str,
) -> None:
    row = sheet.row
    first, last = placed.lines[line.subject_type, line.subject_id]
    total = (
        f"{quote_sheetname(SUMMARY)}!${_TOTAL_LETTER}${placed.summary[line.subject_type, line.subject_id]}"
    )
    better = f"IF($M{row}>$L{row},1,-1)"
    cap = f'IF(N{row}="",100,120)'
    past_target = f'IF(N{row}="",100,100+20*(J{row}-M{row})/(N{row}-M{row}))'
    score = (
        f'=IF(OR(J{row}="",L{row}="",M{row}=""),"",ROUND(MAX(0,MIN({cap},'
        f"IF({better}*(J{row}-M{row})<=0,100*(J{row}-L{row})/(M{row}-L{row}),{past_target}))),6))"
    )
    exact_text = f'=IF(OR(U{row}="",R{row}=0,{total}=""),"",ROUND(Q{row}*R{row}*U{row}*P{row},12))'
    rank_text = (
        f'=IF(V{row}="","",SUMPRODUCT(ISNUMBER(X${first}:X${last})*(X${first}:X${last}>X{row}))'
        f"+SUMPRODUCT(ISNUMBER(X${first}:X{row})*(X${first}:X{row}=X{row})))"
    )
    rest = f"ROUND(({total}-SUM(W${first}:W${last}))*100,0)"
    count = f"COUNT(V${first}:V${last})"
    points_text = (
        f'=IF(V{row}="",0,ROUND(W{row}+SIGN({rest})*0.01*(INT(ABS({rest})/{count})+'
        f"IF(IF({rest}>=0,Y{row},{count}+1-Y{row})<=MOD(ABS({rest}),{count}),1,0)),2))"
    )
    cut = None if exact is None else exact.quantize(Decimal("0.01"), rounding=ROUND_DOWN)
    unit = _unit_format(line.kpi.unit, currency)
    sheet.add(
        LINE_COLUMNS,
        [
            "人员 staff" if line.subject_type == "staff" else "直播间 room",
            line.subject_id,
            name,
            _words(wording.PARTS, line.part),
            line.room_id,
            line.kpi.kpi_id,
            line.kpi.name_zh,
            line.kpi.name_en,
            "越高越好 up" if line.kpi.direction == "up" else "越低越好 down",
            line.value,
            line.previous,
            line.floor,
            line.target,
            line.stretch,
            line.weight,
            line.effective_weight,
            part.share,
            part.duty_share if part.counted else ZERO,
            line.line_score,
            line.points,
            Formula(score, "" if line.line_score is None else line.line_score),
            Formula(exact_text, "" if exact is None else figures.rounded_to(exact, 12)),
            Formula(f'=IF(V{row}="","",ROUNDDOWN(V{row},2))', "" if cut is None else cut),
            Formula(
                f'=IF(V{row}="","",ROUND(V{row}-W{row},12))',
                "" if exact is None or cut is None else figures.rounded_to(exact - cut, 12),
            ),
            Formula(rank_text, "" if rank is None else rank),
            Formula(points_text, line.points or ZERO),
            Formula(f"=ROUND(Z{row}-T{row},2)", ZERO),
            None if line.line_score is not None else _words(wording.REASONS, line.reason),
            line.numerator,
            line.denominator,
            line.from_date,
            line.to_date,
        ],
        dict.fromkeys((10, 11, 12, 13, 14), unit) | {31: "yyyy-mm-dd", 32: "yyyy-mm-dd"},
    )
    for number in (19, 20):
        sheet.sheet.cell(row, number).fill = _OURS


ROOM_LINE_COLUMNS = (
    Column("指标", "KPI", 30),
    Column("实际值", "Value", 14),
    Column("上月", "Last month", 14),
    Column("底线", "Floor", 14),
    Column("目标", "Target", 14),
    Column("挑战值", "Stretch", 14),
    Column("单项得分", "Line score", 12, TWO_PLACES),
    Column("权重", "Weight", 12, PER_CENT),
    Column("有效权重", "Effective weight", 12, PER_CENT),
    Column("得分", "Points", 10, TWO_PLACES),
    Column("未计分原因", "Why not scored", 40),
)
ON_DUTY_COLUMNS = (
    Column("姓名", "Name"),
    Column("编号", "Staff id"),
    Column("岗位", "Role"),
    Column("在岗时长", "Time on duty", 14, HOURS),
    Column("天数", "Days", 10, WHOLE),
    Column("场次", "Sessions", 10, WHOLE),
    Column("总分", "Total", 10, TWO_PLACES),
    Column("等级", "Grade"),
    Column("奖池分得", "Pool share", 14, "money"),
)


def _fill_room(sheet: _Sheet, month: Month, policy: PolicyInForce, card: Card, currency: str) -> None:
    attainment = month.gmv.get(card.subject_id, {}).get("gmv_target_attainment", {})
    total = figures.number(card.total_score, 2)
    sheet.title(
        " · ".join([month.room_name(card.subject_id), month.month, total, card.grade or figures.NOTHING])
    )
    sheet.title(
        f"成交额 / 目标 GMV / target: {figures.money(attainment.get('numerator'), month.currency)} / "
        f"{figures.money(attainment.get('denominator'), month.currency)} "
        f"({figures.percent(attainment.get('value'), 1)})"
    )
    sheet.row += 1
    sheet.head(ROOM_LINE_COLUMNS)
    first = sheet.row
    story = story_of(card, month, policy)
    steps = [step for part in story.parts for step in part.steps]
    for step in steps:
        line = step.line
        unit = _unit_format(line.kpi.unit, currency)
        sheet.add(
            ROOM_LINE_COLUMNS,
            [
                f"{line.kpi.name_zh} {line.kpi.name_en}",
                line.value,
                line.previous,
                line.floor,
                line.target,
                line.stretch,
                line.line_score,
                line.weight,
                line.effective_weight,
                line.points,
                None if line.line_score is not None else _words(wording.REASONS, line.reason),
            ],
            dict.fromkeys((2, 3, 4, 5, 6), unit),
        )
    last = sheet.row - 1
    weight = sum((step.line.weight for step in steps), ZERO)
    effective = sum((step.line.effective_weight or ZERO for step in steps), ZERO)
    sheet.total(ROOM_LINE_COLUMNS, 1, {8: weight, 9: effective, 10: story.points}, first)
    if last >= first:
        sheet.sheet.conditional_formatting.add(f"G{first}:G{last}", _score_colours())
    sheet.row += 1
    sheet.title("在岗人员 People on duty")
    columns = _in_currency(ON_DUTY_COLUMNS, currency)
    sheet.head(columns)
    first = sheet.row
    shares = {row["staff_id"]: row["amount"] for row in month.pools if row["room_id"] == card.subject_id}
    duties = people_on_duty(month, card.subject_id)
    for person, duty in duties:
        sheet.add(
            columns,
            [
                month.staff_name(person.subject_id),
                person.subject_id,
                _words(wording.ROLES, person.role),
                figures.rounded_to(Decimal(duty.duty_ms) / 3_600_000, 4),
                duty.duty_days,
                duty.sessions,
                person.total_score,
                person.grade,
                shares.get(person.subject_id),
            ],
        )
    last = sheet.row - 1
    duty_hours = sum((figures.rounded_to(Decimal(duty.duty_ms) / 3_600_000, 4) for _, duty in duties), ZERO)
    on_duty_shares = sum((shares.get(person.subject_id) or ZERO for person, _ in duties), ZERO)
    sheet.total(columns, 1, {4: duty_hours, 9: on_duty_shares}, first)
    if last >= first:
        _colour_grades(sheet.sheet, f"H{first}:H{last}")
    sheet.sheet.freeze_panes = "B5"


POOL_COLUMNS = (
    Column("直播间", "Room", 24),
    Column("编号", "Room id", 12),
    Column("岗位", "Role", 24),
    Column("姓名", "Name", 24),
    Column("编号", "Staff id", 12),
    Column("净成交额", "Net GMV", 16, "money"),
    Column("GMV 目标", "GMV target", 16, "money"),
    Column("奖池", "Pool", 14, "money"),
    Column("金额", "Amount", 14, "money"),
)


def _fill_pools(sheet: _Sheet, month: Month, currency: str) -> None:
    columns = _in_currency(POOL_COLUMNS, currency)
    sheet.head(columns)
    first = sheet.row
    for row in month.pools:
        sheet.add(
            columns,
            [
                month.room_name(row["room_id"]),
                row["room_id"],
                _words(wording.ROLES, row["role"]),
                month.staff_name(row["staff_id"]),
                row["staff_id"],
                row["net_gmv"],
                row["gmv_target"],
                row["pool_amount"],
                row["amount"],
            ],
        )
    sheet.total(columns, 1, {9: sum((row["amount"] or ZERO for row in month.pools), ZERO)}, first)
    sheet.sheet.freeze_panes = "A2"


AWARD_COLUMNS = (
    Column("奖项", "Award", 24),
    Column("直播间", "Room", 24),
    Column("姓名", "Name", 24),
    Column("编号", "Staff id", 12),
    Column("提名", "Nomination", 14),
    Column("验证", "Verdict", 18),
    Column("金额", "Amount", 14, "money"),
    Column("依据", "Evidence", 60),
)


def _fill_awards(sheet: _Sheet, month: Month, currency: str) -> None:
    columns = _in_currency(AWARD_COLUMNS, currency)
    sheet.head(columns)
    first = sheet.row
    for row in month.awards:
        sheet.add(
            columns,
            [
                _words(wording.AWARDS, row["award"]),
                month.room_name(row["room_id"]) if row["room_id"] else None,
                month.staff_name(row["staff_id"]),
                row["staff_id"],
                row["nomination_id"],
                _words(wording.VERDICTS, row["verdict"]) if row["verdict"] else None,
                row["amount"],
                row["evidence"],
            ],
        )
    sheet.total(columns, 1, {7: sum((row["amount"] or ZERO for row in month.awards), ZERO)}, first)
    sheet.sheet.freeze_panes = "A2"


REVIEW_COLUMNS = (
    Column("姓名", "Name", 24),
    Column("编号", "Staff id", 12),
    Column("第一个月", "First month", 12),
    Column("总分", "Total", 10, TWO_PLACES),
    Column("第二个月", "Second month", 12),
    Column("总分", "Total", 10, TWO_PLACES),
    Column("第三个月", "Third month", 12),
    Column("总分", "Total", 10, TWO_PLACES),
    Column("可选做法（由人决定）", "Options (a person decides)", 44),
)


def _fill_reviews(sheet: _Sheet, month: Month, currency: str) -> None:
    sheet.head(REVIEW_COLUMNS)
    for row in month.reviews:
        months = [value for number in (1, 2, 3) for value in (row[f"month_{number}"], row[f"score_{number}"])]
        sheet.add(
            REVIEW_COLUMNS, [month.staff_name(row["staff_id"]), row["staff_id"], *months, row["options"]]
        )
    sheet.sheet.freeze_panes = "A2"


ADJUSTMENT_COLUMNS = (
    Column("对象", "Subject", 24),
    Column("编号", "Id", 12),
    Column("封存月份", "Sealed month", 12),
    Column("项目", "Item", 30),
    Column("封存时", "Sealed", 16, "#,##0.00####"),
    Column("今天", "Today", 16, "#,##0.00####"),
    Column("差异", "Difference", 16, "#,##0.00####"),
)


def _fill_adjustments(sheet: _Sheet, month: Month, currency: str) -> None:
    sheet.head(ADJUSTMENT_COLUMNS)
    for row in month.adjustments:
        staff = row["subject_type"] == "staff"
        name = month.staff_name(row["subject_id"]) if staff else month.room_name(row["subject_id"])
        kpi = month.kpis.get(row["item"])
        item = f"{kpi.name_zh} {kpi.name_en}" if kpi else _words(wording.ITEMS, row["item"])
        values = [
            name,
            row["subject_id"],
            row["sealed_month"],
            item,
            row["sealed"],
            row["today"],
            row["difference"],
        ]
        sheet.add(ADJUSTMENT_COLUMNS, values)
    sheet.sheet.freeze_panes = "A2"


def _fill_rules(sheet: _Sheet, month: Month, policy: PolicyInForce) -> None:
    columns = (Column("规则", "Rule", 90), Column("英文", "In English", 110))
    sheet.head(columns)
    steps = [(grade.grade, grade.min_score, grade.coefficient) for grade in policy.grades]
    sign = figures.CURRENCY_SIGNS.get(month.currency, f"{month.currency} ")
    for zh, en in wording.rules_in_words(policy.rules, steps, sign):
        _add_sentences(sheet, columns, zh, en)
    _add_sentences(
        sheet,
        columns,
        "“明细”表中灰底为系统结果，右侧各列用公式从实际值、底线、目标、挑战值和权重重算；差异应全部为 0.00。",
        "On the Lines sheet the grey cells are ours; the columns to their right recompute them from value, "
        "floor, target, stretch and weight. Every difference should be 0.00.",
    )
    sheet.sheet.freeze_panes = "A2"


def _add_sentences(sheet: _Sheet, columns: Sequence[Column], zh: str, en: str) -> None:
    """Wrapped text in a row high enough for it, since no program measures text when it opens a file."""
    for number, text in enumerate((zh, en), 1):
        sheet.put(number, text).alignment = Alignment(wrap_text=True, vertical="top")
    lines = max(-(-len(zh) * 2 // columns[0].width), -(-len(en) // columns[1].width))
    sheet.sheet.row_dimensions[sheet.row].height = 15 * lines + 6
    sheet.row += 1


def _people_in_order(month: Month) -> list[Card]:
    roles = {role: number for number, role in enumerate(ROLES_IN_ORDER)}
    return sorted(
        month.people(),
        key=lambda card: (
            roles.get(card.role or "", len(roles)),
            card.role or "",
            card.rank_in_role is None,
            card.rank_in_role or 0,
            card.subject_id,
        ),
    )


def _previous_totals(month: Month) -> dict[tuple[str, str], Decimal | None]:
    before = month_before(month.month)
    return {
        key: row["total_score"]
        for key, rows in month.history.items()
        for row in rows
        if row["month"] == before
    }


def _in_currency(columns: Sequence[Column], currency: str) -> list[Column]:
    return [
        Column(
            column.zh,
            column.en,
            column.width,
            currency if column.number_format == "money" else column.number_format,
        )
        for column in columns
    ]


def _money_format(currency: str) -> str:
    sign = figures.CURRENCY_SIGNS.get(currency, f"{currency} ")
    return f'"{sign}"#,##0.00;[Red]-"{sign}"#,##0.00'


def _unit_format(unit: str, currency: str) -> str:
    return {"rate": PER_CENT, "money": currency, "seconds": '#,##0.0" s"', "ms": '#,##0" ms"'}.get(
        unit, "#,##0.##"
    )


def _words(table: dict[str, wording.Words], code: str | None) -> str:
    zh, en = wording.words_for(table, code)
    return zh if zh == en else f"{zh} {en}"


def _score_colours() -> Rule:
    return ColorScaleRule(
        start_type="num",
        start_value=0,
        start_color="F6CFCB",
        mid_type="num",
        mid_value=85,
        mid_color="FFF4DA",
        end_type="num",
        end_value=120,
        end_color="A5D3B5",
    )


def _colour_grades(sheet: Worksheet, cells: str) -> None:
    for row in sheet[cells]:
        for cell in row:
            cell.alignment = Alignment(horizontal="center")
    for grade, colour in GRADE_COLOURS.items():
        fill = PatternFill("solid", bgColor=colour)
        sheet.conditional_formatting.add(
            cells, CellIsRule(operator="equal", formula=[f'"{grade}"'], fill=fill)
        )


def _colour_differences(sheet: Worksheet, cells: str) -> None:
    first = cells.split(":")[0]
    fill = PatternFill("solid", bgColor="F6CFCB")
    sheet.conditional_formatting.add(
        cells, FormulaRule(formula=[f"AND(ISNUMBER({first}),{first}<>0)"], fill=fill)
    )


def _page_set_up(sheet: Worksheet) -> None:
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True  # type: ignore[union-attr]
    sheet.print_title_rows = "1:1"
    sheet.sheet_view.zoomScale = 100


def _settled(
    written: bytes, modified: datetime, cached: dict[str, dict[str, Decimal | int | str | None]]
) -> bytes:
    """The file with fixed times and with the formulas' values beside them, which openpyxl cannot write."""
    settled = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(written)) as source,
        zipfile.ZipFile(settled, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                stamp = modified.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + stamp, content)
            elif cached.get(name):
                content = _with_values(content.decode(), cached[name]).encode()
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            target.writestr(entry, content)
    return settled.getvalue()


def _with_values(xml: str, values: dict[str, Decimal | int | str | None]) -> str:
    def filled(match: re.Match[str]) -> str:
        coordinate, attributes, formula = match.group(1), match.group(2), match.group(3)
        value = values.get(coordinate)
        if value is None:
            return match.group(0)
        if isinstance(value, str):
            return f'<c r="{coordinate}"{attributes} t="str">{formula}<v>{xml_escape(value)}</v></c>'
        return f'<c r="{coordinate}"{attributes}>{formula}<v>{value:f}</v></c>'

    return re.sub(r'<c r="([A-Z]+[0-9]+)"((?: s="[0-9]+")?)>(<f>[^<]*</f>)<v ?/>(?:</v>)?</c>', filled, xml)
