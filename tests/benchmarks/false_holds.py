"""Rates of false holds as a table; what a rate is, `core/triage/false_holds.py` says."""

from typing import Final

import polars as pl

from prebill.core.policy.model import Policy
from prebill.core.triage.false_holds import ALL
from tests.benchmarks.markdown import table

#: The policy under which benchmarks judge.
POLICY: Final = Policy.default()


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
