"""The invoice against the customer's own history: robust ratios less the portfolio's move.

``profile`` summarises what a series looked like before a day; ``features`` sets an invoice beside
it. Amounts enter as logarithms, so a feature of 0.69 means twice the ordinary value.
"""

from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.features import peers, season
from prebill.core.scoring.features.declaration import (
    AGREED,
    CORRECTED,
    LINES,
    TOTALS,
    alike,
)
from prebill.core.scoring.features.season import History, Season
from prebill.core.scoring.frames import Books
from prebill.core.scoring.windows import (
    Matrix,
    floats,
    latest_values,
    row_deviation,
    row_median,
    trailing_median,
)

MEASURES: Final = ("total", "units", "lines", "price", "shift", "peak")
#: What may have a season.
SEASONAL: Final = (*MEASURES, "share")
#: Own deviations of few invoices are pulled to the portfolio's typical one with this weight.
DEVIATION_WEIGHT: Final = 3.0
#: Below this a deviation is rounding noise (1 %).
LEAST_DEVIATION: Final = 0.01
#: A period this much shorter or longer (log) than usual is a part or several; months differ less.
LEAST_SPAN: Final = 0.15
#: What grows with the days of the billed period.
SPANNED: Final = ("total", "units", "shift", "peak")

#: What the portfolio's move and spread are made of.
POOLED: Final = (
    *("issued_on", "total", *peers.GROUPS),
    *(f"{name}_raw" for name in MEASURES),
    *(f"{name}_own" for name in SEASONAL),
)

#: Feature → what it means; the columns the forest sees.
_MEANINGS: Final = {
    "total_ratio": "log total less own median of the last 8, the portfolio's move and the season",
    "total_z": "the same in own robust deviations",
    "total_step": "log total less the previous invoice's, less the portfolio's move",
    "total_beyond": "log distance outside the range of the last 8; 0 inside",
    "total_season": "what of the log total last year's season explains",
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
    "largest_share": "share of the largest line, less own median share and the season",
}
FEATURES: Final = {
    **alike(
        _MEANINGS,
        *TOTALS,
        *LINES,
        *CORRECTED,
        *AGREED,
        null="no earlier invoice; of units, price, shift, peak and share also: no lines that tell",
    ),
    **peers.FEATURES,
}


def measures(books: Books, shifts: pl.DataFrame) -> pl.DataFrame:
    """Logarithms of what is compared, one row per invoice.

    Parameters
    ----------
    books : Books
        Invoices and their lines.
    shifts : pl.DataFrame
        From :func:`features.quantity.line_shifts`, of the same invoices.

    Returns
    -------
    pl.DataFrame
        ``invoice_id, customer_id, series, issued_on`` and ``MEASURES`` (signed logarithms),
        ``share`` (largest line of the subtotal), ``span`` (log days of the period), ``day`` (issue
        day as a number). Null where lines, quantities or the period are missing.
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
        "customer_id",
        "series",
        "issued_on",
        total=_signed_log(pl.col("total_minor").cast(pl.Float64)),
        units=units,
        lines=pl.col("line_count").log1p(),
        price=pl.col("subtotal").log1p() - units,
        shift="shift",
        peak="peak",
        share=pl.col("largest") / pl.max_horizontal("subtotal", pl.lit(1.0)),
        span=(pl.col("period_end_on") - pl.col("period_start_on")).dt.total_days().clip(1).log(),
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
        ``<measure>_center, _deviation, _trend, _last, _low, _high``; ``gap_center``, ``last_day``,
        ``span_center``, ``share_center, share_deviation``; the columns of
        :func:`features.season.profile`.
    """
    past = History.of(history)
    window = latest_values(past, keys, [*MEASURES, "share", "span", "day"])
    columns: dict[str, Matrix] = {"known": window.count.astype(np.float64)}
    for name in MEASURES:
        values = window[name]
        center = row_median(values)
        columns[f"{name}_center"] = center
        columns[f"{name}_deviation"] = row_deviation(values, center)
        columns[f"{name}_trend"] = _trend(values)
        columns[f"{name}_last"] = values[:, 0]
        is_known = ~np.isnan(values)
        columns[f"{name}_low"] = np.where(
            is_known.any(axis=1), np.where(is_known, values, np.inf).min(axis=1), np.nan
        )
        columns[f"{name}_high"] = np.where(
            is_known.any(axis=1), np.where(is_known, values, -np.inf).max(axis=1), np.nan
        )
    columns["share_center"] = row_median(window["share"])
    columns["share_deviation"] = row_deviation(window["share"], columns["share_center"])
    columns["span_center"] = row_median(window["span"])
    columns["last_day"] = window["day"][:, 0]
    columns["gap_center"] = row_median(window["day"][:, :-1] - window["day"][:, 1:])
    return pl.concat(
        [
            keys.select("series", "as_of_on"),
            pl.DataFrame(columns),
            season.profile(past, keys, SEASONAL),
        ],
        how="horizontal",
    )


def _trend(values: Matrix) -> Matrix:
    """How far a trend went on from the center of a window (newest value first) to the next one.

    The newer half less the older half; 0 where the older one is not known.
    """
    half = values.shape[1] // 2
    newer, older = row_median(values[:, :half]), row_median(values[:, half:])
    ahead = (newer - older) * (values.shape[1] + 1) / (2 * half)
    return np.asarray(np.nan_to_num(ahead), dtype=np.float64)


