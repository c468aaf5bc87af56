"""Stuck meter: day after day exactly the same quantity, where it used to vary."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import NOTHING, Detector, Judged, Scene, findings_of
from prebill.core.scoring.detectors.metered import tail_by_invoice, with_money
from prebill.core.scoring.features.declaration import CORRECTED, USAGE
from prebill.core.scoring.words import estimated_minor, percent_text

WORTH_SAYING: Final = 0.98
#: What chance explains with a probability above e^-3 is none.
LEAST_SURPRISE: Final = 3.0
LEAST_DAYS: Final = 3
#: Nats: days do not repeat independently, so that e^-10 of chance counts as e^-1.
SPREAD: Final = 10.0
#: A meter that repeats itself more often than this may well stand still: seats, projects, disks.
MOST_EQUAL: Final = 0.2


def judge(scene: Scene) -> Judged:
    """Judge how many days repeat the day before."""
    is_still = (pl.col("standstill") >= LEAST_SURPRISE) & (pl.col("equal_days") >= LEAST_DAYS)
    used_to_vary = (pl.col("earlier") >= 1) & (pl.col("usual_equal_share") <= MOST_EQUAL)
    usage = scene.usage.with_columns(
        stillness=pl.when(used_to_vary).then(pl.when(is_still).then("standstill").otherwise(0.0))
    )
    usage = usage.with_columns(tail=scene.tails.rarity(usage, "stillness", spread=SPREAD))
    said = usage.filter("is_draft", pl.col("stillness") > 0, pl.col("tail") >= WORTH_SAYING)
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
                percent_text(pl.col("usual_equal_share")),
                pl.lit(" of the days equal the one before"),
            ),
            evidence=pl.concat_str(pl.lit("last usage "), pl.col("last_used_on")),
            text=pl.concat_str(
                pl.col("meter"),
                pl.lit(" reports exactly the quantity of the day before on "),
                pl.col("equal_days"),
                pl.lit(" of "),
                pl.col("active_days"),
                pl.lit(" days, ordinarily on "),
                percent_text(pl.col("usual_equal_share")),
                pl.lit(": the meter may be stuck"),
            ),
        ),
        "stuck_meter",
    )


STUCK_METER: Final = Detector(
    "stuck_meter",
    "usage events of an earlier period",
    judge,
    reads_usage=True,
    sources=(*USAGE, *CORRECTED),
)
