"""Unique: number of different ``unique_value``; events without one are not counted."""

import polars as pl

from prebill.core.billing.aggregations.base import Aggregation, by_span
from prebill.core.money import DECIMAL


def unique(events: pl.DataFrame) -> pl.DataFrame:
    """Count the different values of each span."""
    return by_span(events, pl.col("unique_value").drop_nulls().n_unique().cast(DECIMAL))


UNIQUE = Aggregation("unique", ("unique_value",), unique)
