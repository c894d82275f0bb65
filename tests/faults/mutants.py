"""Mutants of the models' SQL: one small wrong change each, as a person makes it.

A mutant is a place in a model's compiled SQL (comments taken out) and what stands there instead. Operators know
SQL only as far as they must: strings and comments are never changed, and a condition is taken out whole.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults.pipeline import Model


@dataclass(frozen=True)
class Mutant:
    """`before` → `after` at one place of a model; `line` is the place's line, for people."""

    model: str
    kind: str
    start: int
    before: str
    after: str
    line: str

    def sql(self, model: Model) -> str:
        text = bare(model.sql)
        assert text[self.start :].startswith(self.before)
        return text[: self.start] + self.after + text[self.start + len(self.before) :]

    @property
    def told(self) -> str:
        return f"{self.model}: {self.kind}: {self.before!r} → {self.after!r} in `{self.line}`"


SWAPPED = [
    ("created_at", "paid_at"), ("started_at", "ended_at"), ("on_at", "off_at"), ("requested_at", "completed_at"),
    ("from_date", "to_date"), ("hired_on", "left_on"), ("event_at", "placed_at"), ("first_day", "last_day"),
]  # fmt: skip
PARTNER = {one: other for pair in SWAPPED for one, other in (pair, pair[::-1])}

OTHER_AGGREGATE = {
    "sum": "max", "max": "min", "min": "max", "arg_min": "arg_max", "arg_max": "arg_min", "bool_or": "bool_and",
}  # fmt: skip

# kind, what is looked for, what stands there instead (None: leave it)
REPLACEMENTS: list[tuple[str, str, Callable[[re.Match[str]], str | None]]] = [
    ("join", r"\b(inner|left) join\b", lambda m: {"inner": "left join", "left": "inner join"}[m[1]]),
    ("boundary", r" (>=|<=|>|<) ", lambda m: {">=": " > ", "<=": " < ", ">": " >= ", "<": " <= "}[m[1]]),
    ("window", r"(?<=interval )\d+\b", lambda m: str(int(m[0]) + 1)),
    ("window", r"(?<=[=<>+-] )\d+\b(?![.\w])", lambda m: str(int(m[0]) + 1)),
    ("dates", rf"\b({'|'.join(PARTNER)})\b", lambda m: PARTNER[m[1]]),
    ("aggregate", r"\b(sum|max|min|arg_min|arg_max|bool_or)(?=\()",
     lambda m: OTHER_AGGREGATE[m[1]]),
    ("grain", r"count\(distinct ", lambda m: "count("),
    ("grain", r"\bselect distinct\b", lambda m: "select"),
    ("grain", r"\bunion all\b|\bunion\b", lambda m: "union" if m[0] == "union all" else "union all"),
    ("grain", r"(?<=partition by )([\w.]+), ", lambda m: ""),
    ("arithmetic", r"(?<=[\w)]) ([+-]) (?=[\w(])", lambda m: {"+": " - ", "-": " + "}[m[1]]),
    ("arithmetic", r"(?<=[\w)]) ([*/]) (?=[\w(])", lambda m: {"*": " / ", "/": " * "}[m[1]]),
    ("null", r"\bis not null\b|\bis null\b", lambda m: "is null" if "not" in m[0] else "is not null"),
    ("null", r"\bcoalesce\(([\w.]+), [\w.]+\)", lambda m: m[1]),
    ("logic", r" (and|or) (?=[\w(])", lambda m: {"and": " or ", "or": " and "}[m[1]]),
    ("logic", r"\bnot exists\b|\bnot in\b", lambda m: m[0].removeprefix("not ")),
    ("logic", r" = (?=')", lambda m: " <> "),
    ("order", r"\b(asc|desc)\b", lambda m: {"asc": "desc", "desc": "asc"}[m[1]]),
    ("rounding", r"\bround(?=\()", lambda m: "trunc"),
]  # fmt: skip


