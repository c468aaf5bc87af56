"""Stripe's draft invoices as canonical rows: money, tax, discounts, currencies, periods."""

from decimal import Decimal
from typing import Any

import pytest

from prebill.connectors.billing_engines.stripe import Rows, rows_of
from prebill.core.errors import PermanentError
from tests.connectors.billing_engines.shapes import CREATED, discount, invoice, line, tax


def rows(one: dict[str, Any]) -> Rows:
    return rows_of(one, one["lines"]["data"])


def test_plain_subscription_invoice() -> None:
    found = rows(invoice())
    assert found.invoice == {
        "invoice_id": "in_1",
        "customer_id": "cus_7",
        "currency": "EUR",
        "issued_on": "2026-11-01",
        "due_on": "2026-11-01",
        "payment_terms": "charge_automatically",
        "period_start_on": "2026-10-01",
        "period_end_on": "2026-11-01",
        "subtotal_minor": 12_000,
        "tax_minor": 0,
        "total_minor": 12_000,
    }
    assert found.lines == [
        {
            "invoice_id": "in_1",
            "line_id": "il_0001",
            "product": "seats",
            "quantity": "1000",
            "unit_price": "0.12",
            "amount_minor": 12_000,
            "tax_code": None,
            "tax_minor": 0,
        }
    ]


@pytest.mark.parametrize("behavior", ["exclusive", "inclusive"])
def test_tax_and_discounts_leave_sums_that_add_up(behavior: str) -> None:
    amount = 11_900 if behavior == "inclusive" else 10_000
    less = 1_190 if behavior == "inclusive" else 1_000
    taxed = line(amount=amount, taxes=[tax(1_710, behavior)], discount_amounts=[discount(less)])
    found = rows(invoice(taxed))
    assert (found.lines[0]["amount_minor"], found.lines[0]["tax_minor"]) == (9_000, 1_710)
    assert found.lines[0]["tax_code"] == "standard_rated"
    head = found.invoice
    assert (head["subtotal_minor"], head["tax_minor"], head["total_minor"]) == (
        9_000,
        1_710,
        10_710,
    )


def test_credit_grants_lower_a_line_and_discounts_count_once() -> None:
    granted = {"type": "credit_balance_transaction", "amount": 2_000}
    named_again = {"type": "discount", "amount": 500}
    one = line(discount_amounts=[discount(500)], pretax_credit_amounts=[granted, named_again])
    found = rows(invoice(one, total_excluding_tax=9_500, total=9_500))
    assert found.lines[0]["amount_minor"] == 12_000 - 500 - 2_000 == found.invoice["subtotal_minor"]


@pytest.mark.parametrize(
    ("currency", "amount", "minor", "unit_price"),
    [
        ("jpy", 12_000, 12_000, "12"),
        ("kwd", 12_000, 12_000, "0.012"),
        ("eur", 12_000, 12_000, "0.12"),
        ("isk", 12_000, 120, "0.12"),  # two decimals at Stripe, none in ISO 4217
        ("ugx", 12_000, 120, "0.12"),
        ("mga", 12_000, 1_200_000, "12"),  # none at Stripe, two in ISO 4217
    ],
)
def test_smallest_unit_of_each_currency(
    currency: str, amount: int, minor: int, unit_price: str
) -> None:
    found = rows(invoice(line(amount=amount, taxes=[tax(200)]), currency=currency))
    assert found.invoice["currency"] == currency.upper()
    assert found.lines[0]["amount_minor"] == minor
    assert found.lines[0]["unit_price"] == unit_price
    assert (
        found.invoice["total_minor"] == found.invoice["subtotal_minor"] + found.invoice["tax_minor"]
    )


@pytest.mark.parametrize(("currency", "amount"), [("isk", 150), ("usdc", 100)])
def test_what_is_no_whole_amount_of_a_known_currency_is_refused(currency: str, amount: int) -> None:
    with pytest.raises(PermanentError):
        rows(invoice(line(amount=amount), currency=currency))


def test_tiers_and_tiny_prices_have_no_unit_price() -> None:
    tiered = line(pricing={"price_details": {"product": "api"}, "unit_amount_decimal": None})
    tiny = line(
        2, pricing={"price_details": {"product": "api"}, "unit_amount_decimal": "0." + "1" * 12}
    )
    exact = line(
        3, pricing={"price_details": {"product": "api"}, "unit_amount_decimal": "0.0000000001"}
    )
    prices = [one["unit_price"] for one in rows(invoice(tiered, tiny, exact)).lines]
    assert prices == [None, None, "0.000000000001"]
    assert Decimal(str(prices[2])) == Decimal("1e-12")


def test_sent_invoices_are_due_later() -> None:
    sent = invoice(collection_method="send_invoice", due_date=CREATED + 30 * 86_400)
    assert rows(sent).invoice["due_on"] == "2026-12-01"


def test_period_is_that_of_the_lines_without_prorations() -> None:
    september = {"start": 1788220800, "end": 1790812800}
    usage = line(2, period=september)
    moved = line(3, period={"start": 1785542400, "end": 1788220800})
    moved["parent"] = {"invoice_item_details": {"proration": True}}
    found = rows(invoice(line(), usage, moved)).invoice
    assert (found["period_start_on"], found["period_end_on"]) == ("2026-09-01", "2026-11-01")


def test_item_without_a_period_leaves_the_invoices_own_or_none() -> None:
    item = line(period={"start": CREATED, "end": CREATED}, pricing=None)
    item["parent"] = {"invoice_item_details": {"proration": False}}
    own = rows(invoice(item))
    assert own.invoice["period_end_on"] == "2026-10-01"
    assert own.lines[0]["product"] == "Seats"
    none = rows(invoice(item, period_start=CREATED, period_end=CREATED)).invoice
    assert (none["period_start_on"], none["period_end_on"]) == (None, None)


def test_shipping_is_a_line() -> None:
    cost = {"amount_subtotal": 500, "amount_tax": 95, "amount_total": 595}
    found = rows(invoice(shipping_cost=cost))
    assert [one["amount_minor"] for one in found.lines] == [12_000, 500]


def test_digest_follows_what_is_billed_alone() -> None:
    first = rows(invoice()).digest
    held = invoice(auto_advance=False, automatically_finalizes_at=None, metadata={"a": "b"})
    assert rows(held).digest == first
    assert rows(invoice(line(2), line(1))).digest == rows(invoice(line(1), line(2))).digest
    for other in (line(amount=12_001), line(quantity=1_001), line(taxes=[tax(1)])):
        assert rows(invoice(other)).digest != first
