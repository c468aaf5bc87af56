"""Reconcile a period: sides from tables, lake and journal that must agree; differences named."""

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.accounting.reconciliation import (
    Difference,
    active_charges,
    charge_differences,
    first_of,
    metered_again,
    quantity_differences,
    total_differences,
)
from prebill.core.calendar import Period, month_period
from prebill.core.errors import NotFoundError
from prebill.core.money import format_minor
from prebill.core.schemas.frame import Frame
from prebill.core.schemas.inbound import (
    CHARGES,
    CONTRACT_TERMS,
    CONTRACTS,
    METERS,
    SUBSCRIPTION_PHASES,
    SUBSCRIPTIONS,
    USAGE_EVENTS,
)
from prebill.lake import LakeBatch
from prebill.store import reconcile as reads
from prebill.store.engine import Tx
from prebill.store.lake_index import batch_rows
from prebill.store.runs import Run, load_run, members_of
from prebill.workflows.gather import usage_bounds

_RUN_AGAIN = "run the period again"
_ALTERED = "data was changed outside of Prebill: run `prebill audit verify`, restore a backup"


@dataclass(frozen=True, slots=True)
class Side:
    """One comparison in words, and whether its sides agree."""

    text: str
    agrees: bool


@dataclass(slots=True)
class Reconciliation:
    """Every comparison made, and every difference found."""

    sides: list[Side] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def add(self, text: str, found: list[Difference]) -> None:
        """Add a comparison with what it found."""
        self.sides.append(Side(text, not found))
        self.differences += first_of(found)


def reconcile_period(opened: Installation, period_name: str) -> Reconciliation:
    """Compare every pair of sides of a period.

    Raises
    ------
    NotFoundError
        The period was not billed yet.
    StorageError
        A file of the lake can't be read.
    """
    period = month_period(period_name)
    result = Reconciliation()
    with opened.store.read() as tx:
        run_ids = reads.latest_runs(tx, period_name)
        if not run_ids:
            message = f"{period_name} was not billed yet: `prebill run --period {period_name}`"
            raise NotFoundError(message, period=period_name)
        runs = [load_run(tx, run_id) for run_id in run_ids]
        lines = reads.live_lines(tx, period_name)
        _charges(tx, result, runs, lines, period)
        with opened.lake.reading():
            _events(opened, tx, result, runs)
            _quantities(opened, tx, result, runs, lines)
            _states(opened, tx, result, runs, period)
        _totals(tx, result, period)
    return result


def _charges(
    tx: Tx, result: Reconciliation, runs: list[Run], lines: pl.DataFrame, period: Period
) -> None:
    """Active (contract, charge) = drafted + skipped with a reason."""
    parts = [_active(tx, run, period) for run in runs]
    active = pl.concat(parts).unique()
    skips = reads.skipped_charges(tx, [run.run_id for run in runs])
    found = charge_differences(active, lines, skips)
    key = ["contract_id", "charge_id"]
    undrafted = active.select(key).unique().join(lines, on=key, how="anti")
    skipped = undrafted.join(skips, on=key, how="semi")
    drafted = active.select(key).n_unique() - undrafted.height
    text = (
        f"active charges {drafted + undrafted.height:,} = drafted {drafted:,} + skipped with a "
        f"reason {skipped.height:,}"
    )
    result.add(text, found)


def _active(tx: Tx, run: Run, period: Period) -> pl.DataFrame:
    known = "WHERE recorded_at <= :at"
    contracts = _read(tx, CONTRACTS, known, run.as_of_at)
    if run.entity_id is not None:
        contracts = contracts.filter(pl.col("entity_id") == run.entity_id)
    charges = tx.table_frame("charges", columns=CHARGES.names)
    billed = active_charges(
        contracts=contracts,
        subscriptions=_read(tx, SUBSCRIPTIONS, known, run.as_of_at),
        phases=_read(tx, SUBSCRIPTION_PHASES, known, run.as_of_at),
        charges=charges,
        period=period,
    )
    terms = _read(tx, CONTRACT_TERMS, known, run.as_of_at)
    signed = active_charges(
        contracts=contracts,
        subscriptions=contracts.select(
            "contract_id",
            "recorded_at",
            subscription_id="contract_id",
            started_on="starts_on",
            ended_on="ends_on",
        ),
        phases=terms.rename({"contract_id": "subscription_id", "term_id": "phase_id"}),
        charges=charges,
        period=period,
    )
    return pl.concat([billed, signed]).unique()


