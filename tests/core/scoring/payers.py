"""A company whose customers have payment habits: some early, some late, one slow, some cold."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from prebill.core.schemas.inbound import CREDIT_NOTES, INVOICES, PAYMENTS

FIRST = date(2025, 1, 1)
DAYS = 300
#: Nothing is known from this day on.
TODAY = FIRST + timedelta(days=DAYS)


@dataclass(frozen=True, slots=True)
class Books:
    """Canonical frames."""

    invoices: pl.DataFrame
    payments: pl.DataFrame
    credit_notes: pl.DataFrame


def invoice(invoice_id: str, customer: str, issued_on: date, **changes: object) -> dict:
    return {
        "invoice_id": invoice_id,
        "customer_id": customer,
        "currency": "EUR",
        "issued_on": issued_on,
        "due_on": issued_on + timedelta(days=14),
        "total_minor": 10_000,
        **changes,
    }


def books(
    invoices: list[dict],
    payments: list[tuple[str, date, int]] = (),
    credit_notes: list[tuple[str, date, int]] = (),
) -> Books:
    """Frames from rows; payments and credits are (invoice, day, minor)."""

    def numbered(rows: list[tuple[str, date, int]], key: str, day: str) -> list[dict]:
        return [
            {key: f"{key}{n}", "invoice_id": i, day: on, "amount_minor": minor}
            for n, (i, on, minor) in enumerate(rows)
        ]

    def frame(declared: object, rows: list[dict]) -> pl.DataFrame:
        if not rows:
            return declared.empty()
        names = {name: kind for name, kind in declared.schema.items() if name in rows[0]}
        return declared.conform(pl.DataFrame(rows, schema=names))

    return Books(
        frame(INVOICES, invoices),
        frame(PAYMENTS, numbered(payments, "payment_id", "paid_on")),
        frame(CREDIT_NOTES, numbered(credit_notes, "credit_note_id", "issued_on")),
    )


def payers(customers: int = 60, seed: int = 1) -> Books:
    """An invoice a week; delays follow the customer's habit; what is unpaid today is open."""
    rng = np.random.default_rng(seed)
    rows, paid = [], []
    for number in range(customers):
        habit = rng.normal(0, 6) + (25 if number == 0 else 0)
        for step in range(DAYS // 7):
            issued_on = FIRST + timedelta(days=step * 7 + int(rng.integers(0, 5)))
            if issued_on >= TODAY:
                continue
            one = invoice(
                f"I{number:03}-{step:03}",
                f"C{number:03}",
                issued_on,
                total_minor=int(np.exp(rng.normal(10, 1))) + 500,
            )
            rows.append(one)
            delay = round(habit + rng.normal(0, 3))
            paid_on = max(one["due_on"] + timedelta(days=delay), issued_on + timedelta(days=1))
            if paid_on < TODAY:
                paid.append((one["invoice_id"], paid_on, one["total_minor"]))
    return books(rows, paid)
