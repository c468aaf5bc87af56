"""A case: the verdict in one line, the decision, and everything that supports it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prebill.api.reasons import ERROR_REASONS, RELEASE_REASONS
from prebill.bootstrap import Installation
from prebill.console import words
from prebill.console.assistance import help_of
from prebill.console.charts import compare_bars
from prebill.console.expectation import (
    EXACT,
    STATISTICAL,
    TAX,
    Comparison,
    Finding,
    Gap,
    compare,
    findings_of,
)
from prebill.console.facts import case_facts, correction_choices, payment_facts
from prebill.console.handling import handled
from prebill.console.history import chart_of, past_invoices, past_rows
from prebill.console.links import case_href
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.timeline import timeline
from prebill.console.views import CasePage, Claim, ComparedLine, Fact, Option, Reason
from prebill.core.scoring.labels import SAMPLE
from prebill.store.claims import viewers_of
from prebill.store.console import find_case, names_of, next_case_id, verdict_of
from prebill.store.engine import Tx

_BASIS: Final = {
    EXACT: "Expected: what the contract, the price book and the rules of the document say.",
    STATISTICAL: "Expected: what is ordinary for this customer.",
    "": "No judge named another amount.",
}
_NOT_SHOWN: Final = "What the judges expected is not shown before your answer."
_NOTICES: Final = {
    "released": "Released.",
    "corrected": "Corrected. The new version was judged again.",
    "rejected": "Rejected. It will not be issued.",
    "signed": "Signed. It goes out once the others have signed too.",
    "comment": "Your comment stands below.",
    "ask": "Asked. The case is back on the queue with the answer, at the latest at its deadline.",
    "answer": "Answered. The case is back on the queue.",
    "snooze": "It sleeps. Its deadline stays.",
    "wake": "It is back on the queue.",
    "escalate": "Escalated: a controller decides it.",
    "send-back": "Sent back to its queue.",
}
_GATE_NOTICES: Final = {
    "released": "Released. {engine} is told to issue it.",
    "rejected": "Rejected. {engine} is told to keep it a draft; correct or delete it there.",
}
_SAMPLE_NOTICES: Final = {
    "released": "Noted: it was right.",
    "rejected": "Noted: it is wrong. It stays issued: credit it, and mend the source.",
}
_VERBS: Final = {"hold": "Held", "review": "To review", "release": "Released, to look at"}


@dataclass(frozen=True, slots=True)
class Told:
    """What the page says about the action before it."""

    notice: str = ""
    problem: str = ""
    reason: str = ""


def case_page(
    tx: Tx, opened: Installation, visitor: Visitor, case_id: str, told: Told | None = None
) -> CasePage:
    """Read everything about a case."""
    told = told or Told()
    case = find_case(tx, case_id)
    findings = findings_of(case["findings_json"], case["reasons"])
    lines = json.loads(case["lines_json"] or "[]")
    comparison = compare(lines, findings, tax_minor=case["tax_minor"] or 0)
    currency, buttons = case["currency"], _buttons(case)
    past = past_invoices(tx, opened.lake, case)
    following = next_case_id(tx)
    now_at = datetime.now(UTC)
    is_blind = case["kind"] == SAMPLE and case["status"] == "open"
    return CasePage(
        title=f"{_VERBS[case['action']]}: {case['customer_name'] or case['draft_id']}",
        viewer=viewer_of(visitor),
        case_id=case_id,
        action=case["action"],
        status=words.phrase(case["status"]),
        verdict=verdict_sentence(case, comparison, findings),
        verdict_facts=_verdict_facts(case),
        is_open=case["status"] == "open",
        claim=_claim(tx, case, visitor, now_at),
        handled=handled(tx, opened, case, visitor, now_at),
        outcome=_outcome(tx, case),
        decide_path=case_href(case_id),
        lock_version=case["lock_version"],
        release_reasons=_reason_options(RELEASE_REASONS, told.reason),
        error_reasons=_reason_options(ERROR_REASONS, told.reason),
        release_label=buttons.release,
        reject_label=buttons.reject,
        correct_elsewhere=buttons.correct_elsewhere,
        corrections=correction_choices(tx, case),
        currency=currency,
        notice=_notice(told.notice, case),
        problem=told.problem,
        queue_href="/queue",
        next_href=case_href(following) if following and following != case_id else "",
        compared=_compared(comparison, currency),
        compared_basis=_NOT_SHOWN if is_blind else _BASIS[comparison.basis],
        expected_total=words.bare_money(comparison.expected_minor, currency),
        billed_total=words.bare_money(comparison.billed_minor, currency),
        total_label="With tax" if comparison.has_tax else "Before tax",
        difference_total=words.signed_bare_money(comparison.difference_minor, currency),
        difference_direction=words.direction(comparison.difference_minor),
        reasons=_reasons(findings, currency),
        help=help_of(tx, case, visitor, opened.settings.withheld_share),
        history=chart_of(past, case),
        past=past_rows(past, case),
        customer=case["customer_name"] or case["customer_id"] or case["draft_id"],
        payment=payment_facts(case, opened.load_policy().collecting),
        facts=case_facts(tx, case),
        timeline=timeline(tx, case_id, case["draft_id"], opened_at=case["opened_at"]),
    )


def _claim(tx: Tx, case: dict[str, Any], visitor: Visitor, now_at: datetime) -> Claim:
    others = viewers_of(tx, case["case_id"], visitor.actor.user_id, now_at)
    also = also_here(others)
    if case["owner_id"] is None:
        return Claim("free", "Nobody works on this case.", also)
    until = words.instant(case["owned_until"])
    if case["owner_id"] == visitor.actor.user_id:
        return Claim("mine", f"You work on this case until {until}, longer while it is open.", also)
    return Claim("other", f"{case['owner'] or case['owner_id']} works on it until {until}.", also)


def also_here(names: list[str]) -> str:
    """Say who else has the case open."""
    return f"Also here: {', '.join(names)}." if names else ""


@dataclass(frozen=True, slots=True)
class _Buttons:
    """What the two decisions are called, and where a correction is made if not here."""

    release: str = "Release"
    reject: str = "Reject"
    correct_elsewhere: str = ""


def _buttons(case: dict[str, Any]) -> _Buttons:
    if case["kind"] == "gap":
        return _Buttons(
            "Nothing is missing",
            "It is missing",
            "A missing invoice is corrected at its source: import the subscription and run the "
            "period again.",
        )
    if case["kind"] == SAMPLE:
        return _Buttons(
            "It is right",
            "It is wrong",
            "This invoice is issued already; it was drawn at random and nothing waits for your "
            "answer. What the judges said is shown after it. If it is wrong, credit it and mend "
            "the source.",
        )
    if case["kind"] == "gate":
        engine = words.the_engine(case["system"])
        return _Buttons(
            correct_elsewhere=f"A correction is made in {engine}: the changed draft is scored "
            "again as a new version, and this case lapses."
        )
    return _Buttons()


def _notice(name: str, case: dict[str, Any]) -> str:
    if case["kind"] == SAMPLE and name in _SAMPLE_NOTICES:
        return _SAMPLE_NOTICES[name]
    if case["kind"] == "gate" and name in _GATE_NOTICES:
        engine = words.the_engine(case["system"])
        return _GATE_NOTICES[name].format(engine=f"{engine[:1].upper()}{engine[1:]}")
    return _NOTICES.get(name, "")


def verdict_sentence(case: dict[str, Any], comparison: Comparison, findings: list[Finding]) -> str:
    """Say in one line what happened, how much money it is, how sure, and why."""
    currency = case["currency"]
    difference = comparison.difference_minor
    parts = []
    if case["kind"] == "gap":
        parts.append(f"an invoice of {words.money(abs(difference), currency)} was not drafted")
    elif difference:
        than = "more" if difference > 0 else "less"
        parts.append(f"{words.money(abs(difference), currency)} {than} than expected")
    elif case["total_minor"] is not None:
        parts.append(f"{words.money(case['total_minor'], currency)} billed")
    if case["p_error"] is not None:
        parts.append(f"{words.percent(case['p_error'])} likely wrong")
    sentence = f"{_VERBS[case['action']]}: {', '.join(parts)}" if parts else _VERBS[case["action"]]
    cause = _cause(comparison, findings)
    return f"{sentence}. Cause: {words.phrase(cause['code'])}." if cause else f"{sentence}."


def _cause(comparison: Comparison, findings: list[Finding]) -> Finding | None:
    """The finding behind most of the difference; without one, the first of the reasons."""
    explained = [gap for gap in comparison.gaps if gap.finding]
    if explained:
        return max(explained, key=lambda gap: abs(gap.difference_minor)).finding
    return next(iter(ranked_findings(findings)), None)


def ranked_findings(findings: list[Finding]) -> list[Finding]:
    """Findings by money, exact ones first among equals; those without money come last."""
    return sorted(
        findings,
        key=lambda one: (
            -abs(one.get("amount_minor") or 0),
            one["basis"] != EXACT,
            -(one.get("score") or 0.0),
        ),
    )


def _verdict_facts(case: dict[str, Any]) -> tuple[Fact, ...]:
    currency = case["currency"]
    facts = [
        Fact("Customer", case["customer_name"] or case["customer_id"] or "–"),
        Fact("Total", words.money(case["total_minor"], currency)),
        Fact("Expected loss", words.money(case["expected_loss_minor"], currency)),
        Fact("Paid late", words.likely(case["p_late"])),
        Fact("History", case["confidence"] or "–"),
        Fact("Decide by", words.instant(case["due_at"])),
    ]
    if case["system"]:
        facts.append(Fact("Drafted by", words.engine_name(case["system"])))
    if case["p_error_basis"] == "prior":
        facts.append(Fact("Likelihood", "from the policy's prior"))
    return tuple(facts)


def _outcome(tx: Tx, case: dict[str, Any]) -> str:
    if case["status"] == "open":
        return ""
    verdict = verdict_of(tx, case["case_id"])
    if verdict is None:
        return f"This case is closed: {words.phrase(case['status'])}."
    known = RELEASE_REASONS | ERROR_REASONS
    reason = known.get(verdict["reason_code"], words.phrase(verdict["reason_code"]))
    note = f" “{verdict['note']}”" if verdict["note"] else ""
    done = words.phrase(case["status"]).capitalize()
    at = words.instant(verdict["entered_at"])
    who = names_of(tx).get(verdict["entered_by"], verdict["entered_by"])
    return f"{done} by {who}, {at}: {reason}.{note}"


def _reason_options(reasons: dict[str, str], chosen: str) -> tuple[Option, ...]:
    return tuple(Option(code, label, code == chosen) for code, label in reasons.items())


def _compared(comparison: Comparison, currency: str) -> tuple[ComparedLine, ...]:
    pairs = [(gap.expected_minor, gap.billed_minor) for gap in comparison.gaps]
    bars = compare_bars(pairs)
    rows = []
    for gap, bar in zip(comparison.gaps, bars, strict=True):
        is_surplus = not gap.line_id and gap.expected_minor < 0  # too much on the whole: no line
        rows.append(
            ComparedLine(
                name=f"{gap.line_id}. {gap.name}" if gap.line_id not in {"", TAX} else gap.name,
                detail=_detail(gap),
                expected="–" if is_surplus else words.bare_money(gap.expected_minor, currency),
                billed=words.bare_money(gap.billed_minor, currency) if gap.line_id else "–",
                difference=words.signed_bare_money(gap.difference_minor, currency)
                if gap.difference_minor
                else "–",
                direction=words.direction(gap.difference_minor),
                bar=bar,
            )
        )
    return tuple(rows)


def _detail(gap: Gap) -> str:
    if gap.finding is None:
        return ""
    expected = gap.finding.get("expected")
    cause = words.phrase(gap.finding["code"])
    return f"{cause}; ordinary: {expected}" if expected else cause


def _reasons(findings: list[Finding], currency: str) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            amount=words.signed_money(one["amount_minor"], currency)
            if one.get("amount_minor")
            else words.phrase(one["code"]),
            direction=words.direction(one.get("amount_minor")),
            text=one["text"],
            expected=one.get("expected") or "",
            judge=", ".join(
                part for part in (words.phrase(one["detector"]), _basis_words(one)) if part
            ),
            lines=one["line_ids"],
            evidence=one["evidence"],
        )
        for one in ranked_findings(findings)
    )


def _basis_words(finding: Finding) -> str:
    if finding["basis"] == "could_not_judge":
        return "could not judge"
    if finding["basis"] == EXACT:
        return "exact"
    score = finding.get("score")
    return "statistical" if score is None else f"rarer than {words.rarity(score)}"
