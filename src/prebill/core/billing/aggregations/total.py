"""Sum: quantities added up."""

import polars as pl

from prebill.core.billing.aggregations.base import Aggregation, by_span


def total(events: pl.DataFrame) -> pl.DataFrame:
    """Add the quantities of each span."""
    return by_span(events, pl.col("quantity").sum())


SUM = Aggregation("sum", ("quantity",), total)
