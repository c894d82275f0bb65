"""The SQL's scorecards equal those of a second, plain-Python reading of the page, number by number."""

from __future__ import annotations

import pytest

from dagster_project.settings import UserError
from tests.oracle.appraisal import compare_appraisal, extreme_appraisal, odd_appraisal, random_appraisal, score
from tests.scorecards.conftest import Compiled, Scored

EXTREME_WORLDS = 150
COMPANIES = [(random_appraisal, 1), (random_appraisal, 2), (random_appraisal, 3), (odd_appraisal, 1)]


@pytest.mark.parametrize(("company", "seed"), COMPANIES)
def test_a_random_company_is_scored_as_the_oracle_scores_it(scored: Scored, company, seed: int) -> None:
    inputs, policy = company(seed)
    expected = score(inputs, policy)
    with scored(inputs, policy) as con:
        differences = compare_appraisal(con, expected)
    assert differences == []


@pytest.mark.parametrize("seed", [4, 5, 6, 7, 8, 9, 19])
def test_a_company_and_policy_at_the_edges_are_scored_as_the_oracle_scores_them(compiled: Compiled, seed: int) -> None:
    assert _differences(compiled, seed) == []


@pytest.mark.slow
def test_many_companies_and_policies_at_the_edges_are_scored_as_the_oracle_scores_them(compiled: Compiled) -> None:
    """No tolerance: 0 cents and 0.00 points in every world that the policy check lets through."""
    found = {seed: _differences(compiled, seed) for seed in range(1000, 1000 + EXTREME_WORLDS)}
    scored_worlds = {seed: differences for seed, differences in found.items() if differences is not None}
    assert len(scored_worlds) > 0.9 * EXTREME_WORLDS
    assert {seed: differences for seed, differences in scored_worlds.items() if differences} == {}


def _differences(compiled: Compiled, seed: int) -> list[str] | None:
    """None where the policy is refused: two override rows of a world may come out the same."""
    inputs, policy = extreme_appraisal(seed)
    try:
        con = compiled(inputs, policy)
    except UserError:
        return None
    with con:
        return compare_appraisal(con, score(inputs, policy))
