"""The invoice against the customer's own history: robust ratios less the portfolio's move.

``profile`` summarises what a series looked like before a day; ``features`` sets an invoice beside
it. Amounts enter as logarithms, so a feature of 0.69 means twice the ordinary value.
"""

from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.frames import DAY, Books
from prebill.core.scoring.windows import (
    Matrix,
    latest_values,
    row_deviation,
    row_median,
    trailing_median,
)

MEASURES: Final = ("total", "units", "lines", "price", "shift", "peak")
#: Own deviations of few invoices are pulled to the portfolio's typical one with this weight.
DEVIATION_WEIGHT: Final = 3.0
#: Below this a deviation is rounding noise (1 %).
LEAST_DEVIATION: Final = 0.01
#: The same month last year lies within these days before the invoice.
SEASON_FROM: Final = 385
SEASON_TO: Final = 345

#: Feature → what it means; the columns the forest sees.
FEATURES: Final[dict[str, str]] = {
    "total_ratio": "log total less own median of the last 8, less the portfolio's move",
    "total_z": "the same in own robust deviations",
    "total_step": "log total less the previous invoice's, less the portfolio's move",
    "total_beyond": "log distance outside the range of the last 8; 0 inside",
    "total_season": "the same month last year instead of the last 8; the ratio where none is known",
    "total_peers": "log total less the portfolio's median, in robust deviations",
    "units_ratio": "units instead of total",
    "units_z": "units instead of total",
    "lines_ratio": "number of lines instead of total",
    "lines_z": "number of lines instead of total",
    "price_ratio": "amount a unit instead of total",
    "price_z": "amount a unit instead of total",
    "shift_ratio": "mean log quantity against the products' usual ones, instead of total",
    "shift_z": "the same in own robust deviations",
    "peak_ratio": "largest log quantity against its product's usual one, instead of total",
    "peak_z": "the same in own robust deviations",
    "gap_ratio": "log days since the previous invoice less own median gap",
    "largest_share": "share of the largest line, less own median share",
}


def measures(books: Books, shifts: pl.DataFrame) -> pl.DataFrame:
    """Logarithms of what is compared, one row per invoice.

    Parameters
    ----------
    books : Books
        Every visible invoice.
    shifts : pl.DataFrame
        From :func:`features.quantity.line_shifts`.

    Returns
    -------
    pl.DataFrame
        ``invoice_id, series, issued_on`` and ``MEASURES`` (signed logarithms),
        ``share`` (largest line of the subtotal), ``day`` (issue day as a number). Null where lines
        or quantities are missing.
    """
    amount = pl.col("amount_minor").cast(pl.Float64)
    by_invoice = books.lines.group_by("invoice_id").agg(
        units=pl.col("quantity").cast(pl.Float64).abs().sum(),
        has_units=pl.col("quantity").is_not_null().any(),
        line_count=pl.len().cast(pl.Float64),
        subtotal=amount.abs().sum(),
        largest=amount.abs().max(),
    )
    units = pl.when("has_units").then(pl.col("units").log1p())
    joined = books.invoices.join(by_invoice, on="invoice_id", how="left")
    return joined.join(shifts, on="invoice_id", how="left").select(
        "invoice_id",
        "series",
        "issued_on",
        total=_signed_log(pl.col("total_minor").cast(pl.Float64)),
        units=units,
        lines=pl.col("line_count").log1p(),
        price=pl.col("subtotal").log1p() - units,
        shift="shift",
        peak="peak",
        share=pl.col("largest") / pl.max_horizontal("subtotal", pl.lit(1.0)),
        day=pl.col("issued_on").cast(pl.Int32).cast(pl.Float64),
    )


