"""Plan: freeze a run. Who is billed, on which data, under which policy, as of which instant."""

from datetime import datetime
from typing import Final

import polars as pl

from prebill import audit
from prebill.bootstrap import Installation, Judges
from prebill.core.calendar import Period, date_in_zone, month_period
from prebill.core.errors import InputError, ModelError
from prebill.lake import TABLES, LakeBatch
from prebill.store.agreements import customers_to_bill, reference_hash, shared_frames
from prebill.store.drafts import one_changed
from prebill.store.engine import Tx
from prebill.store.lake_index import batch_rows, named_batches
from prebill.store.runs import Run, load_run, models_used, run_id_of, save_run, unfinished_run
from prebill.workflows import configuration_life
from prebill.workflows.gather import usage_bounds

#: Tables of facts that a run reads. Their files are compared with what was written (SHA-256, about
#: a second for 1.5 GB): a flipped bit may still be a number, and that would be billed.
READ_TABLES: Final = (
    *("usage_events", "invoices", "invoice_lines", "payments", "credit_notes", "disputes"),
)
#: Customers of a shard: large ones cost memory, small ones time.
SHARD_CUSTOMERS: Final = 20_000


def open_run(
    opened: Installation,
    period_name: str,
    *,
    as_of_at: datetime | None,
    now_at: datetime,
    entity_id: str | None,
    actor: str,
    shard_customers: int = SHARD_CUSTOMERS,
) -> str:
    """Freeze a run, or find the unfinished one of this period; return its id.

    Without ``as_of_at`` an unfinished run is continued; else a new one starts as of ``now_at``.

    Raises
    ------
    InputError
        The month or the entity is unknown, or nothing was imported.
    ModelError
        A model that an earlier run used is gone.
    StorageError
        The lake lacks a batch, or a file is not what was written.
    """
    period = month_period(period_name)
    if as_of_at is None:
        with opened.store.read() as tx:
            begun = unfinished_run(tx, period_name, entity_id)
        if begun is not None:
            return begun
    instant_at = as_of_at or now_at
    with opened.store.read() as tx:
        shared = shared_frames(tx)
        _require_entities(shared["legal_entities"], entity_id)
        batches = {table: named_batches(tx, table) for table in TABLES}
        opened.lake.require(batches)
        written = [LakeBatch(**row) for row in batch_rows(tx, READ_TABLES)]
        start_on, end_on = period.start_on.isoformat(), period.end_on.isoformat()
        billed = customers_to_bill(tx, start_on=start_on, end_on=end_on, entity_id=entity_id)
    opened.lake.require_intact(written)
    customers = set(billed)
    if entity_id is None:
        with opened.lake.reading():
            customers |= _users(opened, batches["usage_events"], period)
    members = _shards(sorted(customers), shard_customers)
    configuration_life.upkeep(opened)  # its policy stays findable, whatever is in force later
    judges = opened.load_judges()
    _require_models(opened, judges)
    run = Run(
        run_id=run_id_of(period_name, entity_id, instant_at),
        period=period_name,
        as_of_at=instant_at,
        is_final=_is_final(shared["legal_entities"], period, instant_at, entity_id),
        policy_hash=judges.policy.digest,
        reference_hash=reference_hash(shared),
        lake_batches=batches,
        model_versions=judges.models.versions,
        shards=len(members),
        status="running",
        entered_by=actor,
    )
    with opened.store.transaction() as tx:
        _save(tx, run, members)
    return run.run_id


def _save(tx: Tx, run: Run, members: list[list[str]]) -> None:
    before = None
    if not save_run(tx, run, members):
        if load_run(tx, run.run_id).status != "failed":
            return
        tx.update("runs", {"status": "running", "error": None}, where={"run_id": run.run_id})
        before = "failed"
    one_changed(tx, "run", run.run_id, change=(before, "running"), entered_by=run.entered_by)
    detail: dict[str, object] = {
        "shards": len(members),
        "customers": sum(map(len, members)),
        "reference_hash": run.reference_hash,
        "policy_hash": run.policy_hash,
    }
    audit.record(tx, run.entered_by, "run.started", run.run_id, detail)


def _require_entities(entities: pl.DataFrame, entity_id: str | None) -> None:
    if entities.is_empty():
        message = "there is no legal entity yet: import your files first (`prebill import DIR`)"
        raise InputError(message)
    known = entities["entity_id"].to_list()
    if entity_id is not None and entity_id not in known:
        message = f"unknown legal entity {entity_id!r}; known are {', '.join(known)}"
        raise InputError(message, entity_id=entity_id)
    shared = entities.filter(pl.col("series").is_duplicated())
    if not shared.is_empty():
        names = ", ".join(shared["entity_id"].to_list())
        message = f"the entities {names} share a number series: give each its own prefix"
        raise InputError(message, entities=names)


def _require_models(opened: Installation, judges: Judges) -> None:
    """A model never trained is no error; one that an earlier run used and that is gone is."""
    with opened.store.read() as tx:
        lost = sorted(set(models_used(tx)) - set(judges.models.versions))
    if lost and not judges.failure:
        message = (
            f"earlier runs used the models {', '.join(lost)}, and {opened.settings.models_dir} "
            "has them no more: restore that folder, fetch them with `prebill models fetch`, "
            "or train new ones with `prebill train`"
        )
        raise ModelError(message, models=lost)


def _users(opened: Installation, batches: list[str], period: Period) -> set[str]:
    """Customers with usage: one without a contract is a finding, not silence."""
    start_at, end_at = usage_bounds(period)
    events = opened.lake.scan_between("usage_events", batches, start_at, end_at)
    return set(events.select("customer_id").unique().collect()["customer_id"].to_list())


def _shards(customers: list[str], size: int) -> list[list[str]]:
    return [customers[start : start + size] for start in range(0, len(customers), size)]


def _is_final(
    entities: pl.DataFrame, period: Period, as_of_at: datetime, entity_id: str | None
) -> bool:
    """Whether the grace of every billed entity has passed."""
    chosen = entities if entity_id is None else entities.filter(entity_id=entity_id)
    rows = chosen.select("time_zone", "grace_days").iter_rows()
    return all((date_in_zone(as_of_at, zone) - period.end_on).days >= grace for zone, grace in rows)
