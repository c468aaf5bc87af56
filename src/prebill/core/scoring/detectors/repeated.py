"""Repeated quantities: the lines of the previous invoice again, where they used to vary."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import (
    NOTHING,
    Detector,
    Judged,
    Scene,
    findings_of,
    tails_of,
)
from prebill.core.scoring.features.declaration import CORRECTED, LINES
from prebill.core.scoring.words import percent_text

WORTH_SAYING: Final = 0.97
#: Lines that everybody's share counts for against the customer's own.
OWN_WEIGHT: Final = 4.0


def judge(scene: Scene) -> Judged:
    """Judge how many of the lines repeat the previous invoice, against how many usually do."""
    rows = scene.rows
    everybody = scene.norms.repeat_share
    # The customer's own previous share, pulled to everybody's with the weight of a few lines.
    usual_share = (pl.col("before_repeat").fill_null(0) + OWN_WEIGHT * everybody) / (
        pl.when(pl.col("before_repeat").is_not_null()).then("before_count").otherwise(0)
        + OWN_WEIGHT
    )
    share, usual = pl.col("repeat_lines") / pl.col("line_count"), pl.col("usual")
    surprise = pl.col("repeat_lines") * (share / usual).log() + (
        pl.when(share < 1)
        .then((pl.col("line_count") - pl.col("repeat_lines")) * ((1 - share) / (1 - usual)).log())
        .otherwise(0.0)
    )
    # Some lines again are an order repeated, all of them a meter that stands.
    surprise = surprise * share**2
    known = pl.col("repeat_lines").is_not_null() & (pl.col("line_count") > 0)
    rows = rows.with_columns(usual=usual_share).with_columns(
        repeat_surprise=pl.when(known).then(
            pl.when((share > usual) & (pl.col("repeat_lines") > 0)).then(surprise).otherwise(0.0)
        )
    )
    tail = scene.tails.rarity(rows, "repeat_surprise")
    drafts = rows.with_columns(score=tail).filter("is_draft", pl.col("score") >= WORTH_SAYING)
    return Judged(tails_of(rows, tail), _findings(drafts))


def _findings(drafts: pl.DataFrame) -> pl.DataFrame:
    if drafts.is_empty():
        return NOTHING
    return findings_of(
        drafts.select(
            "invoice_id",
            "score",
            code=pl.lit("quantities_repeat"),
            expected=pl.concat_str(percent_text(pl.col("usual")), pl.lit(" of the lines")),
            evidence=pl.col("previous_id"),
            text=pl.concat_str(
                percent_text(pl.col("repeat_share")),
                pl.lit(" of the money repeats the quantities of "),
                pl.col("previous_id"),
                pl.lit("; ordinarily "),
                percent_text(pl.col("usual")),
                pl.lit(" of the lines repeat: the meter may be stuck"),
            ),
        ),
        "repeated",
    )


REPEATED: Final = Detector(
    "repeated", "lines with quantities of two earlier invoices", judge, sources=(*LINES, *CORRECTED)
)
