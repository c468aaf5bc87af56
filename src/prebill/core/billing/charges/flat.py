"""Flat: one fee whatever the quantity, zero included."""

import polars as pl

from prebill.core.billing.charges.base import ChargeModel, priced


def flat(lines: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """Charge the fee once.

    Examples
    --------
    >>> from prebill.core.money import DECIMAL
    >>> lines = pl.DataFrame({"row": [0], "billable": ["7"], "unit_price": ["99.5"]})
    >>> lines = lines.with_columns(pl.col("billable", "unit_price").cast(DECIMAL))
    >>> str(flat(lines, pl.DataFrame())["amount"][0])
    '99.500000000000'
    """
    return priced(lines, pl.col("unit_price"))


FLAT = ChargeModel("flat", flat)
