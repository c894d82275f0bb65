"""Great Expectations in a process of its own: one line of figures in, one line of verdicts out, until the input ends.

Loading it takes seconds of one core. Beside the run that is free; and the run's memory is not shared with it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from dagster_project import loading

Verdicts = dict[str, tuple[bool, str]]


def verdicts_on(expectations: Mapping[str, Mapping[str, dict[str, Any]]], figures: Mapping[str, float | None]) -> Verdicts:
    """Check name → (passed, what went wrong inside Great Expectations or nothing).

    expectations: check name → {expectation: its arguments}, one each. Every figure is a column of a frame of one row. A
    null cell would pass most expectations, so each figure is also expected not to be null.
    """
    import great_expectations as gx
    import pandas as pd
    from great_expectations.expectations.registry import get_expectation_impl

    logging.getLogger("great_expectations").propagate = False
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    frame = pd.DataFrame({name: [figure] for name, figure in figures.items()}, dtype="float64")
    asset = context.data_sources.add_pandas("warehouse").add_dataframe_asset("figures")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="suite")
    for check, expectation in expectations.items():
        (name, arguments), *_ = expectation.items()
        meta = {"check": check}
        suite.add_expectation(get_expectation_impl(name)(column=check, meta=meta, **arguments))
        suite.add_expectation(gx.expectations.ExpectColumnValuesToNotBeNull(column=check, meta=meta))
    # The frame holds counts and sums only, and of the result we take the verdict, so no row's value leaves.
    outcome = batch.validate(context.suites.add(suite), result_format="BOOLEAN_ONLY")
    verdicts: Verdicts = dict.fromkeys(expectations, (False, "Great Expectations gave no verdict"))
    verdicts |= {result.expectation_config.meta["check"]: (True, "") for result in outcome.results}
    for result in outcome.results:
        if not result.success:
            verdicts[result.expectation_config.meta["check"]] = (False, _raised(result.exception_info))
    return verdicts


def _raised(exception_info: dict[str, Any]) -> str:
    """The message of an exception that Great Expectations reports as a mere failure; else empty."""
    infos: Iterable[Any] = [exception_info, *exception_info.values()]
    for info in infos:
        if isinstance(info, dict) and info.get("raised_exception"):
            return f"Great Expectations failed: {info.get('exception_message')}"
    return ""


def main(questions: Iterable[str], answers: TextIO) -> None:
    """Answer every line {"expectations": …, "figures": …} with {"verdicts": …}, or {"error": …} where it cannot be judged."""
    with loading.for_good():
        import great_expectations  # noqa: F401

    for question in questions:
        try:
            answer: dict[str, Any] = {"verdicts": verdicts_on(**json.loads(question))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    os.environ.update(GX_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    replies = sys.stdout
    # What a library prints must not stand among the answers.
    sys.stdout = sys.stderr
    main(sys.stdin, replies)