def profile(history: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """What each series looked like before a day.

    Parameters
    ----------
    history : pl.DataFrame
        From :func:`measures`.
    keys : pl.DataFrame
        ``series, as_of_on``, one row per invoice to judge.

    Returns
    -------
    pl.DataFrame, one row per key, in the order of ``keys``
        ``known`` (number of earlier invoices, at most 8) and, for each measure,
        ``<measure>_center, _deviation, _last, _low, _high``; ``total_year``; ``gap_center``,
        ``last_day``, ``share_center``.
    """
    window = latest_values(history, keys, [*MEASURES, "share", "day"])
    columns: dict[str, Matrix] = {"known": window.count.astype(np.float64)}
    for name in MEASURES:
        values = window[name]
        center = row_median(values)
        columns[f"{name}_center"] = center
        columns[f"{name}_deviation"] = row_deviation(values, center)
        columns[f"{name}_last"] = values[:, 0]
        is_known = ~np.isnan(values)
        columns[f"{name}_low"] = np.where(
            is_known.any(axis=1), np.where(is_known, values, np.inf).min(axis=1), np.nan
        )
        columns[f"{name}_high"] = np.where(
            is_known.any(axis=1), np.where(is_known, values, -np.inf).max(axis=1), np.nan
        )
    columns["share_center"] = row_median(window["share"])
    columns["last_day"] = window["day"][:, 0]
    columns["gap_center"] = row_median(window["day"][:, :-1] - window["day"][:, 1:])
    return pl.concat(
        [keys.select("series", "as_of_on"), pl.DataFrame(columns), _last_year(history, keys)],
        how="horizontal",
    )


def features(rows: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Set invoices beside their profiles.

    Parameters
    ----------
    rows : pl.DataFrame
        From :func:`measures`: the invoices to judge, whole batches, because the portfolio's move
        is the median over everybody's rows of the last four weeks.
    profile : pl.DataFrame
        From :func:`profile` with one key per row, in the same order.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id, known``, the columns of ``FEATURES`` (null where unknown) and
        ``total_center`` (log), ``portfolio_move`` for the reviewer's words.
    """
    frame = pl.concat([rows, profile.drop("series", "as_of_on")], how="horizontal")
    frame = frame.with_columns(
        total_season_raw=pl.col("total") - pl.col("total_year"),
        gap=(pl.col("day") - pl.col("last_day")).log1p(),
    )
    parts = [_against_own(frame, name) for name in MEASURES]
    frame = pl.concat([frame, *parts], how="horizontal")
    season = pl.col("total_season_raw") - _known_or_zero(frame, "total_season_raw")
    ratio = pl.col("total_ratio")
    is_seasonal = season.is_not_null() & season.is_not_nan() & (season.abs() < ratio.abs())
    frame = frame.with_columns(total_season=pl.when(is_seasonal).then(season).otherwise(ratio))
    typical = trailing_median(frame, "total")
    distance = (pl.col("total") - pl.Series("typical", typical)).abs()
    spread = trailing_median(frame.select("issued_on", distance=distance), "distance")
    return frame.select(
        "invoice_id",
        "known",
        *[pl.col(name).fill_nan(None) for name in FEATURES if name in frame.columns],
        total_peers=(
            (pl.col("total") - pl.Series("t", typical))
            / pl.Series("s", np.maximum(spread * 1.4826, LEAST_DEVIATION))
        ).fill_nan(None),
        gap_ratio=(pl.col("gap") - pl.col("gap_center").log1p()).fill_nan(None),
        largest_share=(pl.col("share") - pl.col("share_center")).fill_nan(None),
        total_center=pl.col("total_center").fill_nan(None),
        portfolio_move=pl.Series("move", np.nan_to_num(trailing_median(frame, "total_raw"))),
    )


def _against_own(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Ratio, z, step and range of one measure."""
    raw = frame.select("issued_on", raw=pl.col(name) - pl.col(f"{name}_center"))
    move = pl.Series("move", np.nan_to_num(trailing_median(raw, "raw")))
    known = frame["known"].to_numpy()
    own = frame[f"{name}_deviation"].fill_null(float("nan")).to_numpy()
    # A deviation of one or two invoices is not one: it counts from the third on.
    weighed = frame.select("issued_on", own=pl.when(pl.col("known") >= 3).then(f"{name}_deviation"))
    typical = np.maximum(np.nan_to_num(trailing_median(weighed, "own"), nan=0.3), LEAST_DEVIATION)
    weight = np.where(known >= 3, known, 0.0)
    pooled = (weight * np.nan_to_num(own) ** 2 + DEVIATION_WEIGHT * typical**2) / (
        weight + DEVIATION_WEIGHT
    )
    deviation = pl.Series("deviation", np.maximum(np.sqrt(pooled), LEAST_DEVIATION))
    ratio = raw["raw"] - move
    step = pl.col(name) - pl.col(f"{name}_last") - move
    above = pl.col(name) - move - pl.col(f"{name}_high")
    below = pl.col(f"{name}_low") - pl.col(name) + move
    return frame.select(
        ratio.alias(f"{name}_ratio"),
        (ratio / deviation).alias(f"{name}_z"),
        step.alias(f"{name}_step"),
        (above.clip(0.0) - below.clip(0.0)).alias(f"{name}_beyond"),
        raw["raw"].alias(f"{name}_raw"),
    )


def _last_year(history: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """The total of the series' latest invoice within the same weeks of last year."""
    return (
        keys.select("series", until=pl.col("as_of_on") - SEASON_TO * DAY)
        .with_row_index("key")
        .sort("until")
        .join_asof(
            history.select("series", "issued_on", total_year="total").sort("issued_on"),
            left_on="until",
            right_on="issued_on",
            by="series",
            strategy="backward",
            tolerance=(SEASON_FROM - SEASON_TO) * DAY,
            check_sortedness=False,
        )
        .sort("key")
        .select("total_year")
    )


def _known_or_zero(frame: pl.DataFrame, column: str) -> pl.Series:
    return pl.Series("move", np.nan_to_num(trailing_median(frame, column)))


def _signed_log(value: pl.Expr) -> pl.Expr:
    return value.sign() * value.abs().log1p()
