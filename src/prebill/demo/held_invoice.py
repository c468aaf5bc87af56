"""Tell one held invoice in six lines: what was expected, what was billed, proof, smallest fix."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from prebill.console.expectation import EXACT, Comparison, compare
from prebill.core.money import format_minor
from prebill.demo.catalogue import PERIOD
from prebill.demo.report import HeldInvoice
from prebill.store.console import CaseFilter, find_case, list_cases, phases_of, terms_of
from prebill.store.engine import Tx

Row = Mapping[str, Any]

#: How far down the queue a case with a correction that can be read off is looked for.
_LOOKED_AT: Final = 100
_EVIDENCE_SHOWN: Final = 4
_NUMBERS: Final = ("quantity", "discount_percent")
#: What contract and subscription share; `prebill correct --kind phase` sets each of them.
_SHARED: Final = ("plan_id", "price_book_id", *_NUMBERS, "discount_ends_on")


@dataclass(frozen=True, slots=True)
class Fix:
    """A correction in words, and as the options of ``prebill correct``."""

    words: str
    kind: str
    values: Mapping[str, str]


def held_invoice(tx: Tx, program: str = "prebill") -> HeldInvoice | None:
    """Return the first held invoice of the queue whose correction can be read off the data.

    Where there is none, the first one on which money was expected otherwise; ``program`` is how
    Prebill is called, with the settings of the environment that it needs.
    """
    second_best = None
    for case in _held_drafts(tx):
        findings = json.loads(case["findings_json"] or "[]")
        comparison = compare(json.loads(case["lines_json"] or "[]"), findings)
        if not comparison.difference_minor:
            continue
        fix = _phase_fix(tx, case) or _quantity_fix(case, comparison)
        told = _told(case, findings, comparison, fix, program)
        if fix is not None:
            return told
        second_best = second_best or told
    return second_best


def _held_drafts(tx: Tx) -> Iterator[Row]:
    for case in list_cases(tx, CaseFilter(action="hold"), limit=_LOOKED_AT):
        if case["kind"] == "draft":
            yield find_case(tx, case["case_id"])


def _told(
    case: Row, findings: Sequence[Row], comparison: Comparison, fix: Fix | None, program: str
) -> HeldInvoice:
    leading = max(comparison.gaps, key=lambda gap: abs(gap.difference_minor))
    finding = leading.finding or findings[0]
    ordinary = format_minor(leading.expected_minor, case["currency"])
    words = ["cases", "show", case["case_id"]]
    if fix is not None:
        words = ["correct", case["case_id"], "--reason", str(finding["code"])]
        words += ["--kind", fix.kind]
        for name, value in fix.values.items():
            words += ["--set", f"{name}={value}"]
    return HeldInvoice(
        draft_id=case["draft_id"],
        customer=f"{case['customer_name']} ({case['customer_id']})",
        currency=case["currency"],
        billed_minor=comparison.billed_minor,
        expected_minor=comparison.expected_minor,
        reason=str(finding["text"]),
        evidence=_evidence(case, findings),
        smallest_fix=fix.words if fix else f"{leading.name}: ordinary is {ordinary}",
        command=f"{program} {shlex.join(words)}",
    )


def _evidence(case: Row, findings: Sequence[Row]) -> str:
    """Ids that prove it: those that the judges named, and contract and subscription."""
    ids = dict.fromkeys((f"contract {case['contract_id']}",))
    for one in findings:
        ids |= dict.fromkeys(part.strip() for part in one["evidence"].split(",") if part.strip())
    named = [*ids, f"subscription {case['subscription_id']}"]
    more = len(named) - _EVIDENCE_SHOWN
    return ", ".join(named[:_EVIDENCE_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _phase_fix(tx: Tx, case: Row) -> Fix | None:
    """What the phase in force must take over from the term that began on the same day."""
    phase = _in_force(phases_of(tx, case["subscription_id"]))
    term = _in_force(terms_of(tx, case["contract_id"]))
    if phase is None or term is None or phase["effective_from_on"] != term["effective_from_on"]:
        return None
    differing = [name for name in _SHARED if _value(phase, name) != _value(term, name)]
    values = {name: _value(term, name) for name in differing}
    if not values or None in values.values():
        return None
    told = ", ".join(f"{name} {_value(phase, name) or 'none'} → {values[name]}" for name in values)
    return Fix(
        words=f"phase {phase['phase_id']} takes over term {term['term_id']}: {told}",
        kind="phase",
        values={"phase_id": str(phase["phase_id"]), **{n: str(v) for n, v in values.items()}},
    )


def _value(row: Row, name: str) -> str | None:
    value = row[name]
    if value is None:
        return None
    return format(Decimal(str(value)).normalize(), "f") if name in _NUMBERS else str(value)


def _in_force(rows: Sequence[Row]) -> Row | None:
    """The last term or phase that has begun by the period's end."""
    begun = [row for row in rows if str(row["effective_from_on"]) < PERIOD.end_on.isoformat()]
    return begun[-1] if begun else None


def _quantity_fix(case: Row, comparison: Comparison) -> Fix | None:
    """The quantity that an exact judge of usage expects, where one metered line alone is wrong."""
    if len([gap for gap in comparison.gaps if gap.difference_minor]) != 1:
        return None
    lines = {str(line["line_id"]): line for line in json.loads(case["lines_json"] or "[]")}
    for gap in comparison.gaps:
        line, finding = lines.get(gap.line_id), gap.finding
        if line is None or finding is None or not line.get("meter") or finding["basis"] != EXACT:
            continue
        expected = str(finding["expected"] or "")
        if finding["line_ids"] == gap.line_id and re.fullmatch(r"[\d,]+(\.\d+)?", expected):
            quantity = expected.replace(",", "")
            return Fix(
                words=f"{gap.name}: quantity {line['quantity']} → {quantity}",
                kind="usage_quantity",
                values={"charge_id": str(line["charge_id"]), "quantity": quantity},
            )
    return None
