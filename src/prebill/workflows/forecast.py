"""Gather what an installation knows on a morning, and forecast usage, cash and reviewers' work."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from prebill.bootstrap import Installation
from prebill.core.calendar import Period
from prebill.core.forecasts import cash, usage, workload
from prebill.core.schemas import Frame
from prebill.core.schemas.inbound import CREDIT_NOTES, INVOICES, PAYMENTS
from prebill.core.scoring.features.payment import EDGES, features, profile, receivables
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.store.documents import own_history
from prebill.store.lake_index import named_batches
from prebill.store.workload import cycles, verdict_times

#: A year and the weeks before it: level and season of usage.
USAGE_DAYS: Final = 58 * 7
#: Invoices that say how a customer pays and what is billed.
BOOKS_DAYS: Final = 730
SEED: Final = 20260101


# ── Usage ────────────────────────────────────────────────────────────────────────────────────


def usage_of(opened: Installation, period: Period, *, as_of_on: date) -> pl.DataFrame:
    """Forecast the usage of each customer and meter in a period; see ``expected_usage``."""
    first_on = as_of_on - timedelta(days=USAGE_DAYS)
    days = daily_usage(opened, first_on, as_of_on)
    return usage.expected_usage(
        days, as_of_on=as_of_on, start_on=period.start_on, end_on=period.end_on
    )


def daily_usage(opened: Installation, first_on: date, end_on: date) -> pl.DataFrame:
    """Sum up events by UTC day, a month at a time: events are many, days few."""
    with opened.store.read() as tx:
        batches = named_batches(tx, "usage_events")
        meters = tx.table_frame("meters", columns=["meter", "aggregation"])
    parts = [pl.DataFrame(schema=usage.DAYS)]
    start_at = morning_of(first_on)
    while start_at < morning_of(end_on):
        end_at = min(start_at + timedelta(days=30), morning_of(end_on))
        events = opened.lake.scan_between("usage_events", batches, start_at, end_at)
        parts.append(usage.by_day(events, meters).collect())
        start_at = end_at
    return pl.concat(parts)


# ── Cash ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ledger:
    """Invoices and what was received on them before a day."""

    invoices: pl.DataFrame
    payments: pl.DataFrame
    credit_notes: pl.DataFrame


def cash_of(opened: Installation, *, as_of_on: date, weeks: int) -> pl.DataFrame:
    """Forecast cash by week and currency; see ``cash_by_week``."""
    model = opened.load_judges().models.payment_risk or PaymentRisk(Rung.PRIOR, 0.0)
    return cash_from(read_ledger(opened, as_of_on), model, as_of_on=as_of_on, weeks=weeks)


def read_ledger(opened: Installation, as_of_on: date) -> Ledger:
    """Read imported and own invoices of two years, and what was dated before the day."""
    with opened.store.read() as tx:
        batches = {
            frame.name: named_batches(tx, frame.name)
            for frame in (INVOICES, PAYMENTS, CREDIT_NOTES)
        }
        own = own_history(
            tx,
            None,
            issued_before=as_of_on,
            since_on=as_of_on - timedelta(days=BOOKS_DAYS),
        )

    def scan(frame: Frame, day: str) -> pl.DataFrame:
        rows = opened.lake.scan(frame.name, batches[frame.name]).filter(pl.col(day) < as_of_on)
        return frame.conform(rows.select(frame.names).collect())

    since_on = as_of_on - timedelta(days=BOOKS_DAYS)
    imported = scan(INVOICES, "issued_on").filter(pl.col("issued_on") >= since_on)
    return Ledger(
        pl.concat([imported, own.invoices]),
        scan(PAYMENTS, "paid_on"),
        scan(CREDIT_NOTES, "issued_on"),
    )


def cash_from(ledger: Ledger, model: PaymentRisk, *, as_of_on: date, weeks: int) -> pl.DataFrame:
    """Forecast cash from invoices as they were known on a morning. Pure.

    Rows dated ``as_of_on`` or later are not read.
    """
    invoices = ledger.invoices.filter(
        pl.col("issued_on") < as_of_on, pl.col("total_minor") > 0
    ).select(INVOICES.names)
    payments = ledger.payments.filter(pl.col("paid_on") < as_of_on)
    credited = ledger.credit_notes.filter(pl.col("issued_on") < as_of_on)
    known = receivables(invoices, payments, credited)
    coming = cash.invoices_to_come(invoices, as_of_on=as_of_on, weeks=weeks)
    still = known.filter(pl.col("settled_on").is_null()).join(
        _received(payments, credited), on="invoice_id", how="left", maintain_order="left"
    )
    left = pl.col("total_minor") - pl.col("received_minor").fill_null(0)
    still = still.with_columns(open_minor=left.clip(0), cycle=pl.lit(0, pl.Int64))
    coming = coming.with_columns(open_minor=pl.col("total_minor"))
    # Whether an invoice that is not yet due will be late isn't known on later mornings either.
    undecided = pl.col("settled_on").is_null() & (pl.col("due_on") >= as_of_on)
    later = known.with_columns(is_labelled=pl.col("is_labelled") & ~undecided)
    shares = [
        model.open_shares(features(rows, profile(seen, rows)))
        for rows, seen in ((still, known), (coming, later))
    ]
    columns = ["customer_id", "currency", "due_on", "open_minor", "cycle"]
    return cash.cash_by_week(
        cash.Receivables(
            pl.concat([still.select(columns), coming.select(columns)]),
            np.concatenate(shares),
            EDGES,
        ),
        invoices.select("currency", "issued_on", "total_minor"),
        as_of_on=as_of_on,
        weeks=weeks,
        seed=SEED,
    )


def _received(payments: pl.DataFrame, credited: pl.DataFrame) -> pl.DataFrame:
    received = [frame.select("invoice_id", "amount_minor") for frame in (payments, credited)]
    return pl.concat(received).group_by("invoice_id").agg(received_minor=pl.sum("amount_minor"))


# ── Reviewers' work ──────────────────────────────────────────────────────────────────────────


def workload_of(opened: Installation, *, before_at: datetime) -> workload.Workload | None:
    """Forecast the cases and reviewer hours of the next cycle; None before the first."""
    with opened.store.read() as tx:
        past = cycles(tx, before_at=before_at)
        verdicts = verdict_times(tx, before_at=before_at)
    policy = opened.load_policy()
    return workload.next_cycle(past, verdicts, stated_minutes=policy.review_minutes, seed=SEED)


def morning_of(day: date) -> datetime:
    """The instant at which a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
