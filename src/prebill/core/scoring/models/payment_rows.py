"""Training rows of payment risk: features and outcomes as they were known on a morning.

Each invoice is entered as of its own issue date. Where a customer is billed more than once in 30
days it is entered a second time as it looks inside a batch of drafts, whose earlier invoices are
not known to be paid or late: the gate judges such batches, and a model that never saw them is
measurably worse there (Brier .0025 on `receivables`).
"""

from datetime import date
from typing import Final

import polars as pl

from prebill.core.scoring.features.payment import features, profile

BATCH_DAYS: Final = 30


def training_rows(receivables: pl.DataFrame, cut_off: date) -> pl.DataFrame:
    """Features and outcomes as they were known on the morning of ``cut_off``.

    Parameters
    ----------
    receivables : pl.DataFrame
        From :func:`prebill.core.scoring.features.payment.receivables`.
    cut_off : date
        Nothing dated this day or later is read.

    Returns
    -------
    pl.DataFrame, one or two rows per labelled invoice issued before the cut-off
        ``invoice_id, customer_id, issued_on, due_on, settled_on`` (null: open then),
        ``observed_until``, the first day that was not seen, and ``COLUMNS``.
    """
    before = pl.when(pl.col("settled_on") < cut_off).then("settled_on")
    known = receivables.filter(pl.col("issued_on") < cut_off).with_columns(settled_on=before)
    rows = known.filter("is_labelled", pl.col("total_minor") > 0)
    singly = _with_features(rows, known)
    batched = [_with_features(batch, seen) for batch, seen in _batches(rows, known)]
    return pl.concat([singly, *batched]).with_columns(observed_until=pl.lit(cut_off))


def _with_features(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    outcome = rows.select("invoice_id", "customer_id", "issued_on", "due_on", "settled_on")
    return outcome.join(
        features(rows, profile(known, rows)), on="invoice_id", maintain_order="left"
    )


def _batches(rows: pl.DataFrame, known: pl.DataFrame) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Windows of 30 days: invoices after the customer's first in it, and what is known then."""
    first_on = rows["issued_on"].min()
    window = (pl.col("issued_on") - first_on).dt.total_days() // BATCH_DAYS
    rows, known = rows.with_columns(window=window), known.with_columns(window=window)
    later = rows.filter(
        pl.col("issued_on") > pl.col("issued_on").min().over("customer_id", "window")
    )
    batches = []
    for (number,), batch in later.group_by("window", maintain_order=True):
        is_before = pl.col("window") < number
        seen = known.filter(pl.col("window") <= number).with_columns(
            is_labelled=pl.col("is_labelled") & is_before,
            settled_on=pl.when(is_before).then("settled_on"),
        )
        batches.append((batch, seen))
    return batches
