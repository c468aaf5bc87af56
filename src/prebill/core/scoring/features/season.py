"""Season: how far the same weeks of last year explain that an invoice is unlike the last ones.

Last year's value against its own centre then, less what the portfolio did then, is the move that
the season may make again. It is *expected* as far as such moves explained the customer's latest
invoices, and *excused* in full where it stood out of the customer's noise: without a season,
nothing is taken off.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.windows import (
    DAY_BITS,
    LAST,
    NOWHERE,
    PORTFOLIO_DAYS,
    Matrix,
    Ordered,
    Places,
    day_numbers,
    floats,
    row_median,
    trailing_median,
)

YEAR_DAYS: Final = 365
#: Last year's invoice lies within so many days of the same day.
NEAR_DAYS: Final = 20
#: Invoices before last year's that make a centre.
LEAST_CENTER: Final = 3
#: A move of so many own deviations is noise, and one of so many is a season.
NOISE: Final = 2.0
SURE: Final = 4.0
#: Squared own deviations for which the customer's past counts as having no season.
PRIOR_WEIGHT: Final = 4.0


class History(Ordered):
    """Invoices in the order of series and day, and where in it those of other days are."""

    def year_ago(self, numbers: Places, days: Places) -> Places:
        """The row of a series that is nearest to the same day of last year."""
        wanted = (numbers << DAY_BITS) + days - YEAR_DAYS
        after = np.searchsorted(self.order, wanted)
        places = np.stack([after - 1, after])
        found = self.order[np.clip(places, 0, max(len(self.order) - 1, 0))]
        # Another series is at least a range of days away.
        distance = np.abs(found - wanted)
        nearest = np.where(distance[1] <= distance[0], places[1], places[0])
        is_near = distance.min(axis=0) <= NEAR_DAYS
        return np.where(is_near & (nearest < len(self.order)), nearest, NOWHERE)

    def moves(self, name: str, places: Places) -> Matrix:
        """A measure less its own centre; NaN with fewer than ``LEAST_CENTER`` rows before."""
        earlier = self.values(name, self.earlier(places, LAST))
        has_center = (~np.isnan(earlier)).sum(axis=1) >= LEAST_CENTER
        return np.where(has_center, self.values(name, places) - row_median(earlier), np.nan)


def profile(
    history: pl.DataFrame | History, keys: pl.DataFrame, measures: tuple[str, ...]
) -> pl.DataFrame:
    """What each series did a year before a day, and before its latest invoices.

    Parameters
    ----------
    history : pl.DataFrame or History
        Rows of :func:`features.variance.measures`.
    keys : pl.DataFrame
        ``series, as_of_on``, one row per invoice to judge.
    measures : tuple of str
        Columns; the first one tells how much the season explained before.

    Returns
    -------
    pl.DataFrame, one row per key, in the order of ``keys``
        ``year_day`` (number of last year's day), ``<measure>_year`` (last year's value less its
        centre then), and of the latest ``LAST`` invoices: ``latest_days, latest_moves,
        latest_year_days, latest_year_moves``.
    """
    past = history if isinstance(history, History) else History.of(history)
    if past.rows.is_empty():
        return _nothing(keys.height, measures)
    newest = past.before(keys)
    numbers = np.where(newest >= 0, past.numbers[np.clip(newest, 0, None)], NOWHERE)
    year = past.year_ago(numbers, day_numbers(keys["as_of_on"]))
    columns: dict[str, Matrix] = {"year_day": _or_nan(past.days, year)}
    for name in measures:
        columns[f"{name}_year"] = past.moves(name, year)
    every = np.arange(past.rows.height)
    moves = past.moves(measures[0], every)
    years = past.year_ago(past.numbers, past.days)
    latest = past.up_to(newest, LAST)
    latest_years = np.where(latest >= 0, years[np.clip(latest, 0, None)], NOWHERE)
    return pl.DataFrame(
        columns
        | {
            "latest_days": _or_nan(past.days, latest),
            "latest_moves": _or_nan(moves, latest),
            "latest_year_days": _or_nan(past.days, latest_years),
            "latest_year_moves": _or_nan(moves, latest_years),
        }
    )


def portfolio_moves(history: pl.DataFrame, measures: tuple[str, ...]) -> pl.DataFrame:
    """What the portfolio did, day by day: ``issued_on`` and each measure's median move.

    Parameters
    ----------
    history : pl.DataFrame
        From :func:`features.variance.measures`, of customers that stand for the company.
    measures : tuple of str
        Columns.
    """
    past = History.of(history)
    every = np.arange(past.rows.height)
    moves = past.rows.select(
        "issued_on", *(pl.Series(name, past.moves(name, every)) for name in measures)
    )
    medians = [pl.Series(name, trailing_median(moves, name)) for name in measures]
    return moves.select("issued_on", *medians).unique("issued_on").sort("issued_on")


@dataclass(frozen=True)
class Season:
    """The season of judged invoices.

    ``frame``: rows of :func:`profile`; ``portfolio``: from :func:`portfolio_moves`; ``deviation``:
    own deviations of the first measure.
    """

    frame: pl.DataFrame
    portfolio: pl.DataFrame
    deviation: Matrix

    @cached_property
    def explained(self) -> Matrix:
        """Share of the season's moves that came again in the customer's latest invoices."""
        name = self.portfolio.columns[1]
        now = self._latest("latest_moves") - self._portfolio(name, self._latest("latest_days"))
        then = self._latest("latest_year_moves") - self._portfolio(
            name, self._latest("latest_year_days")
        )
        is_known = ~np.isnan(now) & ~np.isnan(then)
        both = np.where(is_known, now * then, 0.0).sum(axis=1)
        alone = np.where(is_known, then**2, 0.0).sum(axis=1)
        share = both / (alone + PRIOR_WEIGHT * self.deviation**2)
        return np.asarray(np.clip(share, 0.0, 1.0), dtype=np.float64)

    def part_of(self, name: str, ratio: Matrix, deviation: Matrix) -> Matrix:
        """What of a deviation the season explains."""
        moved = _column(self.frame, f"{name}_year")
        moved = np.nan_to_num(moved - self._portfolio(name, _column(self.frame, "year_day")))
        excused = np.clip((np.abs(moved) / deviation - NOISE) / (SURE - NOISE), 0.0, 1.0)
        least, most = self.explained * moved, np.maximum(excused, self.explained) * moved
        return np.clip(ratio, np.minimum(least, most), np.maximum(least, most))

    def _portfolio(self, name: str, days: Matrix) -> Matrix:
        """The portfolio's move by day number; 0 where none was made in the weeks before it."""
        known = day_numbers(self.portfolio["issued_on"])
        if not len(known):
            return np.zeros(days.shape)
        moves = np.nan_to_num(_column(self.portfolio, name))
        place = np.searchsorted(known, np.nan_to_num(days), side="right") - 1
        found = np.clip(place, 0, None)
        is_near = (place >= 0) & (days - known[found] < PORTFOLIO_DAYS)
        return np.where(is_near, moves[found], 0.0)

    def _latest(self, name: str) -> Matrix:
        values = self.frame[name]
        return (
            np.full((self.frame.height, LAST), np.nan)
            if values.null_count()
            else (values.to_numpy())
        )


def _column(frame: pl.DataFrame, name: str) -> Matrix:
    return floats(frame[name])


def _or_nan(values: Matrix | Places, places: Places) -> Matrix:
    return np.where(places >= 0, values[np.clip(places, 0, None)].astype(np.float64), np.nan)


def _nothing(height: int, measures: tuple[str, ...]) -> pl.DataFrame:
    none, row = np.full(height, np.nan), np.full((height, LAST), np.nan)
    names = ["year_day", *(f"{name}_year" for name in measures)]
    latest = ("latest_days", "latest_moves", "latest_year_days", "latest_year_moves")
    return pl.DataFrame(dict.fromkeys(names, none) | dict.fromkeys(latest, row))
