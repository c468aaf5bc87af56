"""Terms that are not on the list of standard terms: payment days, and how deep a discount goes."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.reading import optional_number
from prebill.core.policy.rules.base import Condition, RuleKind
from prebill.core.policy.shapes import numbers

_MOST_DAYS: Final = 730


def condition(settings: Mapping[str, object], rule_id: str) -> Condition:
    """Hit drafts with other payment days than the listed ones, or a deeper discount."""
    days = _days(settings, rule_id)
    most = optional_number(settings, "max_discount_percent", rule_id, high=100)
    given, discount = pl.col("payment_days"), pl.col("discount_percent")
    is_other = ~given.is_in(days)
    is_deep = pl.lit(value=False) if most is None else discount > most
    listed = ", ".join(str(day) for day in days)
    other = pl.format(f"payable in {{}} days (standard: {listed})", given)
    deep = pl.format(f"discount of {{}} % (at most {most} % is standard)", discount)
    both = pl.concat_str(
        pl.when(is_other).then(other),
        pl.when(is_deep).then(deep),
        separator="; ",
        ignore_nulls=True,
    )
    return Condition(
        code="nonstandard_terms",
        hit=is_other | is_deep,
        text=pl.concat_str(pl.lit("terms are not standard: "), both),
        missing="its discounts are not known",
    )


def _days(settings: Mapping[str, object], rule_id: str) -> list[int]:
    given = settings.get("payment_days")
    is_whole = isinstance(given, list) and all(type(day) is int for day in given)
    if not isinstance(given, list) or not given or not is_whole:
        message = f"{rule_id}: payment_days must be a list of whole numbers, not {given!r}"
        raise PolicyError(message, where=rule_id, setting="payment_days")
    if not all(0 <= day <= _MOST_DAYS for day in given):
        message = f"{rule_id}: payment_days must be 0 to {_MOST_DAYS}"
        raise PolicyError(message, where=rule_id, setting="payment_days")
    return sorted(given)


NONSTANDARD_TERMS: Final = RuleKind(
    "nonstandard_terms",
    "payment days that are not on the list, or a discount deeper than the standard",
    {
        "payment_days": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "integer", "minimum": 0, "maximum": _MOST_DAYS},
            "description": "days from issue to due date that are standard",
        },
        "max_discount_percent": numbers(0, 100, "deepest standard discount of a line"),
    },
    condition=condition,
    optional=frozenset({"max_discount_percent"}),
)
