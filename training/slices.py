"""Which slice a tested invoice belongs to: a model must not get worse for one of them unseen."""

from datetime import timedelta
from typing import Final

import polars as pl

from training.dataset import Dataset

#: Days since the customer's first invoice below which it is new.
NEW_DAYS: Final = 90
_SIZES: Final = ("small", "medium", "large")


def slices_of(dataset: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Sort invoices into slices.

    Parameters
    ----------
    dataset : Dataset
        With the invoices and those before them.
    rows : pl.DataFrame
        ``invoice_id`` of the tested ones.

    Returns
    -------
    pl.DataFrame, one row per invoice, in the order of ``rows``
        ``invoice_id, currency, entity, size`` (thirds of the amounts in the same currency) and
        ``tenure`` (new: within 90 days of the customer's first invoice).
    """
    first = dataset.invoices.group_by("customer_id").agg(first_on=pl.col("issued_on").min())
    known = dataset.invoices.join(first, on="customer_id", how="left")
    joined = rows.select("invoice_id").join(
        known, on="invoice_id", how="left", maintain_order="left"
    )
    rank = pl.col("total_minor").abs().rank("ordinal").over("currency")
    third = ((rank - 1) * len(_SIZES) // pl.len().over("currency")).cast(pl.Int64)
    is_new = pl.col("issued_on") - pl.col("first_on") < timedelta(days=NEW_DAYS)
    return joined.select(
        "invoice_id",
        "currency",
        entity=pl.col("legal_entity").fill_null("all"),
        size=third.replace_strict(dict(enumerate(_SIZES)), return_dtype=pl.String()),
        tenure=pl.when(is_new).then(pl.lit("new")).otherwise(pl.lit("established")),
    )
