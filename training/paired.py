"""Which of two models is better on the same rows: intervals by drawing customers anew.

Rows of one customer go together, or one large customer would pass for thousands of independent
invoices. Both models are measured on every draw, so that what is hard for both cancels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS: Final = 1_000
_CHUNK_DRAWS: Final = 100
LEVELS: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean difference over the draws' cuts, and its 95 % interval."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether chance of drawing customers does not explain the difference."""
        return not self.low <= 0.0 <= self.high


@dataclass(frozen=True, slots=True)
class Judged:
    """One cut: who, what became of it, and each model's figures on it.

    ``delay`` is NaN where it is not counted; ``days`` holds models that say days.
    """

    customer: pl.Series
    late: Floats
    delay: Floats
    chance: Mapping[str, Floats]
    days: Mapping[str, Floats]


def paired_intervals(
    cuts: Sequence[Judged], ours: str, other: str, *, seed: int
) -> dict[str, Interval]:
    """Ours less the other's AUROC, Brier score and mean absolute error of days, mean of the cuts.

    Parameters
    ----------
    cuts : sequence of Judged
        A customer is drawn once for all of them.
    ours, other : str
        Names in ``chance`` and ``days``.
    seed : int
        Of the draws.

    Returns
    -------
    dict of Interval
        ``auroc``, ``brier`` and, where some cut counts delays, ``mae_days``.
    """
    ids = pl.concat([cut.customer for cut in cuts]).unique().sort()
    generator = np.random.default_rng(seed)
    size = len(ids)
    gaps: dict[str, list[Floats]] = {"auroc": [], "brier": [], "mae_days": []}
    for _ in range(DRAWS // _CHUNK_DRAWS):
        drawn = generator.multinomial(size, np.full(size, 1.0 / size), size=_CHUNK_DRAWS)
        found: dict[str, list[Floats]] = {name: [] for name in gaps}
        for cut in cuts:
            weight = drawn[:, ids.search_sorted(cut.customer).to_numpy()].astype(np.float64)
            found["auroc"].append(
                weighted_auroc(cut.chance[ours], cut.late, weight)
                - weighted_auroc(cut.chance[other], cut.late, weight)
            )
            squares = [(cut.chance[name] - cut.late) ** 2 for name in (ours, other)]
            found["brier"].append(_mean(squares[0] - squares[1], weight))
            counted = np.isfinite(cut.delay)
            if counted.any():
                misses = [np.abs(cut.days[name] - cut.delay)[counted] for name in (ours, other)]
                found["mae_days"].append(_mean(misses[0] - misses[1], weight[:, counted]))
        for name, values in found.items():
            if values:
                gaps[name].append(np.mean(values, axis=0))
    return {
        name: Interval(float(np.mean(all_)), *map(float, np.quantile(all_, LEVELS)))
        for name, parts in gaps.items()
        if parts
        for all_ in [np.concatenate(parts)]
    }


def weighted_auroc(chance: Floats, late: Floats, weight: Floats) -> Floats:
    """Area under the ROC curve for each row of weights; ties count half.

    Examples
    --------
    >>> weighted_auroc(np.array([0.1, 0.9, 0.5]), np.array([0.0, 1.0, 0.0]), np.ones((1, 3)))
    array([1.])
    """
    order = np.argsort(chance, kind="stable")
    ranked, weighed = chance[order], weight[:, order]
    positive = weighed * late[order]
    negative = weighed - positive
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    of_score = np.add.reduceat(negative, starts, axis=1)
    below = np.cumsum(of_score, axis=1) - of_score
    won = (np.add.reduceat(positive, starts, axis=1) * (below + of_score / 2.0)).sum(axis=1)
    every = positive.sum(axis=1) * negative.sum(axis=1)
    return np.where(every > 0, won / np.where(every > 0, every, 1.0), 0.5)


def _mean(value: Floats, weight: Floats) -> Floats:
    found: Floats = (weight @ value) / np.maximum(weight.sum(axis=1), 1.0)
    return found
