"""The SQL's scorecards equal those of a second, plain-Python reading of the page, number by number."""

import pytest

from tests.oracle.appraisal import compare_appraisal, random_appraisal, score


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_company_is_scored_as_the_oracle_scores_it(scored, seed):
    inputs, policy = random_appraisal(seed)
    expected = score(inputs, policy)
    with scored(inputs, policy) as con:
        differences = compare_appraisal(con, expected)
    assert differences == []
