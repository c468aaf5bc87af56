"""Missing usage: a meter that fell silent, lost days, or sent fewer records than ordinarily.

Judged on days and record counts, never on totals alone: a customer may well use less.
"""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import NOTHING, Detector, Judged, Scene, findings_of
from prebill.core.scoring.detectors.metered import tail_by_invoice, with_money
from prebill.core.scoring.features.declaration import CORRECTED, USAGE
from prebill.core.scoring.words import estimated_minor, figure_text, over_under, percent_text

WORTH_SAYING: Final = 0.98
#: What chance explains with a probability above e^-5 is no loss.
LEAST_SURPRISE: Final = 5.0
#: Ordinary records a day below which silence is no news (log1p of 0.2).
LEAST_RECORDS: Final = 0.18


def judge(scene: Scene) -> Judged:
    """Judge the silence of each meter."""
    is_expected = pl.col("usual_records") >= LEAST_RECORDS
    is_silent = (pl.col("silence_surprise") >= LEAST_SURPRISE) & (pl.col("silence") > 0)
    usage = scene.usage.with_columns(
        lost=pl.when(pl.col("earlier") >= 1).then(
            pl.when(is_silent & is_expected).then("silence_surprise").otherwise(0.0)
        )
    )
    usage = usage.with_columns(tail=scene.tails.rarity(usage, "lost"))
    said = usage.filter("is_draft", pl.col("lost") > 0, pl.col("tail") >= WORTH_SAYING)
    return Judged(tail_by_invoice(scene, usage), _findings(scene, said))


def _findings(scene: Scene, said: pl.DataFrame) -> pl.DataFrame:
    if said.is_empty():
        return NOTHING
    priced = with_money(scene, said)
    present = (pl.col("active_share_now") / pl.col("usual_active_share")).clip(0.02, 1.0)
    priced = priced.with_columns(
        active_share_now=pl.col("active_days") / pl.col("window_days").clip(1)
    ).with_columns(
        usual_days=(pl.col("usual_active_share") * pl.col("window_days")).round(0).cast(pl.Int64),
        amount_minor=estimated_minor(
            pl.when(pl.col("active_days") > 0).then(-pl.col("metered_minor") * (1 / present - 1))
        ),
    )
    money = pl.when(pl.col("amount_minor").is_not_null()).then(
        pl.concat_str(pl.lit("; "), over_under(pl.col("amount_minor"), pl.col("currency")))
    )
    return findings_of(
        priced.select(
            "invoice_id",
            "amount_minor",
            "line_ids",
            score="tail",
            code=pl.lit("usage_missing"),
            expected=pl.concat_str(pl.col("usual_days"), pl.lit(" days with usage")),
            evidence=pl.concat_str(
                pl.lit("last usage "), pl.col("last_used_on"), ignore_nulls=True
            ),
            text=pl.concat_str(
                pl.col("meter"),
                pl.lit(" has usage on "),
                pl.col("active_days"),
                pl.lit(" of "),
                pl.col("window_days"),
                pl.lit(" days, ordinarily on "),
                pl.col("usual_days"),
                pl.lit("; "),
                figure_text(pl.col("events")),
                pl.lit(" records, "),
                percent_text(1 - (-pl.col("fewer_records")).exp()),
                pl.lit(" fewer a day than ordinary"),
                money.fill_null(""),
            ),
        ),
        "missing_usage",
    )


MISSING_USAGE: Final = Detector(
    "missing_usage",
    "usage events of earlier periods",
    judge,
    reads_usage=True,
    sources=(*USAGE, *CORRECTED),
)
