"""A contract change that no earlier invoice of the customer had: this one bills it first."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.reading import limit_minor, money_limits
from prebill.core.policy.rules.base import Condition, RuleKind
from prebill.core.policy.shapes import LIMITS
from prebill.core.scoring.words import money_text


def condition(settings: Mapping[str, object], rule_id: str) -> Condition:
    """Hit drafts above an amount that are the first with a changed contract."""
    limit = limit_minor(money_limits(settings, "over", rule_id))
    total = pl.col("total_minor")
    return Condition(
        code="contract_change_unseen",
        hit=pl.col("has_contract_change") & (total.abs() > limit),
        text=pl.format(
            "first invoice since the contract changed: {}",
            money_text(total, pl.col("currency")),
        ),
        missing="the contract's terms are not known",
    )


CONTRACT_CHANGE_UNSEEN: Final = RuleKind(
    "contract_change_unseen",
    "the first invoice after a contract changed, above an amount",
    {"over": LIMITS},
    condition=condition,
)
