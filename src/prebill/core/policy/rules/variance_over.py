"""The total against the customer's ordinary one: beyond a percentage *and* beyond an amount."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.reading import limit_minor, money_limits, number
from prebill.core.policy.rules.base import Condition, RuleKind
from prebill.core.policy.shapes import LIMITS, numbers
from prebill.core.scoring.words import money_text, percent_text


def condition(settings: Mapping[str, object], rule_id: str) -> Condition:
    """Hit drafts that are further off than both limits.

    Ordinary is the own median of the last eight invoices with the portfolio's move, the season and
    what the contract changed. Customers with fewer than ``least_invoices`` earlier ones are none of
    this rule's business: `first_invoice` is for those.
    """
    percent = number(settings, "percent", rule_id, high=10_000)
    limit = limit_minor(money_limits(settings, "amount", rule_id))
    least = number(settings, "least_invoices", rule_id, low=1, high=8)
    total, ordinary = pl.col("total_minor"), pl.col("ordinary_minor")
    off = (total - ordinary).abs()
    is_far = (off > limit) & (off * 100 > ordinary.abs() * percent)
    earlier, currency = pl.col("earlier_invoices"), pl.col("currency")
    return Condition(
        code="variance_over_limits",
        # Kleene's or and and: what is not known stays so unless the other half settles it.
        hit=(earlier >= least) & is_far,
        text=pl.format(
            "total {} is {} off the customer's ordinary {}: {} {}",
            money_text(total, currency),
            percent_text(off / pl.max_horizontal(ordinary.abs(), pl.lit(1))),
            money_text(ordinary, currency),
            money_text(off, currency),
            pl.when(total >= ordinary).then(pl.lit("above")).otherwise(pl.lit("below")),
        ),
        missing="what the customer ordinarily pays is not known",
    )


VARIANCE_OVER: Final = RuleKind(
    "variance_over",
    "the total is off the customer's ordinary one by a percentage and by an amount",
    {
        "percent": numbers(0, 10_000, "of the ordinary total"),
        "amount": LIMITS,
        "least_invoices": numbers(1, 8, "earlier invoices from which on it applies"),
    },
    condition=condition,
)
