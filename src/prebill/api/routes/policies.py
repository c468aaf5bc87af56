"""Policies over HTTP: every version, the steps of its life, and who did what."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from prebill.api.auth import Decider, Reader
from prebill.api.context import Served, Services
from prebill.api.etags import IfMatch, etag, version_of
from prebill.api.idempotency import DoneOnce
from prebill.api.problems import PreconditionFailedError
from prebill.core.errors import ConflictError
from prebill.store.configurations import (
    POLICY,
    Version,
    find,
    in_force,
    simulation_of,
    versions,
)
from prebill.store.console import names_of
from prebill.store.engine import Tx
from prebill.store.users import Actor
from prebill.workflows import configuration_life as life
from prebill.workflows.configuration_history import history
from prebill.workflows.configuration_kinds import KINDS
from prebill.workflows.configuration_life import MAX_CHARACTERS, MAX_NOTE, Draft, Order, Step

router: Final = APIRouter(prefix="/v1", tags=["policies"])


class PolicyBrief(BaseModel):
    """One version as the list shows it."""

    number: int
    name: str
    #: SHA-256 of its meaning: what decisions name as ``policy_hash``.
    digest: str
    note: str
    status: str
    lock_version: int
    entered_by: str
    author: str
    entered_at: str
    submitted_at: str | None
    approved_by: str | None
    approver: str | None
    approved_at: str | None
    live_from_at: str | None
    live_at: str | None
    retired_at: str | None
    #: What was in force before it; a roll-back goes there.
    replaces_number: int | None
    #: Digest of what its simulation compared it with.
    compared_with: str | None
    #: What the caller may do with it now.
    next_steps: list[str]


class PolicyBody(PolicyBrief):
    """One version with its text and, once submitted, its simulation."""

    content: str
    simulation: dict[str, Any] | None


class InForce(BaseModel):
    """What judges drafts now; ``number`` is null while no version ever went live."""

    number: int | None
    name: str
    digest: str


class PolicyList(BaseModel):
    """Every version, the newest first."""

    in_force: InForce
    policies: list[PolicyBrief]


class ChangeBody(BaseModel):
    """Who did what, and the difference of the texts in unified form."""

    at: str
    actor: str
    name: str
    number: int
    what: str
    status: str
    reason: str
    detail: dict[str, Any]
    digest: str
    diff: str


class DraftBody(BaseModel):
    """A policy text and what it is for."""

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1, max_length=MAX_CHARACTERS)
    note: str = Field("", max_length=MAX_NOTE)


class StepBody(BaseModel):
    """Why; for an activation also from when, with time zone, null: now."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=MAX_NOTE)
    live_from_at: AwareDatetime | None = None


@router.get("/policies")
def get_policies(served: Served, actor: Reader) -> PolicyList:
    """List every version and say what is in force."""
    opened = served.installation
    with served.store.read() as tx:
        listed, names = versions(tx, POLICY), names_of(tx)
        now_at = datetime.now(UTC)
        live = in_force(tx, POLICY, now_at)
        present = life.wording_in_force(opened, tx, KINDS[POLICY], now_at)
    return PolicyList(
        in_force=InForce(
            number=live.number if live else None, name=present.name, digest=present.digest
        ),
        policies=[PolicyBrief(**_brief(one, actor, names)) for one in listed],
    )


@router.get("/policies:history")
def get_history(served: Served, _: Reader, number: int | None = None) -> list[ChangeBody]:
    """Say who did what and when, the oldest first; of one version, or of all."""
    with served.store.read() as tx:
        changes = history(tx, POLICY, number)
    left_out = {"kind"}
    return [
        ChangeBody(**{name: value for name, value in asdict(one).items() if name not in left_out})
        for one in changes
    ]


@router.get("/policies/{number}")
def get_policy(number: int, served: Served, actor: Reader, response: Response) -> PolicyBody:
    """Return one version; its ETag is what a change names in If-Match."""
    with served.store.read() as tx:
        version = find(tx, POLICY, number)
        body = _whole(tx, version, actor)
    response.headers["ETag"] = etag(version.lock_version)
    return PolicyBody(**body)


@router.post("/policies", status_code=201, response_model=PolicyBody)
def post_policy(body: DraftBody, served: Served, actor: Decider, once: DoneOnce) -> Response:
    """Enter a draft; 422 names what is wrong with the text."""
    given = Draft(body.content, body.note)
    made = _answered(served, actor, lambda: life.draft(served.installation, POLICY, given, actor))
    return once.answer(lambda: (201, made()))


@router.put("/policies/{number}", response_model=PolicyBody)
def put_policy(
    number: int,
    body: DraftBody,
    served: Served,
    actor: Decider,
    once: DoneOnce,
    if_match: IfMatch = None,
) -> Response:
    """Change one's own draft that is still as If-Match saw it."""
    seen = version_of(if_match, "policy")
    given = Draft(body.content, body.note)
    done = _answered(
        served,
        actor,
        lambda: life.edit(served.installation, POLICY, number, given, actor, lock_version=seen),
        seen=(number, seen),
    )
    return once.answer(lambda: (200, done()))


@router.post("/policies/{number}:{step}", response_model=PolicyBody)
def post_step(
    number: int,
    step: Step,
    body: StepBody,
    served: Served,
    actor: Decider,
    once: DoneOnce,
    if_match: IfMatch = None,
) -> Response:
    """Submit, approve, send back, activate, withdraw or roll back what is as If-Match saw it.

    ``roll-back`` names the version that is live; the answer is the one that came back.
    """
    life.require_role(actor, step)
    seen = version_of(if_match, "policy")
    order = Order(number, step, seen, body.reason, body.live_from_at)
    done = _answered(
        served,
        actor,
        lambda: life.carry_out(served.installation, POLICY, order, actor),
        seen=(number, seen),
    )
    return once.answer(lambda: (200, done()))


def _answered(
    served: Services,
    actor: Actor,
    work: Callable[[], Version],
    *,
    seen: tuple[int, int] | None = None,
) -> Callable[[], dict[str, object]]:
    """What a change answers; where its version was changed meanwhile, 412 with the present tag."""

    def answer() -> dict[str, object]:
        try:
            version = work()
        except ConflictError as error:
            if seen is None:
                raise
            with served.store.read() as tx:
                present = find(tx, POLICY, seen[0]).lock_version
            if present != seen[1]:
                raise PreconditionFailedError(str(error), etag=etag(present)) from None
            raise
        with served.store.read() as tx:
            return _whole(tx, version, actor)

    return answer


def _brief(version: Version, actor: Actor, names: dict[str, str]) -> dict[str, Any]:
    row = {
        name: getattr(version, name) for name in PolicyBrief.model_fields if hasattr(version, name)
    }
    approver = names.get(version.approved_by, version.approved_by) if version.approved_by else None
    return {
        **row,
        "status": version.status.value,
        "author": names.get(version.entered_by, version.entered_by),
        "approver": approver,
        "next_steps": [step.value for step in life.next_steps(version, actor)],
    }


def _whole(tx: Tx, version: Version, actor: Actor) -> dict[str, Any]:
    return {
        **_brief(version, actor, names_of(tx)),
        "content": version.content,
        "simulation": simulation_of(tx, version),
    }
