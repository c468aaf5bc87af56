"""Stripe's objects as its public API reference describes them at 2025-04-30.basil, by hand.

Only fields that the connector reads, or that could mislead it, stand here.
"""

import hashlib
import hmac
import json
from typing import Any

SECRET = "whsec_a secret of the test"
KEY = "rk_test_of_the_tests"
CREATED = 1793491200  # 2026-11-01T00:00:00Z
OCTOBER = {"start": 1790812800, "end": 1793491200}  # 2026-10-01 to 2026-11-01


def line(number: int = 1, amount: int = 12_000, **given: Any) -> dict[str, Any]:
    usual = {
        "id": f"il_{number:04}",
        "object": "line_item",
        "amount": amount,
        "currency": "eur",
        "description": "Seats",
        "discount_amounts": [],
        "pretax_credit_amounts": [],
        "invoice": "in_1",
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"proration": False, "subscription": "sub_1"},
        },
        "period": OCTOBER,
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_1", "product": "seats"},
            "unit_amount_decimal": "12",
        },
        "quantity": 1_000,
        "taxes": [],
    }
    return {**usual, **given}


def tax(amount: int, behavior: str = "exclusive", reason: str = "standard_rated") -> dict[str, Any]:
    return {
        "amount": amount,
        "tax_behavior": behavior,
        "taxability_reason": reason,
        "tax_rate_details": {"tax_rate": "txr_1"},
        "type": "tax_rate_details",
    }


def discount(amount: int) -> dict[str, Any]:
    return {"amount": amount, "discount": "di_1"}


def invoice(*lines: dict[str, Any], **given: Any) -> dict[str, Any]:
    """A draft of a subscription; totals follow from the lines unless they are given."""
    own = list(lines) or [line()]
    taxes = [one for each in own for one in each["taxes"]]
    exclusive = sum(one["amount"] for one in taxes if one["tax_behavior"] == "exclusive")
    inclusive = sum(one["amount"] for one in taxes) - exclusive
    discounts = sum(one["amount"] for each in own for one in each["discount_amounts"])
    credited = sum(one["amount"] for each in own for one in each["pretax_credit_amounts"])
    before = sum(each["amount"] for each in own)
    net = before - discounts - credited
    usual = {
        "id": "in_1",
        "object": "invoice",
        "status": "draft",
        "auto_advance": True,
        "automatically_finalizes_at": CREATED + 3600,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": CREATED,
        "currency": "eur",
        "customer": "cus_7",
        "due_date": None,
        "lines": {"object": "list", "data": own, "has_more": False},
        "livemode": False,
        "metadata": {},
        "period_start": OCTOBER["start"] - 31 * 86_400,  # looks back one period
        "period_end": OCTOBER["start"],
        "shipping_cost": None,
        "subtotal": before,
        "total": net + exclusive,
        "total_excluding_tax": net - inclusive,
        "total_taxes": taxes,
        "amount_due": 0,  # paid from the customer's balance: not what is invoiced
    }
    return {**usual, **given}


def event(
    kind: str, about: dict[str, Any], event_id: str = "evt_1", **given: Any
) -> dict[str, Any]:
    usual = {
        "id": event_id,
        "object": "event",
        "api_version": "2025-04-30.basil",
        "created": CREATED,
        "type": kind,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
    }
    return {**usual, **given}


def signed(body: bytes, at: int, *secrets: str) -> dict[str, str]:
    """The header that Stripe sends; two secrets while one is rolled."""
    parts = [f"t={at}"]
    for secret in secrets or (SECRET,):
        text = f"{at}.".encode() + body
        parts.append("v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest())
    return {"stripe-signature": ",".join(parts)}


def body_of(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode()