def _read(tx: Tx, frame: Frame, where: str, at: datetime) -> pl.DataFrame:
    return tx.table_frame(frame.name, where, {"at": at}, columns=frame.names)


def _events(opened: Installation, tx: Tx, result: Reconciliation, runs: list[Run]) -> None:
    """Events received = metered + in no charge + sent twice + conflicting + late + quarantined."""
    counts = reads.import_counts(tx)
    found: list[Difference] = []
    if counts["rows"] != counts["accounted"]:
        text = f"imports read {counts['rows']:,} usage rows, account for {counts['accounted']:,}"
        found.append(Difference("import_rows_lost", "", text, "import the files again"))
    if counts["quarantined"] < counts["rejected"]:
        text = f"{counts['rejected']:,} rows were rejected, {counts['quarantined']:,} are kept"
        found.append(Difference("quarantine_lost", "", text, _ALTERED))
    frozen = {batch for run in runs for batch in run.lake_batches["usage_events"]}
    named = [LakeBatch(**row) for row in batch_rows(tx, ["usage_events"])]
    found += [
        Difference("batch_damaged", one.batch_id, str(damage), _ALTERED)
        for one, damage in opened.lake.damages(named).items()
    ]
    late = sum(one.rows for one in named if one.batch_id not in frozen)
    given, ids = _in_period(opened, tx, runs)
    shards = reads.shard_counts(tx, [run.run_id for run in runs])
    metered = shards.get("metered_events", 0)
    unmatched = shards.get("unmatched_events", 0)
    twice = shards.get("duplicate_events", 0)
    conflicting = shards.get("conflicting_events", 0)
    met = metered + unmatched + twice + conflicting
    if given != met:
        text = f"{given:,} events lie in the period, {met:,} were met"
        found.append(Difference("events_lost", "", text, _RUN_AGAIN))
    if ids != metered + unmatched:
        text = f"the events have {ids:,} ids, {metered + unmatched:,} were met as one event"
        advice = "an id came for customers of different shards: find out whose event it is"
        found.append(Difference("event_ids_shared", "", text, advice))
    words = (
        f"events received {given:,} = metered {metered:,} + in no charge {unmatched:,} + "
        f"sent twice {twice:,} + same id, other content {conflicting:,}; late {late:,}, "
        f"quarantined {counts['quarantined']:,}"
    )
    result.add(words, found)


def _in_period(opened: Installation, tx: Tx, runs: list[Run]) -> tuple[int, int]:
    """Events in the runs' frozen batches within the widest bounds of the period, and their ids."""
    total = ids = 0
    for run in runs:
        events = _scan(opened, run)
        if run.entity_id is not None:
            members = [one for own in members_of(tx, run.run_id) for one in own]
            events = events.filter(pl.col("customer_id").is_in(members))
        # A hash of 64 bits: five million ids meet by chance once in a million runs.
        key = pl.col("source").hash(3).xor(pl.col("id").hash(4))
        rows, distinct = events.select(pl.len(), ids=key.n_unique()).collect().row(0)
        total, ids = total + int(rows), ids + int(distinct)
    return total, ids


def _scan(opened: Installation, run: Run) -> pl.LazyFrame:
    start_at, end_at = usage_bounds(month_period(run.period))
    batches = run.lake_batches["usage_events"]
    return opened.lake.scan_between("usage_events", batches, start_at, end_at)


def _quantities(
    opened: Installation, tx: Tx, result: Reconciliation, runs: list[Run], lines: pl.DataFrame
) -> None:
    """Quantity on each metered line, zero-priced too = what its events make."""
    owners = _owners(tx)
    metered = lines.filter(pl.col("meter").is_not_null()).join(owners, on="subscription_id")
    placed = pl.concat(
        [_with_instants(own) for own in metered.partition_by("time_zone")]
        or [_with_instants(metered)]
    )
    events = pl.concat([_scan(opened, run).select(USAGE_EVENTS.names) for run in runs]).collect()
    meters = tx.table_frame("meters", columns=METERS.names)
    compared = metered_again(events, placed, meters)
    corrected = reads.usage_corrections(tx, runs[0].period)
    compared = compared.join(corrected, on="draft_id", how="anti")
    text = f"metered quantity = quantity on {compared.height:,} lines, zero-priced ones included"
    result.add(text, quantity_differences(compared))


