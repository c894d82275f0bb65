"""The step after the models and before the audit: what Python adds to schema insights."""

from __future__ import annotations

import duckdb

from dagster_project.insights import chat_sentiment, gmv_forecast, leading_indicators
from dagster_project.settings import Settings, roll_back

TABLES = (leading_indicators.TABLE, gmv_forecast.TABLE, chat_sentiment.TABLE)


def run_insights(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Write insights.leading_indicators, gmv_forecast, chat_sentiment and the top terms of scene_highlights.

    `con` is a read-write connection on the private warehouse whose marts are built and whose
    intermediate.int_dates_affected still names tonight's dates. The same rows give the same tables.
    """
    con.execute("begin")
    try:
        leading_indicators.write(con)
        gmv_forecast.write(con)
        chat_sentiment.write(con, settings)
    except BaseException:
        roll_back(con)
        raise
    con.execute("commit")


def load_libraries() -> None:
    """Import what the insights need and nothing before them does: seconds of one processor."""
    import sklearn.feature_extraction.text  # noqa: F401

    chat_sentiment.words("")
