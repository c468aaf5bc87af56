"""Unit error: within the month some days or events jump by the factor of another unit."""

import math
from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import NOTHING, Detector, Judged, Scene, findings_of
from prebill.core.scoring.detectors.metered import tail_by_invoice, with_money
from prebill.core.scoring.features.declaration import CORRECTED, USAGE
from prebill.core.scoring.words import estimated_minor, figure_text, over_under

WORTH_SAYING: Final = 0.98
#: A factor of another unit is at least ten; noise of days is taken off.
LEAST_JUMP: Final = math.log(8)


def judge(scene: Scene) -> Judged:
    """Judge the largest day, and the whole window, against the ordinary day."""
    # Single days show in the highest and the lowest, the whole window in the level.
    factor = pl.max_horizontal("jump", "drop", pl.col("level").abs())
    usage = scene.usage.with_columns(
        factor=pl.when(pl.col("earlier") >= 1).then(
            pl.when(factor >= LEAST_JUMP).then(factor).otherwise(0.0)
        )
    )
    usage = usage.with_columns(tail=scene.tails.rarity(usage, "factor"))
    said = usage.filter("is_draft", pl.col("factor") > 0, pl.col("tail") >= WORTH_SAYING)
    return Judged(tail_by_invoice(scene, usage), _findings(scene, said))


def _findings(scene: Scene, said: pl.DataFrame) -> pl.DataFrame:
    if said.is_empty():
        return NOTHING
    ordinary = (pl.col("usual_daily").exp() - 1) * pl.col("window_days")
    off = 1 - pl.col("ordinary") / pl.col("quantity").clip(1e-9)
    is_low = pl.max_horizontal("drop", -pl.col("level")) > pl.max_horizontal("jump", "level")
    priced = (
        with_money(scene, said)
        .with_columns(ordinary=ordinary, is_low=is_low)
        .with_columns(
            amount_minor=estimated_minor(
                pl.col("metered_minor")
                * pl.when("is_low").then(off.clip(upper_bound=0.0)).otherwise(off.clip(0.0))
            )
        )
    )
    way = pl.when("is_low").then(pl.lit(" falls to 1/")).otherwise(pl.lit(" jumps to "))
    times = pl.when("is_low").then(pl.lit(" of")).otherwise(pl.lit("x"))
    money = pl.when(pl.col("amount_minor").is_not_null()).then(
        pl.concat_str(pl.lit("; "), over_under(pl.col("amount_minor"), pl.col("currency")))
    )
    return findings_of(
        priced.select(
            "invoice_id",
            "amount_minor",
            "line_ids",
            score="tail",
            code=pl.lit("unit_error"),
            expected=figure_text(pl.col("ordinary")),
            evidence=pl.concat_str(pl.lit("day "), "odd_on", ignore_nulls=True),
            text=pl.concat_str(
                pl.col("meter"),
                way,
                figure_text(pl.col("factor").exp()),
                times,
                pl.lit(" the ordinary, most on "),
                pl.col("odd_on"),
                pl.lit(": "),
                figure_text(pl.col("quantity")),
                pl.lit(" instead of about "),
                figure_text(pl.col("ordinary")),
                money.fill_null(""),
                ignore_nulls=True,
            ),
        ),
        "unit_error",
    )


UNIT_ERROR: Final = Detector(
    "unit_error",
    "usage events of an earlier period",
    judge,
    reads_usage=True,
    sources=(*USAGE, *CORRECTED),
)
