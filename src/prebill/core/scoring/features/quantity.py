"""Quantities of lines against what of that product is ordinarily bought, as of each day.

One line says little; the mean over an invoice's lines says that all were doubled, the largest that
one is in the wrong unit.
"""

import polars as pl

from prebill.core.scoring.frames import DAY

#: Pseudo-lines with which a product's mean is pulled to nothing known.
LEAST_LINES = 3


def line_shifts(facts: pl.DataFrame) -> pl.DataFrame:
    """Mean and largest log quantity of an invoice's lines, less their products' usual ones.

    Parameters
    ----------
    facts : pl.DataFrame
        ``invoice_id, product, issued_on, quantity`` of every visible line.

    Returns
    -------
    pl.DataFrame, one row per invoice that has a known product
        ``invoice_id, shift`` (mean), ``peak`` (largest absolute, signed).
    """
    size = pl.col("quantity").abs().log()
    sized = facts.filter(pl.col("quantity").is_not_null() & (pl.col("quantity") != 0))
    daily = (
        sized.group_by("product", "issued_on")
        .agg(total=size.sum(), count=pl.len())
        .sort("product", "issued_on")
        .select(
            "product",
            usual=pl.col("total").cum_sum().over("product")
            / pl.col("count").cum_sum().over("product"),
            lines=pl.col("count").cum_sum().over("product"),
            known_on=pl.col("issued_on") + DAY,
        )
        .filter(pl.col("lines") >= LEAST_LINES)
        .sort("known_on")
    )
    against = (
        sized.select("invoice_id", "product", "issued_on", size=size)
        .sort("issued_on")
        .join_asof(
            daily,
            left_on="issued_on",
            right_on="known_on",
            by="product",
            strategy="backward",
            check_sortedness=False,
        )
        .with_columns(off=pl.col("size") - pl.col("usual"))
        .filter(pl.col("off").is_not_null())
    )
    return against.group_by("invoice_id").agg(
        shift=pl.col("off").mean(),
        peak=pl.when(pl.col("off").max() >= -pl.col("off").min())
        .then(pl.col("off").max())
        .otherwise(pl.col("off").min()),
    )
