"""The statistics of drift that are ours: bins, clustered calibration, a share's simulated band.

Pure. The population stability index itself is Evidently's (evidence.py); it is given bins, because
on ratios with a few huge values its own equal-width bins put nearly everything into one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

#: Deciles, for features and labels.
DECILES: Sequence[float] = tuple(level / 10 for level in range(1, 10))
#: For scores with high = unusual: below the median a score says "ordinary" and nothing more.
UPPER: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
DRAWS = 2_000

Edges = Mapping[str, tuple[float, ...]]


def bin_edges(reference: pl.DataFrame, levels: Mapping[str, Sequence[float]]) -> Edges:
    """Upper edges of the bins of each column: distinct quantiles of the reference.

    Parameters
    ----------
    reference : pl.DataFrame
        Numbers or truth values; nulls are left out.
    levels : mapping
        Column → quantile levels in (0, 1).

    Examples
    --------
    >>> bin_edges(pl.DataFrame({"a": [0, 0, 0, 1]}), {"a": (0.5, 0.9)})
    {'a': (0.0, 1.0)}
    """
    found = {}
    for name, wanted in levels.items():
        values = reference[name].cast(pl.Float64).drop_nulls()
        quantiles = [values.quantile(level, interpolation="nearest") for level in wanted]
        found[name] = tuple(sorted({float(edge) for edge in quantiles if edge is not None}))
    return found


def binned(rows: pl.DataFrame, edges: Edges) -> pl.DataFrame:
    """Replace each value by the name of its bin, (lower edge, upper edge]; null stays null."""
    return pl.DataFrame([_binned(rows[name], edges[name]) for name in edges])


def _binned(values: pl.Series, edges: tuple[float, ...]) -> pl.Series:
    shown = [f"{edge:.4g}" for edge in edges]
    names = [
        f"{number:02d}: {_between(low, high)}"
        for number, (low, high) in enumerate(
            zip([None, *shown], [*shown, None], strict=True), start=1
        )
    ]
    numbers = values.cast(pl.Float64)
    place = pl.Series(edges, dtype=pl.Float64).search_sorted(numbers.fill_null(0.0), side="left")
    named = pl.Series(names).gather(place)
    frame = pl.DataFrame({"name": named, "is_known": numbers.is_not_null()})
    return frame.select(pl.when("is_known").then("name").alias(values.name)).to_series()


def _between(low: str | None, high: str | None) -> str:
    if low is None:
        return "all" if high is None else f"up to {high}"
    return f"above {low}" if high is None else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Observed less predicted share, and its standard error over clusters."""

    observed: float
    predicted: float
    standard_error: float

    @property
    def z(self) -> float | None:
        """The gap in standard errors; None where there is no second cluster to compare with."""
        if not self.standard_error > 0:
            return None
        return (self.observed - self.predicted) / self.standard_error


def calibration_gap(rows: pl.DataFrame, probability: str, outcome: str, cluster: str) -> Gap:
    """Compare the predicted with the observed share; rows of one cluster are no witnesses apart.

    The variance of the mean is the sum of squared cluster totals over the squared number of rows,
    times G / (G - 1) for G clusters (Liang and Zeger 1986; the CR1 estimator of a mean).

    Parameters
    ----------
    rows : pl.DataFrame
        Has the columns named next, without nulls.
    probability, outcome, cluster : str
        Columns: predicted, in [0, 1]; a truth value; whose rows go together.

    Returns
    -------
    Gap
    """
    observed, predicted = pl.col(outcome).cast(pl.Float64), pl.col(probability)
    means = rows.select(observed=observed.mean(), predicted=predicted.mean()).row(0, named=True)
    mean_gap = (means["observed"] or 0.0) - (means["predicted"] or 0.0)
    # Totals of the gap about its mean: a common gap is what is tested, no part of the error.
    totals = rows.group_by(cluster, maintain_order=True).agg(
        total=(observed - predicted - mean_gap).sum()
    )["total"]
    count = totals.len()
    squares = float((totals * totals).sum())
    error = (squares * count / (count - 1)) ** 0.5 / rows.height if count > 1 else 0.0
    return Gap(means["observed"] or 0.0, means["predicted"] or 0.0, error)


@dataclass(frozen=True, slots=True)
class Band:
    """Between which shares a window of the reference's kind lies."""

    share: float
    low: float
    high: float


def share_band(
    reference: pl.DataFrame, flag: str, cluster: str, *, rows: int, part: float, seed: int
) -> Band:
    """Simulate the share of true flags in a window that comes from the reference's customers.

    Customers are drawn, not rows, since one customer's invoices are held together. The reference
    is drawn anew too: it is a sample like the window. One hit and one row without are granted to
    it, so that what never happened in it is rare and not impossible.

    Parameters
    ----------
    reference : pl.DataFrame
        Has the columns named next, without nulls.
    flag, cluster : str
        Columns: a truth value; whose rows go together.
    rows : int
        Rows of the window.
    part : float
        Central part of the simulated shares, for example 0.99.
    seed : int
        Equal inputs and seed give the equal band.

    Returns
    -------
    Band
    """
    by_cluster = reference.group_by(cluster).agg(
        rows=pl.len().cast(pl.Float64), hits=pl.col(flag).cast(pl.Float64).sum()
    )
    granted = pl.DataFrame({"rows": [1.0, 1.0], "hits": [1.0, 0.0]})
    kinds = pl.concat([by_cluster.select("rows", "hits"), granted]).group_by("rows", "hits").len()
    kinds = kinds.sort("rows", "hits")
    size, hits = kinds["rows"].to_numpy(), kinds["hits"].to_numpy()
    weight = (kinds["len"] / kinds["len"].sum()).to_numpy()
    clusters = int(kinds["len"].sum())
    in_window = max(1, round(rows / float(size @ weight)))
    generator = np.random.default_rng(seed)

    def drawn(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        times = generator.multinomial(count, weight, size=DRAWS).astype(np.float64)
        shares: np.ndarray[tuple[int], np.dtype[np.float64]] = (times @ hits) / (times @ size)
        return shares

    share = float(by_cluster["hits"].sum()) / reference.height
    apart = drawn(in_window) - drawn(clusters)
    low, high = np.quantile(apart, [(1 - part) / 2, (1 + part) / 2])
    return Band(share, max(0.0, share + float(low)), min(1.0, share + float(high)))
