"""An independent recomputation of the published tables from delivered rows: plain Python, exact arithmetic.

Written from the specification pages alone and kept apart from the SQL, so that the two can be held against
each other. Clarity before speed: a world of some thousand events takes about a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import localcontext
from typing import Any

from .delivered import Row
from .facts import core, resolve
from .funnels import funnels
from .kpis import attribution_rows, kpi_month_rows, measure_day_rows, measure_days


def compute(
    exports: dict[str, list[Row]],
    registry: list[dict[str, Any]],
    *,
    viewer_secret: str,
    reporting_currency: str = "CNY",
    rules: Iterable[dict[str, Any]] | None = None,
) -> dict[str, list[Row]]:
    """Table name ('core.fct_session') → its rows, in any order.

    `exports` holds delivered rows by export; an export that is no key was never delivered. `registry` is the
    rows of kpis.csv. `rules` is rows (rule, value, valid_from) with spend_tier_low and spend_tier_high.
    Values are int, Decimal, str, bool, date, naive UTC datetime or None. A row with a true `_optional` may
    be absent from the table it is compared with. Raises ValueError where a paid line has no rate.
    """
    with localcontext() as context:
        context.prec = 100
        facts = resolve(exports, reporting_currency, viewer_secret, rules)
        tables = core(facts)
        tables |= funnels(facts, tables["core.fct_product"])
        days = measure_days(facts)
        tables["kpis.kpi_measure_day"] = measure_day_rows(days)
        tables["kpis.kpi_month"] = kpi_month_rows(facts, days, registry, set(exports))
        tables["audit.attribution"] = attribution_rows(facts)
    return tables
