"""What a customer's meter is expected to measure in a period, from its days before.

By weeks that end on the last known day, not by months: a level that wanders is seen where it is
now, and weekdays cancel out. Everybody's move at this time last year is taken over if it is known.
"""

from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.core.forecasts.series import Method, forecast

#: Weeks of history that a model reads.
WEEKS: Final = 40
#: A series without any usage in so many weeks has ended.
ENDED_WEEKS: Final = 8
#: Fewer customers say nothing about a season that all have in common.
LEAST_FOR_SEASON: Final = 50
#: Fewer earlier errors give no interval.
LEAST_FOR_INTERVAL: Final = 30
INTERVAL: Final = (0.1, 0.9)
#: Aggregations whose quantity grows with the days of the period.
TOTALS: Final = ("sum", "count")
#: Those that keep a level.
LEVELS: Final = ("max", "latest")
_YEAR: Final = timedelta(days=364)
_BEFORE: Final = timedelta(days=28)
_WEEK: Final = timedelta(days=7)

DAYS: Final = pl.Schema(
    {
        "customer_id": pl.String(),
        "meter": pl.String(),
        "aggregation": pl.String(),
        "used_on": pl.Date(),
        "value": pl.Float64(),
    }
)


def by_day(events: pl.LazyFrame, meters: pl.DataFrame) -> pl.LazyFrame:
    """Sum up usage events by UTC day: ``DAYS``, without meters that days say nothing about.

    Parameters
    ----------
    events : pl.LazyFrame
        ``USAGE_EVENTS``, each id once.
    meters : pl.DataFrame
        ``meter, aggregation``. What counts different values in a month does not follow from its
        days.
    """
    known = meters.filter(pl.col("aggregation").is_in([*TOTALS, *LEVELS]))
    kind, amount = pl.col("aggregation").first(), pl.col("quantity").cast(pl.Float64)
    value = (
        pl.when(kind == "sum")
        .then(amount.sum())
        .when(kind == "count")
        .then(pl.len().cast(pl.Float64))
        .when(kind == "max")
        .then(amount.max())
        .otherwise(amount.sort_by("occurred_at", "source", "id").last())
    )
    return (
        events.join(known.select("meter", "aggregation").lazy(), on="meter")
        .with_columns(used_on=pl.col("occurred_at").dt.date())
        .group_by("customer_id", "meter", "aggregation", "used_on")
        .agg(value=value)
    )


def quantity() -> pl.Expr:
    """The quantity of a group of ``DAYS`` of one customer and meter, by its aggregation."""
    kind, value = pl.col("aggregation").first(), pl.col("value")
    return (
        pl.when(kind.is_in(TOTALS))
        .then(value.sum())
        .when(kind == "max")
        .then(value.max())
        .otherwise(value.sort_by("used_on").last())
    )


def expected_usage(
    days: pl.DataFrame, *, as_of_on: date, start_on: date, end_on: date
) -> pl.DataFrame:
    """Forecast the quantity of each customer and meter in ``[start_on, end_on)``.

    Parameters
    ----------
    days : pl.DataFrame
        ``DAYS``: the day's quantity by the meter's own aggregation. Two years of them are read at
        most, one year and a month give the season.
    as_of_on : date
        Days from this one on are not read.
    start_on, end_on : date
        The period; it may have begun.

    Returns
    -------
    pl.DataFrame, one row per customer and meter used in the last eight weeks
        ``customer_id, meter, expected``, ``low`` and ``high`` (80 % interval, null where too few
        errors are known), ``basis`` (model, median: under 12 weeks), ``weeks`` of history and
        ``season``, the factor by which everybody moved a year ago (1: not known).
    """
    known = days.filter(pl.col("used_on") < as_of_on)
    found = _expected(known, as_of_on, start_on, end_on)
    # The same forecast one period earlier tells how far such forecasts miss.
    back = end_on - start_on
    before = _expected(
        known.filter(pl.col("used_on") < as_of_on - back),
        as_of_on - back,
        start_on - back,
        end_on - back,
    )
    return _with_intervals(found, before, _actual(known, start_on - back, end_on - back))


