"""Credits inside a draft, the sum of its negative lines, above an amount."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.reading import limit_minor, money_limits
from prebill.core.policy.rules.base import Condition, RuleKind
from prebill.core.policy.shapes import LIMITS
from prebill.core.scoring.words import money_text


def condition(settings: Mapping[str, object], rule_id: str) -> Condition:
    """Hit drafts that give back more than the amount."""
    limit = limit_minor(money_limits(settings, "over", rule_id))
    credit, currency = pl.col("credit_minor"), pl.col("currency")
    return Condition(
        code="credit_over_limit",
        hit=credit > limit,
        text=pl.format(
            "its negative lines give back {}, limit {}",
            money_text(credit, currency),
            money_text(limit, currency),
        ),
        missing="its lines are not known",
    )


CREDIT_OVER: Final = RuleKind(
    "credit_over",
    "the negative lines of a draft sum to more than an amount",
    {"over": LIMITS},
    condition=condition,
)
