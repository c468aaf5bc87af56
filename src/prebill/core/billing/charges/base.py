"""The contract of a charge model and the registry that refuses duplicates."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from prebill.core.errors import ContractError
from prebill.core.money import DECIMAL

ZERO = pl.lit(0, dtype=pl.Int64).cast(DECIMAL)


@dataclass(frozen=True, slots=True)
class ChargeModel:
    """A named way to price a quantity.

    ``price(lines, tiers)`` takes *lines* (``row``; ``charge_key``; ``billable`` Decimal >= 0, units
    after included ones; ``unit_price`` Decimal or null; ``package_size`` Decimal or null) and
    *tiers* (``charge_key``; ``from_quantity``, ``up_to_quantity`` (from, up_to]; ``unit_price``;
    ``flat_fee``) and returns one row a line: ``row``, ``amount`` Decimal in major units, unrounded,
    and ``is_priced``, false where the price book has no price for (a part of) the quantity; that
    part costs 0 and becomes a finding.
    """

    name: str
    price: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
    needs_tiers: bool = False


def register(*models: ChargeModel) -> dict[str, ChargeModel]:
    """Index models by name.

    Raises
    ------
    ContractError
        Two models have one name.
    """
    registry = {model.name: model for model in models}
    if len(registry) != len(models):
        message = "two charge models have one name: rename one of them"
        raise ContractError(message, models=[model.name for model in models])
    return registry


def priced(lines: pl.DataFrame, amount: pl.Expr) -> pl.DataFrame:
    """Finish a model that is one expression: null amounts become unpriced zeros."""
    return lines.select(
        "row", amount=amount.fill_null(ZERO).cast(DECIMAL), is_priced=amount.is_not_null()
    )
