"""Compare two models on the same rows: loss saved, its interval by customer, slice by slice.

Customers are drawn, not rows: those of one customer are right or wrong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

DRAWS: Final = 1_000
#: Draws computed at once: bounds memory at 100,000 customers to some 100 MB.
_AT_ONCE: Final = 64
_SIDES: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean loss of both, and what the second saves with its 95 % interval; > 0 is better."""

    rows: int
    customers: int
    before: float
    after: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """Mean loss saved a row."""
        return self.before - self.after


def paired(losses: pl.DataFrame, *, seed: int, draws: int = DRAWS) -> Gain:
    """Compare two models row by row.

    Parameters
    ----------
    losses : pl.DataFrame, one row per judged invoice
        ``customer_id``, ``before`` and ``after`` (loss of each model, low = good) and, where rows
        were sampled, ``weight`` (1 / propensity).
    seed : int
        Of the draws.
    draws : int
        Bootstrap draws of customers.

    Returns
    -------
    Gain
        NaN figures where there is no row.

    Examples
    --------
    >>> rows = {"customer_id": ["a", "b", "c"], "before": [0.3, 0.3, 0.3], "after": [0.1, 0.1, 0.1]}
    >>> round(paired(pl.DataFrame(rows), seed=1).low, 6)
    0.2
    """
    if losses.is_empty():
        return Gain(0, 0, float("nan"), float("nan"), float("nan"), float("nan"))
    if "weight" not in losses.columns:
        losses = losses.with_columns(weight=pl.lit(1.0))
    sums = losses.group_by("customer_id", maintain_order=True).agg(
        (pl.col("before") * pl.col("weight")).sum(),
        (pl.col("after") * pl.col("weight")).sum(),
        pl.col("weight").sum(),
    )
    weights = sums["weight"].to_numpy()
    saved = (sums["before"] - sums["after"]).to_numpy()
    low, high = interval(saved, weights, seed=seed, draws=draws)
    total = float(weights.sum())
    return Gain(
        rows=losses.height,
        customers=sums.height,
        before=float(sums["before"].sum()) / total,
        after=float(sums["after"].sum()) / total,
        low=low,
        high=high,
    )


def by_slice(
    losses: pl.DataFrame, slices: Sequence[str], *, least_rows: int, seed: int
) -> pl.DataFrame:
    """Compare within each value of each slice.

    Parameters
    ----------
    losses : pl.DataFrame
        As for :func:`paired`, with one text column a slice.
    slices : sequence of str
        Columns.
    least_rows : int
        A value with fewer is listed without a judgement.
    seed : int
        Of the draws.

    Returns
    -------
    pl.DataFrame
        ``slice, value, rows, customers, before, after, gain, low, high, is_judged``.
    """
    found = []
    for name in slices:
        parts = losses.partition_by(name, as_dict=True, maintain_order=True)
        for (value,), part in sorted(parts.items(), key=lambda item: str(item[0])):
            one = paired(part, seed=seed)
            found.append(
                {
                    "slice": name,
                    "value": str(value),
                    "rows": one.rows,
                    "customers": one.customers,
                    "before": one.before,
                    "after": one.after,
                    "gain": one.gain,
                    "low": one.low,
                    "high": one.high,
                    "is_judged": one.rows >= least_rows,
                }
            )
    return pl.DataFrame(found, schema=SLICES)


SLICES: Final = pl.Schema(
    {
        "slice": pl.String,
        "value": pl.String,
        "rows": pl.Int64,
        "customers": pl.Int64,
        "before": pl.Float64,
        "after": pl.Float64,
        "gain": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "is_judged": pl.Boolean,
    }
)


def interval(
    sums: Floats, weights: Floats, *, seed: int, draws: int = DRAWS
) -> tuple[float, float]:
    """95 % interval of ``sum(sums) / sum(weights)`` when whole clusters are drawn again.

    Parameters
    ----------
    sums, weights : array of float
        One value a cluster (customer): sum of what is averaged, and of its weights.
    seed, draws : int
        Of the draws, and how many.

    Returns
    -------
    tuple of float
        Lower and upper bound; with one cluster they are equal to the mean and prove nothing.
    """
    generator = np.random.default_rng(seed)
    means = []
    for start in range(0, draws, _AT_ONCE):
        count = min(_AT_ONCE, draws - start)
        drawn = generator.integers(0, len(sums), size=(count, len(sums)))
        means.append(sums[drawn].sum(axis=1) / np.maximum(weights[drawn].sum(axis=1), 1e-12))
    low, high = np.quantile(np.concatenate(means), _SIDES)
    return float(low), float(high)
