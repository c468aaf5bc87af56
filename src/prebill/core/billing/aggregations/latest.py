"""Latest: the last quantity reported; of equal instants the greatest (source, id) counts."""

import polars as pl

from prebill.core.billing.aggregations.base import Aggregation, by_span


def latest(events: pl.DataFrame) -> pl.DataFrame:
    """Take the last quantity of each span. Nothing is carried in from before the span."""
    last = events.filter(pl.col("occurred_at") == pl.col("occurred_at").max().over("span"))
    return (
        by_span(last.sort("source", "id"), pl.col("quantity").last())
        .select("span", "quantity")
        .join(by_span(events, pl.len()).select("span", "events"), on="span")
    )


LATEST = Aggregation("latest", ("source", "id", "occurred_at", "quantity"), latest)
