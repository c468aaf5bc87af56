"""Billed usage: a line's quantity is not the sum of the events that were received for it."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import (
    EXACT,
    NOTHING,
    Detector,
    Judged,
    Scene,
    findings_of,
    tails_of,
)
from prebill.core.scoring.features import billed_usage
from prebill.core.scoring.features.declaration import CORRECTED, LINES, USAGE
from prebill.core.scoring.words import estimated_minor, figure_text, over_under

WORTH_SAYING: Final = 0.95
#: Tail of a difference where too few invoices are known to say how rare it is.
STATED: Final = 0.99
#: Share of the money that a difference is taken to have where hardly any happened.
SPREAD: Final = 0.1


def judge(scene: Scene) -> Judged:
    """Judge what no event explains."""
    tail = scene.tails.rarity(scene.rows, "usage_unexplained", stated=STATED, spread=SPREAD)
    drafts = scene.rows.with_columns(score=tail).filter(
        "is_draft", pl.col("usage_unexplained") > 0, pl.col("score") >= WORTH_SAYING
    )
    return Judged(tails_of(scene.rows, tail), _findings(scene, drafts))


def _findings(scene: Scene, drafts: pl.DataFrame) -> pl.DataFrame:
    if drafts.is_empty():
        return NOTHING
    sides = billed_usage.billed(scene.lines, scene.usage, scene.norms.meters)
    off = (
        sides.filter(pl.col("off") != 0)
        .join(drafts.select("invoice_id", "currency", "score"), on="invoice_id")
        .with_columns(amount_minor=estimated_minor(pl.col("off")))
    )
    times = (pl.col("billed") / pl.col("quantity").clip(1e-9)).round(2).cast(pl.String)
    return findings_of(
        off.select(
            "invoice_id",
            "score",
            "amount_minor",
            "line_ids",
            basis=pl.lit(EXACT),
            code=pl.lit("usage_differs_from_events"),
            expected=figure_text(pl.col("quantity")),
            evidence=pl.col("meter"),
            text=pl.concat_str(
                pl.col("product"),
                pl.lit(" bills "),
                figure_text(pl.col("billed")),
                pl.lit(", the events of "),
                pl.col("meter"),
                pl.lit(" add up to "),
                figure_text(pl.col("quantity")),
                pl.lit(" ("),
                times,
                pl.lit("x); "),
                over_under(pl.col("amount_minor"), pl.col("currency")),
            ),
        ),
        "billed_usage",
    )


BILLED_USAGE: Final = Detector(
    "billed_usage",
    "lines, and usage events of earlier periods",
    judge,
    reads_usage=True,
    sources=(*LINES, *USAGE, *CORRECTED),
)
