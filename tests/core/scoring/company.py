"""A small company for scoring tests: regular invoices with a base fee and metered calls."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from prebill.core.calendar import add_months
from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import (
    CREDIT_NOTES,
    CUSTOMERS,
    INVOICE_LINES,
    INVOICES,
    PAYMENTS,
    USAGE_EVENTS,
)
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.usage import usage_days

FIRST = date(2025, 1, 1)
DRAFTED = date(2026, 1, 1)
BASE_MINOR = 5000
CALL_PRICE_MINOR = 4


def company(
    customers: int = 40, months: int = 12, seed: int = 1, *, usage_months: int = 3
) -> ScoringInputs:
    """History of ``months`` invoices a customer and one batch of drafts, nothing wrong in it.

    Usage events are those of the drafts' month and of ``usage_months`` before.
    """
    rng = np.random.default_rng(seed)
    heads, lines, payments, events = [], [], [], []
    level = rng.lognormal(7, 0.6, customers)
    for month in range(months + 1):
        start = add_months(DRAFTED, month - months - 1)
        end = add_months(start, 1)
        days = (end - start).days
        for number in range(customers):
            customer = f"C{number:03}"
            invoice = f"{customer}-{start:%Y%m}"
            daily = np.maximum(rng.normal(level[number] / days, level[number] / days / 6, days), 1)
            daily = daily.astype(int)
            if month >= months - usage_months:
                events += [
                    event(customer, start + timedelta(days=day), int(quantity), rng)
                    for day, quantity in enumerate(daily)
                ]
            calls = int(daily.sum())
            lines += [
                line(invoice, "1", "base", 1, BASE_MINOR),
                line(invoice, "2", "calls", calls, CALL_PRICE_MINOR),
            ]
            heads.append(head(invoice, customer, start, end, BASE_MINOR + calls * CALL_PRICE_MINOR))
            if month < months:
                payments.append(
                    {
                        "payment_id": f"P-{invoice}",
                        "invoice_id": invoice,
                        "paid_on": end + timedelta(days=int(20 + number % 20)),
                        "amount_minor": heads[-1]["total_minor"],
                    }
                )
    invoices = pl.DataFrame(heads, schema=INVOICES.schema)
    all_lines = pl.DataFrame(lines).with_columns(pl.col("quantity", "unit_price").cast(DECIMAL))
    is_draft = pl.col("issued_on") == DRAFTED
    return ScoringInputs(
        history=books(invoices.filter(~is_draft), all_lines),
        drafts=books(invoices.filter(is_draft), all_lines),
        customers=CUSTOMERS.conform(
            pl.DataFrame({"customer_id": [f"C{n:03}" for n in range(customers)]}).with_columns(
                country=pl.lit("GB")
            )
        ),
        payments=pl.DataFrame(payments, schema=PAYMENTS.schema),
        credit_notes=CREDIT_NOTES.empty(),
        usage_days=usage_days(
            USAGE_EVENTS.conform(
                pl.DataFrame(events).with_columns(
                    pl.col("quantity").cast(DECIMAL),
                    pl.col("occurred_at").dt.cast_time_unit("us"),
                )
            )
        ),
    )


def event(customer: str, day: date, quantity: int, rng: np.random.Generator) -> dict:
    second = int(rng.integers(86_000))
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    return {
        "source": "api",
        "id": f"{customer}-{day}-{second}",
        "customer_id": customer,
        "meter": "calls",
        "occurred_at": at,
        "quantity": quantity,
    }


def head(invoice: str, customer: str, start: date, end: date, subtotal: int) -> dict:
    tax = round(subtotal * 0.2)
    return {
        "invoice_id": invoice,
        "customer_id": customer,
        "legal_entity": "UK",
        "currency": "GBP",
        "issued_on": end,
        "due_on": end + timedelta(days=30),
        "payment_terms": "30",
        "period_start_on": start,
        "period_end_on": end,
        "subtotal_minor": subtotal,
        "tax_minor": tax,
        "total_minor": subtotal + tax,
    }


def line(invoice: str, line_id: str, product: str, quantity: int, price_minor: int) -> dict:
    return {
        "invoice_id": invoice,
        "line_id": line_id,
        "product": product,
        "quantity": quantity,
        "unit_price": price_minor / 100,
        "amount_minor": quantity * price_minor,
        "tax_code": "GB-S-20",
        "tax_minor": None,
    }


def books(invoices: pl.DataFrame, lines: pl.DataFrame) -> Books:
    own = lines.join(invoices.select("invoice_id"), on="invoice_id", how="semi")
    return Books(invoices, INVOICE_LINES.conform(own))


def altered(inputs: ScoringInputs, invoice: str, **changes: pl.Expr) -> ScoringInputs:
    """Change columns of one draft."""
    here = pl.col("invoice_id") == invoice
    heads = inputs.drafts.invoices.with_columns(
        pl.when(here).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in changes.items()
    )
    return replace(inputs, drafts=Books(INVOICES.conform(heads), inputs.drafts.lines))


def with_calls(inputs: ScoringInputs, invoice: str, factor: float) -> ScoringInputs:
    """Multiply the calls of one draft; amounts follow."""
    here = (pl.col("invoice_id") == invoice) & (pl.col("product") == "calls")
    quantity = (pl.col("quantity").cast(pl.Float64) * factor).round(0)
    lines = inputs.drafts.lines.with_columns(
        quantity=pl.when(here).then(quantity.cast(DECIMAL)).otherwise("quantity"),
        amount_minor=pl.when(here)
        .then((quantity * CALL_PRICE_MINOR).cast(pl.Int64))
        .otherwise("amount_minor"),
    )
    subtotal = lines.group_by("invoice_id").agg(subtotal_minor=pl.col("amount_minor").sum())
    tax = (pl.col("subtotal_minor") * 0.2).round(0).cast(pl.Int64)
    heads = (
        inputs.drafts.invoices.drop("subtotal_minor")
        .join(subtotal, on="invoice_id")
        .with_columns(tax_minor=tax)
        .with_columns(total_minor=pl.col("subtotal_minor") + pl.col("tax_minor"))
    )
    return replace(inputs, drafts=Books(INVOICES.conform(heads), lines))
