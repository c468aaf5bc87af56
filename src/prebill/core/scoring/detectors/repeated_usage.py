"""Repeated usage: a batch sent again under new ids; instants and quantities are equal."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import NOTHING, Detector, Judged, Scene, findings_of
from prebill.core.scoring.detectors.metered import tail_by_invoice, with_money
from prebill.core.scoring.features.declaration import CORRECTED, USAGE
from prebill.core.scoring.words import estimated_minor, figure_text, over_under, percent_text

WORTH_SAYING: Final = 0.98
#: Coincidences: below this share of the quantity nobody sent a batch twice.
LEAST_SHARE: Final = 0.01


def judge(scene: Scene) -> Judged:
    """Judge how much of each meter's quantity repeats."""
    share = pl.col("repeated").clip(0.0)
    usage = scene.usage.with_columns(
        excess=pl.when(share >= LEAST_SHARE).then(share).otherwise(0.0)
    )
    usage = usage.with_columns(tail=scene.tails.rarity(usage, "excess"))
    said = usage.filter("is_draft", pl.col("excess") > 0, pl.col("tail") >= WORTH_SAYING)
    return Judged(tail_by_invoice(scene, usage), _findings(scene, said))


def _findings(scene: Scene, said: pl.DataFrame) -> pl.DataFrame:
    if said.is_empty():
        return NOTHING
    priced = with_money(scene, said).with_columns(
        amount_minor=estimated_minor(pl.col("metered_minor") * pl.col("excess"))
    )
    money = pl.when(pl.col("amount_minor").is_not_null()).then(
        pl.concat_str(pl.lit("; "), over_under(pl.col("amount_minor"), pl.col("currency")))
    )
    times = pl.col("quantity") / (pl.col("quantity") - pl.col("repeated_quantity")).clip(1e-9)
    return findings_of(
        priced.select(
            "invoice_id",
            "amount_minor",
            "line_ids",
            score="tail",
            basis=pl.lit("exact"),
            code=pl.lit("duplicate_usage"),
            expected=figure_text(pl.col("quantity") - pl.col("repeated_quantity")),
            evidence=pl.concat_str(pl.lit("meter "), "meter"),
            text=pl.concat_str(
                pl.col("meter"),
                pl.lit(" "),
                times.round(2).cast(pl.String),
                pl.lit("x the quantity without repeats: "),
                figure_text(pl.col("repeated_events")),
                pl.lit(" events repeat instant and quantity of others, "),
                percent_text(pl.col("excess")),
                pl.lit(" of the quantity"),
                money.fill_null(""),
            ),
        ),
        "repeated_usage",
    )


REPEATED_USAGE: Final = Detector(
    "repeated_usage", "usage events", judge, reads_usage=True, sources=(*USAGE, *CORRECTED)
)
