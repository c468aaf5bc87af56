"""Stripe Billing: score a draft invoice when Stripe makes it, stop it, let it go on a release.

Stripe issues ("finalizes") a draft about an hour after its webhooks were acknowledged. A draft that
must not go out gets ``auto_advance=false`` before that; nothing is ever voided or deleted here.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from prebill.connectors.billing_engines.base import STOPS, Event, Reading
from prebill.connectors.manifest import Manifest, Retry
from prebill.connectors.notify.webhook import REFUSED, is_recent
from prebill.core.errors import (
    InputError,
    MoneyError,
    PermanentError,
    TransientError,
    UnauthenticatedError,
)
from prebill.core.money import DECIMAL_SCALE, decimal_text, exponent_of

MANIFEST: Final = Manifest(
    system="stripe",
    api_version="2025-04-30.basil",
    version_ends_on=date(2027, 5, 1),  # Stripe names no end of a version: look at it again then
    authentication="restricted API key as bearer; events signed with HMAC-SHA256",
    secret_days=365,
    owner="billing operations",
    scopes=("invoices: write", "webhook events: invoice.*"),
    requests_per_second=100,
    retry=Retry.BOTH,
    contracts_in=("invoices", "invoice_lines"),
    contracts_out=("gate_decision",),
    sla="stopped before its event is acknowledged; Stripe issues about an hour after that",
)
#: Events after which the invoice is looked at.
KINDS: Final = frozenset(
    {
        "invoice.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice.voided",
        "invoice.deleted",
    }
)
TIMEOUT_SECONDS: Final = 10.0
#: Answers that a retry may mend: timeout, lock held by another request, too many requests.
RETRIED: Final = frozenset({408, 409, 429})
#: Currencies whose smallest unit at Stripe is not that of ISO 4217: decimals at Stripe.
STRIPE_EXPONENTS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
#: Set by us together with auto_advance=false: without it the draft was not going to advance.
_HELD: Final = "prebill_held"
_MAX_METADATA: Final = 500
_PAGE: Final = 100

Object = dict[str, Any]


class Stripe:
    """One Stripe account."""

    confirms = True
    manifest = MANIFEST

    def __init__(self, api_key: str, webhook_secret: str, *, url: str) -> None:
        import httpx

        self.secret = webhook_secret
        # The key goes to the configured place only. No idempotency key: every call sets a state,
        # and a key would give a stored failure again for a day.
        self._client = httpx.Client(
            base_url=url,
            headers={
                "Authorization": f"Bearer {api_key}",
                "Stripe-Version": MANIFEST.api_version,
            },
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
        )

    # ── Events ──────────────────────────────────────────────────────────────────────────────

    def verify(self, headers: Mapping[str, str], body: bytes, now_at: datetime) -> Event:
        """Believe an event that is signed with the endpoint's secret.

        Raises
        ------
        UnauthenticatedError
            No signature of the header fits, or its time is too far from now.
        """
        parts = [part.partition("=") for part in headers.get("stripe-signature", "").split(",")]
        times = [value for name, _, value in parts if name.strip() == "t"]
        given = [value for name, _, value in parts if name.strip() == "v1"]
        if len(times) != 1 or not is_recent(times[0], now_at):
            raise UnauthenticatedError(REFUSED)
        signed = f"{times[0]}.".encode() + body
        expected = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        if not any(hmac.compare_digest(expected, one.encode()) for one in given):
            raise UnauthenticatedError(REFUSED)
        return _event(body)

    def read(self, event: Event) -> Reading:
        """Return the draft as Stripe holds it now: events are repeated and overtake each other.

        Raises
        ------
        TransientError, PermanentError
            Stripe gave no answer, refused, or the invoice can't be written as canonical rows.
        """
        stub = event.payload
        invoice_id = stub.get("id")
        if event.kind not in KINDS or not invoice_id:
            return Reading()
        status = "deleted" if event.kind == "invoice.deleted" else stub.get("status") or "draft"
        if status != "draft":  # final: nothing becomes a draft again
            return Reading(gone={invoice_id: status})
        invoice = self._found(invoice_id)
        if invoice is None or invoice["status"] != "draft":
            return Reading(gone={invoice_id: invoice["status"] if invoice else "deleted"})
        rows = self._rows(invoice)
        return Reading(
            invoices=[rows.invoice],
            invoice_lines=rows.lines,
            digests={invoice_id: rows.digest},
            advancing=frozenset({invoice_id} if invoice.get("auto_advance") else ()),
        )

    def stop(self, event: Event, why: str) -> str | None:
        """Keep the event's invoice a draft: it could not be read or judged."""
        invoice_id = str(event.payload.get("id"))
        invoice = self._found(invoice_id)
        if invoice is None or invoice["status"] != "draft":
            return None
        self._keep_draft(invoice, {"prebill_action": "stopped", "prebill_reason": why})
        return invoice_id

    # ── Decisions ───────────────────────────────────────────────────────────────────────────

    def send(self, delivery_id: str, body: bytes) -> None:
        """Carry a decision out. Doing so again changes nothing.

        Raises
        ------
        TransientError, PermanentError
            Stripe gave no answer or refused; the invoice was issued before it could be stopped, or
            changed after it was released.
        """
        decision = json.loads(body)["data"]
        invoice_id, action = decision["invoice_id"], decision["action"]
        invoice = self._found(invoice_id)
        status = invoice["status"] if invoice else "deleted"
        note = {
            "prebill_action": action,
            "prebill_case": decision["case_id"] or "",
            "prebill_reason": decision["reason"],
        }
        if action in STOPS:
            if invoice is not None and status == "draft":
                self._keep_draft(invoice, note)
            elif status != "deleted":
                message = f"{invoice_id} is {status}: it was issued before it could be stopped"
                raise PermanentError(message, delivery_id=delivery_id, status=status)
        elif invoice is not None and status == "draft":
            if self._rows(invoice).digest != decision["content_digest"]:
                message = f"{invoice_id} changed after it was released: it must be scored again"
                raise PermanentError(message, delivery_id=delivery_id)
            self._let_go(invoice, note, at_once=decision["decided_by"] == "person")

    def _keep_draft(self, invoice: Object, note: Mapping[str, str]) -> None:
        changes = _metadata(invoice, note)
        if invoice.get("auto_advance"):
            changes |= {"auto_advance": "false", f"metadata[{_HELD}]": "true"}
        if changes:
            self._call("POST", _path(invoice["id"]), data=changes)

    def _let_go(self, invoice: Object, note: Mapping[str, str], *, at_once: bool) -> None:
        """Undo our stop. A draft that its owner keeps from advancing stays with its owner."""
        was_held = (invoice.get("metadata") or {}).get(_HELD) == "true"
        if not was_held and not at_once:
            return  # it was never stopped: Stripe goes on by itself
        changes = _metadata(invoice, note)
        if was_held and not at_once:
            changes |= {"auto_advance": "true", f"metadata[{_HELD}]": ""}
        if changes:
            self._call("POST", _path(invoice["id"]), data=changes)
        if was_held and at_once:
            self._call("POST", f"{_path(invoice['id'])}/finalize", data={"auto_advance": "true"})

    # ── Calls ───────────────────────────────────────────────────────────────────────────────

    def _found(self, invoice_id: str) -> Object | None:
        return self._call("GET", _path(invoice_id), may_be_absent=True)

    def _rows(self, invoice: Object) -> "Rows":
        listed = invoice["lines"]
        lines: list[Object] = list(listed["data"])
        while listed.get("has_more"):
            after = f"?limit={_PAGE}&starting_after={quote(lines[-1]['id'], safe='')}"
            found = self._call("GET", f"{_path(invoice['id'])}/lines{after}")
            assert found is not None
            listed = found
            lines += listed["data"]
        try:
            return rows_of(invoice, lines)
        except (KeyError, TypeError, ArithmeticError) as error:
            message = f"{invoice['id']} has another shape than {MANIFEST.api_version}: {error!r}"
            raise PermanentError(message, invoice_id=invoice["id"]) from error

    def _call(
        self,
        method: str,
        path: str,
        *,
        data: Mapping[str, str] | None = None,
        may_be_absent: bool = False,
    ) -> Object | None:
        import httpx

        try:
            answer = self._client.request(method, path, data=data)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            message = f"PREBILL_STRIPE_API_URL can't be used: {error}"
            raise PermanentError(message) from error
        except httpx.TransportError as error:
            message = f"Stripe gave no answer: {type(error).__name__}"
            raise TransientError(message) from error
        status = answer.status_code
        if status == 404 and may_be_absent:
            return None
        if status >= 500 or status in RETRIED:
            message = f"Stripe answered {status}; it is tried again"
            raise TransientError(message, status=status)
        if status in {401, 403}:
            message = (
                f"Stripe refused the API key with {status}: it needs the scope invoices: write"
            )
            raise PermanentError(message, status=status)
        if not answer.is_success:
            message = f"Stripe refused {method} {path} with {status} ({_code(answer.content)})"
            raise PermanentError(message, status=status)
        return _object(answer.content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


# ── From Stripe's objects to canonical rows: pure ────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rows:
    """An invoice as rows of the data contracts invoices and invoice_lines."""

    invoice: Object
    lines: list[Object]

    @property
    def digest(self) -> str:
        """Equal as long as what is billed is equal; what we write onto the invoice is no part."""
        text = json.dumps([self.invoice, self.lines], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def rows_of(invoice: Object, lines: list[Object]) -> Rows:
    """Write a draft as canonical rows. Amounts are minor units of ISO 4217, before tax on lines.

    Raises
    ------
    PermanentError
        The currency is unknown, or an amount is no whole number of its minor units.
    """
    currency = str(invoice["currency"]).upper()
    invoice_id = str(invoice["id"])
    ordered = sorted(lines, key=lambda line: str(line["id"]))  # those of one invoice
    written = [_line(invoice_id, line, currency) for line in ordered]
    shipping = invoice.get("shipping_cost")
    if shipping:
        written.append(_shipping(invoice_id, shipping, currency))
    issued_on, due = _day(invoice["created"]), invoice.get("due_date")
    subtotal = invoice.get("total_excluding_tax")
    row = {
        "invoice_id": invoice_id,
        "customer_id": _id(invoice["customer"]),
        "currency": currency,
        # Not the day planned for issuing: that one goes when the draft is stopped.
        "issued_on": issued_on,
        "due_on": _day(due) if due else issued_on,  # charged automatically: due at once
        "payment_terms": invoice.get("collection_method"),
        **_period(invoice, lines),
        "subtotal_minor": sum(line["amount_minor"] for line in written)
        if subtotal is None
        else _minor(subtotal, currency),
        "tax_minor": _minor(_sum(_taxes(invoice, "total_taxes", "total_tax_amounts")), currency),
        "total_minor": _minor(invoice["total"], currency),
    }
    return Rows(row, written)


def _line(invoice_id: str, line: Object, currency: str) -> Object:
    """One line: its amount after discounts and credits, and without a tax that it includes."""
    taxes = _taxes(line, "taxes", "tax_amounts")
    inclusive = [
        one for one in taxes if one.get("tax_behavior") == "inclusive" or one.get("inclusive")
    ]
    credited = [
        one
        for one in line.get("pretax_credit_amounts") or ()
        if one.get("type") == "credit_balance_transaction"  # the discounts stand there once more
    ]
    less = [*(line.get("discount_amounts") or ()), *credited, *inclusive]
    treatments = {one["taxability_reason"] for one in taxes if one.get("taxability_reason")}
    quantity = line.get("quantity_decimal") or line.get("quantity")
    return {
        "invoice_id": invoice_id,
        "line_id": line["id"],
        "product": _product(line),
        "quantity": None if quantity is None else str(quantity),
        "unit_price": _unit_price(line, currency),
        "amount_minor": _minor(int(line["amount"]) - _sum(less), currency),
        "tax_code": "+".join(sorted(treatments)) or None,
        "tax_minor": _minor(_sum(taxes), currency),
    }


def _shipping(invoice_id: str, cost: Object, currency: str) -> Object:
    return {
        "invoice_id": invoice_id,
        "line_id": "shipping",
        "product": "shipping",
        "quantity": None,
        "unit_price": None,
        "amount_minor": _minor(int(cost["amount_subtotal"]), currency),
        "tax_code": None,
        "tax_minor": _minor(int(cost["amount_tax"]), currency),
    }


def _period(invoice: Object, lines: list[Object]) -> Object:
    """What is billed: from the first to the last day of the lines that are no prorations.

    The invoice's own period looks back to when its items were collected; it is the last resort.
    """
    spans = [line["period"] for line in lines if not _is_proration(line)]
    spans = [one for one in spans if one["end"] > one["start"]]
    starts = [one["start"] for one in spans] or [invoice.get("period_start") or 0]
    ends = [one["end"] for one in spans] or [invoice.get("period_end") or 0]
    start_on, end_on = _day(min(starts)), _day(max(ends))
    if start_on >= end_on:
        return {"period_start_on": None, "period_end_on": None}
    return {"period_start_on": start_on, "period_end_on": end_on}


def _is_proration(line: Object) -> bool:
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or line
    return bool(details.get("proration"))


def _product(line: Object) -> str:
    """The product: it stays when its price changes. An item without a price has its own text."""
    details = (line.get("pricing") or {}).get("price_details") or {}
    priced = line.get("price") or line.get("plan") or {}  # before 2025-03-31.basil
    product = details.get("product") or priced.get("product")
    return _id(product) if product else str(line.get("description") or "item")


def _unit_price(line: Object, currency: str) -> str | None:
    """Major units; None where tiers give no one price, or it has more decimals than we carry."""
    priced = line.get("pricing") or line.get("price") or {}
    text = priced.get("unit_amount_decimal")
    if text is None:
        plan = line.get("plan") or {}
        text = plan.get("amount")
    if text is None:
        return None
    price = Decimal(str(text)).scaleb(-_stripe_exponent(currency))
    exponent = price.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # no amount is infinite
    return None if -exponent > DECIMAL_SCALE else decimal_text(price)


def _taxes(thing: Object, *names: str) -> list[Object]:
    """The list of taxes under its present name, or the one before 2025-03-31.basil."""
    return next((thing[name] for name in names if thing.get(name) is not None), [])


def _sum(parts: list[Object]) -> int:
    return sum(int(one["amount"]) for one in parts)


def _minor(amount: int, currency: str) -> int:
    """Minor units of ISO 4217 for an amount in Stripe's smallest unit."""
    shift = _iso_exponent(currency) - _stripe_exponent(currency)
    if shift >= 0:
        return int(amount) * int(10**shift)
    whole, rest = divmod(int(amount), int(10**-shift))
    if rest:
        message = f"{amount} is no whole number of minor units of {currency}"
        raise PermanentError(message, amount=amount, currency=currency)
    return whole


def _stripe_exponent(currency: str) -> int:
    return STRIPE_EXPONENTS.get(currency, _iso_exponent(currency))


def _iso_exponent(currency: str) -> int:
    try:
        return exponent_of(currency)
    except MoneyError as error:
        raise PermanentError(str(error), currency=currency) from error


def _day(timestamp: int) -> str:
    """UTC day of a Unix time: an account's own zone is not among what the API tells."""
    return datetime.fromtimestamp(int(timestamp), UTC).date().isoformat()


def _id(thing: str | Object) -> str:
    """An id, also of an object that was expanded."""
    return thing if isinstance(thing, str) else str(thing["id"])


# ── Small parts of the wire ──────────────────────────────────────────────────────────────────


def _event(body: bytes) -> Event:
    try:
        found = json.loads(body)
        event_id, kind, stub = str(found["id"]), str(found["type"]), found["data"]["object"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = "the body is no event of Stripe with the object that it is about"
        raise InputError(message) from error
    stub = stub if isinstance(stub, dict) else {}
    return Event(event_id, kind, f"{kind} {stub.get('id')}", stub)


def _path(invoice_id: str) -> str:
    return f"/v1/invoices/{quote(invoice_id, safe='')}"


def _metadata(invoice: Object, note: Mapping[str, str]) -> dict[str, str]:
    """Form fields of the notes that differ from what stands on the invoice."""
    present = invoice.get("metadata") or {}
    short = {name: value[:_MAX_METADATA] for name, value in note.items()}
    return {
        f"metadata[{name}]": value
        for name, value in short.items()
        if present.get(name, "") != value
    }


def _object(content: bytes) -> Object:
    try:
        found = json.loads(content, parse_float=str)
    except ValueError as error:
        message = "Stripe's answer is no JSON"
        raise TransientError(message) from error
    if not isinstance(found, dict):
        message = "Stripe's answer is no object"
        raise PermanentError(message)
    return found


def _code(content: bytes) -> str:
    """Stripe's code of an error; its sentence may name a customer and stays out of our logs."""
    try:
        error = json.loads(content)["error"]
        return str(error.get("code") or error.get("type") or "no code")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "no code"
