"""``/v1/billing-runs``: start a billing run, and see how far it is. Workers do the work."""

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field

from prebill.api.auth import Operator, Reader
from prebill.api.context import Served
from prebill.api.idempotency import DoneOnce
from prebill.store.console import draft_states, find_run

router: Final = APIRouter(prefix="/v1", tags=["billing runs"])


class RunOrder(BaseModel):
    """Which month to bill; without ``as_of_at`` as of now."""

    period: str = Field(pattern=r"^\d{4}-\d{2}$", examples=["2026-10"])
    entity_id: str | None = None
    as_of_at: AwareDatetime | None = None


class RunBody(BaseModel):
    """A run and its drafts by state."""

    run_id: str
    period: str
    status: str
    is_final: bool
    as_of_at: str
    started_at: str
    finished_at: str | None
    error: str | None
    drafts: dict[str, int]
    skipped: int


@router.post("/billing-runs", status_code=202)
def post_billing_run(order: RunOrder, served: Served, actor: Operator, once: DoneOnce) -> Response:
    """Freeze a run and enqueue it; an unfinished run of the period is continued instead."""

    def work() -> tuple[int, dict[str, object]]:
        from prebill.workflows import plan, runtime

        opened = served.installation
        run_id = plan.open_run(
            opened,
            order.period,
            as_of_at=order.as_of_at,
            now_at=datetime.now(UTC),
            entity_id=order.entity_id,
            actor=actor.user_id,
        )
        runtime.enqueue_run(opened.store, run_id)
        is_alive = runtime.is_worker_alive(opened.store)
        return 202, {"run_id": run_id, "worker": "alive" if is_alive else "none: start one"}

    return once.answer(work)


@router.get("/billing-runs/{run_id:path}")
def get_billing_run(run_id: str, served: Served, _: Reader) -> RunBody:
    """Return a run with the states of its drafts."""
    with served.store.read() as tx:
        run: dict[str, Any] = find_run(tx, run_id)
        drafts = draft_states(tx, [run_id])[run_id]
    return RunBody(**run, drafts=drafts, skipped=run["skips"])
