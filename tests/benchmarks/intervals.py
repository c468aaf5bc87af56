"""Intervals for what a benchmark counts."""

from collections.abc import Callable
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Standard normal quantile of a two-sided 95 % interval.
Z: Final = 1.959964
_DRAWS: Final = 2_000


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (JASA 1927); of nothing it is all of [0, 1]."""
    if of == 0:
        return 0.0, 1.0
    share = hits / of
    center = (share + Z**2 / (2 * of)) / (1 + Z**2 / of)
    half = Z / (1 + Z**2 / of) * sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return max(center - half, 0.0), min(center + half, 1.0)


def bootstrap(rows: Floats, figure: Callable[[Floats], float]) -> tuple[float, float]:
    """95 % percentile interval of a figure of column sums, rows drawn again with a fixed seed."""
    rng = np.random.default_rng(20260101)
    count = len(rows)
    if count == 0:
        return 0.0, 1.0
    weights = rng.multinomial(count, np.full(count, 1 / count), _DRAWS)
    figures = [figure(sums) for sums in weights @ rows]
    low, high = np.quantile(figures, [0.025, 0.975])
    return float(low), float(high)
