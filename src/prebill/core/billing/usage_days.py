"""Usage by customer, meter, source and UTC day: what the detectors of missing usage look at."""

import polars as pl

from prebill.core.billing.checks import without_floats
from prebill.core.money import DECIMAL
from prebill.core.schemas.internal import USAGE_DAYS

_CONTENT = ["customer_id", "meter", "occurred_at", "quantity"]


def usage_days(events: pl.DataFrame) -> pl.DataFrame:
    """Sum up events by day and count those that look like another one sent again.

    Parameters
    ----------
    events : pl.DataFrame, USAGE_EVENTS
        Deduplicated by (source, id).

    Returns
    -------
    pl.DataFrame, USAGE_DAYS
        Of events that share customer, meter, instant and quantity, the one with the smallest
        (source, id) is the original and the others are ``repeated_events``.
    """
    days = events.group_by(
        "customer_id", "meter", "source", used_on=pl.col("occurred_at").dt.date()
    ).agg(
        events=pl.len().cast(pl.Int64),
        quantity=pl.col("quantity").sum(),
        largest_quantity=pl.col("quantity").max(),
    )
    key = ["customer_id", "meter", "source", "used_on"]
    repeats = (
        _repeated(events)
        .group_by("customer_id", "meter", "source", used_on=pl.col("occurred_at").dt.date())
        .agg(
            repeated_events=pl.len().cast(pl.Int64),
            repeated_quantity=pl.col("quantity").sum(),
        )
    )
    filled = days.join(repeats, on=key, how="left").with_columns(
        pl.col("repeated_events").fill_null(0),
        pl.col("repeated_quantity").fill_null(pl.lit(0, dtype=pl.Int64).cast(DECIMAL)),
    )
    return without_floats(USAGE_DAYS.conform(filled.sort(USAGE_DAYS.key)), "usage_days")


def _repeated(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events that repeat another one's customer, meter, instant and quantity."""
    # As in dedupe: a hash finds the candidates, the columns themselves decide.
    mixed = pl.col("customer_id").hash(1)
    for seed, name in enumerate(_CONTENT[1:], start=2):
        mixed = mixed.xor(pl.col(name).hash(seed))
    keys = events.select(candidate=mixed)
    if keys["candidate"].n_unique() == events.height:
        return events.clear()
    several = keys.group_by("candidate").len().filter(pl.col("len") > 1)
    candidates = events.with_columns(keys["candidate"]).join(several, on="candidate", how="semi")
    ordered = candidates.sort("source", "id")
    return ordered.filter(~pl.struct(_CONTENT).is_first_distinct())
