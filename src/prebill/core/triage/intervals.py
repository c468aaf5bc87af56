"""Exact intervals of what was counted. Pure."""

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

    Fay and Feuer (Statistics in Medicine 16, 1997): it covers at least what it says. Without a hit
    the upper end is the one-sided bound, 3/n for n equal weights.

    Parameters
    ----------
    hits : pl.Series
        Share of the whole that each hit stands for.
    most : float
        Largest share that any row stands for, hit or not.
    """
    from scipy.stats import chi2

    if hits.is_empty():
        return 0.0, min(most * float(chi2.ppf(0.95, 2)) / 2.0, 1.0)
    total, variance = float(hits.sum()), float((hits**2).sum())
    raised, spread = total + most, variance + most**2
    low = variance / (2 * total) * float(chi2.ppf(0.025, 2 * total**2 / variance))
    high = spread / (2 * raised) * float(chi2.ppf(0.975, 2 * raised**2 / spread))
    return low, min(high, 1.0)
