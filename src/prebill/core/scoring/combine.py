"""One score from many tails, and what it means in money.

``anomaly_score`` is the calibrated tail of the largest tail. ``p_error`` is the stated prior odds
of an error times how much likelier so small a tail is under an error than on a clean invoice.
"""

from typing import Final, Protocol

import polars as pl

from prebill.core.money import CURRENCY_EXPONENTS, expected_loss_minor
from prebill.core.schemas.frame import collected
from prebill.core.scoring.exposure import Receivables
from prebill.core.scoring.tails import RAREST, Tails

#: Own earlier invoices below which a judgement is sparse.
FULL_HISTORY: Final = 4
#: One direction must outweigh the other by this to be named.
CLEARLY: Final = 1.5
PPM: Final = 1_000_000
#: What stands before the detectors' columns in a frame of tails.
HEAD: Final = ("invoice_id", "is_draft", "issued_on")
_FACTOR: Final = pl.col("currency").replace_strict(
    {currency: 10.0**exponent for currency, exponent in CURRENCY_EXPONENTS.items()},
    default=100.0,
    return_dtype=pl.Float64,
)


class Terms(Protocol):
    """What scoring needs of a policy: stated prior and costs. The policy decides, not this."""

    @property
    def error_prior(self) -> float:
        """P(error) of any draft before it is looked at."""

    @property
    def tail_exponent(self) -> float:
        """Under an error a tail p has density a·p^(a-1) with this a in (0, 1]."""

    @property
    def cost_over(self) -> float:
        """Cost of one unit over-billed and issued."""

    @property
    def cost_under(self) -> float:
        """Cost of one unit under-billed and issued."""

    def minutes(self, scores: pl.DataFrame) -> pl.Series:
        """Minutes a reviewer needs for each draft."""

    @property
    def judges_persons(self) -> bool:
        """Whether payment risk may be used for natural persons."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical policy."""

    def reasons(self, scores: pl.DataFrame, receivables: Receivables) -> pl.DataFrame:
        """What the policy's own rules object to: ``FINDINGS``."""

    def decide(self, scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
        """Action of every draft: ``invoice_id, action``."""


def anomaly_scores(tails: pl.DataFrame, judges: tuple[str, ...], past: Tails) -> pl.DataFrame:
    """Combine the detectors' tails by maximum and calibrate the maximum on its own past.

    Parameters
    ----------
    tails : pl.DataFrame, one row per invoice
        ``HEAD`` and one column a detector in [0, 1], null: could not judge.
    judges : tuple of str
        Detectors that have tails on past rows. The others read agreements, which are known for
        drafts only: they state their tail and join after the calibration.
    past : Tails
        The yardstick of the maximum.

    Returns
    -------
    pl.DataFrame, one row per draft
        ``invoice_id, anomaly_score``; null only where no detector could judge.
    """
    known = [name for name in tails.columns if name in judges]
    stated = [name for name in tails.columns[len(HEAD) :] if name not in judges]
    rarest = pl.max_horizontal([pl.lit(None, dtype=pl.Float64), *known])
    frame = tails.with_columns(surprise=-(1.0 - rarest).clip(RAREST, 1.0).log10())
    # With too few rows to calibrate on, the tails stand as they are.
    as_it_is = 1.0 - 10.0 ** -pl.col("surprise")
    tail = past.calibrated(frame, "surprise")
    combined = frame.lazy().with_columns(combined=pl.coalesce(tail, as_it_is)).filter("is_draft")
    score = pl.max_horizontal(["combined", *stated]).clip(0.0, 1.0)
    return collected(combined.select("invoice_id", anomaly_score=score))


def judges_of(tails: pl.DataFrame) -> tuple[str, ...]:
    """The detectors that gave a tail to a past invoice; all of them where there is none."""
    past = tails.filter(~pl.col("is_draft"))
    names = tails.columns[len(HEAD) :]
    return tuple(name for name in names if past.height == 0 or past[name].count() > 0)


def error_probability(anomaly_score: pl.Expr, terms: Terms) -> pl.Expr:
    """P(error) from the stated prior and the calibrated tail; null where there is no score.

    The likelihood of a tail p under an error is a·p^(a-1), on a clean invoice 1 (Sellke, Bayarri,
    Berger: Calibration of p values, The American Statistician 2001).
    """
    tail = (1.0 - anomaly_score).clip(RAREST, 1.0)
    times = terms.tail_exponent * tail ** (terms.tail_exponent - 1.0)
    odds = terms.error_prior / (1.0 - terms.error_prior) * times
    return odds / (1.0 + odds)


def with_money(drafts: pl.DataFrame, findings: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Add direction, exposure, expected loss and priority.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``invoice_id, currency, total_minor, p_error, p_never, review_minutes``.
    findings : pl.DataFrame
        ``FINDINGS``. Judges that name the same fault twice are not added up: the largest
        over-billing and the largest under-billing count.
    terms : Terms
        Costs.

    Returns
    -------
    pl.DataFrame
        With ``over_minor, under_minor, direction, expected_loss_minor, priority``.
    """
    amount = pl.col("amount_minor")
    sides = (
        findings.lazy()
        .group_by("invoice_id")
        .agg(over_minor=amount.clip(0).max(), under_minor=(-amount).clip(0).max())
    )
    joined = drafts.lazy().join(sides, on="invoice_id", how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("over_minor", "under_minor").fill_null(0))
    over, under = pl.col("over_minor"), pl.col("under_minor")
    direction = (
        pl.when(over > CLEARLY * under)
        .then(pl.lit("over"))
        .when(under > CLEARLY * over)
        .then(pl.lit("under"))
        .otherwise(pl.lit("unclear"))
    )
    saved = expected_loss_minor(over, _ppm(pl.col("p_error") * terms.cost_over)) + (
        expected_loss_minor(under, _ppm(pl.col("p_error") * terms.cost_under))
    )
    unpaid = expected_loss_minor(pl.col("total_minor").clip(0), _ppm(pl.col("p_never")))
    plan = joined.with_columns(
        direction=direction, saved_minor=saved.fill_null(0), unpaid_minor=unpaid.fill_null(0)
    ).with_columns(
        expected_loss_minor=pl.col("saved_minor") + pl.col("unpaid_minor"),
        # Divided by a column: polars divides many rows by a number as it multiplies by its inverse,
        # but one row not, and the last bit would differ.
        priority=pl.col("saved_minor") / (_FACTOR * pl.col("review_minutes")),
    )
    return collected(plan)


def confidence(known: pl.Expr) -> pl.Expr:
    """How much history the judgement rests on: full, sparse or cold."""
    return (
        pl.when(known.fill_null(0) >= FULL_HISTORY)
        .then(pl.lit("full"))
        .when(known > 0)
        .then(pl.lit("sparse"))
        .otherwise(pl.lit("cold"))
    )


def reasons_json(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings as the JSON list of decisions, largest money first.

    Returns
    -------
    pl.DataFrame, one row per invoice with a finding
        ``invoice_id, reasons``: JSON list of {code, text, amount_minor, lines}.
    """
    if findings.is_empty():
        return findings.select("invoice_id", reasons="text")
    lines = pl.when(pl.col("line_ids") == "").then(pl.lit([], dtype=pl.List(pl.String)))
    reason = pl.struct(
        "code", "text", "amount_minor", lines=lines.otherwise(pl.col("line_ids").str.split(","))
    )
    ranked = (
        findings.lazy()
        .with_columns(
            money=pl.col("amount_minor").abs().fill_null(0), reason=reason.struct.json_encode()
        )
        .sort(
            ["invoice_id", "money", "score", "detector", "code", "line_ids"],
            descending=[False, True, True, False, False, False],
            nulls_last=True,
        )
    )
    grouped = ranked.group_by("invoice_id", maintain_order=True).agg(
        reasons=pl.concat_str(pl.lit("["), pl.col("reason").str.join(","), pl.lit("]")).first()
    )
    return collected(grouped)


def _ppm(probability: pl.Expr) -> pl.Expr:
    """A probability, or a cost share of one, rounded to millionths."""
    return (probability.fill_null(0.0).clip(0.0, 100.0) * PPM).round(0).cast(pl.Int64)
