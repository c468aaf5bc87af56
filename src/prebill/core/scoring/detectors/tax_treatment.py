"""Tax treatment: a tax share or code that differs from history or from the customer's country."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import (
    NOTHING,
    Detector,
    Judged,
    Scene,
    drafts_of,
    findings_of,
    line_list,
    tails_of,
)
from prebill.core.scoring.features.declaration import CORRECTED, LINES, TOTALS, TREATED
from prebill.core.scoring.words import estimated_minor, over_under, percent_text

WORTH_SAYING: Final = 0.95


def judge(scene: Scene) -> Judged:
    """Judge each invoice's tax."""
    frame = scene.rows.with_columns(
        share_tail=scene.tails.rarity(scene.rows, "tax_share"),
        code_tail=scene.tails.rarity(scene.rows, "tax_code"),
    )
    tail = frame.select(tail=pl.max_horizontal("share_tail", "code_tail"))["tail"]
    drafts = drafts_of(frame)
    return Judged(tails_of(frame, tail), pl.concat([_shares(drafts), _codes(scene, drafts)]))


def _shares(drafts: pl.DataFrame) -> pl.DataFrame:
    share = pl.col("tax_minor") / pl.col("subtotal_minor")
    off = drafts.filter(pl.col("tax_share") > 0, pl.col("share_tail") >= WORTH_SAYING).with_columns(
        share=share,
        amount_minor=estimated_minor(
            pl.col("tax_minor") - pl.col("subtotal_minor") * pl.col("expected_tax_share")
        ),
    )
    if off.is_empty():
        return NOTHING
    basis = (
        pl.when(pl.col("tax_basis") == "own")
        .then(pl.lit("the customer's last invoice had "))
        .otherwise(pl.lit("customers of this country ordinarily have "))
    )
    return findings_of(
        off.select(
            "invoice_id",
            "amount_minor",
            score="share_tail",
            basis=pl.lit("exact"),
            code=pl.lit("tax_share_unusual"),
            expected=percent_text(pl.col("expected_tax_share")),
            text=pl.concat_str(
                pl.lit("tax is "),
                percent_text(pl.col("share")),
                pl.lit(" of the subtotal; "),
                basis,
                percent_text(pl.col("expected_tax_share")),
                pl.lit("; tax "),
                over_under(pl.col("amount_minor"), pl.col("currency")),
            ),
        ),
        "tax_treatment",
    )


def _codes(scene: Scene, drafts: pl.DataFrame) -> pl.DataFrame:
    rare = drafts.filter(pl.col("code_tail") >= WORTH_SAYING).select(
        "invoice_id", score="code_tail"
    )
    if rare.is_empty():
        return NOTHING
    off = (
        scene.lines.filter(pl.col("off_tax_code").abs() > 0)
        .join(rare, on="invoice_id")
        .group_by("invoice_id", "score")
        .agg(
            line_ids=line_list(),
            code_now=pl.col("tax_code").first(),
            code_before=pl.col("own_tax_code").first(),
        )
    )
    return findings_of(
        off.select(
            "invoice_id",
            "score",
            "line_ids",
            basis=pl.lit("exact"),
            code=pl.lit("tax_code_changed"),
            expected=pl.col("code_before"),
            text=pl.concat_str(
                pl.lit("tax code "),
                pl.col("code_now"),
                pl.lit(" instead of "),
                pl.col("code_before"),
                pl.lit(" as on the customer's last invoice"),
            ),
        ),
        "tax_treatment",
    )


TAX_TREATMENT: Final = Detector(
    "tax_treatment",
    "tax and subtotal, or tax codes",
    judge,
    sources=(*TOTALS, *LINES, *TREATED, *CORRECTED),
)
