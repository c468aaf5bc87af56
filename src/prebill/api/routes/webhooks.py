"""``POST /v1/webhooks/{system}``: events of a billing engine, believed by their signature alone.

They act for the user to whom the engine's secret is bound (`prebill token bind`). An event that is
sent again gets the answer that it got before.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from prebill.api.context import Served, Services
from prebill.api.idempotency import Once
from prebill.core.errors import InputError, UnauthenticatedError
from prebill.store.users import authenticate_secret

router: Final = APIRouter(prefix="/v1", tags=["gate"])

#: Stripe's largest events have some hundred kB.
MAX_BODY_BYTES: Final = 4 * 1024 * 1024


@router.post("/webhooks/{system}")
async def post_webhook(system: str, request: Request, served: Served) -> Response:
    """Score the draft that an event is about; hold it before the event is acknowledged."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:  # before anybody is known: no stranger fills the memory
            message = f"the limit is {MAX_BODY_BYTES:,} bytes"
            raise InputError(message)
    return await run_in_threadpool(_received, served, system, request.headers, bytes(body))


def _received(served: Services, system: str, headers: Mapping[str, str], body: bytes) -> Response:
    from prebill.api.engine_events import receive
    from prebill.connectors.notify.webhook import REFUSED

    engine = served.engines.get(system)
    if engine is None:
        raise UnauthenticatedError(REFUSED)
    event = engine.verify(headers, body, datetime.now(UTC))
    with served.store.read() as tx:
        actor = authenticate_secret(tx, system, engine.secret)
    # Not of the body: an engine may count its attempts in it.
    digest = hashlib.sha256(event.subject.encode()).hexdigest()
    once = Once(served.store, actor, f"{system}:{event.event_id}", digest)
    return once.answer(lambda: (200, receive(served, engine, event, actor)))
