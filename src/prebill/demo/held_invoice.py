"""Tell one held invoice in six lines: what was expected, what was billed, proof, smallest fix."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from prebill.console.expectation import Comparison, compare
from prebill.core.money import format_minor
from prebill.demo.catalogue import PERIOD
from prebill.demo.report import HeldInvoice
from prebill.store.console import CaseFilter, find_case, list_cases, phases_of, terms_of
from prebill.store.engine import Tx

Row = Mapping[str, Any]

#: How far down the queue a case with a comparison in money is looked for.
_LOOKED_AT: Final = 50
_EVIDENCE_SHOWN: Final = 4
#: What contract and subscription must share, with the option of `prebill correct` that mends it.
_SHARED: Final = ("plan_id", "price_book_id", "quantity", "discount_percent", "discount_ends_on")


def held_invoice(tx: Tx) -> HeldInvoice | None:
    """Return the first held invoice of the queue on which money was expected otherwise."""
    listed = list_cases(tx, CaseFilter(action="hold"), limit=_LOOKED_AT)
    drafts = [case for case in listed if case["kind"] == "draft"]
    for case in drafts:
        told = _told(tx, find_case(tx, case["case_id"]))
        if told is not None and told.billed_minor != told.expected_minor:
            return told
    return None


def _told(tx: Tx, case: Row) -> HeldInvoice | None:
    findings = json.loads(case["findings_json"] or "[]")
    if not findings:
        return None
    lines = json.loads(case["lines_json"] or "[]")
    comparison = compare(lines, findings)
    leading = max(findings, key=lambda one: abs(one["amount_minor"] or 0))
    fix, option = _smallest_fix(tx, case, comparison, leading)
    return HeldInvoice(
        draft_id=case["draft_id"],
        customer=f"{case['customer_name']} ({case['customer_id']})",
        currency=case["currency"],
        billed_minor=comparison.billed_minor,
        expected_minor=comparison.expected_minor,
        reason=str(leading["text"]),
        evidence=_evidence(case, findings),
        smallest_fix=fix,
        command=f"prebill correct {case['case_id']} {option}".rstrip(),
    )


def _evidence(case: Row, findings: Sequence[Row]) -> str:
    """Ids that prove it: those that the judges named, and the contract."""
    ids: dict[str, None] = {}
    for one in findings:
        ids |= dict.fromkeys(part.strip() for part in one["evidence"].split(",") if part.strip())
    named = list(ids)
    shown = ", ".join([*named[:_EVIDENCE_SHOWN], f"contract {case['contract_id']}"])
    more = len(named) - _EVIDENCE_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _smallest_fix(tx: Tx, case: Row, comparison: Comparison, leading: Row) -> tuple[str, str]:
    """The correction at the source, in words and as options of ``prebill correct``."""
    phase = _in_force(phases_of(tx, case["subscription_id"]))
    term = _in_force(terms_of(tx, case["contract_id"]))
    if phase and term:
        differing = [name for name in _SHARED if phase[name] != term[name]]
        if differing:
            words = ", ".join(f"{name} {phase[name]} → {term[name]}" for name in differing)
            options = [f"--{name.replace('_', '-')} {term[name] or 'none'}" for name in differing]
            return (
                f"make phase {phase['phase_id']} what term {term['term_id']} says: {words}",
                " ".join([f"--phase {phase['phase_id']}", *options]),
            )
    named = [gap for gap in comparison.gaps if gap.finding and gap.difference_minor]
    if named:
        expected = leading["expected"] or format_minor(named[0].expected_minor, case["currency"])
        return f"correct {named[0].name}: ordinary is {expected}", ""
    return f"correct the invoice: ordinary is {leading['expected'] or 'see reason'}", ""


def _in_force(rows: Sequence[Row]) -> Row | None:
    """The last term or phase that has begun by the period's end."""
    begun = [row for row in rows if str(row["effective_from_on"]) < PERIOD.end_on.isoformat()]
    return begun[-1] if begun else None
