"""Expected loss at or above an amount in major units of the draft's currency."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.money import CURRENCY_EXPONENTS
from prebill.core.policy.reading import number
from prebill.core.policy.rules.base import Evaluate, RuleKind
from prebill.core.policy.shapes import SHARE, numbers


def build(settings: Mapping[str, object], rule_id: str) -> Evaluate:
    """Hit drafts with that much at stake and an error that is at least so likely."""
    limit = number(settings, "at_least", rule_id)
    least = number(settings, "min_p_error", rule_id, low=0.0, high=1.0)

    def hits(scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
        likely = scores.filter(pl.col("p_error") >= least)
        if likely.is_empty():
            return likely.select("invoice_id")
        exponent = pl.col("currency").replace_strict(
            CURRENCY_EXPONENTS, default=2, return_dtype=pl.Int64
        )
        lost = pl.col("expected_loss_minor") / pl.lit(10).pow(exponent)
        return likely.filter(lost >= limit).select("invoice_id")

    return hits


LOSS_AT_LEAST: Final = RuleKind(
    "loss_at_least",
    "an expected loss from an amount on, of an error that is likely enough",
    {
        "at_least": numbers(0, 1e15, "major units of the draft's currency"),
        "min_p_error": SHARE,
    },
    build,
)
