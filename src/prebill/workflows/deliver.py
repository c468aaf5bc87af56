"""Deliver what the outbox holds: lease, hand to the connector, write down how it ended.

Issued documents go to files and the webhook, decisions on another engine's drafts to that engine.
A crash between handing over and writing down repeats the delivery under the same id: the file is
found, the receiver of the webhook drops what it has, an engine is already as it was told to be.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from prebill.bootstrap import Installation
from prebill.connectors.billing_engines.base import Engine
from prebill.connectors.billing_engines.registry import engines_of
from prebill.connectors.files.delivery import FilesDelivery
from prebill.connectors.notify.webhook import Webhook
from prebill.core.errors import PermanentError, PrebillError, TransientError
from prebill.store.codec import canonical_json
from prebill.store.engine import Row
from prebill.store.engine_drafts import repeat_last_delivery
from prebill.store.outbox import Outcome, due_deliveries, record_outcomes
from prebill.workflows.finalize import FILES, WEBHOOK
from prebill.workflows.gate_cases import ENGINE

BATCH: Final = 200
LEASE: Final = timedelta(minutes=5)
#: First pause after a failed attempt; each further one doubles it, up to the longest.
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(hours=1)
#: After so many attempts over about two days a person must look.
MAX_ATTEMPTS: Final = 60

_INTERNAL: Final = (
    *("delivery_id", "channel", "attempts", "payload", "decided_draft_id"),
    *("lines_json", "entered_by"),
)


@dataclass(slots=True)
class Delivered:
    """What one pass did."""

    delivered: int = 0
    postponed: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)


def deliver_due(
    opened: Installation, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Delivered:
    """Deliver everything that is due now; what fails is tried again later."""
    total = Delivered()
    with _Connectors(opened) as connectors:
        while True:
            now_at = clock()
            with opened.store.transaction() as tx:
                due = due_deliveries(tx, now_at, limit=BATCH, lease_until_at=now_at + LEASE)
            if not due:
                return total
            outcomes = [_attempt(connectors, one, now_at) for one in due]
            _record(opened, due, outcomes)
            _count(total, outcomes)


def deliver_decisions(
    opened: Installation, engines: Mapping[str, Engine], draft_ids: Sequence[str]
) -> None:
    """Deliver the decisions on these drafts at once, with connectors that are open already."""
    now_at = datetime.now(UTC)
    with opened.store.transaction() as tx:
        due = due_deliveries(
            tx, now_at, limit=BATCH, lease_until_at=now_at + LEASE, draft_ids=draft_ids
        )
    with _Connectors(opened, engines) as connectors:
        _record(opened, due, [_attempt(connectors, one, now_at) for one in due])


def _record(opened: Installation, due: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
    """Write down how attempts ended.

    Where a newer decision overtook one that was on its way, the newer is delivered again: the
    engine may have heard the older last.
    """
    drafts = {row["delivery_id"]: row["decided_draft_id"] for row in due}
    with opened.store.transaction() as tx:
        for delivery_id in record_outcomes(tx, outcomes):
            if drafts[delivery_id]:
                repeat_last_delivery(tx, drafts[delivery_id])


class _Connectors:
    """The configured connectors, opened for one pass; engines only when one is spoken to."""

    def __init__(self, opened: Installation, engines: Mapping[str, Engine] | None = None) -> None:
        settings = opened.settings
        self._settings = settings
        self._engines = engines
        self._own: Mapping[str, Engine] = {}
        self._files = FilesDelivery(settings.delivery_dir)
        secret = settings.webhook_secret
        self._webhook = (
            Webhook(settings.webhook_url, secret.get_secret_value())
            if settings.webhook_url and secret
            else None
        )

    def __enter__(self) -> "_Connectors":
        return self

    def __exit__(self, *_: object) -> None:
        if self._webhook:
            self._webhook.close()
        for engine in self._own.values():
            engine.close()

    def deliver(self, channel: str, delivery_id: str, body: bytes, now_at: datetime) -> None:
        """Hand a document or a decision to its channel."""
        if channel == FILES:
            self._files.deliver(delivery_id, body)
        elif channel == WEBHOOK and self._webhook:
            self._webhook.deliver(delivery_id, body, timestamp=int(now_at.timestamp()))
        elif engine := self._engine(channel):
            engine.send(delivery_id, body)
        else:
            message = f"channel {channel} is not configured: set its URL and secret, then retry"
            raise PermanentError(message, channel=channel)

    def _engine(self, channel: str) -> Engine | None:
        if not channel.startswith(ENGINE):
            return None
        if self._engines is None:
            self._engines = self._own = engines_of(self._settings)
        return self._engines.get(channel.removeprefix(ENGINE))


def body_of(row: Row) -> bytes:
    """What is sent: the document, or the decision as it was queued."""
    return document_body(row) if row["document_id"] else str(row["payload"]).encode()


def document_body(row: Row) -> bytes:
    """The issued document as JSON: amounts in minor units, decimals and dates as text.

    The same document always gives the same bytes.
    """
    head = {name: value for name, value in row.items() if name not in _INTERNAL}
    return canonical_json({**head, "lines": json.loads(row["lines_json"])}).encode()


def _attempt(connectors: _Connectors, row: Row, now_at: datetime) -> Outcome:
    delivery_id = row["delivery_id"]
    try:
        connectors.deliver(row["channel"], delivery_id, body_of(row), now_at)
    except TransientError as error:
        attempts = row["attempts"] + 1
        if attempts < MAX_ATTEMPTS:
            next_at = now_at + pause_after(row["attempts"])
            return Outcome(delivery_id, "pending", next_at, None, str(error))
        return Outcome(delivery_id, "failed", now_at, None, f"gave up: {error}")
    except PrebillError as error:
        return Outcome(delivery_id, "failed", now_at, None, str(error))
    return Outcome(delivery_id, "delivered", now_at, now_at, None)


def pause_after(attempts: int) -> timedelta:
    """How long to wait after an attempt that so many came before."""
    doublings: int = 2 ** min(attempts, 20)
    return min(FIRST_PAUSE * doublings, LONGEST_PAUSE)


def _count(total: Delivered, outcomes: list[Outcome]) -> None:
    for one in outcomes:
        total.delivered += one.status == "delivered"
        total.postponed += one.status == "pending"
        total.failed += one.status == "failed"
        if one.error and len(total.errors) < 10:
            total.errors.append(f"{one.delivery_id}: {one.error}")
