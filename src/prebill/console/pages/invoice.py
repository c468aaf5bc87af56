"""A draft or the document issued from it: lines, totals, journal, deliveries, versions."""

import json
from typing import Any

from prebill.console import words
from prebill.console.facts import customer_name
from prebill.console.links import case_href
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.timeline import timeline
from prebill.console.views import Event, Fact, InvoiceLine, InvoicePage, PostingRow, VersionRow
from prebill.store.console import (
    case_of_draft,
    deliveries_of,
    document_of,
    draft_versions,
    postings_of,
)
from prebill.store.engine import Tx

Row = dict[str, Any]


def invoice_page(tx: Tx, visitor: Visitor, draft_id: str) -> InvoicePage:
    """Read a draft with everything that came of it."""
    versions = draft_versions(tx, draft_id)
    draft, document = versions[0], document_of(tx, draft_id)
    currency = draft["currency"]
    case_id = case_of_draft(tx, draft_id)
    document_id = document["document_id"] if document else ""
    objects = [name for name in (draft_id, case_id, document_id) if name]
    return InvoicePage(
        title=document_id or draft_id,
        viewer=viewer_of(visitor),
        heading=f"Invoice {document_id}" if document else f"Draft {draft_id}",
        state=draft["state"],
        customer=customer_name(tx, draft["customer_id"]),
        facts=_facts(draft, document),
        lines=tuple(_line(one, currency) for one in json.loads(draft["lines_json"])),
        subtotal=words.money(draft["subtotal_minor"], currency),
        tax=words.money(draft["tax_minor"], currency),
        total=words.money(draft["total_minor"], currency),
        postings=tuple(_posting(row) for row in postings_of(tx, document_id)) if document else (),
        deliveries=tuple(_delivery(row) for row in deliveries_of(tx, document_id)),
        versions=tuple(_version(row) for row in versions),
        case_href=case_href(case_id) if case_id else "",
        timeline=timeline(tx, *objects),
    )


def _facts(draft: Row, document: Row | None) -> tuple[Fact, ...]:
    facts = [
        Fact("Draft", draft["draft_id"]),
        Fact("Contract", draft["contract_id"]),
        Fact("Subscription", draft["subscription_id"]),
        Fact("Legal entity", draft["entity_id"]),
        Fact("Period", words.span(draft["period_start_on"], draft["period_end_on"])),
        Fact("Tax point", words.day(draft["tax_point_on"])),
    ]
    if document:
        facts += [
            Fact("Number", document["document_id"]),
            Fact("Issued on", words.day(document["issued_on"])),
            Fact("Due on", words.day(document["due_on"])),
        ]
    return tuple(facts)


def _line(line: Row, currency: str) -> InvoiceLine:
    has_discount = words.decimal(line["discount_percent"]) != "0"
    return InvoiceLine(
        name=line["name"],
        service=words.span(line["service_start_on"], line["service_end_on"]),
        quantity=words.decimal(line["quantity"]),
        unit_price=words.decimal(line["unit_price"]),
        discount=f"{words.decimal(line['discount_percent'])} %" if has_discount else "–",
        amount=words.bare_money(line["amount_minor"], currency),
        tax=words.bare_money(line["tax_minor"], currency),
        tax_code=line["tax_code"],
    )


def _posting(row: Row) -> PostingRow:
    amount, currency = row["amount_minor"], row["currency"]
    name = f" {row['account_name']}" if row["account_name"] else ""
    return PostingRow(
        account=f"{row['account_id']}{name}",
        purpose=words.phrase(row["purpose"]),
        debit=words.money(amount, currency) if amount > 0 else "",
        credit=words.money(-amount, currency) if amount < 0 else "",
    )


def _delivery(row: Row) -> Event:
    at = row["delivered_at"] or row["next_attempt_at"]
    tries = words.counted(row["attempts"], "attempt")
    error = f": {row['last_error']}" if row["last_error"] else ""
    return Event(words.instant(at), f"{row['channel']} {row['status']}{error}", tries)


def _version(row: Row) -> VersionRow:
    return VersionRow(
        version=row["version"][:12],
        state=words.phrase(row["state"]),
        entered=words.instant(row["entered_at"]),
        by=row["entered_by"],
        total=words.money(row["total_minor"], row["currency"]),
        action=row["action"] or "–",
    )
