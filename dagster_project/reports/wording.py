"""The words of the pages in Chinese and English, (zh, en) each, for every code that a table carries."""

# Sentences stay whole, and a Chinese character counts as two columns.
# ruff: noqa: E501

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from markupsafe import Markup, escape

from dagster_project.reports.figures import number

Words = tuple[str, str]

ROLES: dict[str, Words] = {
    "host": ("主播", "Host"),
    "operations": ("运营", "Operations"),
    "floor_control": ("场控", "Floor control"),
    "customer_service": ("客服", "Customer service"),
    "technical": ("技术", "Technical"),
    "room": ("直播间", "Room"),
}
STAGES: dict[str, Words] = {
    "startup": ("起步期", "Start-up"),
    "growth": ("成长期", "Growth"),
    "mature": ("成熟期", "Mature"),
}
CATEGORY_NAMES: dict[str, Words] = {
    "traffic": ("流量", "Traffic"),
    "engagement": ("互动", "Engagement"),
    "conversion": ("转化", "Conversion"),
    "retention": ("留存", "Retention"),
    "quality": ("质量", "Quality"),
    "technical": ("技术", "Technical"),
}
PARTS: dict[str, Words] = {"personal": ("个人部分", "Personal part"), "team": ("团队部分", "Team part")}
STATUSES: dict[str, Words] = {
    "scored": ("已评分", "Scored"),
    "insufficient_data": ("数据不足，未评分", "Not enough data, no score"),
}
# Why a line has no score, as a sentence a person can act on.
REASONS: dict[str, Words] = {
    "not_applicable": (
        "此指标不适用于个人，或与该岗位无关。",
        "This KPI does not apply to a person, or not to this role.",
    ),
    "no_data": (
        "所需的数据文件从未送达，因此未测量（不等于 0）。",
        "The data behind it was never delivered, so it was not measured (which is not 0).",
    ),
    "no_base": (
        "分母为 0 或没有 GMV 目标，本期没有可以计算的对象。",
        "Nothing to measure against: the denominator is 0, or there is no GMV target or no session in the period.",
    ),
    "small_sample": (
        "样本太少，低于该指标的最低基数，结果不可靠，故不计分。",
        "Too few cases: below this KPI's smallest base, so the value would not be reliable.",
    ),
    "no_target": (
        "本月没有为此指标设定目标，故不计分。",
        "No target was set for this KPI this month, so it is not scored.",
    ),
}
REASON_NAMES: dict[str, Words] = {
    "not_applicable": ("不适用", "Not applicable"),
    "no_data": ("无数据", "No data"),
    "no_base": ("无基数", "No base"),
    "small_sample": ("样本太少", "Small sample"),
    "no_target": ("无目标", "No target"),
}
AWARDS: dict[str, Words] = {
    "innovation": ("创新奖", "Innovation award"),
    "best_contributor": ("个人最佳贡献奖", "Best contributor"),
    "best_room": ("最佳小组奖", "Best room"),
}
VERDICTS: dict[str, Words] = {
    "verified": ("已验证", "Verified"),
    "not_verified": ("未通过验证", "Not verified"),
}
OPTIONS: dict[str, Words] = {
    "transfer": ("调岗", "Transfer"),
    "training": ("培训", "Training"),
    "negotiated_end": ("协商解除", "Negotiated end"),
    "negotiated end": ("协商解除", "Negotiated end"),
}
ITEMS: dict[str, Words] = {
    "personal_score": ("个人得分", "Personal score"),
    "team_score": ("团队得分", "Team score"),
    "total_score": ("总分", "Total score"),
    "grade": ("等级", "Grade"),
    "coefficient": ("系数", "Coefficient"),
    "performance_pay": ("绩效工资", "Performance pay"),
    "overachievement_bonus": ("超额奖", "Over-achievement bonus"),
    "awards_amount": ("奖项金额", "Awards"),
    "pay": ("绩效工资", "Performance pay"),
}
EVIDENCE: dict[str, Words] = {
    "kpi_id": ("指标", "KPI"),
    "before": ("之前", "before"),
    "after": ("之后", "after"),
    "test": ("检验方法", "test"),
    "p_value": ("p 值", "p-value"),
    "reason": ("原因", "reason"),
    "total_score": ("总分", "total"),
    "personal_score": ("个人得分", "personal score"),
    "duty_seconds": ("在岗时长", "time on duty"),
    "duty_days": ("在岗天数", "days on duty"),
    "room_total_score": ("直播间得分", "room score"),
}
TESTS: dict[str, Words] = {
    "two_proportion": ("两比例检验（双侧）", "two-proportion, two-sided"),
    "welch": ("Welch 检验（双侧）", "Welch, two-sided"),
}
SEVERITIES: dict[str, Words] = {
    "error": ("错误级", "Error"),
    "warn": ("提醒级", "Warning"),
    "warning": ("提醒级", "Warning"),
}


def words_for(table: dict[str, Words], code: str | None) -> Words:
    """The words of a code; a code without words stands for itself."""
    if code is None:
        return ("—", "—")
    return table.get(code, (code, code))


