"""Quantities of lines against what of that product is ordinarily bought, as of each day.

One line says little; the mean over an invoice's lines says that all were doubled, the largest that
one is in the wrong unit.
"""

import polars as pl

from prebill.core.scoring.frames import DAY

#: Pseudo-lines with which a product's mean is pulled to nothing known.
LEAST_LINES = 3


def sizes(facts: pl.DataFrame) -> pl.DataFrame:
    """What of each product is ordinarily bought, as of each day.

    Parameters
    ----------
    facts : pl.DataFrame
        ``product, issued_on, quantity`` of lines.

    Returns
    -------
    pl.DataFrame, one row per (product, known_on)
        ``usual``: mean log quantity of all lines issued before ``known_on``; only products with
        ``LEAST_LINES`` lines by then.
    """
    size = pl.col("quantity").abs().log()
    return (
        _sized(facts)
        .group_by("product", "issued_on")
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
        .drop("lines")
        .sort("known_on")
    )


def line_shifts(facts: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    """Mean and largest log quantity of an invoice's lines, less their products' usual ones.

    Parameters
    ----------
    facts : pl.DataFrame
        ``invoice_id, product, issued_on, quantity`` of the lines to judge.
    sizes : pl.DataFrame
        From :func:`sizes`.

    Returns
    -------
    pl.DataFrame, one row per invoice that has a known product
        ``invoice_id, shift`` (mean), ``peak`` (largest absolute, signed).
    """
    against = (
        _sized(facts)
        .select("invoice_id", "product", "issued_on", size=pl.col("quantity").abs().log())
        .sort("issued_on")
        .join_asof(
            sizes,
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


def _sized(facts: pl.DataFrame) -> pl.DataFrame:
    return facts.filter(pl.col("quantity").is_not_null() & (pl.col("quantity") != 0))
