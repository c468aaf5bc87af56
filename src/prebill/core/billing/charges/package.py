"""Package: started packages are paid in full; zero units need no package."""

import polars as pl

from prebill.core.billing.charges.base import ZERO, ChargeModel, priced


def package(lines: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """Count started packages and multiply by the price of one.

    Examples
    --------
    >>> from prebill.core.money import DECIMAL
    >>> lines = pl.DataFrame({"row": [0, 1], "billable": ["121", "0"]}).with_columns(
    ...     package_size=pl.lit("10").cast(DECIMAL), unit_price=pl.lit("100").cast(DECIMAL)
    ... ).with_columns(pl.col("billable").cast(DECIMAL))
    >>> [format(amount, ".2f") for amount in package(lines, pl.DataFrame())["amount"]]
    ['1300.00', '0.00']
    """
    size = pl.when(pl.col("package_size") > ZERO).then(pl.col("package_size"))
    # Floor division is exact, unlike a rounded quotient that might reach the next whole number.
    whole = pl.col("billable") // size
    started = whole + (pl.col("billable") > whole * size).cast(pl.Int64)
    return priced(lines, started * pl.col("unit_price"))


PACKAGE = ChargeModel("package", package)
