"""Verdicts of people on cases: release, reject, correct.

A verdict names the version of the case that the person saw; who acts comes from the credential.
Everything of a verdict happens in one transaction. A correction is computed before it: gather,
judge the draft as it would be, then store verdict, source change and new version together.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import polars as pl

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.accounting.journal import Ledger, postings, unpostable
from prebill.core.errors import ConflictError, ForbiddenError, InputError
from prebill.core.schemas.internal import DRAFTS
from prebill.core.scoring.labels import SAMPLE
from prebill.store.agreements import shared_frames
from prebill.store.cases import close_case, save_label, save_verdict, verdicts_on
from prebill.store.claims import require_mine
from prebill.store.drafts import lines_of, live_draft, one_changed, set_state
from prebill.store.engine import Row, Tx
from prebill.store.engine_drafts import lock_drafts
from prebill.store.grouping import POLICY
from prebill.store.handling import first_queue
from prebill.workflows import approving
from prebill.workflows.apply import apply_rows
from prebill.workflows.assisting import keep_answer
from prebill.workflows.bill import issuing_of
from prebill.workflows.correct import Recomputed, recompute, store_source_change
from prebill.workflows.correction_kinds import Correction, as_json, parse_correction
from prebill.workflows.finalize import issue
from prebill.workflows.gate_cases import carry_verdict

Verdict = Literal["release", "correct", "reject"]
_STATUS: Final[dict[Verdict, str]] = {
    "release": "released",
    "correct": "corrected",
    "reject": "rejected",
}
_WAITING: Final = ("in_review", "held")
#: Why ``POLICY`` releases what nobody looked at in time, where the policy says so.
DEADLINE_PASSED: Final = "deadline_passed"
#: State of a case on which somebody agreed and others must.
SIGNED: Final = "signed"
#: Kind of case → where the mistake is mended: not here.
CORRECTED_ELSEWHERE: Final = {
    "gap": "a missing invoice is corrected at its source: import the subscription and run the "
    "period again",
    SAMPLE: "the invoice is issued: say that it is wrong, mend the source and credit it there",
    "gate": "correct it in the engine that drafted it: the changed draft is scored again as a new "
    "version, and this case lapses",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a verdict led to: the draft's state, its document if it was issued, its new case.

    ``left``: signatures that are missing; the case then still waits.
    """

    case_id: str
    draft_id: str
    draft_version: str
    state: str
    document_id: str | None = None
    new_case_id: str | None = None
    left: int = 0


def release(
    opened: Installation,
    case_id: str,
    actor: str,
    expected_version: int,
    reason: str = "",
    *,
    note: str = "",
    alone_because: str = "",
) -> Resolved:
    """Issue the draft of a case as it is; in the sample, say that it was right.

    Where the policy wants more people than one, this is one's signature, and the last one issues.
    ``alone_because``: why a controller does not wait for the others; somebody reviews that later.

    Raises
    ------
    NotFoundError
        There is no such case.
    ConflictError
        The case changed meanwhile, the draft can't be posted, or the month is closed.
    ForbiddenError
        The actor entered the correction that made this version, or the policy's approval matrix
        does not count them.
    """
    with opened.store.transaction() as tx:
        case = _taken(tx, case_id)
        _require_seen(case, expected_version)
        _require_other_author(tx, case["draft_id"], actor)
        left = _left(tx, opened, case, actor, alone_because)
        if left:
            return Resolved(case_id, case["draft_id"], case["draft_version"], SIGNED, left=left)
        verdict = _Verdict("release", actor, reason or "confirmed", note)
        _record(opened, tx, case, verdict, expected_version)
        if case["kind"] != "draft":
            return _answered(opened, tx, case, verdict)
        draft = _waiting_draft(tx, case)
        document_id = _issue(opened, tx, draft, actor)
        _moved(tx, draft, "issued", actor)
    return Resolved(case_id, draft["draft_id"], draft["version"], "issued", document_id)


