"""Stuck meter: day after day the same quantity, where it used to vary."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import NOTHING, Detector, Judged, Scene, findings_of
from prebill.core.scoring.detectors.metered import tail_by_invoice, with_money
from prebill.core.scoring.words import estimated_minor, percent_text

WORTH_SAYING: Final = 0.98
#: The variation must have fallen to less than a quarter of the ordinary one (log 4).
LEAST_FLATNESS: Final = 1.39
LEAST_DAYS: Final = 10


def judge(scene: Scene) -> Judged:
    """Judge how even each meter's days are."""
    flat = pl.col("flatness")
    usage = scene.usage.with_columns(
        evenness=pl.when((pl.col("earlier") >= 1) & (pl.col("active_days") >= LEAST_DAYS)).then(
            pl.when(flat >= LEAST_FLATNESS).then(flat).otherwise(0.0)
        )
    )
    usage = usage.with_columns(tail=scene.tails.rarity(usage, "evenness"))
    said = usage.filter("is_draft", pl.col("evenness") > 0, pl.col("tail") >= WORTH_SAYING)
    return Judged(tail_by_invoice(scene, usage), _findings(scene, said))


def _findings(scene: Scene, said: pl.DataFrame) -> pl.DataFrame:
    if said.is_empty():
        return NOTHING
    ordinary = pl.col("usual_daily").exp() - 1
    actual = pl.col("quantity") / pl.col("window_days").clip(1)
    priced = with_money(scene, said).with_columns(
        amount_minor=estimated_minor(pl.col("metered_minor") * (1 - ordinary / actual.clip(1e-9)))
    )
    return findings_of(
        priced.select(
            "invoice_id",
            "amount_minor",
            "line_ids",
            score="tail",
            code=pl.lit("meter_stuck"),
            expected=pl.concat_str(
                percent_text(pl.col("usual_variation")), pl.lit(" variation from day to day")
            ),
            text=pl.concat_str(
                pl.col("meter"),
                pl.lit(" hardly varies from day to day, "),
                (-pl.col("flatness")).exp().round(2).cast(pl.String),
                pl.lit("x its ordinary variation: the meter may be stuck"),
            ),
        ),
        "stuck_meter",
    )


STUCK_METER: Final = Detector("stuck_meter", "usage events of an earlier period", judge)
