"""``Idempotency-Key``: the same key with the same request gives the first answer again."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from prebill.api.auth import signed_in
from prebill.api.context import Served
from prebill.api.problems import IdempotencyError
from prebill.core.errors import ConflictError, InputError
from prebill.store.engine import Store, Tx
from prebill.store.idempotency import Answer, claim_key, keep_answer, release_key
from prebill.store.users import Actor

MAX_KEY_LENGTH: Final = 200
Work = Callable[[], tuple[int, dict[str, object]]]


class Once:
    """Does a request's work once per key; without a key it is simply done."""

    def __init__(self, store: Store, actor: Actor, key: str | None, request_hash: str) -> None:
        self._store, self._actor = store, actor
        self._key, self._request_hash = key, request_hash

    def answer(self, work: Work) -> Response:
        """Return the answer that was given before, or do the work and keep its answer.

        A failure keeps nothing: the same key may be sent again.

        Raises
        ------
        IdempotencyError
            The key was used for another request.
        ConflictError
            The same request is under way.
        """
        if self._key is None:
            status, body = work()
            return JSONResponse(body, status)
        with self._store.transaction() as tx:
            known = self._claim(tx)
        if known is not None:
            replayed = {"Idempotency-Replayed": "true"}
            return Response(known.json, known.status, replayed, "application/json")
        try:
            status, body = work()
        except BaseException:
            with self._store.transaction() as tx:
                release_key(tx, self._key, self._actor.user_id)
            raise
        answer = Answer(status, json.dumps(body, separators=(",", ":")))
        with self._store.transaction() as tx:
            keep_answer(tx, self._key, self._actor.user_id, answer)
        return Response(answer.json, answer.status, media_type="application/json")

    def _claim(self, tx: Tx) -> Answer | None:
        assert self._key is not None
        try:
            return claim_key(tx, self._key, self._actor.user_id, self._request_hash)
        except ConflictError as error:
            if error.facts.get("same_request"):
                raise
            raise IdempotencyError(str(error)) from None


async def once(
    request: Request,
    served: Served,
    actor: Annotated[Actor, Depends(signed_in)],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Once:
    """Read key and request; the hash covers method, path and body."""
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= MAX_KEY_LENGTH:
        message = f"an idempotency key has 1 to {MAX_KEY_LENGTH} characters"
        raise InputError(message)
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return Once(served.store, actor, idempotency_key, digest.hexdigest())


DoneOnce = Annotated[Once, Depends(once)]
