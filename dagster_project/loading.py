"""Libraries load faster while Python's collector of cyclic garbage rests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def for_good() -> Iterator[None]:
    """Take what is made inside for needed until the process ends: it is neither searched for garbage now nor ever after.

    Classes and functions by the hundred thousand stay anyway; looking through them as they come is a third of the time that
    loading dagster and dbt takes.
    """
    resting = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not resting:
            gc.enable()
            gc.freeze()