# Markup.format() is ten times slower, and a site has hundreds of thousands; typed, for "<" is not Markup("<").
@lru_cache(maxsize=8192, typed=True)
def either(zh: str, en: str) -> Markup:
    """The same thing in both languages side by side; the page shows one. Both texts are escaped."""
    return Markup(f'<span class="t" lang="zh-CN">{escape(zh)}</span><span class="t" lang="en">{escape(en)}</span>')


def both(zh: str, en: str, **fill: object) -> Markup:
    """either(), with {names} in our own words filled in; what is filled in is escaped."""
    return either(escape(zh).format(**fill), escape(en).format(**fill))


def named(table: dict[str, Words], code: str | None) -> Markup:
    """The words of a code, in both languages."""
    return either(*words_for(table, code))


def month_words(month: str) -> Words:
    """2026-10 → 2026年10月, October 2026."""
    names = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]
    year, number_in_year = month.split("-")
    return (f"{int(year)}年{int(number_in_year)}月", f"{names[int(number_in_year) - 1]} {int(year)}")


def rules_in_words(
    rules: dict[str, Decimal], grades: list[tuple[str, Decimal | None, Decimal]], currency_sign: str
) -> list[Words]:
    """The rules in force as sentences, numbers from the policy files. grades: (grade, min score, coefficient)."""

    def share(name: str) -> str:
        return number(rules[name] * 100, 0) + "%"

    def amount(name: str) -> str:
        return currency_sign + number(rules[name], 0)

    def places(value: Decimal) -> int:
        return 0 if value == value.to_integral_value() else 2

    steps = [(grade, number(score or Decimal(0), places(score or Decimal(0))), number(coefficient, 2))
             for grade, score, coefficient in grades]  # fmt: skip
    last = grades[-1][0]
    zh_grades = "，".join(f"{g} {'其余' if g == last else '≥ ' + s}（系数 {c}）" for g, s, c in steps)
    en_grades = ", ".join(f"{g} {'below' if g == last else '≥ ' + s} (coefficient {c})" for g, s, c in steps)
    team_share = number((1 - rules["personal_share"]) * 100, 0) + "%"
    pool_zh = "、".join(f"{ROLES[role][0]} {share('pool_share_' + role)}" for role in ROLES if role != "room")
    pool_en = ", ".join(
        f"{ROLES[role][1].lower()} {share('pool_share_' + role)}" for role in ROLES if role != "room"
    )
    months = number(rules["strike_months"], 0)
    return [
        (
            f"总分 = 个人得分 × {share('personal_share')} + 团队得分 × {team_share}。完成了一起奖，没完成一起担。",
            f"Total = personal score × {share('personal_share')} + team score × {team_share}. "
            "Reached together, rewarded together; missed together, carried together.",
        ),
        (
            "每项指标：达到底线得 0 分，达到目标得 100 分，达到挑战值得 120 分，中间按直线计算；没有挑战值时最高 100 分。",
            "Each KPI: 0 points at the floor, 100 at the target, 120 at the stretch, linear between; "
            "without a stretch the most is 100.",
        ),
        (
            "总量指标（如成交额、弹幕数）的个人目标按应出勤天数折算；比率从不折算。",
            "Personal targets of totals (GMV, chat messages…) are scaled by eligible days; rates never are.",
        ),
        (
            "没有数据或没有目标的指标不计分，其权重转给同类指标（没有同类则转给全部已计分指标）。"
            f"计分权重不足 {share('min_scored_weight')} 时不出总分。",
            "A KPI without a value or a target is not scored; its weight moves to the KPIs of the same category "
            f"(or to all scored ones). With less than {share('min_scored_weight')} of the weight scored there is no total.",
        ),
        (
            f"等级：{zh_grades}。绩效工资 = 基数 × 应出勤天数 ÷ 当月天数 × 系数。",
            f"Grades: {en_grades}. Performance pay = base × eligible days ÷ days of the month × coefficient.",
        ),
        (
            f"超额奖池 = {share('overachievement_rate')} ×（净成交额 − GMV 目标），仅在超额时产生；按岗位分配：{pool_zh}；"
            "岗位内按 总分 × 在岗时长 分配（客服按 总分 × 已回复会话数）。",
            f"Over-achievement pool = {share('overachievement_rate')} × (net GMV − GMV target) where positive; "
            f"cut by role: {pool_en}; inside a role by total × time on duty "
            "(customer service: total × answered conversations).",
        ),
        (
            f"创新奖 {amount('innovation_award')}（须经前后对比检验）；个人最佳贡献奖 {amount('best_contributor_award')}"
            f"（在岗至少 {number(rules['best_contributor_min_days'], 0)} 天）；最佳小组奖 {amount('best_room_award')}。",
            f"Innovation award {amount('innovation_award')} (verified by a before-and-after test); "
            f"best contributor {amount('best_contributor_award')} "
            f"(at least {number(rules['best_contributor_min_days'], 0)} days on duty); "
            f"best room {amount('best_room_award')}.",
        ),
        (
            f"连续 {months} 个月低于及格分 {number(rules['pass_score'], 0)} 分：提请管理者面谈并由人决定（调岗、培训、协商解除）；"
            "系统不会自动处理任何人，排名本身也不会触发。",
            f"{months} months in a row below the pass score of {number(rules['pass_score'], 0)}: a prompt for a talk and "
            "a person's decision (transfer, training, negotiated end). Nothing happens by itself, and rank alone never "
            "triggers it.",
        ),
    ]
