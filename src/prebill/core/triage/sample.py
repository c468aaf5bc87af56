"""What the random sample of released drafts tells: how many wrong ones went out. Pure.

Sampled rows weigh the inverse of their chance, clipped.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.triage.intervals import weighted_share

#: A sampled row counts at most this many times the mean: a few rare ones must not decide alone.
MOST_TIMES: Final = 10.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its 95 % interval; ``rows`` were looked at, ``hits`` of them counted.

    Without a hit ``high`` is the one-sided bound, 3/n for equal weights.
    """

    value: float
    low: float
    high: float
    rows: int
    hits: int


@dataclass(frozen=True, slots=True)
class SampleEstimates:
    """What is known of drafts that a policy decided on; None: nobody has looked yet."""

    released: int
    #: Released drafts that are known to be wrong, by whatever source: a part of those that are.
    released_errors: int
    stopped: int
    #: Stopped drafts that a person found wrong, and those that nobody has answered yet.
    stopped_errors: int
    unanswered: int
    #: Of released drafts, how many are wrong.
    error_rate: Estimate | None
    #: Of all that was wrong, how much was stopped.
    recall: Estimate | None


def inverse_weights(propensity: pl.Expr) -> pl.Expr:
    """Weights of sampled rows, at most ``MOST_TIMES`` the mean."""
    weight = 1.0 / propensity
    return pl.min_horizontal(weight, weight.mean() * MOST_TIMES)


def weighted_rate(rows: pl.DataFrame) -> Estimate:
    """Estimate a share from weighted rows.

    Parameters
    ----------
    rows : pl.DataFrame, at least one row
        ``is_error`` and ``weight``, above zero.

    Examples
    --------
    >>> none_wrong = pl.DataFrame({"is_error": [False] * 300, "weight": [200.0] * 300})
    >>> round(weighted_rate(none_wrong).high, 4)  # 3/n
    0.01
    """
    shares = rows.select("is_error", share=pl.col("weight") / pl.col("weight").sum())
    hits = shares.filter("is_error")["share"]
    low, high = weighted_share(hits, float(shares["share"].to_numpy().max()))
    return Estimate(float(hits.sum()), low, high, rows.height, hits.len())


def sample_estimates(decided: pl.DataFrame) -> SampleEstimates:
    """Estimate how many wrong drafts were released, and how much of what was wrong was stopped.

    Stopped drafts are all looked at: their errors are counted, not estimated. Those that nobody
    has answered count as right, so that recall is rather too low than too high.

    Parameters
    ----------
    decided : pl.DataFrame, one row per version that was decided on and counts
        ``action``, ``is_error`` (null: nobody knows), ``propensity`` (null: not looked at for the
        sample).
    """
    is_released = pl.col("action") == "release"
    released, stopped = decided.filter(is_released), decided.filter(~is_released)
    is_wrong = pl.col("is_error").fill_null(value=False)
    errors = stopped.filter(is_wrong).height
    looked_at = released.filter(pl.col("propensity").is_not_null()).select(
        "is_error", weight=inverse_weights(pl.col("propensity"))
    )
    rate = None if looked_at.is_empty() else weighted_rate(looked_at)
    return SampleEstimates(
        released=released.height,
        released_errors=released.filter(is_wrong).height,
        stopped=stopped.height,
        stopped_errors=errors,
        unanswered=stopped["is_error"].null_count(),
        error_rate=rate,
        recall=None if rate is None else _recall(errors, released.height, rate),
    )


def _recall(caught: int, released: int, rate: Estimate) -> Estimate | None:
    """Recall falls as the error rate of what was released rises: the interval turns round."""
    if not caught and not rate.hits:
        return None
    value, low, high = (
        caught / (caught + released * share) if caught else 0.0
        for share in (rate.value, rate.high, rate.low)
    )
    return Estimate(value, low, high, rate.rows, rate.hits)