def reject(
    opened: Installation,
    case_id: str,
    actor: str,
    expected_version: int,
    reason: str,
    *,
    note: str = "",
) -> Resolved:
    """Void the draft of a case; it is not issued. The reason is kept and becomes a label.

    In the sample: say that what was released is wrong; it stays issued.

    Raises
    ------
    InputError
        No reason was given.
    NotFoundError, ConflictError
        As for :func:`release`.
    """
    if not reason.strip():
        raise InputError("a rejection needs a reason")
    with opened.store.transaction() as tx:
        case = _taken(tx, case_id)
        verdict = _Verdict("reject", actor, reason, note)
        _record(opened, tx, case, verdict, expected_version)
        if case["kind"] != "draft":
            return _answered(opened, tx, case, verdict)
        draft = _waiting_draft(tx, case)
        _moved(tx, draft, "rejected", actor)
    return Resolved(case_id, draft["draft_id"], draft["version"], "rejected")


def correct(
    opened: Installation,
    case_id: str,
    actor: str,
    expected_version: int,
    *,
    correction: dict[str, Any],
    reason: str = "",
    note: str = "",
) -> Resolved:
    """Correct at the source, draft again, judge again; what is clean then is issued.

    Raises
    ------
    InputError
        The correction is malformed, or changes nothing.
    NotFoundError, ConflictError
        As for :func:`release`.
    """
    with opened.store.read() as tx:
        case = tx.get("cases", case_id=case_id)
        if case["kind"] != "draft":
            raise InputError(CORRECTED_ELSEWHERE[case["kind"]], kind=case["kind"])
        made = parse_correction(correction)
        _require_seen(case, expected_version)
        draft = _waiting_draft(tx, case)
    again = recompute(opened, draft, made, now_at=datetime.now(UTC), actor=actor)
    verdict = _Verdict("correct", actor, reason or made.kind, note, made)
    with opened.store.transaction() as tx:
        _record(opened, tx, case, verdict, expected_version)
        _waiting_draft(tx, case)
        store_source_change(tx, draft, made, again.recorded_at)
        apply_rows(tx, again.rows, draft["run_id"], again.issuing)
    return _resolved(opened, case_id, again)


@dataclass(frozen=True, slots=True)
class _Verdict:
    verdict: Verdict
    actor: str
    reason: str
    note: str = ""
    correction: Correction | None = None


def _resolved(opened: Installation, case_id: str, again: Recomputed) -> Resolved:
    new = again.rows.drafts.row(0, named=True)
    with opened.store.read() as tx:
        document_id = tx.scalar(
            "SELECT document_id FROM documents WHERE draft_id = :id", {"id": new["draft_id"]}
        )
    cases = again.rows.cases.filter(pl.col("kind") == "draft")["case_id"]
    return Resolved(
        case_id,
        new["draft_id"],
        new["version"],
        new["state"],
        document_id,
        cases[0] if len(cases) else None,
    )


def _left(tx: Tx, opened: Installation, case: Row, actor: str, alone_because: str) -> int:
    """Sign; return how many others must sign before the draft goes out."""
    needed = approving.standing(tx, opened, case)
    if needed is None or (actor == POLICY and needed.people <= 1):
        return 0
    if alone_because:
        approving.break_glass(tx, case, actor, alone_because)
        return 0
    require_mine(tx, case["case_id"], actor, datetime.now(UTC))
    signed = approving.sign(tx, opened, case, actor)
    return signed.left if signed else 0


def _taken(tx: Tx, case_id: str) -> Row:
    """The case; on the draft of another engine nobody else stores a version meanwhile."""
    case = tx.get("cases", case_id=case_id)
    if case["kind"] == "gate":
        lock_drafts(tx, [case["draft_id"]])
    return case


def _answered(opened: Installation, tx: Tx, case: Row, verdict: _Verdict) -> Resolved:
    """The end of a case without a draft of ours that waits.

    A gap, a draft that another engine issues, or one that was released and only looked at.
    """
    state = "released" if case["kind"] == SAMPLE else _STATUS[verdict.verdict]
    if case["kind"] == "gate":
        state = carry_verdict(
            tx,
            opened.settings,
            case,
            verdict=verdict.verdict,
            reason=verdict.reason,
            actor=verdict.actor,
        )
    return Resolved(case["case_id"], case["draft_id"], case["draft_version"], state)


