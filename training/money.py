"""Money found by looking at the worst first. Currencies never add up: each counts by its rows."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from training.trained import MONEY

Floats = npt.NDArray[np.float64]

_POINTS: Final = 101


def weights_of(amounts: pl.DataFrame) -> Floats:
    """Turn amounts into shares of all money at stake without adding currencies.

    Parameters
    ----------
    amounts : pl.DataFrame
        ``currency`` and ``amount_minor`` (>= 0; 0: nothing at stake).

    Returns
    -------
    array of float
        Sums to 1. A currency weighs as many rows at stake as it has; within it money counts.
    """
    at_stake = pl.col("amount_minor") > 0
    within = pl.col("amount_minor") / pl.col("amount_minor").sum().over("currency")
    weight = within.fill_nan(0.0) * at_stake.sum().over("currency") / at_stake.sum()
    return amounts.select(weight.fill_nan(0.0).cast(pl.Float64)).to_series().to_numpy()


def curve(scores: Floats, weights: Floats) -> pl.DataFrame:
    """Share of the money within the first share of the rows, highest score first.

    Returns
    -------
    pl.DataFrame
        ``reviewed, caught``, 101 points from 0 to 1.
    """
    caught = np.concatenate([[0.0], np.cumsum(weights[np.argsort(-scores, kind="stable")])])
    reviewed = np.linspace(0.0, 1.0, _POINTS)
    at = np.interp(reviewed * (len(caught) - 1), np.arange(len(caught)), caught)
    return pl.DataFrame({"reviewed": reviewed, "caught": at}, schema=MONEY)


def within_budget(scores: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Which rows people look at who have time for this share of them, at least one."""
    count = max(1, round(len(scores) * share)) if len(scores) else 0
    chosen = np.zeros(len(scores), dtype=np.bool_)
    chosen[np.argsort(-scores, kind="stable")[:count]] = True
    return chosen
