"""A year of invoices of some dozens of customers in the lake, for the hook."""

from datetime import date

import polars as pl

from prebill.core.calendar import add_months
from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import INVOICE_LINES, INVOICES, PAYMENTS
from prebill.lake import Lake
from prebill.store.engine import Store
from prebill.store.lake_index import record_batch

START = date(2025, 10, 1)
MONTHS = range(12)


def customer_name(number: int) -> str:
    return f"CUST-{number:05}"


def amount_minor(number: int, month: int) -> int:
    """An ordinary amount: each customer's own level, with some noise."""
    return 10_000 + 731 * number + (number * 37 + month * 53) % 997


def invoice(number: int, month: int, *, times: int = 1, start: date = START) -> dict[str, object]:
    """An invoice as the hook gets it; month 12 is the first one that is not history."""
    issued_on = add_months(start, month + 1)
    total = times * amount_minor(number, month)
    return {
        "invoice_id": f"INV-{issued_on:%Y%m}-{number:05}",
        "customer_id": customer_name(number),
        "currency": "EUR",
        "issued_on": issued_on.isoformat(),
        "due_on": add_months(issued_on, 1).isoformat(),
        "period_start_on": add_months(issued_on, -1).isoformat(),
        "period_end_on": issued_on.isoformat(),
        "subtotal_minor": total,
        "tax_minor": 0,
        "total_minor": total,
    }


def line_of(one: dict[str, object]) -> dict[str, object]:
    """Its one line; quantities move a little, as usage does."""
    quantity = 1_000 + sum(map(ord, str(one["invoice_id"]))) * 7 % 41
    return {
        "invoice_id": one["invoice_id"],
        "line_id": "1",
        "product": "seats",
        "quantity": str(quantity),
        "amount_minor": one["subtotal_minor"],
        "tax_minor": 0,
    }


def add_history(store: Store, lake: Lake, *, customers: int = 120, start: date = START) -> None:
    """Write the year before into the lake, paid after five weeks."""
    past = [invoice(n, m, start=start) for n in range(1, customers + 1) for m in MONTHS]
    days = {name: pl.col(name).str.to_date() for name in ("issued_on", "due_on")}
    days |= {name: pl.col(name).str.to_date() for name in ("period_start_on", "period_end_on")}
    invoices = pl.DataFrame(past).with_columns(**days)
    lines = pl.DataFrame([line_of(one) for one in past]).with_columns(
        pl.col("quantity").cast(DECIMAL)
    )
    payments = invoices.select(
        pl.concat_str(pl.lit("P-"), "invoice_id").alias("payment_id"),
        "invoice_id",
        paid_on=pl.col("issued_on").dt.offset_by("35d"),
        amount_minor="total_minor",
    )
    frames = {"invoices": (INVOICES, invoices), "invoice_lines": (INVOICE_LINES, lines)}
    frames["payments"] = (PAYMENTS, payments)
    with store.transaction() as tx:
        for name, (frame, rows) in frames.items():
            record_batch(tx, lake.append(name, frame.conform(rows), f"history-{name}"))
