"""What is open on the morning of a draft: partial payments, credits, the as-of rule, currencies."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from prebill.core.schemas.inbound import INVOICES
from prebill.core.scoring.exposure import Receivables, exposures
from tests.core.scoring.payers import Books, books, invoice

DAY = date(2026, 3, 1)


def owed(known: Books, *drafts: dict) -> list[dict]:
    names = [name for name in INVOICES.schema if name in drafts[0]]
    asked = pl.DataFrame(drafts, schema={name: INVOICES.schema[name] for name in names})
    receivables = Receivables(known.invoices, known.payments, known.credit_notes)
    return exposures(asked, receivables).to_dicts()


def draft(invoice_id: str = "D", customer: str = "C", **changes: object) -> dict:
    return invoice(invoice_id, customer, DAY) | changes


def test_part_payment_and_credit_leave_the_rest_open() -> None:
    known = books(
        [invoice("A", "C", date(2026, 1, 1)), invoice("B", "C", date(2026, 2, 20))],
        [("A", date(2026, 1, 20), 4_000)],
        [("A", date(2026, 2, 1), 1_500)],
    )
    expected = {
        "invoice_id": "D",
        "open_minor": 14_500,
        "overdue_minor": 4_500,
        "overdue_days": (DAY - date(2026, 1, 15)).days,
    }
    assert [expected] == owed(known, draft())


def test_what_is_dated_on_the_day_or_later_is_not_known() -> None:
    early = invoice("A", "C", date(2026, 1, 1))
    known = books([early, invoice("B", "C", DAY)], [("A", DAY, 10_000)])
    assert owed(books([early]), draft()) == owed(known, draft())


def test_invoice_due_on_the_day_is_not_overdue() -> None:
    known = books([invoice("A", "C", date(2026, 1, 1), due_on=DAY)])
    assert owed(known, draft())[0]["overdue_minor"] == 0
    assert owed(known, draft())[0]["overdue_days"] is None


def test_bank_charges_leave_nothing_open_and_a_chargeback_opens_again() -> None:
    one = invoice("A", "C", date(2026, 1, 1))
    short = books([one], [("A", date(2026, 1, 9), 9_960)])
    assert owed(short, draft())[0]["open_minor"] == 0
    back = [("A", date(2026, 1, 9), 10_000), ("A", date(2026, 2, 9), -10_000)]
    assert owed(books([one], back), draft())[0]["open_minor"] == 10_000


def test_other_currency_other_customer_and_the_draft_itself_do_not_count() -> None:
    known = books(
        [
            invoice("A", "C", date(2026, 1, 1), currency="USD"),
            invoice("B", "other", date(2026, 1, 1)),
            invoice("D", "C", date(2026, 1, 1)),
        ]
    )
    assert owed(known, draft())[0]["open_minor"] == 0


def test_without_any_payment_on_record_nothing_is_known() -> None:
    known = books([invoice("A", "C", date(2026, 1, 1))])
    receivables = Receivables(known.invoices, known.payments, known.credit_notes, are_known=False)
    found = exposures(pl.DataFrame([draft()]), receivables)
    assert found["open_minor"].to_list() == [None]


def test_many_customers_and_days_agree_with_a_plain_count() -> None:
    rng = np.random.default_rng(3)
    invoices, payments = [], []
    for number in range(300):
        issued_on = date(2026, 1, 1) + timedelta(days=int(rng.integers(60)))
        currency = ("EUR", "USD")[number % 2]
        one = invoice(f"I{number}", f"C{number % 7}", issued_on, currency=currency)
        invoices.append(one | {"total_minor": int(rng.integers(1, 10_000))})
        for _ in range(int(rng.integers(3))):
            paid_on = issued_on + timedelta(days=int(rng.integers(40)))
            payments.append((f"I{number}", paid_on, int(rng.integers(1, 9_000))))
    drafts = [
        draft(f"D{n}", f"C{n % 8}", issued_on=date(2026, 1, 5) + timedelta(days=n))
        for n in range(60)
    ]
    found = owed(books(invoices, payments), *drafts)
    assert [one["invoice_id"] for one in drafts] == [row["invoice_id"] for row in found]
    for one, row in zip(drafts, found, strict=True):
        counted = {"open": 0, "overdue": 0}
        for past in invoices:
            is_other = past["customer_id"] != one["customer_id"] or past["currency"] != "EUR"
            if is_other or past["issued_on"] >= one["issued_on"]:
                continue
            paid = sum(
                amount
                for name, on, amount in payments
                if name == past["invoice_id"] and on < one["issued_on"]
            )
            if paid >= 0.995 * past["total_minor"]:
                continue
            counted["open"] += past["total_minor"] - paid
            if past["due_on"] < one["issued_on"]:
                counted["overdue"] += past["total_minor"] - paid
        assert (counted["open"], counted["overdue"]) == (row["open_minor"], row["overdue_minor"])