def _require_seen(case: Row, expected_version: int) -> None:
    if case["status"] != "open" or case["lock_version"] != expected_version:
        message = f"case {case['case_id']} changed meanwhile: reload it and decide again"
        raise ConflictError(message, case_id=case["case_id"], expected_version=expected_version)


def _waiting_draft(tx: Tx, case: Row) -> Row:
    """The draft version that the case binds to, if it still waits for a verdict."""
    draft = live_draft(tx, case["draft_id"])
    if draft is None or draft["version"] != case["draft_version"] or draft["state"] not in _WAITING:
        message = f"the draft of case {case['case_id']} changed meanwhile: reload the queue"
        raise ConflictError(message, case_id=case["case_id"])
    return draft


def _require_other_author(tx: Tx, draft_id: str, actor: str) -> None:
    """Who corrected a draft doesn't release it, too; the database refuses it as well."""
    verdicts = verdicts_on(tx, draft_id)
    authors = {one["entered_by"] for one in verdicts if one["verdict"] == "correct"}
    if actor in authors:
        message = "you corrected this draft: somebody else must release it"
        raise ForbiddenError(message, draft_id=draft_id)


def _issue(opened: Installation, tx: Tx, draft: Row, actor: str) -> str:
    """Number, journal and deliveries of one draft, dated today in the entity's zone."""
    frame = tx.table_frame(
        "drafts",
        "WHERE draft_id = :draft_id AND version = :version",
        {"draft_id": draft["draft_id"], "version": draft["version"]},
        columns=[*DRAFTS.names, "lines_json"],
    )
    shared = shared_frames(tx)
    ledger = Ledger(shared["legal_entities"], shared["account_mappings"], shared["exchange_rates"])
    lines = lines_of(frame.select("draft_id", "lines_json"))
    reasons = unpostable(frame, lines, ledger).findings["text"].to_list()
    if reasons:
        message = f"{draft['draft_id']} can't be posted: {'; '.join(reasons)}"
        raise ConflictError(message, draft_id=draft["draft_id"])
    issuing = issuing_of(opened, shared["legal_entities"], datetime.now(UTC), actor)
    posted = postings(frame, lines, ledger)
    issued = issue(tx, frame.select(DRAFTS.names), posted, issuing)
    return str(issued["document_id"][0])


def _moved(tx: Tx, draft: Row, state: str, actor: str) -> None:
    set_state(tx, [draft["draft_id"]], state)
    one_changed(tx, "draft", draft["draft_id"], change=(draft["state"], state), entered_by=actor)
    detail: dict[str, object] = {"version": draft["version"]}
    audit.record(tx, actor, f"draft.{state}", draft["draft_id"], detail)


def _record(
    opened: Installation, tx: Tx, case: Row, verdict: _Verdict, expected_version: int
) -> None:
    """Close the case, keep the verdict and its label, and write it down."""
    status = _STATUS[verdict.verdict]
    require_mine(tx, case["case_id"], verdict.actor, datetime.now(UTC))
    opened_in = first_queue(tx, case)
    close_case(
        tx, case["case_id"], status=status, expected_version=expected_version, actor=verdict.actor
    )
    correction = as_json(verdict.correction) if verdict.correction else None
    save_verdict(
        tx,
        case,
        verdict=verdict.verdict,
        reason=verdict.reason,
        note=verdict.note,
        correction=correction,
        actor=verdict.actor,
    )
    if verdict.actor != POLICY:  # nobody looked: that teaches nothing
        keep_answer(tx, opened, case, verdict.verdict, first_queue=opened_in)
        is_error = verdict.verdict != "release"
        save_label(tx, case, is_error=is_error, reason_code=verdict.reason, actor=verdict.actor)
    change = ("open", status)
    one_changed(tx, "case", case["case_id"], change=change, entered_by=verdict.actor)
    detail: dict[str, object] = {
        "draft_id": case["draft_id"],
        "draft_version": case["draft_version"],
        "correction": correction,
    }
    audit.record(tx, verdict.actor, f"case.{status}", case["case_id"], detail)
