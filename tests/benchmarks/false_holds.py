"""The observed rate of false holds on right invoices, beside the rate that thresholds are set for.

An action at score s or above is set for 1 - s of the right invoices, where scores are calibrated.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final

import polars as pl
import yaml

from tests.benchmarks.intervals import clopper_pearson
from tests.benchmarks.markdown import table

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


def set_for(action: str) -> float:
    """Share of right invoices that the default policy's score thresholds alone would stop so."""
    text = resources.files("prebill.core.policy").joinpath("default.yaml").read_text("utf-8")
    limits = [
        rule["at_least"]
        for rule in yaml.safe_load(text)["rules"]
        if rule.get("score") == "anomaly_score" and rule["action"] == action
    ]
    return 1.0 - min(limits) if limits else 0.0


def false_hold_rates(
    clean: pl.DataFrame, segments: Mapping[str, str], action: str = "hold"
) -> pl.DataFrame:
    """Count false holds per segment.

    Parameters
    ----------
    clean : pl.DataFrame, one row a right invoice
        ``action`` and the columns that ``segments`` names.
    segments : mapping
        Name of a segment → column whose values divide the invoices.
    action : str
        ``hold``, or ``review``: then held ones count too.

    Returns
    -------
    pl.DataFrame, ``RATES``
        One row for all and one a segment and value, with the exact (Clopper-Pearson) 95 % interval.
    """
    stopped = pl.col("action").is_in(["hold"] if action == "hold" else ["hold", "review"])
    whole = clean.with_columns(everything=pl.lit(""))
    rows, aimed = [], set_for(action)
    for segment, column in {ALL: "everything", **segments}.items():
        counts = whole.group_by(pl.col(column).cast(pl.String).alias("value")).agg(
            invoices=pl.len(), held=stopped.sum()
        )
        for value, invoices, held in counts.sort("value", nulls_last=True).iter_rows():
            low, high = clopper_pearson(held, invoices)
            rate = held / invoices
            rows.append((segment, value, invoices, held, rate, low, high, aimed))
    return pl.DataFrame(rows, schema=RATES, orient="row")


def rates_table(rates: pl.DataFrame, what: str = "false holds") -> str:
    rows = [
        [
            row["segment"] if row["segment"] == ALL else f"{row['segment']}: {row['value']}",
            f"{row['invoices']:,}",
            f"{row['held']:,}",
            f"{row['rate']:.2%} ({row['low']:.2%} to {row['high']:.2%})",
            f"{row['set_for']:.2%}",
        ]
        for row in rates.iter_rows(named=True)
    ]
    return table(["right invoices", "number", what, "observed", "score thresholds set for"], rows)
