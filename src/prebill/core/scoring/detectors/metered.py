"""What the usage detectors share: the billed money behind a meter, and one finding a meter."""

import polars as pl

from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.frames import Agreements


def with_money(scene: Scene, usage: pl.DataFrame) -> pl.DataFrame:
    """Add what the draft bills for a meter, and on which lines.

    Parameters
    ----------
    scene : Scene
        Names the drafts and their metered lines: with agreements these say which they are, else
        the past does.
    usage : pl.DataFrame
        Rows of ``Scene.usage`` of drafts.

    Returns
    -------
    pl.DataFrame
        With ``currency``, ``metered_minor`` (null where lines don't name meters) and ``line_ids``.
    """
    agreements = scene.inputs.agreements
    if agreements is None:
        money = _billed_money(scene)
    else:
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


def _billed_money(scene: Scene) -> pl.DataFrame:
    """Money and lines of each draft and meter, by what products billed in the past."""
    lines = scene.lines.filter("is_draft").join(scene.norms.meters, on="product")
    return lines.group_by("invoice_id", "meter").agg(
        metered_minor=pl.col("amount").sum(), line_ids=pl.col("line_id").sort().str.join(",")
    )


def tail_by_invoice(scene: Scene, usage: pl.DataFrame) -> pl.DataFrame:
    """The largest tail of an invoice's meters; null where it has no judged meter."""
    largest = usage.group_by("invoice_id").agg(tail=pl.col("tail").max())
    return scene.rows.select("invoice_id").join(
        largest, on="invoice_id", how="left", maintain_order="left"
    )
