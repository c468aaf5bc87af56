"""Proration: named policies that give the share of a period, and the exact rounding of a share.

``day_actual``: share = days served / actual days of the period; the day of a change belongs to the
new terms. A full period is no share: 1/1 and no rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.calendar import Period
from prebill.core.errors import ContractError
from prebill.core.money import DECIMAL, round_minor

_HALF: Final = pl.lit("0.5").cast(DECIMAL)
_ZERO: Final = pl.lit(0, dtype=pl.Int64).cast(DECIMAL)


@dataclass(frozen=True, slots=True)
class ProrationPolicy:
    """A named rule: (days served, period) → numerator and denominator, both Int64 expressions."""

    name: str
    numerator: Callable[[pl.Expr, Period], pl.Expr]
    denominator: Callable[[Period], int]


DAY_ACTUAL: Final = ProrationPolicy(
    "day_actual", lambda days, _period: days, lambda period: period.days
)


def register(*policies: ProrationPolicy) -> dict[str, ProrationPolicy]:
    """Index policies by name.

    Raises
    ------
    ContractError
        Two policies have one name.
    """
    registry = {policy.name: policy for policy in policies}
    if len(registry) != len(policies):
        message = "two proration policies have one name: rename one of them"
        raise ContractError(message, policies=[policy.name for policy in policies])
    return registry


PRORATION_POLICIES: Final = register(DAY_ACTUAL)


def round_share(amount: pl.Expr, numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Round ``amount * numerator / denominator`` (minor units) half away from zero, exactly.

    The quotient is never written down: a quotient cut to 12 decimals could reach the half that the
    true value lies below.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["1000", "-1000", "10"]}).cast(DECIMAL)
    >>> share = round_share(pl.col("a"), pl.lit(20), pl.lit(31))
    >>> frame.select(share)["a"].to_list()
    [645, -645, 6]
    """
    product = amount * numerator.cast(DECIMAL)
    size = product.abs()
    whole = size // denominator.cast(DECIMAL)
    rest = size - whole * denominator.cast(DECIMAL)
    half_or_less = pl.when(rest + rest >= denominator.cast(DECIMAL)).then(_HALF).otherwise(_ZERO)
    return round_minor(whole + half_or_less) * product.sign().cast(pl.Int64)
