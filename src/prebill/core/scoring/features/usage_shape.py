"""The shape of the usage behind an invoice: how many records, on which days, how even, repeated.

Totals alone can't tell a duplicated batch or a lost day from growth; counts and days can. One row
per invoice and meter, compared with the same customer's and meter's earlier windows.
"""

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.features.declaration import RECEIVED, USAGE, alike
from prebill.core.scoring.frames import DAY
from prebill.core.scoring.windows import latest_values, row_median

#: Usage this far back is looked at: the billed window and about three before it.
LOOK_BACK_DAYS: Final = 130
#: An invoice without period bills the month before its issue.
DEFAULT_WINDOW_DAYS: Final = 30
EARLIER_WINDOWS: Final = 4
#: Earlier days of the same weekday that a day is compared with: at most, and at least. A month of
#: wrong days must not be their median.
WEEKS: Final = 12
LEAST_WEEKS: Final = 4

#: Feature → what it means; high = unusual.
_MEANINGS: Final = {
    "repeated": "share of the quantity whose events repeat another id's instant and quantity",
    "silence": "active days fewer than ordinary, share of the window",
    "silence_surprise": "how little chance explains the silent days or their longest run, in nats",
    "fewer_records": "log of ordinary records a day over this window's",
    "standstill": "how little chance explains the days equal to the day before, in nats",
    "jump": "log of the highest day over its weekday's ordinary, less the ordinary highest",
    "drop": "log of the weekday's ordinary over the lowest day, less the ordinary lowest",
    "largest": "share of the largest event, less the ordinary",
    "level": "log quantity a day over the ordinary",
}
FEATURES: Final = alike(
    _MEANINGS, *USAGE, null="no usage in the window, or no earlier window", as_of=RECEIVED
)
_STATS: Final = (
    *("active_share", "records", "daily", "equal_share"),
    *("highest", "lowest", "largest_share", "repeat"),
)
SCHEMA: Final = pl.Schema(
    {
        "invoice_id": pl.String,
        "is_draft": pl.Boolean,
        "issued_on": pl.Date,
        "meter": pl.String,
        "window_days": pl.Int64,
        "events": pl.Int64,
        "quantity": pl.Float64,
        "repeated_events": pl.Int64,
        "repeated_quantity": pl.Float64,
        "active_days": pl.Int64,
        "equal_days": pl.Int64,
        "longest_silence": pl.Int64,
        "last_used_on": pl.Date,
        "odd_on": pl.Date,
        "earlier": pl.Float64,
        **{f"usual_{name}": pl.Float64 for name in _STATS},
        **dict.fromkeys(FEATURES, pl.Float64),
    }
)


