"""Invariants: rate, discount, currency and sums that ordinarily do not move.

Compared exactly; scored by how rarely a deviation of that size happened before in the portfolio,
so that plan changes and prorations, which are frequent, price themselves.
"""

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
from prebill.core.scoring.features.declaration import AGREED, CORRECTED, LINES, TOTALS, TREATED
from prebill.core.scoring.tails import surprise_of
from prebill.core.scoring.words import estimated_minor, money_text, over_under, percent_text

#: Deviations of rates: by money and by lines, from the customer's own and from anybody's. They say
#: the same of one change, so that what they say is added up and compared with the past once.
RATES: Final = ("rate_unseen", "rate_own", "rate_unseen_lines", "rate_own_lines")
#: Features that this detector scores; tax has a detector of its own.
STATISTICS: Final = ("rates", "discount_share", "currency_off", "sums", "line_sums")
#: What is wrong whatever the past was, where the past is too short to ask.
STATED: Final = {"sums": 0.99}
#: Deviations rarer than this are said.
WORTH_SAYING: Final = 0.97
#: Tail, the lines' deviation, code, words.
_LINE_REASONS: Final = (
    ("rates", "off_unseen", "rate_never_billed", "never billed before for this product"),
    ("rates", "off_own", "rate_changed", "not the customer's last rate"),
    ("discount_share", "off_discount", "discount_changed", "another discount than last time"),
)


def judge(scene: Scene) -> Judged:
    """Judge each invoice's constants."""
    rows = scene.rows.with_columns(rates=_rates(scene))
    rarities = [
        scene.tails.rarity(rows, name, stated=STATED.get(name)).alias(f"{name}_tail")
        for name in STATISTICS
    ]
    frame = rows.with_columns(*rarities)
    tail = frame.select(tail=pl.max_horizontal(f"{name}_tail" for name in STATISTICS))["tail"]
    drafts = drafts_of(frame)
    parts = [_line_findings(scene, drafts, *reason) for reason in _LINE_REASONS]
    parts += [_currency(drafts), _sums(drafts)]
    return Judged(tails_of(frame, tail), pl.concat(parts))


def _rates(scene: Scene) -> pl.Series:
    """Summed surprise of the rates' deviations; null where no line has a rate to compare with."""
    tails = [scene.tails.rarity(scene.rows, name).alias(name) for name in RATES]
    summed = sum((surprise_of(tail).fill_null(0.0) for tail in tails), start=pl.Series([0.0]))
    is_known = pl.any_horizontal(pl.col(RATES).is_not_null())
    frame = pl.DataFrame(tails).with_columns(summed.alias("rates"))
    return frame.select(pl.when(is_known).then("rates"))["rates"]


def _line_findings(
    scene: Scene, drafts: pl.DataFrame, name: str, column: str, code: str, words: str
) -> pl.DataFrame:
    """One finding an invoice and kind of line deviation, with the money and the lines."""
    tail = pl.col(f"{name}_tail")
    rare = drafts.filter(tail >= WORTH_SAYING).select("invoice_id", "currency", score=tail)
    if rare.is_empty():
        return NOTHING
    ordinary = pl.col("own_rate") if column == "off_own" else pl.col("expected_rate")
    off = (
        scene.lines.filter(pl.col(column).abs() > 0)
        .join(rare, on="invoice_id")
        .with_columns(ordinary=ordinary)
        .sort(pl.col(column).abs(), descending=True)
        .group_by("invoice_id", "currency", "score", maintain_order=True)
        .agg(
            amount_minor=pl.col(column).sum(),
            line_ids=line_list(),
            product=pl.col("product").first(),
            rate=pl.col("rate").first(),
            ordinary=pl.col("ordinary").first(),
            own_discount=pl.col("own_discount").first(),
            lines=pl.len(),
        )
        .with_columns(amount_minor=estimated_minor(pl.col("amount_minor")))
    )
    expected = (
        percent_text(pl.col("own_discount"))
        if name == "discount_share"
        else _rate_text(pl.col("ordinary"), pl.col("currency"))
    )
    return findings_of(
        off.select(
            "invoice_id",
            "score",
            "amount_minor",
            "line_ids",
            code=pl.lit(code),
            expected=expected,
            text=pl.concat_str(
                pl.col("product"),
                pl.lit(" at "),
                _rate_text(pl.col("rate"), pl.col("currency")),
                pl.lit(f" is {words}: ordinary is "),
                expected,
                pl.when(pl.col("lines") > 1)
                .then(pl.concat_str(pl.lit(" ("), pl.col("lines"), pl.lit(" lines)")))
                .otherwise(pl.lit("")),
                pl.lit("; "),
                over_under(pl.col("amount_minor"), pl.col("currency")),
                ignore_nulls=True,
            ),
        ),
        "invariants",
    )


def _currency(drafts: pl.DataFrame) -> pl.DataFrame:
    off = drafts.filter(pl.col("currency_off") > 0, pl.col("currency_off_tail") >= WORTH_SAYING)
    if off.is_empty():
        return NOTHING
    return findings_of(
        off.select(
            "invoice_id",
            score="currency_off_tail",
            basis=pl.lit("exact"),
            code=pl.lit("currency_unusual"),
            expected=pl.col("usual_currency"),
            text=pl.concat_str(
                pl.lit("billed in "),
                pl.col("currency"),
                pl.lit("; ordinary is "),
                pl.col("usual_currency").fill_null("another currency for this country"),
                pl.lit("; the whole total of "),
                money_text(pl.col("total_minor"), pl.col("currency")),
                pl.lit(" is in question"),
            ),
        ),
        "invariants",
    )


def _sums(drafts: pl.DataFrame) -> pl.DataFrame:
    off = drafts.filter(pl.col("sums") > 0, pl.col("sums_tail") >= WORTH_SAYING).with_columns(
        amount_minor=estimated_minor(pl.col("sums_off_minor"))
    )
    if off.is_empty():
        return NOTHING
    return findings_of(
        off.select(
            "invoice_id",
            score="sums_tail",
            basis=pl.lit("exact"),
            code=pl.lit("sums_do_not_add_up"),
            amount_minor=None,
            expected=pl.lit("lines sum to the subtotal, subtotal and tax to the total"),
            text=pl.concat_str(
                pl.lit("lines, subtotal, tax and total disagree by "),
                money_text(pl.col("amount_minor"), pl.col("currency")),
            ),
        ),
        "invariants",
    )


def _rate_text(rate_minor: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """A rate in minor units a unit, with as many digits as it needs."""
    exact = rate_minor.round_sig_figs(6).cast(pl.String)
    whole = money_text(estimated_minor(rate_minor), currency)
    is_whole = (rate_minor - rate_minor.round(0)).abs() < 1e-6
    small = pl.concat_str(exact, pl.lit(" minor units "), currency)
    return pl.when(is_whole).then(whole).otherwise(small)


INVARIANTS: Final = Detector(
    "invariants",
    "lines, or tax and subtotal",
    judge,
    sources=(*TOTALS, *LINES, *TREATED, *CORRECTED, *AGREED),
)
