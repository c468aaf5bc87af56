"""Percent discounts: on the rounded gross amount of a line, rounded once.

A line has one discount, the one in force on its first service day. Prorated charges are cut where
the discount ends, so each part has its own; metered charges and those billed once are not cut.
"""

import polars as pl

from prebill.core.money import DECIMAL, round_minor


def discount_minor(gross_minor: pl.Expr, percent: pl.Expr) -> pl.Expr:
    """Return the discount in minor units, with the sign of the gross amount.

    Examples
    --------
    >>> frame = pl.DataFrame({"g": [999], "p": ["12.5"]}).with_columns(pl.col("p").cast(DECIMAL))
    >>> frame.select(discount_minor(pl.col("g"), pl.col("p")))["g"].to_list()
    [125]
    """
    hundred = pl.lit(100, dtype=pl.Int64).cast(DECIMAL)
    return round_minor(gross_minor.cast(DECIMAL) * percent / hundred)
