"""Help on a case's page: the smallest passing change, similar cases, what is recommended."""

import json
import shlex
from typing import Any, Final

from prebill.api.reasons import ERROR_REASONS, RELEASE_REASONS
from prebill.console import words
from prebill.console.correction_form import PROPOSED
from prebill.console.links import case_href
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.views import Change, ChangePage, Help, Option, SimilarCase, Step
from prebill.core.triage.recommend import LOOK, RULES, Recommendation
from prebill.core.triage.routing import Routing, Usual
from prebill.store.assistance import live_recommender
from prebill.store.console import customer_of, find_case, names_of
from prebill.store.engine import Row, Tx
from prebill.workflows.assisting import Assistance, assistance_of
from prebill.workflows.candidates import TAX
from prebill.workflows.smallest_change import SmallestChange, reason_against

_ACTIONS: Final = {
    "release": "release it: it is likely right",
    "correct": "correct it",
    "reject": "reject it",
}
_DONE: Final = {"release": "Released", "correct": "Corrected", "reject": "Rejected"}
#: Beginning of a reason code → what a person would say.
_REASONS: Final = {
    "price": "wrong_price",
    "currency": "wrong_price",
    "quantity": "wrong_quantity",
    "discount": "wrong_discount",
    "duplicate_usage": "wrong_quantity",
}
_WITHHELD: Final = (
    "Nothing is recommended on this case: a share of them is decided without, to learn how good "
    "the recommendations are."
)


def help_of(tx: Tx, case: Row, visitor: Visitor, withheld_share: float) -> Help | None:
    """What stands beside the reasons; None: the case is answered without help."""
    found = assistance_of(tx, case, withheld_share)
    if found is None:
        return None
    may_try = case["status"] == "open" and viewer_of(visitor).may_decide
    why_not = reason_against(case)
    path = f"{case_href(case['case_id'])}/smallest-change"
    return Help(
        change=Change(why_not=why_not or "Corrections were not tried yet."),
        change_href="" if why_not or not may_try else path,
        recommendation=_recommended(tx, found) if case["status"] == "open" else "",
        similar=_similar(tx, found),
        usual=_usual(tx, found.routing),
    )


def change_page(tx: Tx, visitor: Visitor, found: SmallestChange) -> ChangePage:
    """The answer to "with what would it pass?" as a page of its own."""
    case = find_case(tx, found.case_id)
    href = case_href(found.case_id)
    return ChangePage(
        title="The smallest passing change",
        viewer=viewer_of(visitor),
        customer=case["customer_name"] or case["customer_id"] or case["draft_id"],
        case_href=href,
        decide_path=href,
        lock_version=case["lock_version"],
        change=change_of(found, reason_of(case)),
    )


def change_of(found: SmallestChange, reason: str) -> Change:
    """The passing change in words, and its first step as a form sends it."""
    if not found.steps:
        return Change(why_not=found.why_not)
    steps = tuple(
        Step(one.text, json.dumps(correction, sort_keys=True))
        for one, correction in zip(found.steps, found.corrections, strict=True)
    )
    return Change(
        why_not="",
        sentence=change_sentence(found),
        steps=steps,
        kind=PROPOSED,
        reason=Option(reason, ERROR_REASONS[reason], is_chosen=True),
    )


def change_sentence(found: SmallestChange) -> str:
    """Say what would pass and what it changes, or why nothing does."""
    if not found.steps:
        return found.why_not
    told = "; and ".join(one.text for one in found.steps)
    return f"Would pass: {told} ({_money_change(found)})"


def _money_change(found: SmallestChange) -> str:
    difference = found.difference_minor
    if difference is None:
        new = words.money(found.new_total_minor, found.new_currency)
        return f"{new} instead of {words.money(found.total_minor, found.currency)}"
    return f"{words.signed_money(difference, found.currency)} with tax"


def reason_of(case: Row) -> str:
    """The reason a person would give, after the exact finding with the most money."""
    found = json.loads(case["findings_json"] or "[]")
    exact = [one for one in found if one["basis"] == "exact"]
    exact.sort(key=lambda one: -abs(one["amount_minor"] or 0))
    for one in exact:
        if one["code"] in TAX:
            return "wrong_tax"
        for start, reason in _REASONS.items():
            if one["code"].startswith(start):
                return reason
    return "other_error"


