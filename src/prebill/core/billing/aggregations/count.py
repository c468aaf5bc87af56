"""Count: number of events, whatever their quantity."""

import polars as pl

from prebill.core.billing.aggregations.base import Aggregation, by_span
from prebill.core.money import DECIMAL


def count(events: pl.DataFrame) -> pl.DataFrame:
    """Count the events of each span."""
    return by_span(events, pl.len().cast(DECIMAL))


COUNT = Aggregation("count", (), count)
