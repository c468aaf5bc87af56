"""Cases with one cause over HTTP: list, one with its sample, decide all that wait, detach one."""

from typing import Any, Final

from fastapi import APIRouter, BackgroundTasks, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from prebill.api.auth import Decider, Reader
from prebill.api.context import Served
from prebill.core.errors import NotFoundError
from prebill.store import grouping as store
from prebill.workflows import grouping
from prebill.workflows.grouping import GroupVerdict

router: Final = APIRouter(prefix="/v1", tags=["cases"])


class GroupBody(BaseModel):
    """A cause and its open cases; amounts by currency, in minor units."""

    cause: str
    cases: int
    #: Sum of the members' priorities.
    priority: float
    expected_loss_minor: dict[str, int]
    due_at: str


class MembersBody(BaseModel):
    """A cause with the sample that must be decided before the rest."""

    cause: str
    waiting: list[str]
    sample: list[str]
    sample_verdicts: list[str]
    may_release: bool
    may_reject: bool


class WantedBody(BaseModel):
    """Why; the reason becomes the label of every case."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=200)
    note: str = Field("", max_length=1900)


class ProgressBody(BaseModel):
    """How far a decision on a group is."""

    decision_id: str
    cause: str
    verdict: str
    status: str
    pending: int
    done: int
    refused: int
    #: Why the first fifty were left: ``case_id, message``.
    left: list[dict[str, Any]]


@router.get("/case-groups")
def get_groups(served: Served, _: Reader) -> list[GroupBody]:
    """List the causes that several open cases have, the most money per reviewer minute first."""
    with served.store.read() as tx:
        groups = store.groups_of(store.list_groups(tx))
    return [
        GroupBody(
            cause=cause,
            cases=rows[0]["in_all"],
            priority=rows[0]["priority"],
            expected_loss_minor={row["currency"]: row["expected_loss_minor"] for row in rows},
            due_at=min(row["due_at"] for row in rows),
        )
        for cause, rows in groups.items()
    ]


@router.get("/case-groups/{cause:path}")
def get_group(cause: str, served: Served, _: Reader) -> MembersBody:
    """Return the members of a cause and its sample."""
    with served.store.read() as tx:
        found = grouping.sampled(tx, cause)
        waiting = [one["case_id"] for one in store.members(tx, cause)]
    if not found.case_ids:
        message = f"no case has the cause {cause}"
        raise NotFoundError(message, cause=cause)
    return MembersBody(
        cause=cause,
        waiting=waiting,
        sample=list(found.case_ids),
        sample_verdicts=list(found.verdicts),
        may_release=bool(waiting) and found.supports("release"),
        may_reject=bool(waiting) and found.supports("reject"),
    )


@router.post("/case-groups/{cause:path}:{verdict}")
def post_group(
    cause: str,
    verdict: GroupVerdict,
    body: WantedBody,
    served: Served,
    actor: Decider,
    background: BackgroundTasks,
) -> Response:
    """Decide all waiting cases of a cause. 202: they are decided one after the other."""
    opened = served.installation
    decision_id = grouping.decide_group(opened, actor, cause, verdict, body.reason, body.note)
    background.add_task(grouping.carry_on, opened, decision_id)
    path = f"/v1/group-decisions/{decision_id}"
    return JSONResponse({"decision_id": decision_id}, 202, headers={"Location": path})


@router.get("/group-decisions/{decision_id}")
def get_decision(decision_id: str, served: Served, _: Reader) -> ProgressBody:
    """Return how far a decision on a group is."""
    with served.store.read() as tx:
        state = store.progress(tx, decision_id)
        left = store.refused(tx, decision_id)
    names = ProgressBody.model_fields.keys() - {"left"}
    return ProgressBody(**{name: state[name] for name in names}, left=left)


@router.post("/cases/{case_id:path}:detach")
def post_detach(case_id: str, served: Served, actor: Decider) -> dict[str, str]:
    """Let a case stand alone: a decision on its group does not reach it."""
    grouping.detach(served.installation, case_id, actor.user_id)
    return {"case_id": case_id}
