"""Twins: another invoice of the customer with equal content, for the same period or near it."""

from typing import Final

import polars as pl

from prebill.core.schemas.frame import collected
from prebill.core.scoring.features.declaration import LINES, TOTALS, alike
from prebill.core.scoring.frames import DAY, Books

#: A twin issued within so many days is a duplicate; further apart it is a recurring amount.
TWIN_DAYS: Final = 20
#: What twins have in common.
KEY: Final = ["customer_id", "currency", "total_minor", "period_start_on", "period_end_on"]

#: Feature → what it means.
_MEANINGS: Final = {
    "twin": "1 when another invoice of the customer has equal lines and total and the same time",
}
FEATURES: Final = alike(_MEANINGS, *TOTALS, *LINES, null="never null")


def profile(books: Books, asked: pl.DataFrame | None = None) -> pl.DataFrame:
    """Invoices that a later one may repeat, with their content.

    Parameters
    ----------
    books : Books
        Every visible invoice.
    asked : pl.DataFrame or None
        Columns of ``Books.invoices``: only what shares their customer, total and period is wanted.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``twin_id, twin_on``, customer, currency, total, period and ``twin_content``.
    """
    heads = books.invoices.filter(pl.col("total_minor") != 0)
    if asked is not None:
        heads = heads.join(asked, on=KEY, how="semi", nulls_equal=True)
        again = heads.group_by(KEY).len().filter(pl.col("len") > 1)
        heads = heads.join(again, on=KEY, how="semi", nulls_equal=True)
    content = _content(books.lines, heads)
    return heads.join(content, on="invoice_id", how="left").select(
        *KEY, twin_id="invoice_id", twin_on="issued_on", twin_content="content"
    )


def features(rows: pl.DataFrame, lines: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Find the twins of invoices; both of a pair in one batch have each other.

    Parameters
    ----------
    rows : pl.DataFrame
        Invoices to judge, columns of ``Books.invoices``.
    lines : pl.DataFrame
        ``INVOICE_LINES`` of them.
    profile : pl.DataFrame
        From :func:`profile`.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id, twin`` (0 or 1) and ``twin_id``, the first by id.
    """
    age = pl.col("issued_on") - pl.col("twin_on")
    is_near = age.is_between(0 * DAY, TWIN_DAYS * DAY)
    is_same_period = pl.col("period_start_on").is_not_null() & (age >= 0 * DAY)
    own = rows.lazy().select("invoice_id", "issued_on", *KEY)
    pairs = collected(
        own.join(profile.lazy(), on=KEY, nulls_equal=True).filter(
            pl.col("invoice_id") != pl.col("twin_id"), is_near | is_same_period
        )
    )
    if pairs.is_empty():
        return rows.select("invoice_id", twin_id=pl.lit(None, pl.String), twin=pl.lit(0.0))
    equal = pairs.join(_content(lines, pairs), on="invoice_id", how="left").filter(
        pl.col("content").eq_missing(pl.col("twin_content"))
    )
    twins = equal.group_by("invoice_id").agg(pl.col("twin_id").min())
    return (
        rows.select("invoice_id")
        .join(twins, on="invoice_id", how="left")
        .with_columns(twin=pl.col("twin_id").is_not_null().cast(pl.Float64))
    )


def _content(lines: pl.DataFrame, of: pl.DataFrame) -> pl.DataFrame:
    """Lines of invoices as one text each, whatever their order."""
    own = lines.join(of.select("invoice_id").unique(), on="invoice_id", how="semi")
    return (
        own.sort("invoice_id", "product", "amount_minor", "quantity")
        .group_by("invoice_id", maintain_order=True)
        .agg(content=pl.concat_str("product", "quantity", "amount_minor", ignore_nulls=True))
        .with_columns(pl.col("content").list.join("|"))
    )
