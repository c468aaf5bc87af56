"""The observed rate of false holds on right invoices, beside the rate that thresholds are set for.

An action at score s or above is set for 1 - s of the right invoices, where scores are calibrated.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.model import Policy
from prebill.core.triage.intervals import clopper_pearson

ALL: Final = "all"
RATES: Final = pl.Schema(
    {
        "segment": pl.String,
        "value": pl.String,
        "invoices": pl.Int64,
        "held": pl.Int64,
        "rate": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "set_for": pl.Float64,
    }
)


def set_for(policy: Policy, action: str) -> float:
    """Share of right invoices that the policy's score thresholds alone would stop so."""
    limit = policy.score_limits.get(action)
    return 0.0 if limit is None else 1.0 - limit


def false_hold_rates(
    clean: pl.DataFrame, segments: Mapping[str, str], policy: Policy, action: str = "hold"
) -> pl.DataFrame:
    """Count false holds per segment.

    Parameters
    ----------
    clean : pl.DataFrame, one row a right invoice
        ``action`` and the columns that ``segments`` names.
    segments : mapping
        Name of a segment → column whose values divide the invoices.
    policy : Policy
        Whose thresholds stopped them.
    action : str
        ``hold``, or ``review``: then held ones count too.

    Returns
    -------
    pl.DataFrame, ``RATES``
        One row for all and one a segment and value, with the exact (Clopper-Pearson) 95 % interval.
    """
    stopped = pl.col("action").is_in(["hold"] if action == "hold" else ["hold", "review"])
    whole = clean.with_columns(everything=pl.lit(""))
    rows, aimed = [], set_for(policy, action)
    for segment, column in {ALL: "everything", **segments}.items():
        counts = whole.group_by(pl.col(column).cast(pl.String).alias("value")).agg(
            invoices=pl.len(), held=stopped.sum()
        )
        for value, invoices, held in counts.sort("value", nulls_last=True).iter_rows():
            low, high = clopper_pearson(held, invoices)
            rows.append((segment, value, invoices, held, held / invoices, low, high, aimed))
    return pl.DataFrame(rows, schema=RATES, orient="row")
