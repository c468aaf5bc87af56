"""How many cases the next cycle opens, and how many hours of reviewers they take."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from prebill.core.forecasts.series import Basis, Method, forecast

#: Cycles below which the share of drafts that become cases is their median, not a model's.
GATE: Final = 8
#: Variance over mean of the number of cases, until four cycles have shown it.
STATED_DISPERSION: Final = 2.0
LEVELS: Final = (0.1, 0.9)
#: Between two verdicts of one person: longer, and it was no work on a case.
LONGEST_MINUTES: Final = 60.0
#: Verdicts from which a person's minutes are measured rather than stated.
LEAST_VERDICTS: Final = 30
_DRAWS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Workload:
    """Cases and hours of the next cycle with 80 % intervals; ``minutes`` a case and where from."""

    drafts: int
    cases: float
    cases_low: float
    cases_high: float
    minutes: float
    is_measured: bool
    basis: Basis
    cycles: int

    @property
    def hours(self) -> tuple[float, float, float]:
        """Expected, low and high."""
        found = (self.cases, self.cases_low, self.cases_high)
        expected, low, high = (cases * self.minutes / 60 for cases in found)
        return expected, low, high


def next_cycle(
    cycles: pl.DataFrame, verdicts: pl.DataFrame, *, stated_minutes: float, seed: int
) -> Workload | None:
    """Forecast the next cycle from the ones before.

    Parameters
    ----------
    cycles : pl.DataFrame, one row per past cycle, the oldest first
        ``drafts`` and ``cases``, those opened for missing invoices included.
    verdicts : pl.DataFrame
        ``entered_by, entered_at``: who decided when.
    stated_minutes : float
        The policy's minutes for one draft, while too few verdicts are known.
    seed : int
        Equal inputs and seed give the equal interval.

    Returns
    -------
    Workload or None
        None before the first cycle. The next has as many drafts as the last.
    """
    known = cycles.filter(pl.col("drafts") > 0)
    if known.is_empty():
        return None
    shares = known.select(
        series=pl.lit("share"),
        step=pl.int_range(pl.len(), dtype=pl.Int64),
        value=pl.col("cases") / pl.col("drafts"),
    )
    found = forecast(shares, method=Method.SMOOTHING, steps=1, gate=GATE).row(0, named=True)
    drafts = int(known["drafts"][-1])
    expected = found["expected"] * drafts
    low, high = _interval(expected, _dispersion(known), seed)
    measured = minutes_per_case(verdicts)
    return Workload(
        drafts=drafts,
        cases=expected,
        cases_low=low,
        cases_high=high,
        minutes=stated_minutes if measured is None else measured,
        is_measured=measured is not None,
        basis=Basis(found["basis"]),
        cycles=known.height,
    )


def minutes_per_case(verdicts: pl.DataFrame) -> float | None:
    """Median minutes from one verdict of a person to the next; None: too few are known."""
    gap = pl.col("entered_at").diff().over("entered_by", order_by="entered_at")
    minutes = verdicts.select(minutes=gap.dt.total_seconds() / 60)
    worked = minutes.filter(pl.col("minutes") <= LONGEST_MINUTES)["minutes"]
    median = worked.median()
    return float(median) if len(worked) >= LEAST_VERDICTS and isinstance(median, float) else None


def _dispersion(known: pl.DataFrame) -> float:
    """Squared miss of "as often as in the cycle before" over what was expected; at least 1.

    The miss holds the noise of two cycles, hence the half.
    """
    before = (pl.col("cases") / pl.col("drafts")).shift(1) * pl.col("drafts")
    misses = known.with_columns(before=before).filter(pl.col("before") > 0)
    if misses.height < 3:
        return STATED_DISPERSION
    ratio = misses.select(((pl.col("cases") - pl.col("before")) ** 2 / pl.col("before")).mean())
    return max(1.0, float(ratio.item()) / 2)


def _interval(expected: float, dispersion: float, seed: int) -> tuple[float, float]:
    """Quantiles of a negative binomial count of that mean and variance over mean."""
    generator = np.random.default_rng(seed)
    if dispersion > 1.0 + 1e-6 and expected > 0:
        shape = expected / (dispersion - 1.0)
        rates = generator.gamma(shape, dispersion - 1.0, _DRAWS)
        counts = generator.poisson(rates)
    else:
        counts = generator.poisson(expected, _DRAWS)
    low, high = np.quantile(counts, LEVELS)
    return float(low), float(high)