def _owners(tx: Tx) -> pl.DataFrame:
    """Subscription → customer whose events count, and zone of the contract; latest versions."""
    subscriptions = tx.table_frame("subscriptions", "ORDER BY recorded_at").unique(
        "subscription_id", keep="last", maintain_order=True
    )
    contracts = tx.table_frame("contracts", "ORDER BY recorded_at").unique(
        "contract_id", keep="last", maintain_order=True
    )
    return (
        subscriptions.select("subscription_id", "customer_id", "contract_id")
        .join(contracts.select("contract_id", "time_zone"), on="contract_id")
        .drop("contract_id")
    )


def _with_instants(lines: pl.DataFrame) -> pl.DataFrame:
    """Service days of lines of one zone as instants."""
    zone = lines["time_zone"][0] if lines.height else "UTC"

    def instant(name: str) -> pl.Expr:
        local = pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone(zone)
        return local.dt.convert_time_zone("UTC")

    return lines.select(
        "draft_id",
        "line_id",
        "customer_id",
        "meter",
        "quantity",
        begins_at=instant("service_start_on"),
        ends_at=instant("service_end_on"),
    )


def _states(
    opened: Installation, tx: Tx, result: Reconciliation, runs: list[Run], period: Period
) -> None:
    """Drafts that the runs wrote = issued + in review + held + rejected + not final yet."""
    found = [
        Difference(
            "draft_misplaced",
            row["draft_id"],
            f"draft {row['draft_id']} is {row['state']}, but no document, case or verdict says so",
            _ALTERED,
        )
        for row in reads.misplaced_drafts(tx, period.name)
    ]
    start_on = period.start_on.isoformat()
    found += [
        Difference(
            "document_without_draft",
            row["document_id"],
            f"document {row['document_id']} has no issued draft {row['draft_id']}",
            _ALTERED,
        )
        for row in reads.orphan_documents(tx, start_on)
    ]
    states = reads.states_of(tx, period.name)
    found += _lost_drafts(opened, tx, runs, period)
    told = ", ".join(f"{name} {count:,}" for name, count in states.items())
    result.add(f"drafts {sum(states.values()):,} = {told}", found)


def _lost_drafts(opened: Installation, tx: Tx, runs: list[Run], period: Period) -> list[Difference]:
    """Drafts that the runs wrote to the lake and that no live row has."""
    ids = [
        opened.lake.scan("draft_lines", [f"{run.run_id}#{shard}" for shard in range(run.shards)])
        .select("draft_id")
        .unique()
        for run in runs
    ]
    written = pl.concat(ids).collect().unique()
    stored = reads.live_lines(tx, period.name).select("draft_id").unique()
    lost = written.join(stored, on="draft_id", how="anti").sort("draft_id")
    return [
        Difference("draft_lost", one, f"draft {one} was made and is nowhere", _RUN_AGAIN)
        for one in lost["draft_id"]
    ]


def _totals(tx: Tx, result: Reconciliation, period: Period) -> None:
    """Documents = receivable debits per entity and currency; entries balance; no number is lost."""
    start_on = period.start_on.isoformat()
    documents = reads.document_totals(tx, start_on)
    found = total_differences(documents, reads.receivable_debits(tx, start_on))
    found += [
        Difference(
            "entry_unbalanced",
            row["entry_id"],
            f"journal entry {row['entry_id']} is off by {row['amount_minor']} "
            f"({row['functional_minor']} in functional currency)",
            _ALTERED,
        )
        for row in reads.unbalanced_entries(tx)
    ]
    found += [
        Difference(
            "numbers_not_gap_free",
            row["series"],
            f"series {row['series']} of {row['entity_id']} has given {row['next_number'] - 1} "
            f"numbers and has {row['documents']} documents",
            _ALTERED,
        )
        for row in reads.number_gaps(tx)
    ]
    told = ", ".join(
        f"{entity} {format_minor(int(total), currency)}"
        for entity, currency, total in documents.iter_rows()
    )
    result.add(f"documents = receivable debits, entries balance, numbers gap-free: {told}", found)
