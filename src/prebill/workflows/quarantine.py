"""The way back for bad rows: show what is wrong, check again, or dismiss with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from prebill import audit
from prebill.connectors.files.reader import READING_RULES, rows_of_json
from prebill.contracts import Catalog, DataContract
from prebill.core.errors import ConflictError, InputError, NotFoundError
from prebill.store import ingest as sql
from prebill.store.engine import Row, Store
from prebill.store.outcomes import save_labels
from prebill.store.reference import LAKE_FRAMES
from prebill.workflows.ingest_checks import World, judge
from prebill.workflows.ingest_entry import (
    advice,
    alone,
    append_facts,
    now,
    record_facts,
    shown_ids,
)
from prebill.workflows.labelling import labels_of_facts


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule of a quarantined row, in words."""

    rule: str
    column: str | None
    value: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A quarantined row with everything that is wrong with it."""

    row: Row
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Retried:
    """How many rows went in (or were found in already), and how many are still bad."""

    resolved: int
    still_open: int


def show(store: Store, catalog: Catalog, quarantine_id: str) -> Shown:
    """Return a quarantined row: the rule it was caught by, then every other one it breaks.

    Raises
    ------
    NotFoundError
        There is no such row.
    """
    with store.read() as tx:
        row = tx.get("quarantine", quarantine_id=quarantine_id)
    contract = catalog[row["contract"]]
    first = Finding(
        row["rule"],
        row["column_name"],
        row["value"],
        advice(contract, row["rule"], row["column_name"]),
    )
    if row["rule"] in READING_RULES:
        return Shown(row, (first,))
    texts = pl.Series([row["row_json"]])
    checked = catalog.compiled(contract.name).check(rows_of_json(texts, contract.columns))
    further = (
        Finding(rule, column, value, advice(contract, rule, column))
        for column, rule, value in checked.rejected.select("column", "rule", "value").rows()
        if (rule, column) != (first.rule, first.column)
    )
    return Shown(row, (first, *further))


def retry(world: World, *, actor: str, ids: Sequence[str] | None = None) -> Retried:
    """Check open rows again, all or the named ones; good ones go in and are resolved.

    Rows that could not even be read stay: mend their file and import it.

    Raises
    ------
    NotFoundError
        A named row does not exist or is not open.
    """
    with world.store.read() as tx:
        waiting = set(sql.open_contracts(tx))
        found = sql.open_ids(tx, list(ids or ()))
    if ids is not None and (absent := sorted(set(ids) - found)):
        message = f"no open quarantine row {', '.join(absent)}: see `prebill quarantine list`"
        raise NotFoundError(message, ids=absent)
    resolved = still_open = 0
    with alone(world.lake):
        for contract in world.catalog.inbound():
            if contract.name in waiting:
                done = _retry_contract(world, contract, None if ids is None else list(ids), actor)
                resolved, still_open = resolved + done.resolved, still_open + done.still_open
    return Retried(resolved, still_open)


def _retry_contract(
    world: World, contract: DataContract, ids: list[str] | None, actor: str
) -> Retried:
    with world.store.read() as tx:
        waiting = sql.open_rows(tx, contract.name, ids)
    readable = waiting.filter(~pl.col("rule").is_in(list(READING_RULES)))
    if readable.is_empty():
        return Retried(0, waiting.height)
    rows = rows_of_json(readable["row_json"], contract.columns)
    judged = judge(world, world.catalog.compiled(contract.name), rows)
    first = judged.rejected.unique("row", keep="first", maintain_order=True)
    mended = readable.with_row_index("row").filter(~pl.col("row").is_in(first["row"].implode()))
    resolved = mended["quarantine_id"].to_list()
    still = readable[first["row"]].with_columns(
        first["rule"], first["column"].alias("column_name"), first["value"]
    )
    entered = judged.entering.drop("row")
    batches = append_facts(world.lake, contract, judged, "retry")
    labels = labels_of_facts(world, contract, judged, batches)
    with world.store.transaction() as tx:
        record_facts(tx, contract, judged, batches, actor=actor)
        save_labels(tx, labels, actor)
        if contract.name not in LAKE_FRAMES and not entered.is_empty():
            sql.upsert_reference(tx, contract.name, entered, readable["import_id"][0])
        sql.set_status(tx, resolved, "resolved", now())
        sql.set_findings(tx, still)
        counts = {"entered": entered.height + judged.completing.height, "still_open": still.height}
        detail = {**counts, **shown_ids(resolved)}
        audit.record(tx, actor, "quarantine.retry", contract.name, detail)
    if not entered.is_empty():
        world.forget(contract.name)
    return Retried(len(resolved), waiting.height - len(resolved))


def dismiss(store: Store, quarantine_id: str, *, reason: str, actor: str) -> None:
    """Set a row aside for good: somebody decided that it must not go in.

    Raises
    ------
    InputError
        No reason is given.
    ConflictError
        The row is not open.
    """
    if not reason.strip():
        message = "say why: dismissing a row needs a reason"
        raise InputError(message)
    with store.transaction() as tx:
        row = tx.get("quarantine", quarantine_id=quarantine_id)
        if row["status"] != "open":
            message = f"quarantine row {quarantine_id} is {row['status']}, not open"
            raise ConflictError(message, quarantine_id=quarantine_id)
        sql.set_status(tx, [quarantine_id], "dismissed", now())
        detail: dict[str, object] = {"reason": reason, "contract": row["contract"]}
        audit.record(tx, actor, "quarantine.dismiss", quarantine_id, detail)
