"""Level: the invoice's size, units and lines against its own history, by isolation forest.

With fewer past invoices than a forest needs, the largest robust deviation takes its place. The
tail is calibrated within noise regimes: how many own invoices the comparison rests on.
"""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import (
    NOTHING,
    WORTH_SAYING,
    Detector,
    Judged,
    Scene,
    findings_of,
    tails_of,
)
from prebill.core.scoring.features.declaration import AGREED, CORRECTED, LINES, TOTALS
from prebill.core.scoring.tails import surprise_of
from prebill.core.scoring.words import estimated_minor, money_text, over_under

#: Deviations that count beside the forest.
SINGLE: Final = ("total_z", "total_beyond", "shift_ratio", "peak_ratio")
#: What a customer without a past is judged by.
COLD: Final = ("total_peers",)
_HEAD: Final = ("is_draft", "issued_on", "regime")
#: Kind of peers → as a reviewer reads it.
_PEERS: Final = {
    "products": "of the same products and currency",
    "currency": "of the same currency",
    "everybody": "of the portfolio",
}
#: Own invoices known: none, one or two, a few, eight.
_REGIMES: Final = (0.5, 2.5, 5.5)


def statistic(scene: Scene) -> pl.Series:
    """The uncalibrated level of unusualness of every row, high = unusual.

    The sum of surprises (-log10 of a tail) of the forest's score and of single deviations: a
    forest saturates, so that a total a thousand times too large hardly scores above one ten times.
    """
    rows = scene.rows.with_columns(regime=_regime())
    is_cold = pl.col("total_z").is_null()
    single = [(pl.col(name).abs() * _comparable()).alias(name) for name in SINGLE]
    single += [pl.when(is_cold).then(pl.col(name).abs()).alias(name) for name in COLD]
    rows = rows.select(*_HEAD, *single)
    if scene.forest is not None:
        rows = rows.with_columns(forest=scene.forest.score(scene.rows))
    summed = pl.Series("level", [0.0] * rows.height)
    for name in rows.columns[len(_HEAD) :]:
        tail = scene.tails.calibrated(rows, name, within="regime")
        summed = summed + surprise_of(tail).fill_null(0.0)
    can_judge = pl.any_horizontal(pl.col(rows.columns[len(_HEAD) :]).is_not_null())
    return rows.with_columns(summed).select(pl.when(can_judge).then("level"))["level"]


def judge(scene: Scene) -> Judged:
    """Judge each invoice's level."""
    frame = scene.rows.with_columns(level=statistic(scene), regime=_regime())
    tail = scene.tails.calibrated(frame, "level", within="regime")
    return Judged(tails_of(frame, tail), _findings(frame.with_columns(score=tail)))


def _comparable() -> pl.Expr:
    """The share of the total that the contract left as it was: only that has a past."""
    total = pl.col("total_minor")
    change = pl.col("agreed_change_minor").fill_null(0.0)
    whole = pl.max_horizontal(total.abs(), (total - change).abs(), pl.lit(1.0))
    return 1.0 - (change.abs() / whole).clip(0.0, 1.0)


def _regime() -> pl.Expr:
    known = pl.col("known").fill_null(0.0)
    return sum(((known > edge).cast(pl.Int64) for edge in _REGIMES), pl.lit(0, dtype=pl.Int64))


def _findings(frame: pl.DataFrame) -> pl.DataFrame:
    unusual = frame.filter("is_draft", pl.col("score") >= WORTH_SAYING)
    if unusual.is_empty():
        return NOTHING
    own = unusual.filter(pl.col("total_center").is_not_null()).with_columns(
        ordinary=ordinary_minor(pl.col("agreed_change_minor").fill_null(0.0))
    )
    own = own.with_columns(amount_minor=pl.col("total_minor") - pl.col("ordinary"))
    ratio = pl.col("total_minor") / pl.col("ordinary")
    # A thousandth of the ordinary is not "0.0x".
    times = pl.when(ratio.abs() < 0.1).then(ratio.round_sig_figs(2)).otherwise(ratio.round(2))
    times = times.cast(pl.String)
    ordinary = money_text(pl.col("ordinary"), pl.col("currency"))
    worded = own.select(
        "invoice_id",
        "score",
        "amount_minor",
        code=pl.when(pl.col("total_ratio").abs() < 0.1)
        .then(pl.lit("composition_unusual"))
        .when(pl.col("amount_minor") >= 0)
        .then(pl.lit("total_above_history"))
        .otherwise(pl.lit("total_below_history")),
        expected=ordinary,
        text=pl.concat_str(
            pl.lit("total is "),
            times,
            pl.lit("x the customer's ordinary "),
            ordinary,
            pl.lit(" (last "),
            pl.col("known").cast(pl.Int64),
            pl.lit(" invoices, portfolio's move taken off); "),
            over_under(pl.col("amount_minor"), pl.col("currency")),
        ),
    )
    return pl.concat([findings_of(worded, "level"), findings_of(_of_newcomers(unusual), "level")])


def _of_newcomers(unusual: pl.DataFrame) -> pl.DataFrame:
    """What is said of a customer without a past: what its peers are billed, and how many they are.

    That is no amount that this customer agreed to, so none is called over- or under-billed.
    """
    cold = unusual.filter(pl.col("total_center").is_null())
    cold = cold.with_columns(ordinary=estimated_minor(_grown(pl.col("peers_center"))))
    ordinary = money_text(pl.col("ordinary"), pl.col("currency"))
    return cold.select(
        "invoice_id",
        "score",
        code=pl.lit("new_customer_unusual"),
        expected=ordinary,
        text=pl.concat_str(
            pl.lit("first invoice seen of this customer: "),
            money_text(pl.col("total_minor"), pl.col("currency")),
            pl.lit(" where "),
            pl.col("peers_known").cast(pl.Int64),
            pl.lit(" recent invoices "),
            pl.col("peers_kind").replace_strict(_PEERS, return_dtype=pl.String),
            pl.lit(" ordinarily have "),
            ordinary,
        ),
    )


def ordinary_minor(agreed: pl.Expr) -> pl.Expr:
    """The own median with the portfolio's move, the season and what the contract changed."""
    center = pl.col("total_center") + pl.col("portfolio_move") + pl.col("total_season").fill_null(0)
    return estimated_minor(_grown(center) + agreed)


def _grown(signed_log: pl.Expr) -> pl.Expr:
    return signed_log.sign() * (signed_log.abs().exp() - 1)


LEVEL: Final = Detector(
    "level",
    "earlier invoices, or a batch of peers",
    judge,
    sources=(*TOTALS, *LINES, *CORRECTED, *AGREED),
)
