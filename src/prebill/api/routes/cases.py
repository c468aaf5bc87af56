"""Cases over HTTP: the queue by pages, one case, and the decisions."""

import json
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from prebill.api.auth import Decider, Reader
from prebill.api.context import Served
from prebill.api.cursor import decode_cursor, encode_cursor
from prebill.api.decide import MAX_NOTE, Decision, Kind, decide
from prebill.api.etags import IfMatch, etag, version_of
from prebill.api.idempotency import DoneOnce
from prebill.api.problems import PreconditionFailedError
from prebill.api.proposals import proposal_of
from prebill.core.errors import ConflictError, InputError
from prebill.store.console import FREE, MAX_LIMIT, CaseFilter, Cursor, find_case, list_cases
from prebill.store.handling import notes_of
from prebill.store.users import Actor
from prebill.workflows import claiming

router: Final = APIRouter(prefix="/v1", tags=["cases"])

STATUSES: Final = ("open", "released", "corrected", "rejected", "lapsed")


class CaseBrief(BaseModel):
    """One case as the list shows it. Amounts are in minor units of ``currency``."""

    case_id: str
    kind: str
    draft_id: str
    draft_version: str
    action: str
    status: str
    queue: str
    #: ``worth`` (expected money saved per reviewer minute) times ``urgency`` of the deadline.
    priority: float | None
    worth: float | None
    urgency: float
    expected_loss_minor: int
    total_minor: int | None
    currency: str
    p_error: float | None
    direction: str | None
    customer_id: str | None
    period: str | None
    #: Engine that drafted it; null: Prebill itself.
    system: str | None
    lock_version: int
    opened_at: str
    due_at: str
    resolved_by: str | None
    resolved_at: str | None
    #: Who works on it, and until when without a sign of them; null: nobody.
    owner: str | None
    owned_until: str | None
    #: ``snooze`` or ``question`` and until when it is off the queue; null: it waits.
    pause: str | None
    paused_until: str | None
    #: Who was asked.
    asked: str | None
    reasons: list[dict[str, Any]]


class Proposal(BaseModel):
    """Proposed payment terms and first dunning step. Nothing of it is sent or changes anything."""

    terms: str
    terms_text: str
    step: str
    step_text: str
    #: Days after the due date; negative: before it.
    step_days: int
    step_on: date | None
    #: Median day of payment; null: no due date yet, or it may never be paid.
    expected_on: date | None


class Note(BaseModel):
    """Words on a case: comment, question, answer, snooze, wake, escalation or sent_back."""

    seq: int
    kind: str
    text: str
    author: str | None
    entered_at: str
    #: A file is at ``/v1/cases/{case_id}/files/{seq}``.
    file_name: str | None
    media_type: str | None
    size: int | None


class CaseDetail(CaseBrief):
    """One case with what the judges found, the lines of its draft, and what people said."""

    entity_id: str | None
    contract_id: str | None
    subscription_id: str | None
    subtotal_minor: int | None
    tax_minor: int | None
    p_error_basis: str | None
    p_late: float | None
    days_late_p50: float | None
    days_late_p90: float | None
    anomaly_score: float | None
    confidence: str | None
    policy_hash: str | None
    #: Null: there are no payment figures.
    proposal: Proposal | None
    findings: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    notes: list[Note]


class CasePageBody(BaseModel):
    """A page of cases; ``next_cursor`` is null on the last one."""

    cases: list[CaseBrief]
    next_cursor: str | None


def brief_of(row: dict[str, Any]) -> dict[str, Any]:
    """Read the JSON columns of a case's row."""
    return {**row, "reasons": json.loads(row["reasons"] or "[]")}


def detail_of(row: dict[str, Any]) -> dict[str, Any]:
    """Read the JSON columns of a whole case."""
    return {
        **brief_of(row),
        "findings": json.loads(row["findings_json"] or "[]"),
        "lines": json.loads(row["lines_json"] or "[]"),
    }


def owner_filter(owner: str, actor: Actor) -> str:
    """Read ``me`` and ``nobody``.

    Raises
    ------
    InputError
        It is another word: nobody asks for a colleague's cases by name.
    """
    known = {"": "", "me": actor.user_id, "nobody": FREE}
    if owner not in known:
        message = f"unknown owner {owner!r}: use me or nobody"
        raise InputError(message, owner=owner)
    return known[owner]