# ── What others decided ──────────────────────────────────────────────────────────────────────


def _recommended(tx: Tx, found: Assistance) -> str:
    if found.is_withheld:
        return _WITHHELD
    if found.recommendation is None:
        return ""
    return recommended_sentence(tx, found.recommendation)


def recommended_sentence(tx: Tx, told: Recommendation) -> str:
    """Say what is recommended, how sure, and on which ground."""
    if told.action == LOOK and told.basis == RULES:
        return "No recommendation: no exact judge objects in a way that a rule decides. Look at it."
    ground = "by rule: too few verdicts to learn from"
    if told.basis != RULES:
        _, known = live_recommender(tx)
        number = words.counted(known.verdicts if known else 0, "verdict")
        ground = f"learnt from {number}"
    if told.action == LOOK:
        return f"No recommendation: no action is likelier than not ({ground}). Look at it."
    sure = words.percent(told.confidence)
    return f"Recommended: {_ACTIONS[told.action]}, {sure} sure ({ground})."


def _similar(tx: Tx, found: Assistance) -> tuple[SimilarCase, ...]:
    if found.similar.is_empty():
        return ()
    names = names_of(tx)
    return tuple(_similar_case(tx, row, names) for row in found.similar.iter_rows(named=True))


def _similar_case(tx: Tx, row: dict[str, Any], names: dict[str, str]) -> SimilarCase:
    customer = customer_of(tx, row["customer_id"]) if row["customer_id"] else None
    who = names.get(row["resolved_by"], row["resolved_by"])
    known = RELEASE_REASONS | ERROR_REASONS
    reason = known.get(row["reason_code"], words.phrase(row["reason_code"]))
    on = words.day(row["resolved_at"].date().isoformat())
    amount = row["amount_minor"]
    return SimilarCase(
        href=case_href(row["case_id"]),
        customer=(customer or {}).get("name") or row["customer_id"] or row["case_id"],
        money=words.signed_money(amount, row["currency"]) if amount else "no amount named",
        direction=words.direction(amount),
        decided=f"{_DONE[row['verdict']]} by {who}, {on}: {reason}",
        codes=", ".join(words.phrase(code) for code in row["codes"].split(",")),
        likeness=words.percent(1.0 - row["distance"]),
    )


def _usual(tx: Tx, routing: Routing | None) -> tuple[str, ...]:
    """Queue, person and cause of cases with the same leading reason; empty: too few."""
    if routing is None:
        return ()
    owner = names_of(tx).get(routing.owner.value, routing.owner.value)
    lines = [
        f"Queue: {routing.queue.value} ({_of(routing.queue)})",
        f"Owner: {owner} ({_of(routing.owner)})",
    ]
    if routing.cause is not None:
        known = RELEASE_REASONS | ERROR_REASONS
        cause = known.get(routing.cause.value, words.phrase(routing.cause.value))
        lines.append(f"Cause, where it was wrong: {cause} ({_of(routing.cause)})")
    of = routing.queue.of
    lines.append(f"First queue was the last: {routing.stuck:,} of {of:,}")
    return tuple(lines)


def _of(usual: Usual) -> str:
    return f"{usual.count:,} of {usual.of:,}"


def correct_command(found: SmallestChange, reason: str) -> str:
    """The command that enters the first step."""
    given = found.corrections[0]
    words_of = ["prebill", "correct", found.case_id, "--reason", reason, "--kind", given["kind"]]
    for name, value in given.items():
        if name != "kind":
            words_of += ["--set", f"{name}={_plain(value)}"]
    return shlex.join(words_of)


def _plain(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def help_lines(tx: Tx, case: Row, withheld_share: float) -> list[str]:
    """The same for the terminal, a sentence a line."""
    found = assistance_of(tx, case, withheld_share)
    if found is None:
        return []
    recommended = _recommended(tx, found) if case["status"] == "open" else ""
    similar = [
        f"similar, {one.likeness} alike: {one.customer}, {one.money}. {one.decided}"
        for one in _similar(tx, found)
    ]
    usual = [f"usual   {line}" for line in _usual(tx, found.routing)]
    return [line for line in (recommended, *similar, *usual) if line]
