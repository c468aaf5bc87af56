"""Usage events as detectors see them: one row a customer, meter, source and UTC day."""

import polars as pl

from prebill.core.schemas.internal import USAGE_DAYS


def usage_days(events: pl.DataFrame) -> pl.DataFrame:
    """Summarise events by day.

    Parameters
    ----------
    events : pl.DataFrame
        ``USAGE_EVENTS``. An id that stands twice with its source counts once. An event that
        repeats another id's instant and quantity is a repeated one: a batch sent again under new
        ids looks like that.

    Returns
    -------
    pl.DataFrame
        ``USAGE_DAYS``.
    """
    single = events.unique(["source", "id"], keep="first", maintain_order=True)
    same = ["customer_id", "meter", "occurred_at", "quantity"]
    marked = single.with_columns(is_repeated=~pl.struct(same).is_first_distinct())
    quantity = pl.col("quantity")
    days = (
        marked.with_columns(used_on=pl.col("occurred_at").dt.date())
        .group_by("customer_id", "meter", "source", "used_on")
        .agg(
            events=pl.len().cast(pl.Int64),
            repeated_events=pl.col("is_repeated").sum().cast(pl.Int64),
            quantity=quantity.sum(),
            repeated_quantity=quantity.filter("is_repeated").sum(),
            largest_quantity=quantity.max(),
        )
        .sort("customer_id", "meter", "source", "used_on")
    )
    return USAGE_DAYS.conform(days.cast(USAGE_DAYS.schema))
