"""Usage by customer, meter, source and UTC day: what the detectors of missing usage look at."""

from typing import Final

import polars as pl
from polars.dataframe.group_by import GroupBy

from prebill.core.billing.checks import without_floats
from prebill.core.money import DECIMAL
from prebill.core.schemas.internal import USAGE_DAYS

_CONTENT: Final = ["customer_id", "meter", "occurred_at", "quantity"]
_TEXTS: Final = ["customer_id", "meter", "source"]


def usage_days(events: pl.DataFrame) -> pl.DataFrame:
    """Sum up events by day and count those that look like another one sent again.

    Parameters
    ----------
    events : pl.DataFrame, USAGE_EVENTS
        Deduplicated by (source, id).

    Returns
    -------
    pl.DataFrame, USAGE_DAYS
        In the order of its key. Of events that share customer, meter, instant and quantity, the one
        with the smallest (source, id) is the original and the others are ``repeated_events``.
    """
    if events.is_empty():
        return USAGE_DAYS.empty()
    # Groups are numbers, in the order of the texts and days that they stand for, and events are
    # sorted by them first: almost as many groups as events then take a third of the time.
    values = {name: events[name].unique().sort() for name in _TEXTS}
    day = pl.col("occurred_at").dt.date().to_physical().cast(pl.Int64)
    first_day, last_day = events.select(first=day.min(), last=day.max()).row(0)
    days = last_day - first_day + 1

    def group(frame: pl.DataFrame) -> GroupBy:
        number = pl.lit(0, dtype=pl.Int64)
        for name in _TEXTS:
            code = pl.col(name).cast(pl.Enum(values[name])).to_physical().cast(pl.Int64)
            number = number * values[name].len() + code
        numbered = frame.select("quantity", group=number * days + day - first_day)
        return numbered.sort("group").group_by("group", maintain_order=True)

    sums = group(events).agg(
        events=pl.len().cast(pl.Int64),
        quantity=pl.col("quantity").sum(),
        largest_quantity=pl.col("quantity").max(),
    )
    repeats = group(repeated(events)).agg(
        repeated_events=pl.len().cast(pl.Int64), repeated_quantity=pl.col("quantity").sum()
    )
    whole = sums.join(repeats, on="group", how="left", maintain_order="left").with_columns(
        pl.col("repeated_events").fill_null(0),
        pl.col("repeated_quantity").fill_null(pl.lit(0, dtype=pl.Int64).cast(DECIMAL)),
        used_on=(pl.col("group") % days + first_day).cast(pl.Date),
        rest=pl.col("group") // days,
    )
    for name in reversed(_TEXTS):
        codes = (whole["rest"] % values[name].len()).rename(name)
        texts = values[name].gather(codes).rename(name)
        whole = whole.with_columns(texts, rest=pl.col("rest") // values[name].len())
    return without_floats(USAGE_DAYS.conform(whole), "usage_days")


def repeated(events: pl.DataFrame) -> pl.DataFrame:
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
