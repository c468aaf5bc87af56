"""Max: the largest quantity seen."""

import polars as pl

from prebill.core.billing.aggregations.base import Aggregation, by_span


def maximum(events: pl.DataFrame) -> pl.DataFrame:
    """Take the largest quantity of each span."""
    return by_span(events, pl.col("quantity").max())


MAX = Aggregation("max", ("quantity",), maximum)
