"""``POST /v1/usage-events``: CloudEvents, acknowledged only when durable."""

import json
from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from prebill.api.auth import Operator
from prebill.api.context import Served
from prebill.api.idempotency import DoneOnce
from prebill.core.errors import InputError

router: Final = APIRouter(prefix="/v1", tags=["usage"])

#: Ten thousand events of about 1 kB.
MAX_BODY_BYTES: Final = 16 * 1024 * 1024


@router.post("/usage-events")
async def post_usage_events(
    request: Request, served: Served, actor: Operator, once: DoneOnce
) -> Response:
    """Accept one CloudEvent or a batch.

    Events are unique by (source, id): sending one again adds nothing. What the data contract
    refuses is named in the answer and waits in the quarantine; if nothing was accepted the status
    is 422. Quantities should be texts; digits of JSON numbers are kept as written.
    """
    events = _events(await request.body())

    def work() -> tuple[int, dict[str, object]]:
        from prebill.workflows.staging import accept_events

        done = accept_events(served.store, served.catalog, events, actor.user_id)
        refused = [asdict(one) for one in done.refused]
        return 200 if done.accepted else 422, {"accepted": done.accepted, "refused": refused}

    return await run_in_threadpool(once.answer, work)


def _events(body: bytes) -> list[dict[str, Any]]:
    """Read the body without turning numbers into floats.

    Raises
    ------
    InputError
        It is too large, no JSON, or holds something else than events.
    """
    if len(body) > MAX_BODY_BYTES:
        message = f"the request has {len(body):,} bytes; the limit is {MAX_BODY_BYTES:,}"
        raise InputError(message)
    try:
        found = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        message = f"the body is no JSON: {error}"
        raise InputError(message) from None
    events = found if isinstance(found, list) else [found]
    if not all(isinstance(event, dict) for event in events):
        message = "send one CloudEvent as a JSON object, or a list of them"
        raise InputError(message)
    return events
