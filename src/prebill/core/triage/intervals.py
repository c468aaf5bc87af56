"""Exact intervals of what was counted. Pure."""

from math import log

import polars as pl


def clopper_pearson(hits: int, of: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper and Pearson, Biometrika 1934).

    Examples
    --------
    >>> [round(end, 4) for end in clopper_pearson(1, 100)]
    [0.0003, 0.0545]
    """
    from scipy.stats import beta  # type: ignore[import-untyped]

    low = beta.ppf(0.025, hits, of - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, of - hits) if hits < of else 1.0
    return float(low), float(high)


def weighted_share(hits: pl.Series, most: float) -> tuple[float, float]:
    """95 % interval of a sum of rare hits that don't weigh the same.

    The mid-p gamma interval of Fay and Kim (Biometrical Journal 59, 2017). Without a hit the upper
    end is the one-sided bound, 3/n for n equal weights.

    Parameters
    ----------
    hits : pl.Series
        Share of the whole that each hit stands for.
    most : float
        Largest share that any row stands for, hit or not.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]
    from scipy.stats import gamma

    if hits.is_empty():
        return 0.0, min(-log(0.05) * most, 1.0)
    total, variance = float(hits.sum()), float((hits**2).sum())
    raised, spread = total + most, variance + most**2
    ends = (
        gamma(total**2 / variance, scale=variance / total),
        gamma(raised**2 / spread, scale=spread / raised),
    )

    def beyond(share: float, chance: float) -> float:
        return float(sum(end.cdf(share) for end in ends)) / 2 - chance

    top = float(ends[1].ppf(0.9999))
    low, high = (float(brentq(beyond, 0.0, top, args=(chance,))) for chance in (0.025, 0.975))
    return low, min(high, 1.0)
