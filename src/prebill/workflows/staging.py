"""Usage events over HTTP: acknowledged when durable in SQL, moved to the lake in batches.

A request appends nothing to the lake. What the data contract refuses is answered at once and goes
to the quarantine; references, duplicates and dates are checked when the events are moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from prebill import audit
from prebill.bootstrap import Installation
from prebill.connectors.files.reader import row_json
from prebill.contracts import Catalog, Compiled, load_catalog
from prebill.core.errors import InputError
from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.store import ingest as sql
from prebill.store.engine import Store
from prebill.workflows.ingest import open_world
from prebill.workflows.ingest_checks import World, judge
from prebill.workflows.ingest_entry import (
    advice,
    alone,
    append_facts,
    now,
    quarantine_rows,
    record_facts,
)

#: What stands in the quarantine for the file name.
SOURCE: Final = "usage-events"
CONTRACT: Final = USAGE_EVENTS.name
#: Most events of one request; more belong into a file.
MAX_EVENTS: Final = 10_000
#: Events moved at once: bounds memory and the time of the transaction.
MOVE_EVENTS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was not accepted: its place in the request and why."""

    index: int
    column: str
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many events are durable now, and which were refused."""

    accepted: int
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of staged events."""

    entered: int = 0
    known: int = 0
    rejected: int = 0


def from_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    """Flatten a CloudEvent 1.0: ``subject`` is the customer, ``type`` the meter, ``time`` when.

    ``data`` holds ``quantity`` and may hold ``unique_value``, ``customer_id`` and ``meter``, which
    win over subject and type. An event that is flat already stays as it is.
    """
    data = event.get("data")
    if not isinstance(data, dict):
        return event
    return {
        "source": event.get("source"),
        "id": event.get("id"),
        "customer_id": data.get("customer_id", event.get("subject")),
        "meter": data.get("meter", event.get("type")),
        "occurred_at": event.get("time"),
        "quantity": data.get("quantity"),
        "unique_value": data.get("unique_value"),
    }


def accept_events(
    store: Store, catalog: Catalog, events: Sequence[dict[str, Any]], actor: str
) -> Accepted:
    """Check events by their contract and commit the good ones; they are durable on return.

    Parameters
    ----------
    store : Store
        Where they become durable.
    catalog : Catalog
        The data contracts.
    events : sequence of dict
        CloudEvents or flat events with the columns of the contract ``usage_events``. Quantities
        should be texts: a JSON number may have lost digits before it came here.
    actor : str
        The token's user.

    Raises
    ------
    InputError
        There is no event, or there are too many for one request.
    """
    if not 0 < len(events) <= MAX_EVENTS:
        message = f"send between 1 and {MAX_EVENTS} events a request; this one has {len(events)}"
        raise InputError(message, events=len(events))
    rows = _texts(events)
    compiled = catalog.compiled(CONTRACT)
    checked = compiled.check(rows)
    bad = _bad_rows(rows, checked.rejected, f"{SOURCE}-{actor}")
    with store.transaction() as tx:
        if not checked.good.is_empty():
            sql.stage_events(tx, checked.good, entered_at=now(), entered_by=actor)
        sql.add_quarantine(tx, bad)
        counts: dict[str, object] = {"accepted": checked.good.height, "refused": bad.height}
        audit.record(tx, actor, "events.accept", SOURCE, counts)
    return Accepted(checked.good.height, _refusals(compiled, checked.rejected))


def _texts(events: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Make a frame of text: values of any JSON type, of which the contract then judges."""
    flat = [from_cloud_event(event) for event in events]
    return pl.DataFrame(
        {name: [_text(event.get(name)) for event in flat] for name in USAGE_EVENTS.names},
        schema=dict.fromkeys(USAGE_EVENTS.names, pl.String()),
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    # JSON may hold half a surrogate pair, which is no text: the contract refuses what replaces it.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bad_rows(rows: pl.DataFrame, rejected: pl.DataFrame, import_id: str) -> pl.DataFrame:
    first = rejected.unique("row", keep="first", maintain_order=True)
    broken = first.select(
        (pl.col("row") + 1).alias("line"),
        pl.col("rule"),
        pl.col("column").alias("column_name"),
        pl.col("value"),
        row_json(rows[first["row"]]).alias("row_json"),
    )
    return quarantine_rows(broken, contract=CONTRACT, file=SOURCE, import_id=import_id)


def _refusals(compiled: Compiled, rejected: pl.DataFrame) -> tuple[Refused, ...]:
    return tuple(
        Refused(row, column, rule, advice(compiled.contract, rule, column))
        for row, column, rule in rejected.select("row", "column", "rule").iter_rows()
    )


def move_staged_events(world: World, *, actor: str = "system", limit: int = MOVE_EVENTS) -> Moved:
    """Move staged events to the lake, ``limit`` at a time, until none is left.

    Each batch is written to the lake first; one transaction then names it, puts bad events into
    the quarantine and drops the staged rows. Killed in between, the next call does it again.
    """
    moved = Moved()
    with alone(world.lake):
        while (done := _move_batch(world, actor, limit)) is not None:
            moved = replace(
                moved,
                entered=moved.entered + done.entered,
                known=moved.known + done.known,
                rejected=moved.rejected + done.rejected,
            )
    return moved


def move_due(opened: Installation) -> Moved:
    """Move what waits in an installation; cheap where nothing does. Workers and runs call it."""
    with opened.store.read() as tx:
        if not sql.has_staged(tx):
            return Moved()
    catalog = load_catalog(opened.settings.contracts_dir)
    return move_staged_events(open_world(catalog, opened.store, opened.lake, now()))


def _move_batch(world: World, actor: str, limit: int) -> Moved | None:
    with world.store.read() as tx:
        waiting = sql.staged(tx, limit)
    if waiting.is_empty():
        return None
    rows = waiting.drop("seq")
    judged = judge(world, world.catalog.compiled(CONTRACT), rows)
    bad = _bad_rows(rows, judged.rejected, SOURCE)
    contract = world.catalog[CONTRACT]
    batches = append_facts(world.lake, contract, judged, "staged")
    moved = Moved(judged.entering.height, judged.known.height, bad.height)
    with world.store.transaction() as tx:
        record_facts(tx, contract, judged, batches, actor=actor)
        sql.add_quarantine(tx, bad)
        sql.drop_staged(tx, waiting["seq"])
        counts: dict[str, object] = {
            "entered": moved.entered,
            "known": moved.known,
            "rejected": moved.rejected,
        }
        audit.record(tx, actor, "events.move", SOURCE, counts)
    return moved
