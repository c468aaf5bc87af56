"""Duplicates: the same invoice twice, the same line twice, the same contract billed twice."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import (
    NOTHING,
    Detector,
    Judged,
    Scene,
    drafts_of,
    findings_of,
    tails_of,
)
from prebill.core.scoring.features.declaration import CORRECTED, LINES, TOTALS
from prebill.core.scoring.words import estimated_minor, money_text, over_under, percent_text

WORTH_SAYING: Final = 0.95
#: Tail of a twin where the past is too short to ask how often twins are right.
STATED: Final = 0.99


def judge(scene: Scene) -> Judged:
    """Judge each invoice's likeness to others and of its lines to each other."""
    frame = scene.rows.with_columns(
        twin_tail=scene.tails.rarity(scene.rows, "twin", stated=STATED),
        line_tail=scene.tails.rarity(scene.rows, "duplicate_share"),
    )
    tail = frame.select(tail=pl.max_horizontal("twin_tail", "line_tail"))["tail"]
    drafts = drafts_of(frame)
    return Judged(tails_of(frame, tail), pl.concat([_twins(drafts), _lines(scene, drafts)]))


def _twins(drafts: pl.DataFrame) -> pl.DataFrame:
    twins = drafts.filter(pl.col("twin") > 0, pl.col("twin_tail") >= WORTH_SAYING)
    if twins.is_empty():
        return NOTHING
    return findings_of(
        twins.select(
            "invoice_id",
            score="twin_tail",
            basis=pl.lit("exact"),
            code=pl.lit("duplicate_invoice"),
            amount_minor=pl.col("total_minor"),
            expected=pl.lit("one invoice"),
            evidence=pl.col("twin_id"),
            text=pl.concat_str(
                pl.lit("same customer, amount and content as invoice "),
                pl.col("twin_id"),
                pl.lit("; "),
                over_under(pl.col("total_minor"), pl.col("currency")),
            ),
        ),
        "duplicates",
    )


def _lines(scene: Scene, drafts: pl.DataFrame) -> pl.DataFrame:
    rare = drafts.filter(pl.col("duplicate_share") > 0, pl.col("line_tail") >= WORTH_SAYING).select(
        "invoice_id", "currency", "duplicate_share", score="line_tail"
    )
    if rare.is_empty():
        return NOTHING
    doubled = (
        scene.lines.filter(pl.col("amount") != 0)
        .join(rare, on="invoice_id")
        .group_by(
            "invoice_id", "currency", "duplicate_share", "score", "product", "quantity", "amount"
        )
        .agg(ids=pl.col("line_id").sort(), copies=pl.len())
        .filter(pl.col("copies") > 1)
        .with_columns(extra=pl.col("amount") * (pl.col("copies") - 1))
        .sort(pl.col("extra").abs(), descending=True)
        .group_by("invoice_id", "currency", "duplicate_share", "score", maintain_order=True)
        .agg(
            amount_minor=pl.col("extra").sum(),
            line_ids=pl.col("ids").list.explode().sort().head(12).str.join(","),
            product=pl.col("product").first(),
        )
        .with_columns(amount_minor=estimated_minor(pl.col("amount_minor")))
    )
    return findings_of(
        doubled.select(
            "invoice_id",
            "score",
            "amount_minor",
            "line_ids",
            basis=pl.lit("exact"),
            code=pl.lit("duplicate_line"),
            expected=pl.lit("each line once"),
            text=pl.concat_str(
                pl.col("product"),
                pl.lit(" stands twice with equal quantity and amount; lines that repeat are "),
                percent_text(pl.col("duplicate_share")),
                pl.lit(" of the invoice; over-billed about "),
                money_text(pl.col("amount_minor"), pl.col("currency")),
            ),
        ),
        "duplicates",
    )


DUPLICATES: Final = Detector(
    "duplicates",
    "earlier invoices; lines for duplicate lines",
    judge,
    sources=(*TOTALS, *LINES, *CORRECTED),
)
