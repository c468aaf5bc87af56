"""Tax that rests on nothing: no country is known, or no tax is charged without a tax id."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.rules.base import Condition, RuleKind
from prebill.core.scoring.words import money_text


def condition(settings: Mapping[str, object], rule_id: str) -> Condition:
    """Hit drafts whose customer has no country, and untaxed ones without a tax id if so asked."""
    asks_id = settings.get("untaxed_needs_tax_id")
    if not isinstance(asks_id, bool):
        message = f"{rule_id}: untaxed_needs_tax_id must be true or false, not {asks_id!r}"
        raise PolicyError(message, where=rule_id, setting="untaxed_needs_tax_id")
    is_untaxed = (pl.col("tax_minor") == 0) & (pl.col("total_minor") != 0)
    lacks_id = is_untaxed & ~pl.col("has_tax_id")
    lacks_country = ~pl.col("has_country")
    shown = money_text(pl.col("total_minor"), pl.col("currency"))
    return Condition(
        code="tax_evidence_missing",
        hit=lacks_country | lacks_id if asks_id else lacks_country,
        text=pl.when(lacks_country)
        .then(pl.format("{} to a customer whose country is not known", shown))
        .otherwise(pl.format("{} without tax to a customer without a tax id", shown)),
        missing="the customer's master data are not known",
    )


TAX_EVIDENCE_MISSING: Final = RuleKind(
    "tax_evidence_missing",
    "the customer's country is not known, or no tax is charged without a tax id",
    {
        "untaxed_needs_tax_id": {
            "type": "boolean",
            "description": "whether a draft without tax needs a tax id",
        }
    },
    condition=condition,
)
