"""The last values of a series before a day, for many (series, day) keys at once.

Matrices of the latest values (newest first, NaN where there is none) and robust statistics of
their rows. Values of the key's own day are never in them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Matrix = npt.NDArray[np.float64]
Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)

#: Own invoices that "ordinary" is made of.
LAST: Final = 8
#: A median absolute deviation times this estimates a standard deviation of a normal variable.
MAD_TO_DEVIATION: Final = 1.4826
#: A trailing median of fewer rows than this says nothing about the portfolio.
PORTFOLIO_ROWS: Final = 20
PORTFOLIO_DAYS: Final = 28


@dataclass(frozen=True, slots=True)
class Latest:
    """Matrices of shape (keys, count), one a column, newest value first."""

    columns: dict[str, Matrix]
    count: npt.NDArray[np.int64]

    def __getitem__(self, name: str) -> Matrix:
        return self.columns[name]


def latest_values(
    history: pl.DataFrame,
    keys: pl.DataFrame,
    columns: list[str],
    *,
    by: str = "series",
    count: int = LAST,
) -> Latest:
    """Collect each key's latest values from rows dated strictly before its day.

    Parameters
    ----------
    history : pl.DataFrame
        ``by``, ``issued_on`` and the numeric ``columns``; ties of a day keep the given order.
    keys : pl.DataFrame
        ``by`` and ``as_of_on``; rows may repeat.
    columns : list of str
        What to collect.
    by : str
        Name of the series.
    count : int
        How many values.

    Returns
    -------
    Latest
        Row i belongs to row i of ``keys``; its ``count`` is the number of rows found.
    """
    ordered = history.sort(by, "issued_on", maintain_order=True).with_row_index("position")
    ordered = ordered.with_columns(
        pl.col("position").cast(pl.Int64), start=pl.col("position").min().over(by).cast(pl.Int64)
    )
    found = (
        keys.select(by, "as_of_on")
        .with_row_index("key")
        .sort("as_of_on")
        .join_asof(
            ordered.select(by, "issued_on", "position", "start").sort("issued_on", "position"),
            left_on="as_of_on",
            right_on="issued_on",
            by=by,
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .sort("key")
    )
    newest = found["position"].fill_null(-1).to_numpy()
    start = found["start"].fill_null(0).to_numpy()
    wanted = newest[:, None] - np.arange(count)[None, :]
    is_there = (wanted >= start[:, None]) & (newest[:, None] >= 0)
    place = np.where(is_there, wanted, 0)
    matrices = {}
    for name in columns:
        values = floats(ordered[name])
        taken = values[place] if len(values) else np.full(place.shape, np.nan)
        matrices[name] = np.where(is_there, taken, np.nan)
    return Latest(matrices, is_there.sum(axis=1))


def floats(values: pl.Series) -> Matrix:
    """A column as floats, NaN for null."""
    return values.cast(pl.Float64).to_numpy()


def collected(plan: pl.LazyFrame) -> pl.DataFrame:
    """Run a plan as it stands, in one go.

    A frame operation of its own costs a row three times as much, the optimizer more than it saves.
    """
    return plan.collect(engine="in-memory", optimizations=pl.QueryOptFlags.none())


def join_earlier(rows: Rows, known: Rows, by: list[str]) -> Rows:
    """Join each row with the latest known one of its group dated strictly before its day.

    Parameters
    ----------
    rows, known : pl.DataFrame
        Both with ``issued_on`` and ``by``. Of several known rows of a day the last one counts.
    by : list of str
        Group.

    Returns
    -------
    pl.DataFrame
        ``rows`` by issue date, with the columns of ``known`` (null: nothing earlier).
    """
    return rows.sort("issued_on", maintain_order=True).join_asof(
        known.sort("issued_on", maintain_order=True),
        on="issued_on",
        by=by,
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    )


def row_median(values: Matrix) -> Matrix:
    """Median of each row without its NaN; NaN for an empty row.

    Examples
    --------
    >>> row_median(np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]])).tolist()
    [2.0, nan]
    """
    ordered = np.sort(values, axis=1)  # NaN sorts last
    there = (~np.isnan(values)).sum(axis=1)
    low = np.maximum((there - 1) // 2, 0)[:, None]
    high = np.minimum(there // 2, values.shape[1] - 1)[:, None]
    middle = np.take_along_axis(ordered, low, 1) + np.take_along_axis(ordered, high, 1)
    return np.where(there > 0, middle[:, 0] / 2, np.nan)


def row_deviation(values: Matrix, center: Matrix) -> Matrix:
    """Robust standard deviation of each row around ``center``: scaled median deviation."""
    return MAD_TO_DEVIATION * row_median(np.abs(values - center[:, None]))


def trailing_median(frame: pl.DataFrame, column: str, *, least: int = PORTFOLIO_ROWS) -> Matrix:
    """Median over everybody's rows of the last weeks; see :func:`trailing`."""
    return trailing(frame, column, _median, least=least)


def trailing(
    frame: pl.DataFrame,
    column: str,
    statistic: Callable[[Matrix], float],
    *,
    least: int = PORTFOLIO_ROWS,
) -> Matrix:
    """A statistic of a column over everybody's rows of the last ``PORTFOLIO_DAYS``.

    Parameters
    ----------
    frame : pl.DataFrame
        ``issued_on`` and ``column``; any order.
    column : str
        Numeric; null and NaN do not count.
    statistic : callable
        What is wanted of the values of a window, which ends with the row's own day.
    least : int
        With fewer values the answer is NaN.
    """
    days_of_rows = frame["issued_on"].cast(pl.Int32).to_numpy()
    values = floats(frame[column])
    is_known = ~np.isnan(values)
    order = np.argsort(days_of_rows[is_known], kind="stable")
    sorted_days, sorted_values = days_of_rows[is_known][order], values[is_known][order]
    unique_days, place = np.unique(days_of_rows, return_inverse=True)
    starts = np.searchsorted(sorted_days, unique_days - PORTFOLIO_DAYS, side="right")
    ends = np.searchsorted(sorted_days, unique_days, side="right")
    found = [  # one round a calendar day, never one an invoice
        statistic(sorted_values[start:end]) if end - start >= least else np.nan
        for start, end in zip(starts, ends, strict=True)
    ]
    return np.array(found, dtype=np.float64)[place]


def middle_mean(values: Matrix) -> float:
    """Mean of the middle nine tenths: unlike a median it does not jump between two modes.

    Examples
    --------
    >>> middle_mean(np.array([1.0, 2.0, 3.0, 1000.0, -1000.0]))
    2.0
    """
    cut = -(-len(values) // 20)
    return (
        float(np.sort(values)[cut : len(values) - cut].mean())
        if len(values) > 2 * cut
        else (float(values.mean()))
    )


def _median(values: Matrix) -> float:
    return float(np.median(values))
