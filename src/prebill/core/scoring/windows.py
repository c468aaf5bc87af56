"""The last values of a series before a day, for many (series, day) keys at once.

Matrices of the latest values (newest first, NaN where there is none) and robust statistics of
their rows. Values of the key's own day are never in them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Rows = TypeVar("Rows", pl.DataFrame, pl.LazyFrame)

#: Own invoices that "ordinary" is made of.
LAST: Final = 8
#: A median absolute deviation times this estimates a standard deviation of a normal variable.
MAD_TO_DEVIATION: Final = 1.4826
#: A trailing median of fewer rows than this says nothing about the portfolio.
PORTFOLIO_ROWS: Final = 20
PORTFOLIO_DAYS: Final = 28
#: Days that fit below the number of a series in one integer.
DAY_BITS: Final = 22
NOWHERE: Final = -1


@dataclass(frozen=True, slots=True)
class Latest:
    """Matrices of shape (keys, count), one a column, newest value first."""

    columns: dict[str, Matrix]
    count: npt.NDArray[np.int64]

    def __getitem__(self, name: str) -> Matrix:
        return self.columns[name]


@dataclass(frozen=True)
class Ordered:
    """Rows in the order of series and day, and where in them those of another day are.

    ``rows``: the series (column ``by``), ``issued_on`` and values; places are positions in it, -1
    for none.
    """

    rows: pl.DataFrame
    by: str = "series"

    @classmethod
    def of(cls, rows: pl.DataFrame, by: str = "series") -> Self:
        """Put rows in order; those of a series and day keep theirs."""
        return cls(rows.sort(by, "issued_on", maintain_order=True), by)

    @cached_property
    def numbers(self) -> Places:
        """The number of each row's series."""
        names = self.rows[self.by]
        if not len(names) or names[0] == names[-1]:
            return np.zeros(len(names), dtype=np.int64)
        return names.rle_id().to_numpy().astype(np.int64)

    @cached_property
    def days(self) -> Places:
        """The day of each row as a number."""
        return day_numbers(self.rows["issued_on"])

    @cached_property
    def order(self) -> Places:
        """Rises with series and day."""
        return (self.numbers << DAY_BITS) + self.days

    def before(self, keys: pl.DataFrame) -> Places:
        """The latest row of each key (the series, ``as_of_on``) before its day."""
        number = self._numbers_of(keys[self.by])
        wanted = (number << DAY_BITS) + day_numbers(keys["as_of_on"])
        place = np.searchsorted(self.order, wanted) - 1
        is_own = (place >= 0) & (number >= 0)
        if len(self.numbers):
            is_own &= self.numbers[np.clip(place, 0, None)] == number
        return np.where(is_own, place, NOWHERE)

    def earlier(self, places: Places, count: int) -> Places:
        """Places of the ``count`` rows before each place, newest first: (places, count)."""
        wanted = places[:, None] - 1 - np.arange(count)[None, :]
        inside = np.clip(wanted, 0, None)
        is_there = (wanted >= 0) & (places >= 0)[:, None]
        if len(self.numbers):
            is_there &= self.numbers[inside] == self.numbers[np.clip(places, 0, None)][:, None]
        return np.where(is_there, wanted, NOWHERE)

    def up_to(self, places: Places, count: int) -> Places:
        """Each place and those of the rows before it, newest first: (places, count)."""
        return np.concatenate([places[:, None], self.earlier(places, count - 1)], axis=1)

    def values(self, name: str, places: Places) -> Matrix:
        """A column at some places; NaN nowhere."""
        if not self.rows.height:
            return np.full(places.shape, np.nan)
        return np.where(places >= 0, floats(self.rows[name])[np.clip(places, 0, None)], np.nan)

    def _numbers_of(self, wanted: pl.Series) -> Places:
        """The number of each wanted series; ``NOWHERE`` for one that is not there."""
        firsts = np.flatnonzero(np.diff(self.numbers, prepend=-1))
        if not len(firsts):
            return np.full(len(wanted), NOWHERE, dtype=np.int64)
        if len(wanted) == 1 and len(firsts) == 1:
            is_own = wanted[0] == self.rows[self.by][0]
            return np.array([0 if is_own else NOWHERE], dtype=np.int64)
        names = self.rows[self.by].gather(firsts)
        found = np.minimum(names.search_sorted(wanted).to_numpy().astype(np.int64), len(names) - 1)
        return np.where((names.gather(found) == wanted).to_numpy(), found, NOWHERE)


def latest_values(
    history: pl.DataFrame | Ordered,
    keys: pl.DataFrame,
    columns: list[str],
    *,
    by: str = "series",
    count: int = LAST,
) -> Latest:
    """Collect each key's latest values from rows dated strictly before its day.

    Parameters
    ----------
    history : pl.DataFrame or Ordered
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
    ordered = history if isinstance(history, Ordered) else Ordered.of(history, by)
    places = ordered.up_to(ordered.before(keys), count)
    matrices = {name: ordered.values(name, places) for name in columns}
    return Latest(matrices, (places >= 0).sum(axis=1))


def day_numbers(dates: pl.Series) -> Places:
    """Days since 1970."""
    return dates.cast(pl.Int32).cast(pl.Int64).to_numpy()


def floats(values: pl.Series) -> Matrix:
    """A column as floats, NaN for null."""
    return values.cast(pl.Float64).to_numpy()


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


def trailing_median(
    frame: pl.DataFrame, column: str, *, start: int = 0, least: int = PORTFOLIO_ROWS
) -> Matrix:
    """Median of a column over everybody's rows of the last ``PORTFOLIO_DAYS``, own day included.

    Parameters
    ----------
    frame : pl.DataFrame
        ``issued_on`` and ``column``; any order.
    column : str
        Numeric; null and NaN do not count.
    start : int
        The first row that is asked for; those before are values only.
    least : int
        With fewer values the answer is NaN.

    Returns
    -------
    Matrix
        An answer a row from ``start`` on.
    """
    days_of_rows = frame["issued_on"].cast(pl.Int32).to_numpy()
    values = floats(frame[column])
    is_known = ~np.isnan(values)
    order = np.argsort(days_of_rows[is_known], kind="stable")
    sorted_days, sorted_values = days_of_rows[is_known][order], values[is_known][order]
    unique_days, place = np.unique(days_of_rows[start:], return_inverse=True)
    starts = np.searchsorted(sorted_days, unique_days - PORTFOLIO_DAYS, side="right")
    ends = np.searchsorted(sorted_days, unique_days, side="right")
    found = [  # one round a calendar day, never one an invoice
        float(np.median(sorted_values[first:end])) if end - first >= least else np.nan
        for first, end in zip(starts, ends, strict=True)
    ]
    return np.array(found, dtype=np.float64)[place]
