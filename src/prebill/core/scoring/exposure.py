"""What a customer owes on the morning of a draft, from what was known that day; see ``exposures``.

Receivables only, in the draft's own currency. Which exposure is too much is the policy's question.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.scoring.features.payment_history import SETTLED_PER_MILLE

#: No policy may ask for a draft's exposure where it is likelier paid in time, and paid, than this.
LEAST_P_LATE: Final = 0.5
LEAST_P_NEVER: Final = 0.01
#: What :func:`exposures` says of a draft.
EXPOSURES: Final = pl.Schema(
    {"open_minor": pl.Int64, "overdue_minor": pl.Int64, "overdue_days": pl.Int64}
)
#: Columns of an invoice that say what is owed.
OWED: Final = ("invoice_id", "customer_id", "currency", "issued_on", "due_on", "total_minor")


@dataclass(frozen=True, slots=True)
class Receivables:
    """Issued invoices and what was received for them.

    ``invoices`` (``INVOICES``), ``payments``, ``credit_notes``; ``are_known``: false where no
    payment was ever recorded, so that nothing can be said of what is open.
    """

    invoices: pl.DataFrame
    payments: pl.DataFrame
    credit_notes: pl.DataFrame
    are_known: bool = True


def exposures(drafts: pl.DataFrame, receivables: Receivables) -> pl.DataFrame:
    """Sum up what is open before each draft.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``invoice_id, customer_id, currency, issued_on``; with ``EXPOSURES`` they were summed up
        before, and stand.
    receivables : Receivables
        Rows of the draft's day or later are not read. Other drafts are no receivables: whether
        they were paid is never read, so that they would look open for ever.

    Returns
    -------
    pl.DataFrame, one row per draft, same order
        ``invoice_id``; ``open_minor`` (null: not known) and ``overdue_minor`` in the draft's
        currency; ``overdue_days`` of the invoice that is overdue longest, null where none is.
        An invoice is settled once payments and credits reach its total less tolerance.
    """
    if EXPOSURES.keys() <= set(drafts.columns):
        return drafts.select("invoice_id", *EXPOSURES)
    if not receivables.are_known:
        unknown = pl.lit(None, dtype=pl.Int64)
        return drafts.select(
            "invoice_id", open_minor=unknown, overdue_minor=unknown, overdue_days=unknown
        )
    owed = _open_on_the_day(drafts, receivables)
    is_overdue = pl.col("due_on") < pl.col("day")
    sums = owed.group_by("invoice_id").agg(
        open_minor=pl.col("open_minor").sum(),
        overdue_minor=pl.col("open_minor").filter(is_overdue).sum(),
        overdue_days=(pl.col("day") - pl.col("due_on")).filter(is_overdue).max().dt.total_days(),
    )
    return (
        drafts.select("invoice_id")
        .join(sums, on="invoice_id", how="left", maintain_order="left")
        .with_columns(pl.col("open_minor", "overdue_minor").fill_null(0))
    )


def may_be_asked() -> pl.Expr:
    """Whether any policy may ask for a draft's exposure: the others' is not worth its joins."""
    is_risky = (pl.col("p_late") >= LEAST_P_LATE) | (pl.col("p_never") >= LEAST_P_NEVER)
    return is_risky & (pl.col("total_minor") > 0) & ~pl.col("is_person")


def owed(receivables: Receivables) -> pl.DataFrame:
    """Find what is open once all that was received is counted.

    Returns
    -------
    pl.DataFrame, one row per open invoice
        ``OWED``; ``total_minor`` is the rest, so that without payments these are receivables again.
    """
    received = (
        _received(receivables).group_by("owed_id").agg(received_minor=pl.col("amount_minor").sum())
    )
    known = receivables.invoices.select(OWED).join(
        received, left_on="invoice_id", right_on="owed_id", how="left"
    )
    return known.filter(_is_open()).with_columns(total_minor=_rest_minor()).select(OWED)


def _received(receivables: Receivables) -> pl.DataFrame:
    """Payments and credits: ``owed_id, on, amount_minor``."""
    return pl.concat(
        [
            receivables.payments.select("amount_minor", owed_id="invoice_id", on="paid_on"),
            receivables.credit_notes.select("amount_minor", owed_id="invoice_id", on="issued_on"),
        ]
    )


def _rest_minor() -> pl.Expr:
    return pl.col("total_minor") - pl.col("received_minor").fill_null(0)


def _is_open() -> pl.Expr:
    received = pl.col("received_minor").fill_null(0)
    return received * 1000 < pl.col("total_minor") * SETTLED_PER_MILLE


def _open_on_the_day(drafts: pl.DataFrame, receivables: Receivables) -> pl.DataFrame:
    """One row per draft and invoice of its customer that is open: ``invoice_id, day, due_on``."""
    issued = receivables.invoices.select(
        "customer_id",
        "currency",
        "due_on",
        "total_minor",
        owed_id="invoice_id",
        issued_before="issued_on",
    )
    asked = drafts.select("invoice_id", "customer_id", "currency", day="issued_on")
    pairs = asked.join(issued, on=["customer_id", "currency"]).filter(
        pl.col("issued_before") < pl.col("day"), pl.col("owed_id") != pl.col("invoice_id")
    )
    by_then = (
        pairs.select("invoice_id", "owed_id", "day")
        .join(_received(receivables), on="owed_id")
        .filter(pl.col("on") < pl.col("day"))
        .group_by("invoice_id", "owed_id")
        .agg(received_minor=pl.col("amount_minor").sum())
    )
    known = pairs.join(by_then, on=["invoice_id", "owed_id"], how="left")
    return known.filter(_is_open()).select("invoice_id", "day", "due_on", open_minor=_rest_minor())