def _expected(known: pl.DataFrame, as_of_on: date, start_on: date, end_on: date) -> pl.DataFrame:
    weekly = _weekly(known, as_of_on)
    is_total = pl.col("aggregation").is_in(TOTALS)
    steps = max(1, -(-(end_on - as_of_on).days // 7))
    totals = forecast(_series(weekly.filter(is_total)), method=Method.SMOOTHING, steps=1)
    levels = forecast(_series(weekly.filter(~is_total)), method=Method.THETA, steps=steps)
    heads = weekly.group_by("series").agg(
        pl.col("customer_id", "meter", "aggregation").first(), weeks=pl.len()
    )
    last = levels.filter(pl.col("ahead") == steps)
    weeks = (end_on - start_on).days / 7
    return (
        pl.concat([totals.with_columns(pl.col("expected") * weeks), last])
        .join(heads, on="series")
        .join(_seasons(known, as_of_on, start_on, end_on), on="meter", how="left")
        .with_columns(season=pl.when(is_total).then("season").fill_null(1.0))
        .with_columns(expected=pl.col("expected") * pl.col("season"))
        .select("customer_id", "meter", "expected", "basis", "weeks", "season")
        .sort("customer_id", "meter")
    )


def _weekly(known: pl.DataFrame, as_of_on: date) -> pl.DataFrame:
    """Weeks numbered up to 0, the one that ends before ``as_of_on``; silent ones are 0.

    The first week of a series is mostly a part of one and left out, unless it is all there is.
    """
    age = (pl.lit(as_of_on) - pl.col("used_on")).dt.total_days() - 1
    recent = known.with_columns(week=-(age // 7)).filter(pl.col("week") > -WEEKS)
    keys = ["customer_id", "meter", "aggregation"]
    used = recent.group_by(*keys, "week").agg(value=quantity())
    spans = used.group_by(keys).agg(first=pl.col("week").min(), last=pl.col("week").max())
    going = spans.filter(pl.col("last") > -ENDED_WEEKS).with_columns(
        series=pl.concat_str("customer_id", "meter", separator="\x1f"),
        week=pl.int_ranges(pl.min_horizontal(pl.col("first") + 1, "last"), 1),
    )
    grid = going.select("series", *keys, "week").explode("week")
    return grid.join(used, on=[*keys, "week"], how="left").with_columns(
        pl.col("value").fill_null(0.0)
    )


def _series(weekly: pl.DataFrame) -> pl.DataFrame:
    return weekly.select("series", "value", step=pl.col("week").cast(pl.Int64))


def _seasons(known: pl.DataFrame, as_of_on: date, start_on: date, end_on: date) -> pl.DataFrame:
    """By how much the median customer moved at this time last year: ``meter, season``."""
    first_on, last_on, until_on = (day - _YEAR for day in (start_on, end_on, as_of_on))
    keys = ["customer_id", "meter"]

    def used(from_on: date, to_on: date) -> pl.DataFrame:
        inside = pl.col("used_on").is_between(from_on, to_on, closed="left")
        return known.filter(inside).group_by(keys).agg(daily=pl.col("value").sum())

    then = used(first_on, last_on)
    before = used(until_on - _BEFORE, until_on).rename({"daily": "daily_before"})
    per_day = pl.col("daily") / (last_on - first_on).days
    per_day_before = pl.col("daily_before") / _BEFORE.days
    return (
        then.join(before, on=keys)
        # Both ends must have been used: who joined or left meanwhile moved by that alone.
        .join(used(until_on - _BEFORE, until_on - _BEFORE + _WEEK), on=keys, how="semi")
        .join(used(last_on - _WEEK, last_on), on=keys, how="semi")
        .filter(pl.col("daily") > 0, pl.col("daily_before") > 0)
        .group_by("meter")
        .agg(season=(per_day / per_day_before).log().median().exp(), customers=pl.len())
        .filter(pl.col("customers") >= LEAST_FOR_SEASON)
        .select("meter", "season")
    )


def _actual(known: pl.DataFrame, start_on: date, end_on: date) -> pl.DataFrame:
    """What a past period measured: ``customer_id, meter, actual``."""
    inside = known.filter(pl.col("used_on").is_between(start_on, end_on, closed="left"))
    return inside.group_by("customer_id", "meter").agg(actual=quantity())


def _with_intervals(
    found: pl.DataFrame, before: pl.DataFrame, actual: pl.DataFrame
) -> pl.DataFrame:
    """Set the quantiles of earlier log errors of the same meter and basis around each forecast."""
    errors = (
        before.join(actual, on=["customer_id", "meter"])
        .filter(pl.col("expected") > 0, pl.col("actual") > 0)
        .with_columns(error=(pl.col("actual") / pl.col("expected")).log())
    )
    low, high = (pl.col("error").quantile(level).exp() for level in INTERVAL)
    spread = (
        errors.group_by("meter", "basis")
        .agg(low=low, high=high, known=pl.len())
        .filter(pl.col("known") >= LEAST_FOR_INTERVAL)
    )
    return found.join(
        spread.drop("known"), on=["meter", "basis"], how="left", maintain_order="left"
    ).with_columns(low=pl.col("expected") * pl.col("low"), high=pl.col("expected") * pl.col("high"))
