"""Per unit: quantity times price; zero units cost nothing."""

import polars as pl

from prebill.core.billing.charges.base import ChargeModel, priced


def per_unit(lines: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """Multiply units by the price.

    Examples
    --------
    >>> from prebill.core.money import DECIMAL
    >>> lines = pl.DataFrame({"row": [0], "billable": ["2.5"], "unit_price": ["0.1"]})
    >>> lines = lines.with_columns(pl.col("billable", "unit_price").cast(DECIMAL))
    >>> str(per_unit(lines, pl.DataFrame())["amount"][0])
    '0.250000000000'
    """
    return priced(lines, pl.col("billable") * pl.col("unit_price"))


PER_UNIT = ChargeModel("per_unit", per_unit)
