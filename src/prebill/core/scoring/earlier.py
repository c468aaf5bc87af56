"""What was issued to a customer before each invoice: how many, the first and the last day."""

import polars as pl

from prebill.core.scoring.windows import join_earlier


def earlier(invoices: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Count what each asked invoice's customer was invoiced before its day, in any currency.

    Parameters
    ----------
    invoices : pl.DataFrame
        ``customer_id, issued_on`` of every visible invoice.
    keys : pl.DataFrame
        ``invoice_id, customer_id, issued_on`` of the invoices to judge.

    Returns
    -------
    pl.DataFrame, one row per key
        ``invoice_id, earlier_invoices`` (0: none seen), ``first_on, last_on`` (null: none seen).
    """
    days = (
        invoices.group_by("customer_id", "issued_on")
        .agg(issued=pl.len().cast(pl.Int64))
        .sort("customer_id", "issued_on")
        .select(
            "customer_id",
            "issued_on",
            earlier_invoices=pl.col("issued").cum_sum().over("customer_id"),
            first_on=pl.col("issued_on").first().over("customer_id"),
            last_on="issued_on",
        )
    )
    asked = keys.select("invoice_id", "customer_id", "issued_on")
    found = join_earlier(asked, days, ["customer_id"])
    return found.select(
        "invoice_id", pl.col("earlier_invoices").fill_null(0), "first_on", "last_on"
    )