def bare(sql: str) -> str:
    """SQL without its comments and blank lines."""
    text = re.sub(r"'(?:[^']|'')*'|--[^\n]*", lambda m: m[0] if m[0].startswith("'") else "", sql)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def masked(sql: str) -> str:
    """The same text with what is inside strings blotted out, so that places stay the same."""
    return re.sub(r"'(?:[^']|'')*'", lambda m: "'" + "\x00" * (len(m[0]) - 2) + "'", sql)


def mutants_of(model: Model) -> list[Mutant]:
    """Every mutant the operators find in a model."""
    text = bare(model.sql)
    mask = masked(text)
    found = []
    for kind, pattern, instead in REPLACEMENTS:
        for match in re.finditer(pattern, mask):
            after = instead(match)
            if after is None or kind == "dates" and _only_passes_on(text, match):
                continue
            if kind == "logic" and match[0].strip() == "and" and re.search(r"between [^\n]*$", text[: match.start()]):
                continue
            found.append(_mutant(model, kind, text, match.start(), match.end(), after))
    for start, end in _conditions(mask):
        if re.fullmatch(r"\S+ in \(\s*select business_date from \S*int_dates_\S*(.|\n)*\)", text[start:end]):
            continue  # what a night builds again; a whole build has every date in the list
        found.append(_mutant(model, "filter", text, start, end, "true"))
    return found


def _mutant(model: Model, kind: str, text: str, start: int, end: int, after: str) -> Mutant:
    line = text[text.rfind("\n", 0, start) + 1 : (text.find("\n", end) + 1 or len(text) + 1) - 1]
    return Mutant(model.name, kind, start, text[start:end], after, " ".join(line.split()))


def _only_passes_on(text: str, match: re.Match[str]) -> bool:
    """A column that is only handed on by name (or is a name being given): a swap would not even run."""
    line = text[text.rfind("\n", 0, match.start()) + 1 : (text.find("\n", match.end()) + 1 or len(text) + 1) - 1]
    return bool(re.fullmatch(r"\s*([\w]+\.)?\w+,?\s*", line)) or text[: match.start()].endswith(" as ")


ENDS = re.compile(r"\b(group by|order by|having|union|limit|qualify|window|except|inner join|left join|cross join|where)\b")


def _conditions(mask: str) -> Iterator[tuple[int, int]]:
    """Every condition that stands alone between where/having/qualify/on and its end, joined to others by `and`."""
    for opening in re.finditer(r"\b(where|having|qualify|on)\s+", mask):
        place = opening.end()
        parts = [place]
        depth = cases = 0
        is_between = False
        position = place
        while position < len(mask):
            character = mask[position]
            if character == "(":
                depth += 1
            elif character == ")":
                depth -= 1
                if depth < 0:
                    break
            word = re.compile(r"\b(case|end|between|and|or)\b").match(mask, position) if depth == 0 else None
            if depth == 0 and ENDS.match(mask, position):
                break
            if word:
                if word[1] == "case":
                    cases += 1
                elif word[1] == "end":
                    cases -= 1
                elif cases == 0 and word[1] == "between":
                    is_between = True
                elif cases == 0 and word[1] == "and":
                    if not is_between:
                        parts += [position, word.end()]
                    is_between = False
                position = word.end()
                continue
            position += 1
        parts.append(position)
        whole = mask[place:position]
        if re.search(r"\bor\b", re.sub(r"\([^()]*\)", "", whole)):
            parts = [place, position]
        for number, (start, end) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            condition = mask[start:end].strip()
            if not condition or condition == "true" or opening[1] == "on" and number == 0:
                continue
            start += len(mask[start:end]) - len(mask[start:end].lstrip())
            yield start, start + len(condition)


def sample(models: list[Model], count: int, seed: int) -> list[Mutant]:
    """`count` mutants drawn from all of these models, the same for the same seed and SQL."""
    found = [mutant for model in sorted(models, key=lambda model: model.name) for mutant in mutants_of(model)]
    return random.Random(seed).sample(found, min(count, len(found)))
