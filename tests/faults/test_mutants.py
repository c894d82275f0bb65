"""The tests are worth what they notice: wrong SQL must not get past them."""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.faults.conftest import Record
from tests.faults.judged import EDGE, ODD, Bench, Verdict, company_bench, in_scope, judge, world_bench
from tests.faults.mutants import Mutant, mutants_of, sample
from tests.faults.pipeline import Model, project

# Mutants that are no fault, each with the reason why its tables cannot come out different.
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yml")
WORLDS = range(20)
COMPANIES = (1, 2, 3, ODD + 1, EDGE + 1, EDGE + 4, EDGE + 5, EDGE + 6, EDGE + 7, EDGE + 8, EDGE + 9, EDGE + 19)
EXPECTATIONS_ASKED_OF_EVERY = 4


@pytest.fixture(scope="module")
def bench_of(tmp_path_factory) -> Callable[[str, int], Bench]:
    """The bench of a world or a company by seed, made when it is first needed."""
    made: dict[tuple[str, int], Bench] = {}

    def bench_of(kind: str, seed: int) -> Bench:
        if (kind, seed) not in made:
            make = world_bench if kind == "world" else company_bench
            made[kind, seed] = make(project(), seed, tmp_path_factory.mktemp(f"{kind}{seed}"))
        return made[kind, seed]

    return bench_of


def known_equivalent(mutant: Mutant) -> bool:
    """Whether an entry names the mutant: its model (or any), its line or a pattern in that, what stands there and instead."""
    return any(
        entry.get("model") in (None, mutant.model)
        and (entry["line"] == mutant.line if "line" in entry else re.search(entry["pattern"], mutant.line))
        and (entry["before"], entry["after"]) == (mutant.before, mutant.after)
        for entry in entries()
    )


@functools.cache
def entries() -> list[dict[str, str]]:
    return yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))


def tried(mutant: Mutant, benches: list[Callable[[], Bench]], with_expectations: bool) -> Verdict:
    """The verdict over benches, up to the first whose oracle finds the mutant."""
    expected, changed = None, False
    for bench in benches:
        verdict = judge(bench(), mutant, with_expectations)
        expected = expected or verdict.by_expectations
        changed |= verdict.changed
        if verdict.by_tests:
            break
    return Verdict(verdict.by_tests, expected, changed)


# One typical fault of each kind that the issue names, in the model that defines the figure.
NAMED = [
    ("int_lines_valued", "a rate of the wrong day", "timezone('UTC', paid_at)", "timezone('UTC', created_at)"),
    ("int_follow_ups_counted", "a changed join", "left join bought_again", "inner join bought_again"),
    ("product_funnel_month", "a changed grain", "sum(", "max("),
]


@pytest.mark.parametrize(("name", "what", "before", "after"), NAMED)
def test_a_typical_mistake_in_a_metric_is_noticed(bench_of, name, what, before, after):
    model = project().models[name]
    mutant = next(m for m in hand_made(model, before, after))
    verdict = tried(mutant, [lambda seed=seed: bench_of("world", seed) for seed in (0, 3, 5)], False)
    assert verdict.by_tests, what


def hand_made(model: Model, before: str, after: str):
    """A mutant at the first place where the text stands."""
    from tests.faults.mutants import bare

    start = bare(model.sql).index(before)
    yield Mutant(model.name, "by hand", start, before, after, before)


def test_mutants_are_of_every_kind_and_change_the_sql_they_are_of():
    found = [mutant for model in project().models.values() for mutant in mutants_of(model)]
    assert set(Counter(mutant.kind for mutant in found)) == {
        "join", "boundary", "window", "dates", "aggregate", "grain", "arithmetic", "null", "logic", "order", "rounding",
        "filter",
    }  # fmt: skip
    for mutant in random.Random(1).sample(found, 50):
        model = project().models[mutant.model]
        assert mutant.sql(model) != model.sql and mutant.before != mutant.after


@pytest.mark.slow
def test_at_least_95_percent_of_sql_mutants_are_killed(bench_of, seed, asked_for, record: Record):
    """Those left over stand in equivalent_mutants.yml, or are told here with the place where they live."""
    marts, scored = in_scope(project())
    count = asked_for("MUTANTS", 400)
    drawn = [("company", mutant) for mutant in sample(scored, count // 4, seed)]
    drawn += [("world", mutant) for mutant in sample(marts, count - count // 4, seed)]
    verdicts: list[tuple[Mutant, Verdict, bool]] = []
    for number, (kind, mutant) in enumerate(drawn):
        seeds = COMPANIES if kind == "company" else WORLDS
        asked = number % EXPECTATIONS_ASKED_OF_EVERY == 0
        benches = [lambda kind=kind, seed=seed: bench_of(kind, seed) for seed in seeds]
        verdicts.append((mutant, tried(mutant, benches, asked), asked))
        report(record, verdicts)
    survivors = [mutant for mutant, verdict, _ in verdicts if not verdict.by_tests and not known_equivalent(mutant)]
    faults = len(verdicts) - sum(known_equivalent(mutant) for mutant, verdict, _ in verdicts if not verdict.by_tests)
    assert len(survivors) <= 0.05 * faults, "\n".join(mutant.told for mutant in survivors)


def report(record: Record, verdicts: list[tuple[Mutant, Verdict, bool]]) -> None:
    """Figures so far: shares of the mutants that are faults."""
    killed = [mutant for mutant, verdict, _ in verdicts if verdict.by_tests]
    left = [mutant for mutant, verdict, _ in verdicts if not verdict.by_tests]
    faults = [entry for entry in verdicts if entry[1].by_tests or not known_equivalent(entry[0])]
    asked = [entry for entry in faults if entry[2]]
    record(
        "mutants",
        count=len(verdicts),
        killed_by_tests=len(killed),
        equivalent=sum(map(known_equivalent, left)),
        share_killed=round(len(killed) / max(1, len(faults)), 4),
        asked_of_expectations=len(asked),
        caught_by_expectations=sum(bool(verdict.by_expectations) for _, verdict, _ in asked),
        killed_only_because_it_failed_to_run=sum(str(v.by_tests).startswith("error") for _, v, _ in verdicts),
        by_kind={
            kind: [sum(1 for m in killed if m.kind == kind), sum(1 for m, _, _ in verdicts if m.kind == kind)]
            for kind in sorted({m.kind for m, _, _ in verdicts})
        },
        survivors=[{"told": m.told, "model": m.model, "line": m.line, "before": m.before, "after": m.after, "changed": v.changed}
                   for m, v, _ in verdicts if not v.by_tests and not known_equivalent(m)],
    )  # fmt: skip
