"""Repeated quantities: the lines of the previous invoice again, where they used to vary."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import Detector, Judged, Scene, findings_of, tails_of
from prebill.core.scoring.tails import rarity
from prebill.core.scoring.words import percent_text

WORTH_SAYING: Final = 0.97


def judge(scene: Scene) -> Judged:
    """Judge how much of the invoice repeats the previous one, less what usually repeats."""
    before = scene.rows.select(
        previous_id="invoice_id", usual=pl.col("repeat_share"), usual_new="new_share"
    )
    rows = scene.rows.join(before, on="previous_id", how="left", maintain_order="left")
    excess = (pl.col("repeat_share") - pl.col("usual")).clip(0.0)
    rows = rows.with_columns(repeat_excess=pl.when(excess > 0.05).then(excess).otherwise(excess * 0))
    tail = rarity(rows, "repeat_excess")
    drafts = rows.with_columns(score=tail).filter("is_draft", pl.col("score") >= WORTH_SAYING)
    findings = findings_of(
        drafts.select(
            "invoice_id",
            "score",
            code=pl.lit("quantities_repeat"),
            expected=pl.concat_str(percent_text(pl.col("usual")), pl.lit(" of the money")),
            evidence=pl.col("previous_id"),
            text=pl.concat_str(
                percent_text(pl.col("repeat_share")),
                pl.lit(" of the money repeats quantity and amount of "),
                pl.col("previous_id"),
                pl.lit("; before it was "),
                percent_text(pl.col("usual")),
                pl.lit(": the meter may be stuck"),
            ),
        ),
        "repeated",
    )
    return Judged(tails_of(rows, tail), findings)


REPEATED: Final = Detector("repeated", "lines with quantities of two earlier invoices", judge)
