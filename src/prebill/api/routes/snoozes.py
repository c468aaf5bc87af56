"""``/v1/snoozes``: rules that are left out for one customer for a while."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field

from prebill.api.auth import Operator, Reader
from prebill.api.context import Served
from prebill.api.idempotency import DoneOnce
from prebill.store.snoozes import snoozes
from prebill.workflows import policy_upkeep

router: Final = APIRouter(prefix="/v1", tags=["snoozes"])


class SnoozeOrder(BaseModel):
    """Which rule not to ask for whom, until when and why."""

    rule_id: str = Field(min_length=1, max_length=200)
    customer_id: str = Field(min_length=1, max_length=200)
    until_at: AwareDatetime
    reason: str = Field(min_length=1, max_length=2000)


class SnoozeBody(BaseModel):
    """A snooze in force."""

    snooze_id: str
    rule_id: str
    customer_id: str
    reason: str
    until_at: str
    entered_by: str
    entered_at: str


@router.get("/snoozes")
def get_snoozes(served: Served, actor: Reader) -> list[SnoozeBody]:  # noqa: ARG001
    """List the snoozes in force, the one that ends first first."""
    with served.store.read() as tx:
        rows = snoozes(tx, datetime.now(UTC))
    return [SnoozeBody.model_validate(row) for row in rows]


@router.post("/snoozes", status_code=201)
def post_snooze(order: SnoozeOrder, served: Served, actor: Operator, once: DoneOnce) -> Response:
    """Leave a rule of the policy in force out for a customer."""

    def work() -> tuple[int, dict[str, object]]:
        snooze_id = policy_upkeep.snooze(
            served.installation,
            order.rule_id,
            order.customer_id,
            until_at=order.until_at,
            reason=order.reason,
            by=actor.user_id,
        )
        return 201, {"snooze_id": snooze_id}

    return once.answer(work)


@router.post("/snoozes/{snooze_id}:end")
def post_end(snooze_id: str, served: Served, actor: Operator, once: DoneOnce) -> Response:
    """Let the rule judge the customer again."""

    def work() -> tuple[int, dict[str, object]]:
        policy_upkeep.end_snooze(served.installation, snooze_id, actor.user_id)
        return 200, {"snooze_id": snooze_id}

    return once.answer(work)
