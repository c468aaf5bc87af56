"""From a statistic to its tail: how unusual a value is against its own past, in [0, 1]."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Values = npt.NDArray[np.float64]

#: With fewer past values a tail is not calibrated; the batch itself is then its own yardstick.
LEAST_PAST: Final = 50
#: The share of the past above which the tail is continued as an exponential.
TAIL_SHARE: Final = 0.02
#: Deviations that must have happened before their tail is continued.
LEAST_DEVIATIONS: Final = 20
#: No tail claims to be rarer than this.
RAREST: Final = 1e-7


def survival(values: Values, past: Values) -> Values:
    """P(a past value is at least as large), continued beyond the largest as an exponential.

    Parameters
    ----------
    values : array
        Statistics, high = unusual; NaN stays NaN.
    past : array
        The same statistic on ordinary invoices, without NaN.

    Examples
    --------
    >>> survival(np.array([0.0, 98.0]), np.arange(100.0)).round(2).tolist()
    [1.0, 0.02]
    """
    if not len(past):
        return np.full(values.shape, np.nan)
    ordered = np.sort(past)
    count = len(ordered)
    levels, first = np.unique(ordered, return_index=True)
    # Between two past values the share is interpolated, so that no two values tie.
    share = np.interp(values, levels, (count - first + 0.5) / (count + 0.5))
    start = ordered[min(int(np.ceil(count * (1 - TAIL_SHARE))), count - 1)]
    excess = ordered[ordered > start] - start
    if len(excess) >= 5:
        beyond = TAIL_SHARE * np.exp(
            -np.maximum(values - start, 0.0) / max(float(excess.mean()), 1e-9)
        )
        share = np.where(values > ordered[-1], np.minimum(share, beyond), share)
    return np.where(np.isnan(values), np.nan, np.clip(share, RAREST, 1.0))


def calibrated(
    frame: pl.DataFrame, statistic: str, *, within: str | None = None, least: int = 200
) -> pl.Series:
    """Tail of each row's statistic against the settled past.

    Parameters
    ----------
    frame : pl.DataFrame
        ``is_draft`` and ``statistic`` (high = unusual, null: can't be judged).
    statistic : str
        Column.
    within : str or None
        A grouping column (noise regime): a group with ``least`` past rows is its own yardstick.
    least : int
        Rows a group needs.

    Returns
    -------
    pl.Series, Float64
        1 - survival; null where the statistic is null or nothing is there to compare with.
    """
    values = frame[statistic].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    is_past = (~frame["is_draft"]).to_numpy() & ~np.isnan(values)
    if is_past.sum() < LEAST_PAST:
        is_past = ~np.isnan(values)
    if is_past.sum() < LEAST_PAST:
        return pl.Series(statistic, [None] * frame.height, dtype=pl.Float64)
    share = survival(values, values[is_past])
    if within is not None:
        groups = frame[within].cast(pl.Int64).fill_null(-1).to_numpy()
        for group in np.unique(groups):  # a handful of regimes, never one an invoice
            member = groups == group
            if (member & is_past).sum() >= least:
                share[member] = survival(values[member], values[member & is_past])
    return pl.Series(statistic, 1.0 - share).fill_nan(None)


def surprise_of(tail: pl.Series) -> pl.Series:
    """How surprising a tail is: -log10 of its survival; adds up over independent judges."""
    return -(1.0 - tail).clip(RAREST, 1.0).log10()


def rarity(frame: pl.DataFrame, statistic: str, *, stated: float | None = None) -> pl.Series:
    """Tail of an exact deviation: how rarely one at least as large happened before.

    Parameters
    ----------
    frame : pl.DataFrame
        ``is_draft`` and ``statistic`` (0: no deviation, null: nothing to compare with).
    statistic : str
        Column.
    stated : float or None
        Tail of a deviation where too few rows are known to say how rare it is.

    Returns
    -------
    pl.Series, Float64
        A row without deviation has tail 0, however rare deviations are. Beyond the largest
        deviation of the past the tail goes on as an exponential of those that happened. Null where
        nothing is known.
    """
    values = frame[statistic].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    is_known = ~np.isnan(values)
    past = values[(~frame["is_draft"]).to_numpy() & is_known]
    if len(past) < LEAST_PAST:
        past = values[is_known]
    if len(past) < LEAST_PAST:
        few = np.where(values > 0, np.nan if stated is None else stated, np.nan)
        return pl.Series(statistic, few).fill_nan(None)
    ordered = np.sort(past)
    above = len(ordered) - np.searchsorted(ordered, values * (1 - 1e-9), side="left")
    # One unseen case is granted to the past, so that a short history claims little.
    share = (above + 1.0) / (len(ordered) + 2.0)
    happened = past[past > 0]
    if len(happened) >= LEAST_DEVIATIONS:
        start = float(np.median(happened))
        larger = happened[happened > start]
        spread = max(float(larger.mean()) - start, 1e-12) if len(larger) else 1e-12
        share = share * np.exp(-np.maximum(values - ordered[-1], 0.0) / spread)
    tail = np.where(values > 0, 1.0 - np.clip(share, RAREST, 1.0), 0.0)
    return pl.Series(statistic, np.where(is_known, tail, np.nan)).fill_nan(None)