@router.get("/cases")
def get_cases(
    served: Served,
    actor: Reader,
    status: str = "open",
    action: str = "",
    currency: str = "",
    queue: str = "",
    search: str = "",
    owner: str = "",
    pause: Literal["no", "yes", "any"] = "no",
    asked: Literal["", "me"] = "",
    cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> CasePageBody:
    """List cases, the most money per reviewer minute first.

    ``owner``: ``me``, ``nobody``, or empty for all. ``pause``: ``yes`` for cases that sleep or
    wait for an answer. ``asked``: ``me`` for those on which one was asked.
    """
    if status not in STATUSES:
        message = f"unknown status {status!r}: use one of {', '.join(STATUSES)}"
        raise InputError(message, status=status)
    which = CaseFilter(
        *(status, action, currency, queue, search, owner_filter(owner, actor)),
        pause=pause,
        asked=actor.user_id if asked else "",
    )
    with served.store.read() as tx:
        rows = list_cases(tx, which, after=decode_cursor(cursor), limit=limit)
    next_cursor = None
    if len(rows) == limit:
        next_cursor = encode_cursor(Cursor(rows[-1]["priority"], rows[-1]["case_id"]))
    return CasePageBody(cases=[CaseBrief(**brief_of(row)) for row in rows], next_cursor=next_cursor)


@router.get("/cases/{case_id:path}")
def get_case(case_id: str, served: Served, _: Reader, response: Response) -> CaseDetail:
    """Return one case; its ETag is what a decision names in If-Match."""
    with served.store.read() as tx:
        row = find_case(tx, case_id)
        notes = notes_of(tx, case_id)
    response.headers["ETag"] = etag(row["lock_version"])
    proposal = proposal_of(row, served.installation.load_policy().collecting)
    return CaseDetail(
        **detail_of(row),
        proposal=Proposal(**proposal) if proposal else None,
        notes=[Note(**note) for note in notes],
    )


class Claimed(BaseModel):
    """The case that one works on now; null: nothing waits that nobody else works on."""

    case_id: str | None


@router.post("/cases:next")
def post_next(served: Served, actor: Decider, queue: str = "") -> Claimed:
    """Claim the case that is worth most of those that nobody else works on."""
    return Claimed(case_id=claiming.claim_next(served.installation, actor, queue=queue))


@router.post("/cases/{case_id:path}:claim")
def post_claim(case_id: str, served: Served, actor: Decider) -> Claimed:
    """Claim a case, or stay on it: 409 where somebody else works on it."""
    claiming.claim(served.installation, case_id, actor.user_id)
    return Claimed(case_id=case_id)


@router.post("/cases/{case_id:path}:take-over")
def post_take_over(case_id: str, served: Served, actor: Decider) -> Claimed:
    """Claim a case whoever works on it; the audit log says from whom."""
    claiming.take_over(served.installation, case_id, actor.user_id)
    return Claimed(case_id=case_id)


@router.post("/cases/{case_id:path}:let-go")
def post_let_go(case_id: str, served: Served, actor: Decider) -> Claimed:
    """End one's own claim; without one nothing happens."""
    claiming.let_go(served.installation, case_id, actor.user_id)
    return Claimed(case_id=None)


class DecisionBody(BaseModel):
    """Why; for a correction also what is right. Nobody names who decides: the token does."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=200, examples=["unusual_but_right"])
    note: str = Field("", max_length=MAX_NOTE)
    correction: dict[str, Any] | None = None
    #: Release: why a controller does not wait for the signatures that the policy wants.
    alone_because: str = Field("", max_length=MAX_NOTE)


@router.post("/cases/{case_id:path}:{kind}")
def post_decision(
    case_id: str,
    kind: Kind,
    body: DecisionBody,
    served: Served,
    actor: Decider,
    once: DoneOnce,
    if_match: IfMatch = None,
) -> Response:
    """Release, correct or reject a case that is still as If-Match saw it."""
    version = version_of(if_match, "case")

    def work() -> tuple[int, dict[str, object]]:
        decision = Decision(
            *(kind, case_id, version, body.reason, body.note, body.correction),
            alone_because=body.alone_because,
        )
        try:
            done = decide(served.installation, actor, decision)
        except ConflictError as error:
            with served.store.read() as tx:
                present = find_case(tx, case_id)
            if present["lock_version"] != version:
                raise PreconditionFailedError(
                    str(error), etag=etag(present["lock_version"])
                ) from None
            raise
        return 200, asdict(done)

    return once.answer(work)
