"""Answers kept by idempotency key: a request that is sent twice is done once.

A key is claimed first, the work is done, its answer kept. A claim without an answer belongs to a
request under way; it lapses, so that a process that died does not block the key for ever.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from prebill.core.errors import ConflictError
from prebill.store.codec import instant_text, now_text
from prebill.store.engine import Tx

#: Longer than any request; the work itself is safe to repeat (versions, business keys).
CLAIM_LAPSES_AFTER: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered the first time."""

    status: int
    json: str


def claim_key(tx: Tx, key: str, user_id: str, request_hash: str) -> Answer | None:
    """Claim a key for a request; an answer means that it was done before.

    Raises
    ------
    ConflictError
        ``same_request`` among the facts: True, the same request is under way; False, the key
        was used for another one.
    """
    row = {
        "key": key,
        "user_id": user_id,
        "request_hash": request_hash,
        "response_json": None,
        "status_code": None,
        "entered_at": now_text(),
    }
    if tx.insert("idempotency_keys", row, on_conflict="ignore") == 1:
        return None
    known = tx.get("idempotency_keys", key=key, user_id=user_id)
    if known["request_hash"] != request_hash:
        message = "this idempotency key was used for another request: use a new one"
        raise ConflictError(message, same_request=False)
    if known["response_json"] is not None:
        return Answer(known["status_code"], known["response_json"])
    where = {"key": key, "user_id": user_id, "entered_at": known["entered_at"]}
    lapsed = instant_text(datetime.now(UTC) - CLAIM_LAPSES_AFTER)
    is_ours = known["entered_at"] < lapsed and tx.update(
        "idempotency_keys", {"entered_at": now_text()}, where=where
    )
    if not is_ours:
        message = "the same request is being worked on: ask again in a moment"
        raise ConflictError(message, same_request=True)
    return None


def keep_answer(tx: Tx, key: str, user_id: str, answer: Answer) -> None:
    """Keep the answer of a claimed key."""
    values = {"response_json": answer.json, "status_code": answer.status}
    tx.update("idempotency_keys", values, where={"key": key, "user_id": user_id})


def release_key(tx: Tx, key: str, user_id: str) -> None:
    """Give a claimed key back: the request failed and may be sent again."""
    tx.execute(
        "DELETE FROM idempotency_keys "
        "WHERE key = :key AND user_id = :user_id AND response_json IS NULL",
        {"key": key, "user_id": user_id},
    )
