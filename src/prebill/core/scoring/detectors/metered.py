"""What the usage detectors share: the billed money behind a meter, and one finding a meter."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.frames import Agreements

_MONEY: Final = pl.Schema(
    {
        "invoice_id": pl.String,
        "meter": pl.String,
        "metered_minor": pl.Float64,
        "line_ids": pl.String,
    }
)


def with_money(scene: Scene, usage: pl.DataFrame) -> pl.DataFrame:
    """Add what the draft bills for a meter, and on which lines.

    Parameters
    ----------
    scene : Scene
        Names the drafts and, with agreements, their metered lines.
    usage : pl.DataFrame
        Rows of ``Scene.usage`` of drafts.

    Returns
    -------
    pl.DataFrame
        With ``currency``, ``metered_minor`` (null where lines don't name meters) and ``line_ids``.
    """
    agreements = scene.inputs.agreements
    money = pl.DataFrame(schema=_MONEY)
    if agreements is not None:
        money = agreements.once("metered_money", lambda: _metered_money(agreements))
    heads = scene.drafts.select("invoice_id", "currency")
    joined = usage.join(money, on=["invoice_id", "meter"], how="left").join(heads, on="invoice_id")
    if agreements is not None:  # a meter that this draft doesn't bill says nothing about it
        joined = joined.filter(pl.col("metered_minor").is_not_null())
    return joined.with_columns(pl.col("line_ids").fill_null(""))


def _metered_money(agreements: Agreements) -> pl.DataFrame:
    """Money and lines of each draft and meter."""
    return (
        agreements.draft_lines.filter(pl.col("meter").is_not_null())
        .group_by(invoice_id="draft_id", meter="meter")
        .agg(
            metered_minor=pl.col("amount_minor").sum().cast(pl.Float64),
            line_ids=pl.col("line_id").sort().str.join(","),
        )
    )


def tail_by_invoice(scene: Scene, usage: pl.DataFrame) -> pl.DataFrame:
    """The largest tail of an invoice's meters; null where it has no judged meter."""
    largest = usage.group_by("invoice_id").agg(tail=pl.col("tail").max())
    return scene.rows.select("invoice_id").join(
        largest, on="invoice_id", how="left", maintain_order="left"
    )
