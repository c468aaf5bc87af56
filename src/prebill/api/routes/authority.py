"""Delegations and releases made alone, over HTTP."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from prebill.api.auth import Decider, Operator, Reader
from prebill.api.context import Served
from prebill.store import approvals
from prebill.workflows import approving

router: Final = APIRouter(prefix="/v1", tags=["authority"])


class DelegationBody(BaseModel):
    """Who stands in, from when until when, and why."""

    model_config = ConfigDict(extra="forbid")

    #: E-mail address of the stand-in.
    to: str
    from_at: AwareDatetime
    until_at: AwareDatetime
    reason: str = Field(min_length=1, max_length=500)
    #: An administrator delegates for somebody else: their e-mail address.
    absent: str = ""


class DelegationRow(BaseModel):
    """A delegation that holds or will."""

    delegation_id: str
    from_user_id: str
    to_user_id: str
    from_at: str
    until_at: str
    reason: str
    entered_by: str


class GlassRow(BaseModel):
    """A release that somebody made alone and nobody has reviewed."""

    case_id: str
    draft_id: str
    reason: str
    entered_at: str
    entered_by: str


class ReviewBody(BaseModel):
    """What somebody else found."""

    model_config = ConfigDict(extra="forbid")

    review: str = Field(min_length=1, max_length=2000)


@router.get("/delegations")
def get_delegations(served: Served, _: Reader) -> list[DelegationRow]:
    """List the delegations that hold or will."""
    with served.store.read() as tx:
        rows = approvals.list_delegations(tx, datetime.now(UTC))
    return [
        DelegationRow(**{name: row[name] for name in DelegationRow.model_fields}) for row in rows
    ]


@router.post("/delegations", status_code=201)
def post_delegation(body: DelegationBody, served: Served, actor: Decider) -> dict[str, str]:
    """Let a colleague stand in; what they sign counts within the lower of both limits."""
    made = approving.delegate(
        served.installation,
        actor,
        body.to,
        body.from_at,
        body.until_at,
        reason=body.reason,
        from_email=body.absent,
    )
    return {"delegation_id": made}


@router.post("/delegations/{delegation_id}:end")
def post_end(delegation_id: str, served: Served, actor: Decider) -> dict[str, str]:
    """End a delegation of one's own; an administrator ends any."""
    approving.end_delegation(served.installation, actor, delegation_id)
    return {"delegation_id": delegation_id}


@router.get("/broken-glass")
def get_glass(served: Served, _: Reader) -> list[GlassRow]:
    """List releases that somebody made alone and nobody has reviewed."""
    with served.store.read() as tx:
        rows = approvals.unreviewed_glass(tx)
    return [GlassRow(**{name: row[name] for name in GlassRow.model_fields}) for row in rows]


@router.post("/broken-glass/{case_id:path}:review")
def post_review(case_id: str, body: ReviewBody, served: Served, actor: Operator) -> dict[str, str]:
    """Say what one found about a release that somebody else made alone."""
    approving.review_glass(served.installation, case_id, actor, body.review)
    return {"case_id": case_id}