def profile(usage_days: pl.DataFrame, invoices: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Statistics of each invoice's window and meter.

    Parameters
    ----------
    usage_days : pl.DataFrame
        ``USAGE_DAYS``.
    invoices : pl.DataFrame
        ``invoice_id, customer_id, is_draft, issued_on, period_start_on, period_end_on``.
    keys : pl.DataFrame
        Invoices to judge, the same columns: only windows of their customers are measured, and only
        those that their drafts look back on.

    Returns
    -------
    pl.DataFrame, one row per (invoice, meter that the customer used before the window's end)
        Zero events where the meter was silent.
    """
    if usage_days.is_empty():
        return pl.DataFrame()
    payers = keys.select("customer_id").unique().sort("customer_id").with_row_index("payer")
    windows = _windows(invoices, keys).join(payers, on="customer_id")
    if windows.is_empty():
        return pl.DataFrame()
    first_on: date = windows["window_start_on"].min()  # type: ignore[assignment]
    daily = _compared(_daily(usage_days.filter(pl.col("used_on") >= first_on), payers))
    spans = windows.select("payer", "window_start_on", "window_end_on").unique()
    placed = (
        daily.sort("used_on")
        .join_asof(
            spans.sort("window_start_on", "window_end_on"),
            left_on="used_on",
            right_on="window_start_on",
            by="payer",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("used_on") < pl.col("window_end_on"))
        .sort("series", "used_on")
    )
    key = ["series", "window_start_on"]
    found = placed.with_columns(gap=_gap(key)).group_by(key).agg(*_statistics())
    since = daily.group_by("payer", "meter", "series").agg(since_on=pl.col("used_on").min())
    pairs = windows.join(since, on="payer").filter(pl.col("since_on") < pl.col("window_end_on"))
    return pairs.join(found, on=key, how="left").with_columns(
        pl.col("events", "repeated_events", "active_days").fill_null(0),
        pl.col("quantity", "repeated_quantity").fill_null(0.0),
        longest_silence=_longest_silence(),
        window_days=(pl.col("window_end_on") - pl.col("window_start_on")).dt.total_days(),
    )


def features(rows: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Compare each window with the same meter's earlier ones.

    Parameters
    ----------
    rows : pl.DataFrame
        ``invoice_id, issued_on`` of the invoices to judge.
    profile : pl.DataFrame
        From :func:`profile`, of every visible invoice.

    Returns
    -------
    pl.DataFrame, ``SCHEMA``, one row per (invoice, meter)
    """
    if profile.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    days = pl.col("window_days").clip(1)
    measured = profile.with_columns(
        issued_on="window_start_on",
        active_share=pl.col("active_days") / days,
        records=(pl.col("events") / days).log1p(),
        daily=(pl.col("quantity") / days).log1p(),
        equal_share=pl.col("equal_days") / pl.col("active_days").clip(1),
        repeat=pl.col("repeated_quantity") / pl.col("quantity").clip(1e-12),
    )
    judged = measured.join(rows.select("invoice_id"), on="invoice_id", how="semi")
    keys = judged.select("series", as_of_on="window_start_on")
    earlier = latest_values(measured, keys, list(_STATS), count=EARLIER_WINDOWS)
    usual = {f"usual_{name}": row_median(earlier[name]) for name in _STATS}
    frame = judged.with_columns(
        pl.Series("earlier", earlier.count.astype(np.float64)),
        *[pl.Series(name, values, nan_to_null=True) for name, values in usual.items()],
    )
    against = frame.with_columns(
        repeated=pl.col("repeat") - pl.col("usual_repeat").fill_null(0.0),
        silence=(pl.col("usual_active_share") - pl.col("active_share")).clip(0.0),
        silence_surprise=_silence_surprise(),
        fewer_records=(pl.col("usual_records") - pl.col("records")).clip(0.0),
        standstill=_standstill(),
        jump=(pl.col("highest") - pl.col("usual_highest")).clip(0.0),
        drop=(pl.col("usual_lowest") - pl.col("lowest")).clip(0.0),
        largest=(pl.col("largest_share") - pl.col("usual_largest_share")).clip(0.0),
        level=pl.col("daily") - pl.col("usual_daily"),
    )
    dated = against.drop("issued_on").join(rows.select("invoice_id", "issued_on"), on="invoice_id")
    return dated.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort(
        "invoice_id", "meter"
    )


def _windows(invoices: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """The days that each invoice bills; only from some months before the first draft on."""
    drafted_on = keys.filter("is_draft")["issued_on"].min()
    seen_on: date | None = drafted_on or invoices["issued_on"].max()  # type: ignore[assignment]
    start = pl.coalesce("period_start_on", pl.col("issued_on") - DEFAULT_WINDOW_DAYS * DAY)
    dated = invoices.select(
        "invoice_id",
        "customer_id",
        "is_draft",
        window_start_on=start,
        window_end_on=pl.coalesce("period_end_on", "issued_on"),
    )
    if seen_on is None:
        return dated
    return dated.filter(pl.col("window_start_on") >= seen_on - (LOOK_BACK_DAYS + 31) * DAY)


def _longest_silence() -> pl.Expr:
    """Longest run of days without any event, the window's edges included."""
    before = (pl.col("first_used_on") - pl.col("window_start_on")).dt.total_days()
    after = (pl.col("window_end_on") - pl.col("last_used_on")).dt.total_days() - 1
    whole = (pl.col("window_end_on") - pl.col("window_start_on")).dt.total_days()
    return pl.max_horizontal(before, after, pl.col("inner_gap").fill_null(0)).fill_null(whole)


def _silence_surprise() -> pl.Expr:
    """Log likelihood ratio of the active days, or the chance of so long a run, the larger.

    Days are active independently with the ordinary share; a meter that ordinarily works on half
    the days is silent for four in a row now and then, one that works daily is not.
    """
    days = pl.col("window_days").clip(1).cast(pl.Float64)
    # No meter is so regular that one silent day is impossible.
    usual = pl.col("usual_active_share").clip(0.02, 1 - 1 / (pl.col("earlier") * days + 2))
    share = pl.col("active_share").clip(0.0, 1.0)
    active = pl.when(share > 0).then(share * (share / usual).log()).otherwise(0.0)
    silent = pl.when(share < 1).then((1 - share) * ((1 - share) / (1 - usual)).log()).otherwise(0.0)
    counted = pl.when(share < usual).then(days * (active + silent)).otherwise(0.0)
    run = -pl.col("longest_silence") * (1 - usual).log() - days.log()
    return pl.max_horizontal(counted, run.clip(0.0))


def _standstill() -> pl.Expr:
    """Log likelihood ratio of the days equal to the day before, against the ordinary share."""
    count = pl.col("active_days").clip(1).cast(pl.Float64)
    seen = pl.col("earlier") * pl.col("window_days")
    usual = (pl.col("usual_equal_share") * seen + 0.5) / (seen + 1.0)
    share = pl.col("equal_share").clip(0.0, 1.0)
    other = pl.when(share < 1).then((1 - share) * ((1 - share) / (1 - usual)).log()).otherwise(0.0)
    ratio = count * (share * (share / usual).log() + other)
    return pl.when(share > usual).then(ratio).otherwise(0.0)


def _compared(daily: pl.DataFrame) -> pl.DataFrame:
    """Days with their logarithm over the ordinary of their weekday, and whether they repeat.

    ``off`` is null before ``LEAST_WEEKS`` earlier days of the weekday; ``is_equal`` tells that the
    mean event is exactly the day before's.
    """
    weekday = pl.col("series") * 8 + pl.col("used_on").dt.weekday()
    days = daily.with_columns(weekday=weekday, log=pl.col("quantity").log1p())
    days = days.sort("weekday", "used_on").with_columns(place=_apart("weekday", WEEKS))
    usual = pl.col("log").rolling_median_by(
        "place", window_size=f"{WEEKS}i", min_samples=LEAST_WEEKS, closed="left"
    )
    mean = pl.col("quantity") / pl.col("events")
    is_equal = (pl.col("series") == pl.col("series").shift()) & (mean == mean.shift()) & (mean > 0)
    return (
        days.with_columns(off=pl.col("log") - usual)
        .sort("series", "used_on")
        .with_columns(is_equal=is_equal.fill_null(value=False))
    )


def _apart(group: str, width: int) -> pl.Expr:
    """Row numbers of rows sorted by group, ``width`` more from one group to the next.

    A window of that width by them never reaches into another group: one pass over the column, where
    a window function would start anew for each of a million groups.
    """
    begins = (pl.col(group) != pl.col(group).shift()).fill_null(value=False)
    return pl.int_range(pl.len(), dtype=pl.Int64) + begins.cum_sum().cast(pl.Int64) * width


def _daily(usage_days: pl.DataFrame, payers: pl.DataFrame) -> pl.DataFrame:
    """Sources together, by numbers instead of names: ``payer``, and ``series`` with its meter.

    A meter that only one source feeds is a row a day already.
    """
    amounts = ["quantity", "repeated_quantity", "largest_quantity"]
    summed = ["events", "repeated_events", "quantity", "repeated_quantity"]
    key = ["payer", "meter", "series", "used_on"]
    sources = (
        usage_days.group_by("meter")
        .agg(is_several=pl.col("source").n_unique() > 1)
        .sort("meter")
        .with_row_index("number")
    )
    numbered = usage_days.join(payers, on="customer_id").join(sources, on="meter")
    days = numbered.select(
        "payer",
        "meter",
        "used_on",
        "is_several",
        *summed,
        "largest_quantity",
        series=pl.col("payer").cast(pl.Int64) * sources.height + pl.col("number"),
    ).with_columns(pl.col(amounts).cast(pl.Float64))
    merged = (
        days.filter("is_several")
        .group_by(key)
        .agg(pl.col(summed).sum(), pl.col("largest_quantity").max())
    )
    return pl.concat([days.filter(~pl.col("is_several")), merged], how="diagonal")


def _gap(key: list[str]) -> pl.Expr:
    """Silent days since the row before, null in the first row of a window; of sorted rows."""
    is_same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in key)
    silent = (pl.col("used_on") - pl.col("used_on").shift()).dt.total_days() - 1
    return pl.when(is_same).then(silent)


def _statistics() -> list[pl.Expr]:
    quantity = pl.col("quantity")
    gross = quantity.sum().clip(1e-12)
    return [
        pl.col("events").sum(),
        quantity.sum(),
        pl.col("repeated_events").sum(),
        pl.col("repeated_quantity").sum(),
        active_days(),
        pl.col("off").max().alias("highest"),
        pl.col("off").min().alias("lowest"),
        pl.col("is_equal").sum().cast(pl.Int64).alias("equal_days"),
        (pl.col("largest_quantity").max() / gross).alias("largest_share"),
        pl.col("used_on").get(pl.col("off").abs().arg_max()).alias("odd_on"),
        pl.col("used_on").min().alias("first_used_on"),
        pl.col("used_on").max().alias("last_used_on"),
        pl.col("gap").max().alias("inner_gap"),
    ]


def active_days() -> pl.Expr:
    """Days with at least one event."""
    return (pl.col("events") > 0).sum().cast(pl.Int64).alias("active_days")
