"""Billed quantities against the usage that was received, and what of a line no event explains.

A company that keeps its billing engine does not say which line bills which meter. Its history does:
where a product's quantity was a meter's sum on nearly every invoice, it has to be on the next.
"""

from typing import Final

import polars as pl

from prebill.core.scoring.features.declaration import (
    CORRECTED,
    LINES,
    RECEIVED,
    USAGE,
    alike,
)

#: Invoices on which a product and a meter stood beside each other before they can belong together.
LEAST_INVOICES: Final = 20
#: A product bills the meter whose sum its quantity was on this share of them.
LEAST_SHARE: Final = 0.95
#: Relative difference of equal quantities: events are decimals, sums of them are not rounded.
TOLERANCE: Final = 1e-6

#: Feature → what it means.
_MEANINGS: Final = {
    "usage_unexplained": "money of quantities that differ from the events received, share of all",
}
FEATURES: Final = alike(
    _MEANINGS,
    *LINES,
    *USAGE,
    *CORRECTED,
    null="no product of the draft is known to bill a meter",
    as_of=RECEIVED,
)


def meters(lines: pl.DataFrame, usage: pl.DataFrame) -> pl.DataFrame:
    """Which product bills which meter.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`invariants.line_facts`, of settled past invoices.
    usage : pl.DataFrame
        From :func:`usage_shape.features`, of the same.

    Returns
    -------
    pl.DataFrame
        ``product, meter``; a product bills one meter.
    """
    pairs = _billed(lines).join(usage.select("invoice_id", "meter", "quantity"), on="invoice_id")
    return (
        pairs.group_by("product", "meter")
        .agg(invoices=pl.len(), share=_is_equal().mean())
        .filter(pl.col("invoices") >= LEAST_INVOICES, pl.col("share") >= LEAST_SHARE)
        .sort("share", "invoices", "meter", descending=[True, True, False])
        .unique("product", keep="first", maintain_order=True)
        .select("product", "meter")
        .sort("product")
    )


def billed(lines: pl.DataFrame, usage: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Set each metered product of an invoice beside the events of its meter.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`invariants.line_facts`.
    usage : pl.DataFrame
        From :func:`usage_shape.features`, of the same invoices.
    meters : pl.DataFrame
        From :func:`meters`.

    Returns
    -------
    pl.DataFrame, one row per (invoice, product) whose meter has usage
        ``invoice_id, product, meter, line_ids, billed, quantity`` (of the events), ``amount`` and
        ``off``, both minor units: what is billed, and what of it no event explains (> 0
        over-billed).
    """
    sides = (
        _billed(lines)
        .join(meters, on="product")
        .join(usage.select("invoice_id", "meter", "quantity"), on=["invoice_id", "meter"])
    )
    unexplained = pl.col("amount") * (1 - pl.col("quantity") / pl.col("billed"))
    return sides.with_columns(off=pl.when(_is_equal()).then(0.0).otherwise(unexplained))


def features(lines: pl.DataFrame, usage: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """What of each invoice's money no event explains; see :func:`billed`.

    Returns
    -------
    pl.DataFrame, one row per invoice with a metered product
        ``invoice_id`` and the column of ``FEATURES``.
    """
    if usage.is_empty():
        return pl.DataFrame(schema={"invoice_id": pl.String, "usage_unexplained": pl.Float64})
    whole = lines.group_by("invoice_id").agg(whole=pl.col("amount").abs().sum())
    off = billed(lines, usage, meters).group_by("invoice_id").agg(pl.col("off").abs().sum())
    share = pl.col("off") / pl.max_horizontal("whole", pl.lit(1.0))
    return off.join(whole, on="invoice_id").select("invoice_id", usage_unexplained=share)


def _billed(lines: pl.DataFrame) -> pl.DataFrame:
    """Quantity and money of each product of an invoice; lines without quantity bill no meter."""
    return (
        lines.filter(pl.col("quantity") > 0)
        .sort("line_id")
        .group_by("invoice_id", "product", maintain_order=True)
        .agg(
            billed=pl.col("quantity").sum(),
            amount=pl.col("amount").sum(),
            line_ids=pl.col("line_id"),
        )
        .with_columns(pl.col("line_ids").list.join(","))
    )


def _is_equal() -> pl.Expr:
    scale = pl.max_horizontal("billed", "quantity")
    return (pl.col("billed") - pl.col("quantity")).abs() <= scale * TOLERANCE
