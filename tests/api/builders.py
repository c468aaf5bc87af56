"""A small company in a store: users with tokens, customers, contracts, drafts that wait in cases.

Every builder gives valid rows; a test names only what matters to it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from prebill.store.codec import instant_text
from prebill.store.engine import Store, Tx
from prebill.store.users import Actor, Role, create_token, create_user, get_actor

PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
ENTERED = instant_text(NOW)


@dataclass(frozen=True, slots=True)
class Person:
    """A user with what they sign in with."""

    actor: Actor
    email: str
    token: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def add_person(
    store: Store, role: Role, *, name: str = "", must_change_password: bool = False
) -> Person:
    name = name or f"{role.name.capitalize()} Person"
    email = f"{name.split()[0].lower()}@example.com"
    with store.transaction() as tx:
        # Argon2 is slow on purpose: one hash serves every test user of the process.
        tx.insert(
            "users",
            {
                "user_id": f"user-{name.split()[0].lower()}",
                "name": name,
                "email": email,
                "role": role.name.lower(),
                "password_hash": _password_hash(),
                "is_active": True,
                "must_change_password": must_change_password,
                "created_at": ENTERED,
            },
        )
        actor = get_actor(tx, f"user-{name.split()[0].lower()}")
        _, token = create_token(tx, actor.user_id, name="test")
    return Person(actor, email, token)


@cache
def _password_hash() -> str:
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/hash.db")
        store.create_all()
        with store.transaction() as tx:
            actor = create_user(tx, "a@b.c", name="A", role=Role.VIEWER, password=PASSWORD)
            found: str = tx.get("users", user_id=actor.user_id)["password_hash"]
        store.close()
    return found


def add_people(store: Store) -> dict[Role, Person]:
    return {role: add_person(store, role) for role in Role}


def line(number: int, **given: Any) -> dict[str, Any]:
    """One line of a draft, as lines_json holds it."""
    usual = {
        "draft_id": "DE:2026-10:S1",
        "line_id": str(number),
        "subscription_id": "S1",
        "phase_id": "P1",
        "plan_id": "growth",
        "price_book_id": "eur-3",
        "charge_id": "seats",
        "name": "Seats",
        "charge_model": "per_unit",
        "timing": "in_advance",
        "meter": None,
        "service_start_on": "2026-10-01",
        "service_end_on": "2026-11-01",
        "share_numerator": 1,
        "share_denominator": 1,
        "proration_rule": None,
        "quantity": "10",
        "unit_price": "12.5",
        "amount_unrounded": "125",
        "gross_minor": 12_500,
        "discount_percent": "0",
        "discount_minor": 0,
        "amount_minor": 12_500,
        "tax_category": "saas",
        "tax_code": "DE-S-19",
        "tax_percent": "19",
        "tax_minor": 2_375,
    }
    return {**usual, **given}


def finding(code: str, amount_minor: int | None, **given: Any) -> dict[str, Any]:
    usual = {
        "invoice_id": "DE:2026-10:S1",
        "detector": "contract_conformance",
        "code": code,
        "basis": "exact",
        "score": 0.99,
        "amount_minor": amount_minor,
        "expected": "12.50 EUR a seat",
        "text": "Seats are billed at 17.50 EUR; the contract says 12.50 EUR",
        "line_ids": "1",
        "evidence": "C1",
    }
    return {**usual, **given}


def add_customer(tx: Tx, customer_id: str = "ACME", name: str = "Acme GmbH") -> None:
    tx.insert(
        "customers",
        {
            "customer_id": customer_id,
            "name": name,
            "email": f"billing@{customer_id.lower()}.example",
            "country": "DE",
            "region": None,
            "tax_id": "DE136695976",
            "is_business": True,
            "segment": "mid",
            "signed_up_on": "2025-03-01",
            "import_id": "import-1",
        },
        on_conflict="ignore",
    )


def add_contract(tx: Tx, customer_id: str = "ACME", contract_id: str = "C1") -> None:
    tx.insert(
        "contracts",
        {
            "contract_id": contract_id,
            "customer_id": customer_id,
            "entity_id": "DE",
            "currency": "EUR",
            "time_zone": "Europe/Berlin",
            "starts_on": "2025-03-01",
            "ends_on": None,
            "payment_terms_days": 30,
            "proration_policy": "day_actual",
            "recorded_at": "2025-02-20T00:00:00.000000Z",
        },
        on_conflict="ignore",
    )
    tx.insert(
        "contract_terms",
        {
            "contract_id": contract_id,
            "term_id": "T1",
            "plan_id": "growth",
            "price_book_id": "eur-3",
            "quantity": "10",
            "discount_percent": "10",
            "discount_ends_on": "2026-10-01",
            "effective_from_on": "2025-03-01",
            "effective_to_on": None,
            "recorded_at": "2025-02-20T00:00:00.000000Z",
        },
        on_conflict="ignore",
    )
    tx.insert(
        "plans",
        {"price_book_id": "eur-3", "plan_id": "growth", "name": "Growth"},
        on_conflict="ignore",
    )


def add_entity(tx: Tx, entity_id: str = "DE") -> None:
    """A legal entity that can issue and post."""
    tx.insert(
        "legal_entities",
        {
            "entity_id": entity_id,
            "name": f"Prebill {entity_id}",
            "country": "DE",
            "currency": "EUR",
            "time_zone": "Europe/Berlin",
            "tax_registration_id": "DE136695976",
            "series": entity_id,
            "grace_days": 2,
            "issue_by_days": 10,
            "import_id": "import-1",
        },
        on_conflict="ignore",
    )
    purposes = ("receivable", "revenue", "deferred_revenue", "tax_payable", "rounding")
    for number, purpose in enumerate(purposes):
        account_id = f"{1000 + 100 * number}"
        tx.insert(
            "ledger_accounts",
            {
                "entity_id": entity_id,
                "account_id": account_id,
                "name": purpose.replace("_", " ").capitalize(),
                "kind": "asset" if purpose == "receivable" else "income",
                "import_id": "import-1",
            },
            on_conflict="ignore",
        )
        tx.insert(
            "account_mappings",
            {
                "entity_id": entity_id,
                "purpose": purpose,
                "tax_category": "*",
                "account_id": account_id,
                "import_id": "import-1",
            },
            on_conflict="ignore",
        )


def add_draft(tx: Tx, draft_id: str = "DE:2026-10:S1", **given: Any) -> None:
    lines = given.pop("lines", [line(1)])
    subtotal = sum(one["amount_minor"] for one in lines)
    tax = sum(one["tax_minor"] for one in lines)
    usual = {
        "draft_id": draft_id,
        "version": "v1",
        "entity_id": "DE",
        "customer_id": "ACME",
        "contract_id": "C1",
        "subscription_id": "S1",
        "period": "2026-10",
        "currency": "EUR",
        "period_start_on": "2026-10-01",
        "period_end_on": "2026-11-01",
        "tax_point_on": "2026-10-31",
        "payment_terms_days": 30,
        "subtotal_minor": subtotal,
        "tax_minor": tax,
        "total_minor": subtotal + tax,
        "lines": len(lines),
        "run_id": "run-2026-10",
        "state": "held",
        "lines_json": json.dumps(lines),
        "entered_at": ENTERED,
        "entered_by": "run-2026-10",
    }
    tx.insert("drafts", {**usual, **given})


def add_decision(
    tx: Tx,
    draft_id: str = "DE:2026-10:S1",
    findings: list[dict[str, Any]] | None = None,
    **given: Any,
) -> None:
    found = findings if findings is not None else [finding("price_differs_from_contract", 5_000)]
    reasons = [
        {
            "code": one["code"],
            "text": one["text"],
            "amount_minor": one["amount_minor"],
            "lines": one["line_ids"],
        }
        for one in found
    ]
    usual = {
        "draft_id": draft_id,
        "draft_version": "v1",
        "action": "hold",
        "anomaly_score": 0.98,
        "p_error": 0.93,
        "p_error_basis": "labels",
        "direction": "over",
        "p_late": 0.2,
        "days_late_p10": -3.0,
        "days_late_p50": 1.0,
        "days_late_p90": 14.0,
        "expected_loss_minor": 4_650,
        "currency": "EUR",
        "priority": 9.3,
        "confidence": "full",
        "reasons": json.dumps(reasons),
        "model_versions": json.dumps({"forest": "rule"}),
        "policy_hash": "0" * 64,
        "run_id": "run-2026-10",
        "findings_json": json.dumps(found),
        "feature_hash": "f" * 64,
        "draft_hash": "d" * 64,
        "decided_at": ENTERED,
    }
    tx.insert("decisions", {**usual, **given})


def add_case(tx: Tx, draft_id: str = "DE:2026-10:S1", **given: Any) -> str:
    case_id = f"case:{draft_id}:v1"
    usual = {
        "case_id": case_id,
        "kind": "draft",
        "draft_id": draft_id,
        "draft_version": "v1",
        "action": "hold",
        "status": "open",
        "queue": "billing",
        "priority": 9.3,
        "expected_loss_minor": 4_650,
        "currency": "EUR",
        "lock_version": 1,
        "opened_at": ENTERED,
        "due_at": instant_text(NOW + timedelta(days=2)),
        "resolved_by": None,
        "resolved_at": None,
    }
    tx.insert("cases", {**usual, **given})
    for kind, object_id, state in (("draft", draft_id, "held"), ("case", case_id, "open")):
        tx.insert(
            "state_changes",
            {
                "object_type": kind,
                "object_id": object_id,
                "from_state": None,
                "to_state": state,
                "entered_at": ENTERED,
                "entered_by": "run-2026-10",
            },
        )
    return case_id


def add_waiting(tx: Tx, number: int = 1, **case: Any) -> str:
    """One customer with a contract, a held draft, its decision and its case."""
    add_entity(tx)
    customer_id, contract_id = f"CUST-{number:05}", f"CON-{number:05}"
    draft_id = f"DE:2026-10:SUB-{number:05}"
    add_customer(tx, customer_id, f"Customer {number}")
    add_contract(tx, customer_id, contract_id)
    over_billed = line(
        1, draft_id=draft_id, unit_price="17.5", amount_minor=17_500, gross_minor=17_500
    )
    api_calls = line(
        2,
        draft_id=draft_id,
        charge_id="api_calls",
        name="API calls",
        charge_model="graduated",
        timing="in_arrears",
        meter="api_calls",
        quantity="120500",
        unit_price="0.002",
        gross_minor=24_100,
        amount_minor=24_100,
        tax_minor=4_579,
    )
    add_draft(
        tx,
        draft_id,
        customer_id=customer_id,
        contract_id=contract_id,
        lines=[over_billed, api_calls],
    )
    add_decision(tx, draft_id, [finding("price_differs_from_contract", 5_000, invoice_id=draft_id)])
    return add_case(tx, draft_id, **case)
