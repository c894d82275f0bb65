"""Publishing trusts the models' notes of the dates they made anew, so a model by dates may not forget them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[2] / "dbt" / "models"
PUBLISHED = sorted(
    model
    for folder in ("marts", "scorecards")
    for model in (MODELS / folder).rglob("*.sql")
    if "materialized='incremental'" in model.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.stem)
def test_a_published_model_that_is_not_built_whole_forgets_and_notes_its_dates_or_months(model):
    text = model.read_text(encoding="utf-8")
    assert re.search(r'pre_hook="\{\{ forget_(affected_dates|touched_dates|measure_dates|affected_months)\([^)]*\) \}\}"', text)


def test_there_are_such_models():
    assert {"fct_session", "fct_person", "product_funnel"} <= {model.stem for model in PUBLISHED}
