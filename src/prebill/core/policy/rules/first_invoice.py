"""The first invoice of a customer: there is no past that it could be compared with."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.reading import limit_minor, money_limits
from prebill.core.policy.rules.base import Condition, RuleKind
from prebill.core.policy.shapes import LIMITS
from prebill.core.scoring.words import money_text


def condition(settings: Mapping[str, object], rule_id: str) -> Condition:
    """Hit first invoices above an amount."""
    limit = limit_minor(money_limits(settings, "over", rule_id))
    total = pl.col("total_minor")
    return Condition(
        code="first_invoice",
        hit=(pl.col("earlier_invoices") == 0) & (total > limit),
        text=pl.format(
            "first invoice of this customer: {}, nothing to compare it with",
            money_text(total, pl.col("currency")),
        ),
        missing="no earlier invoice of anybody is known",
    )


FIRST_INVOICE: Final = RuleKind(
    "first_invoice",
    "the first invoice of a customer, above an amount",
    {"over": LIMITS},
    condition=condition,
)
