"""Payments of the past invoices: how late depends on the customer, the weekday and luck."""

import numpy as np
import polars as pl

from prebill.core.schemas.inbound import PAYMENTS
from prebill.demo.catalogue import EXPORTED_ON
from prebill.demo.randomness import stream

_SLOW, _ERRATIC = 2, 3


def make_payments(
    seed: int, traits: pl.DataFrame, invoices: pl.DataFrame, credit_notes: pl.DataFrame
) -> pl.DataFrame:
    """Pay what is left of each invoice after credits; the youngest ones are still open.

    Habits: direct debit before the due date, prompt, slow (on Thursdays only), erratic. A few are
    paid in two parts, a few never.
    """
    credited = credit_notes.select("invoice_id", credited_minor="amount_minor")
    owed = (
        invoices.join(traits.select("customer_id", "number", "payer"), on="customer_id")
        .join(credited, on="invoice_id", how="left")
        .sort("invoice_id")
        .with_columns(owed_minor=pl.col("total_minor") - pl.col("credited_minor").fill_null(0))
    )
    late_days, never_paid, in_parts = _habits(seed, traits.height, owed)
    wanted = (pl.col("due_on") + pl.duration(days=pl.lit(late_days))).alias("paid_on")
    earliest = pl.col("issued_on") + pl.duration(days=1)
    first_part = pl.when(pl.lit(in_parts)).then(pl.col("owed_minor") * 6 // 10)
    paid = owed.with_columns(wanted).with_columns(
        paid_on=_banking_day(pl.max_horizontal("paid_on", earliest), pl.col("payer") == _SLOW),
        first_minor=first_part.otherwise("owed_minor"),
    )
    paid = paid.filter(~never_paid & (pl.col("owed_minor") > 0))
    first = paid.select(
        "invoice_id",
        "paid_on",
        payment_id=pl.format("P-{}", "invoice_id"),
        amount_minor="first_minor",
    )
    second = paid.filter(pl.col("first_minor") < pl.col("owed_minor")).select(
        "invoice_id",
        _banking_day(pl.col("paid_on") + pl.duration(days=20), pl.lit(value=False)),
        payment_id=pl.format("P-{}-2", "invoice_id"),
        amount_minor=pl.col("owed_minor") - pl.col("first_minor"),
    )
    both = pl.concat([first, second]).filter(
        (pl.col("paid_on") <= EXPORTED_ON) & (pl.col("amount_minor") > 0)
    )
    return PAYMENTS.conform(both.sort("payment_id"))


def _habits(
    seed: int, customers: int, owed: pl.DataFrame
) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Draw days late, whether it is never paid, and whether in two parts, for each invoice."""
    rng = stream(seed, "payments")
    count = owed.height
    payer = owed["payer"].to_numpy()
    own = rng.normal(0.0, 2.0, customers)[owed["number"].to_numpy()]
    calm = rng.normal(0.0, 1.0, count)
    long_wait = rng.exponential(1.0, count)
    days = np.select(
        [payer == 0, payer == 1, payer == _SLOW],
        [-4 + 2 * calm, 1 + own + 3 * calm, 12 + 2 * own + 8 * calm],
        np.where(rng.random(count) < 0.35, 4 * calm, 5 + own + 25 * long_wait),
    )
    never = rng.random(count) < np.where(payer == _ERRATIC, 0.02, 0.002)
    parts = rng.random(count) < 0.02
    return pl.Series(np.rint(days).astype(np.int64)), pl.Series(never), pl.Series(parts)


def _banking_day(day: pl.Expr, on_thursdays: pl.Expr) -> pl.Expr:
    """Move a day to the next one on which the money arrives: no weekend, for some a Thursday."""
    weekday = day.dt.weekday()
    to_monday = pl.when(weekday >= 6).then(8 - weekday).otherwise(0)
    to_thursday = (4 - weekday) % 7
    moved = pl.when(on_thursdays).then(to_thursday).otherwise(to_monday)
    return day + pl.duration(days=moved)
