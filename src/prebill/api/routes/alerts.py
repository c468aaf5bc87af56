"""Alerts over HTTP: what is beyond its limit, and that somebody looks after it."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel

from prebill.api.auth import Decider, Reader
from prebill.api.context import Served
from prebill.store import alerts
from prebill.workflows.alert_life import acknowledge

router: Final = APIRouter(prefix="/v1", tags=["alerts"])

MAX_PAST: Final = 200


class AlertBody(BaseModel):
    """One alert. It stands until ``gone_at``; ``resolved_by`` dealt with it before that."""

    alert_id: int
    cause: str
    kind: str
    severity: str
    title: str
    text: str
    #: Page of the console to look at.
    path: str
    count: int
    since_at: str
    #: Address that was told; after an escalation whom it was handed to.
    owner: str
    first_seen_at: str
    last_seen_at: str
    acknowledged_at: str | None
    acknowledged_by: str | None
    escalated_at: str | None
    resolved_at: str | None
    resolved_by: str | None
    gone_at: str | None


class AlertsBody(BaseModel):
    """The open ones, the worst first, and the latest that are over."""

    open: list[AlertBody]
    past: list[AlertBody]


@router.get("/alerts")
def get_alerts(
    served: Served, _: Reader, past: Annotated[int, Query(ge=0, le=MAX_PAST)] = 0
) -> AlertsBody:
    """List the open alerts, and ``past`` of those that are over."""
    with served.store.read() as tx:
        now, over = alerts.open_alerts(tx), alerts.past_alerts(tx, past)
    return AlertsBody(
        open=[AlertBody(**row) for row in now], past=[AlertBody(**row) for row in over]
    )


@router.post("/alerts/{alert_id}:acknowledge")
def post_acknowledge(alert_id: int, served: Served, actor: Decider) -> AlertBody:
    """Look after an alert, so that it is not escalated: 409 where somebody does already."""
    row = acknowledge(served.installation, alert_id, actor.user_id, datetime.now(UTC))
    return AlertBody(**row)
