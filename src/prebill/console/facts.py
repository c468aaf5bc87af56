"""Facts about customer and contract beside a case, and what a correction may touch."""

import json
from typing import Any

from prebill.api.proposals import proposal_of
from prebill.console import words
from prebill.console.links import invoice_href
from prebill.console.views import Corrections, Fact, Option
from prebill.core.policy.collecting import Collecting
from prebill.store.console import (
    contract_of,
    customer_of,
    entitlements_of,
    phases_of,
    terms_of,
)
from prebill.store.engine import Tx
from prebill.store.engine_drafts import told_of

Row = dict[str, Any]


def case_facts(tx: Tx, case: Row) -> tuple[Fact, ...]:
    """Return who pays, what was agreed, what is billed, and under which policy it was judged."""
    return (
        *_customer_facts(tx, case),
        *_contract_facts(tx, case),
        *(_engine_facts(tx, case) if case["system"] else _draft_facts(case)),
    )


def payment_facts(case: Row, limits: Collecting) -> tuple[Fact, ...]:
    """Return when it is likely paid and what is proposed; nothing where nothing is known."""
    proposal = proposal_of(case, limits)
    if proposal is None:
        return ()
    on, day = proposal["step_on"], proposal["expected_on"]
    step = proposal["step_text"] + (f": {words.day(on.isoformat())}" if on else "")
    proposed = (Fact("Terms", proposal["terms_text"]), Fact("First step", step))
    if day is None:
        return proposed
    return (Fact("Likely paid on", words.day(day.isoformat())), *proposed)


def customer_name(tx: Tx, customer_id: str) -> str:
    """Return the customer's name, or the id where the name is unknown or was erased."""
    customer = customer_of(tx, customer_id)
    return (customer or {}).get("name") or customer_id


def _customer_facts(tx: Tx, case: Row) -> list[Fact]:
    customer = customer_of(tx, case["customer_id"]) if case["customer_id"] else None
    if customer is None:
        return []
    place = ", ".join(part for part in (customer["region"], customer["country"]) if part)
    kind = {True: "business", False: "person", None: "unknown"}[
        None if customer["is_business"] is None else bool(customer["is_business"])
    ]
    return [
        Fact("Customer", customer["customer_id"]),
        Fact("Country", place or "missing"),
        Fact("Tax id", customer["tax_id"] or "none"),
        Fact("Kind", f"{kind}, {customer['segment']}" if customer["segment"] else kind),
        Fact("Customer since", words.day(customer["signed_up_on"])),
    ]


def _contract_facts(tx: Tx, case: Row) -> list[Fact]:
    contract = contract_of(tx, case["contract_id"]) if case["contract_id"] else None
    if contract is None:
        return []
    facts = [
        Fact("Contract", f"{contract['contract_id']}, {contract['currency']}"),
        Fact(
            "Runs",
            words.span(contract["starts_on"], contract["ends_on"])
            if contract["ends_on"]
            else f"since {words.day(contract['starts_on'])}",
        ),
        Fact("Payment terms", f"{contract['payment_terms_days']} days"),
    ]
    agreed = _in_force(terms_of(tx, case["contract_id"]), case)
    billed = _in_force(phases_of(tx, case["subscription_id"]), case)
    facts += [Fact("Agreed", _terms(row)) for row in agreed]
    facts += [Fact("Billed as", _terms(row)) for row in billed]
    facts += [
        Fact(
            "Entitled to",
            f"{words.decimal(row['granted_quantity'])} {words.phrase(row['feature'])}",
        )
        for row in _in_force(entitlements_of(tx, case["contract_id"]), case)
    ]
    return facts


def _in_force(rows: list[Row], case: Row) -> list[Row]:
    """Those of the draft's period; all where none was in force then, because that is the news."""
    found = [
        row
        for row in rows
        if row["effective_from_on"] < case["period_end_on"]
        and (row["effective_to_on"] or "9999") > case["period_start_on"]
    ]
    return found or rows


def _terms(row: Row) -> str:
    """One agreed term or billed phase in words."""
    text = f"{words.decimal(row['quantity'])} × {row['plan_name'] or row['plan_id']}"
    text += f" ({row['price_book_id']})"
    if words.decimal(row["discount_percent"]) != "0":
        text += f", {words.decimal(row['discount_percent'])} % off"
        if row["discount_ends_on"]:
            text += f" until {words.last_day(row['discount_ends_on'])}"
    text += f", from {words.day(row['effective_from_on'])}"
    if row["effective_to_on"]:
        text += f" to {words.last_day(row['effective_to_on'])}"
    return text


def _draft_facts(case: Row) -> list[Fact]:
    if case["total_minor"] is None:
        return [Fact("Draft", f"{case['draft_id']} was never made")]
    return [
        Fact("Draft", case["draft_id"], invoice_href(case["draft_id"])),
        Fact("Period", words.span(case["period_start_on"], case["period_end_on"])),
        Fact("Tax", words.money(case["tax_minor"], case["currency"])),
        Fact("Version", case["draft_version"][:12]),
        Fact("Policy", (case["policy_hash"] or "–")[:12]),
    ]


def _engine_facts(tx: Tx, case: Row) -> list[Fact]:
    """The draft of another engine, and what that engine was told."""
    return [
        Fact("Drafted by", words.engine_name(case["system"])),
        Fact("Invoice", case["draft_id"]),
        Fact("Period", words.span(case["period_start_on"], case["period_end_on"])),
        Fact("Issue date, due", f"{words.day(case['issued_on'])}, {words.day(case['due_on'])}"),
        Fact("Tax", words.money(case["tax_minor"], case["currency"])),
        Fact("Version", case["draft_version"][:12]),
        Fact("Policy", (case["policy_hash"] or "–")[:12]),
        *(_told(row) for row in told_of(tx, case["draft_id"])),
    ]


def _told(row: Row) -> Fact:
    action = json.loads(row["payload"])["data"]["action"]
    name = f"Told: {action}"
    if row["status"] == "delivered":
        return Fact(name, words.instant(row["delivered_at"]))
    if row["status"] == "pending" and not row["attempts"]:
        return Fact(name, "waits for the worker")
    tries = words.counted(row["attempts"], "attempt")
    error = f": {row['last_error']}" if row["last_error"] else ""
    return Fact(name, f"{row['status']}, {tries}{error}")


def correction_choices(tx: Tx, case: Row) -> Corrections:
    """Return what can be corrected at its source, with the present values."""
    lines = json.loads(case["lines_json"] or "[]")
    customer = customer_of(tx, case["customer_id"]) if case["customer_id"] else None
    phases = phases_of(tx, case["subscription_id"]) if case["subscription_id"] else []
    return Corrections(
        metered=tuple(
            Option(one["charge_id"], f"{one['name']}: {words.decimal(one['quantity'])}", index == 0)
            for index, one in enumerate(one for one in lines if one.get("meter"))
        ),
        phases=tuple(
            Option(row["phase_id"], _terms(row), index == len(phases) - 1)
            for index, row in enumerate(phases)
        ),
        customer_country=(customer or {}).get("country") or "",
        customer_tax_id=(customer or {}).get("tax_id") or "",
        is_business=bool((customer or {}).get("is_business")),
    )
