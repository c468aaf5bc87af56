"""Proposed payment terms and the first dunning step of a draft, from its payment figures.

Proposals that a person reads: nothing is sent, and what was agreed with the customer stays.
"""

from typing import Final

import polars as pl

from prebill.core.policy.collecting import Collecting
from prebill.core.scoring.models.payment_distribution import LATEST_DAYS
from prebill.core.scoring.words import percent_text

#: Proposed terms, and the first step, in the order of how much they ask of the customer.
AS_AGREED: Final = "as_agreed"
SHORTER: Final = "shorter_terms"
DEPOSIT: Final = "deposit"
REMINDER: Final = "reminder"
EARLY_REMINDER: Final = "early_reminder"
NOTICE: Final = "notice_before_due"


def propose(decided: pl.DataFrame, limits: Collecting) -> pl.DataFrame:
    """Propose terms and the first dunning step.

    Parameters
    ----------
    decided : pl.DataFrame, one row per draft
        ``invoice_id``; ``p_late, days_late_p50, days_late_p90`` as decided, null: nothing is
        proposed; ``terms_days`` Int64, days from issue to due date; ``due_on`` Date, null while
        the draft has no issue date.
    limits : Collecting
        Of the policy.

    Returns
    -------
    pl.DataFrame, one row per draft, same order
        ``invoice_id``; ``terms`` (``as_agreed, shorter_terms, deposit``) and ``terms_text``;
        ``step`` (``reminder, early_reminder, notice_before_due``), ``step_days`` after the due
        date (negative: before), ``step_on`` (null without a due date) and ``step_text``;
        ``expected_on``, the median day of payment (null: no due date, or may never be paid).

    Notes
    -----
    Somebody likely on time is reminded only after nine in ten of their payments would be there:
    an earlier letter annoys and brings nothing. Somebody likely late is reminded as soon as the
    grace is over, or told before the due date.
    """
    late, half, most = pl.col("p_late"), pl.col("days_late_p50"), pl.col("days_late_p90")
    terms_days = pl.col("terms_days")
    shortest = pl.max_horizontal(pl.lit(limits.least_terms_days), terms_days - _days(half))
    is_slow = (late >= limits.shorter_p_late) & (half >= limits.shorter_days_late)
    is_doubtful = (late >= limits.deposit_p_late) & (most >= limits.deposit_days_late)
    is_announced = (late >= limits.before_due_p_late) & (half > 0)
    after_most = (_days(most) + 1).clip(limits.grace_days, limits.latest_days)
    with_codes = decided.select(
        "invoice_id",
        "p_late",
        "days_late_p50",
        "due_on",
        "terms_days",
        shortest_days=shortest,
        terms=pl.when(late.is_null())
        .then(None)
        .when(is_doubtful)
        .then(pl.lit(DEPOSIT))
        .when(is_slow & (shortest < terms_days))
        .then(pl.lit(SHORTER))
        .otherwise(pl.lit(AS_AGREED)),
        step=pl.when(late.is_null())
        .then(None)
        .when(is_announced)
        .then(pl.lit(NOTICE))
        .when(half > 0)
        .then(pl.lit(EARLY_REMINDER))
        .otherwise(pl.lit(REMINDER)),
        # A notice before the invoice itself would tell nothing.
        step_days=pl.when(is_announced)
        .then(-pl.min_horizontal(pl.lit(limits.before_due_days), terms_days.clip(0)))
        .when(half > 0)
        .then(pl.lit(limits.grace_days))
        .otherwise(after_most)
        .cast(pl.Int64),
    )
    return with_codes.select(
        "invoice_id",
        "terms",
        "step",
        "step_days",
        step_on=_after(pl.col("due_on"), pl.col("step_days")),
        expected_on=_after(
            pl.col("due_on"), pl.when(half < LATEST_DAYS).then(_days(half)).otherwise(None)
        ),
        terms_text=_terms_text(limits),
        step_text=_step_text(),
    )


def _days(value: pl.Expr) -> pl.Expr:
    """Percentiles are whole days."""
    return value.cast(pl.Int64)


def _after(day: pl.Expr, days: pl.Expr) -> pl.Expr:
    return day + pl.duration(days=days)


def _terms_text(limits: Collecting) -> pl.Expr:
    why = pl.format(
        "{} likely late, {} days at the median",
        percent_text(pl.col("p_late")),
        _days(pl.col("days_late_p50")),
    )
    return (
        pl.when(pl.col("terms") == DEPOSIT)
        .then(pl.format("ask for a deposit of {} % next time: {}", limits.deposit_percent, why))
        .when(pl.col("terms") == SHORTER)
        .then(
            pl.format(
                "agree on {} days instead of {} next time: {}", "shortest_days", "terms_days", why
            )
        )
        .when(pl.col("terms").is_not_null())
        .then(pl.lit("as agreed"))
    )


def _step_text() -> pl.Expr:
    days = pl.col("step_days")
    counted = pl.format(
        "{} {}",
        days.abs(),
        pl.when(days.abs() == 1).then(pl.lit("day")).otherwise(pl.lit("days")),
    )
    named = pl.col("step").replace_strict(
        {REMINDER: "reminder", EARLY_REMINDER: "reminder", NOTICE: "notice"},
        default=None,
        return_dtype=pl.String(),
    )
    when = (
        pl.when(days == 0)
        .then(pl.lit("on the due date"))
        .when(days < 0)
        .then(pl.format("{} before the due date", counted))
        .otherwise(pl.format("{} after the due date", counted))
    )
    return pl.format("{} {}", named, when)
