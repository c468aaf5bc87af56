"""What an event of a billing engine leads to: read the draft, judge it, store, tell the engine.

An event is acknowledged only when what it led to is done: an engine that is not acknowledged waits
with the invoice and sends the event again.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from prebill import audit
from prebill.api.context import Services
from prebill.connectors.billing_engines.base import Engine, Event, Reading
from prebill.core.errors import PermanentError, PrebillError, StorageError, TransientError
from prebill.store import engine_drafts as drafts
from prebill.store.users import Actor
from prebill.workflows import gate_cases
from prebill.workflows.deliver import deliver_decisions

STOPPED = frozenset({"in_review", "held", "rejected"})


def receive(served: Services, engine: Engine, event: Event, actor: Actor) -> dict[str, object]:
    """Do what a verified event asks for; doing it again changes nothing.

    Raises
    ------
    PrebillError
        The draft could not be read or judged, and was stopped as far as that is ours; or a decision
        has not arrived at the engine. The event must come again.
    """
    try:
        reading = engine.read(event)
        decisions = _judged(served, engine, reading, actor)
    except (TransientError, StorageError):
        raise  # the same again may work: the engine waits meanwhile
    except PrebillError as error:
        _stop(served, engine, event, error, actor)
        raise
    with served.store.transaction() as tx:
        for draft_id, status in reading.gone.items():
            gate_cases.withdraw(tx, draft_id, status, actor.user_id)
        drafts.retry_failed_decisions(tx, [one["invoice_id"] for one in decisions])
        for one in decisions:
            name = one["invoice_id"]
            if name in reading.advancing and one["state"] in STOPPED:
                drafts.repeat_last_delivery(tx, name)  # somebody let it advance again
    if engine.confirms and decisions:
        _confirm(served, engine, [one["invoice_id"] for one in decisions])
    return {"event": event.kind, "decisions": decisions, "gone": reading.gone}


def _stop(
    served: Services, engine: Engine, event: Event, error: PrebillError, actor: Actor
) -> None:
    """What can't be judged doesn't go out; if it can't be stopped either, the event says so."""
    with suppress(TransientError, PermanentError):
        draft_id = engine.stop(event, str(error))
        if draft_id is not None:
            with served.store.transaction() as tx:
                detail: dict[str, object] = {"why": error.code}
                audit.record(tx, actor.user_id, "draft.stopped", draft_id, detail)


def _judged(
    served: Services, engine: Engine, reading: Reading, actor: Actor
) -> list[dict[str, Any]]:
    if not reading.invoices:
        return []
    system = engine.manifest.system
    origin = gate_cases.Origin(
        system,
        gate_cases.channels_of(served.installation.settings, system),
        tells_decisions=True,
        digests=reading.digests,
    )
    known = _with_our_customers(served, reading)
    given = {"invoices": known.invoices, "invoice_lines": known.invoice_lines}
    return served.hook.score(served.catalog, given, actor, origin)


def _with_our_customers(served: Services, reading: Reading) -> Reading:
    """Name customers as our history does, where the engine's id is linked to one of ours."""
    named = [str(row.get("customer_id")) for row in reading.invoices]
    with served.store.read() as tx:
        ours = drafts.linked_customers(tx, named)
    invoices = [
        {**row, "customer_id": ours.get(name, row.get("customer_id"))}
        for row, name in zip(reading.invoices, named, strict=True)
    ]
    return replace(reading, invoices=invoices)


def _confirm(served: Services, engine: Engine, draft_ids: Sequence[str]) -> None:
    """Deliver the decisions now.

    Raises
    ------
    TransientError
        One has not arrived.
    """
    engines = {engine.manifest.system: engine}
    deliver_decisions(served.installation, engines, draft_ids)
    with served.store.read() as tx:
        left = drafts.undelivered(tx, draft_ids)
    if left:
        why = left[0]["last_error"] or "another worker has it in hand"
        message = f"{left[0]['delivery_id']} has not arrived: {why}"
        raise TransientError(message, deliveries=len(left))