def compared(rows: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Set invoices beside their profiles.

    Parameters
    ----------
    rows : pl.DataFrame
        From :func:`measures`, with :func:`peers.groups`: the invoices to judge.
    profile : pl.DataFrame
        From :func:`profile` with one key per row, in the same order.

    Returns
    -------
    pl.DataFrame, one row per invoice
        Both, with ``<measure>_raw`` (log less own center), ``<measure>_own`` (own deviation, from
        the third invoice on) and ``gap``. The columns ``POOLED`` of recent invoices say what the
        portfolio did.
    """
    frame = pl.concat([rows, profile.drop("series", "as_of_on")], how="horizontal")
    return frame.with_columns(
        *((pl.col(name) - pl.col(f"{name}_center")).alias(f"{name}_raw") for name in MEASURES),
        # A deviation of one or two invoices is not one: it counts from the third on.
        *(
            pl.when(pl.col("known") >= 3).then(f"{name}_deviation").alias(f"{name}_own")
            for name in SEASONAL
        ),
        gap=(pl.col("day") - pl.col("last_day")).log1p(),
    )


def features(
    frame: pl.DataFrame, portfolio: pl.DataFrame, recent: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Deviations from the own past, less the portfolio's of the last four weeks and the season's.

    Parameters
    ----------
    frame : pl.DataFrame
        From :func:`compared`: whole batches, because they are part of the portfolio.
    portfolio : pl.DataFrame
        From :func:`features.season.portfolio_moves`, of earlier days.
    recent : pl.DataFrame or None
        ``POOLED`` columns of invoices issued before these, where ``frame`` has none of them.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id, known``, the columns of ``FEATURES`` (null where unknown) and, for the
        reviewer's words, ``total_center`` (log), ``portfolio_move`` and what
        :func:`peers.features` says beside ``total_peers``.
    """
    pool = frame.select(POOLED) if recent is None else pl.concat([recent, frame.select(POOLED)])
    start = pool.height - frame.height
    moves = {
        name: np.nan_to_num(trailing_median(pool, f"{name}_raw", start=start)) for name in MEASURES
    }
    deviations = {name: _deviation(frame, pool, name) for name in SEASONAL}
    seasons = Season(frame, portfolio, deviations[MEASURES[0]])
    longer = _longer(frame)
    parts = [
        _against_own(
            frame,
            name,
            moves[name],
            seasons=seasons,
            deviation=deviations[name],
            longer=longer if name in SPANNED else None,
        )
        for name in MEASURES
    ]
    frame = pl.concat([frame, *parts], how="horizontal")
    share = floats(frame["share"]) - floats(frame["share_center"])
    share = share - seasons.part_of("share", share, deviations["share"])
    return frame.select(
        "invoice_id",
        "known",
        *[pl.col(name).fill_nan(None) for name in FEATURES if name in frame.columns],
        gap_ratio=(pl.col("gap") - pl.col("gap_center").log1p()).fill_nan(None),
        largest_share=pl.Series(share, nan_to_null=True),
        total_center=pl.col("total_center").fill_nan(None),
        portfolio_move=pl.Series(moves["total"]),
    ).hstack(peers.features(frame, recent))


def _deviation(frame: pl.DataFrame, pool: pl.DataFrame, name: str) -> Matrix:
    """Own robust deviation, pulled to the portfolio's typical one."""
    known = frame["known"].to_numpy()
    own = floats(frame[f"{name}_deviation"])
    usual = trailing_median(pool, f"{name}_own", start=pool.height - frame.height)
    typical = np.maximum(np.nan_to_num(usual, nan=0.3), LEAST_DEVIATION)
    weight = np.where(known >= 3, known, 0.0)
    pooled = (weight * np.nan_to_num(own) ** 2 + DEVIATION_WEIGHT * typical**2) / (
        weight + DEVIATION_WEIGHT
    )
    return np.asarray(np.maximum(np.sqrt(pooled), LEAST_DEVIATION), dtype=np.float64)


def _against_own(
    frame: pl.DataFrame,
    name: str,
    move: Matrix,
    *,
    seasons: Season,
    deviation: Matrix,
    longer: Matrix | None,
) -> pl.DataFrame:
    """Ratio, z, step and range of one measure, season and own trend taken off."""
    value, last, low, high, raw, trend = (
        floats(frame[column])
        for column in (name, *(f"{name}_{end}" for end in ("last", "low", "high", "raw", "trend")))
    )
    ratio = raw - move
    explained = seasons.part_of(name, ratio, deviation)
    if longer is not None:
        explained = explained + _shared(ratio - explained, longer)
    explained = explained + _shared(ratio - explained, trend)
    usual = value - move - explained
    above, below = np.maximum(usual - high, 0.0), np.maximum(low - usual, 0.0)
    step = value - move - last
    return pl.DataFrame(
        {
            f"{name}_ratio": ratio - explained,
            f"{name}_z": (ratio - explained) / deviation,
            f"{name}_step": step - _shared(step, explained),
            f"{name}_beyond": above - below,
            f"{name}_season": explained,
        }
    )


def _longer(frame: pl.DataFrame) -> Matrix:
    """Log of the period's days over the usual ones; 0 where they hardly differ."""
    longer = pl.col("span") - pl.col("span_center").fill_nan(None)
    part = pl.when(longer.abs() >= LEAST_SPAN).then(longer).fill_null(0.0)
    return frame.select(part)["span"].to_numpy()


def _shared(step: Matrix, explained: Matrix) -> Matrix:
    """What of a step is explained, never more than the step."""
    return np.clip(step, np.minimum(explained, 0.0), np.maximum(explained, 0.0))


def _signed_log(value: pl.Expr) -> pl.Expr:
    return value.sign() * value.abs().log1p()
