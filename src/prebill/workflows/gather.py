"""Gather: what a shard reads from database and lake, as it was when the run started.

The facts of a run (usage, history) are read once a worker and dealt out to its shards: reading
the lake again for each shard would cost more than pricing them. What is ordinary in the company is
learnt from a part of them, once too.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.accounting.journal import Ledger
from prebill.core.billing.dedupe import dedupe
from prebill.core.billing.finality import RETIRED_AFTER, late_sources
from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.tax_rates import bundled_tax_rates
from prebill.core.billing.usage_days import usage_days
from prebill.core.calendar import Period, month_period
from prebill.core.errors import ConflictError
from prebill.core.schemas.inbound import (
    CREDIT_NOTES,
    DISPUTES,
    INVOICE_LINES,
    INVOICES,
    PAYMENTS,
    USAGE_EVENTS,
)
from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.features import usage_shape
from prebill.core.scoring.frames import LOOK_BACK_DAYS, Books, ScoringInputs, reference_customers
from prebill.core.scoring.norms import Norms
from prebill.store.agreements import owned_frames, reference_hash, shared_frames
from prebill.store.cases import corrections_on
from prebill.store.documents import own_history
from prebill.store.engine import Tx
from prebill.store.profiles import customers_named
from prebill.store.runs import Run
from prebill.store.snoozes import snoozed_at_start
from prebill.workflows.corrections import corrections_of
from prebill.workflows.shard import ShardInputs, gate_lines

#: Time zones reach 14 hours from UTC: a month is read wider by whole UTC days.
WIDEST_OFFSET: Final = timedelta(days=1)
#: History read beyond what features look back on, for payments of older invoices.
SLACK: Final = timedelta(days=LOOK_BACK_DAYS + 120)
#: Usage read before the period's: what its shape looks back on.
USAGE_HISTORY: Final = timedelta(days=usage_shape.LOOK_BACK_DAYS + 31)


@dataclass(frozen=True, slots=True)
class Facts:
    """What happened to some customers: the period's events and the usage of the days before it.

    Invoices are those of the former engine, from the lake, and those that we issued, from the
    database; payments and credit notes are of either.
    """

    events: pl.DataFrame
    earlier_days: pl.DataFrame
    invoices: pl.DataFrame
    invoice_lines: pl.DataFrame
    payments: pl.DataFrame
    credit_notes: pl.DataFrame
    #: Sources whose usage of the period has not all arrived, whoever the customer.
    late_sources: pl.DataFrame
    #: Of the whole company too: none at all would mean that nobody records them, and that must not
    #: depend on how customers are dealt to shards. They are few.
    disputes: pl.DataFrame


@dataclass(frozen=True, slots=True)
class CompanyFacts:
    """The facts of a run by shard, and the history that says what is ordinary in the company."""

    by_shard: list[Facts]
    past: ScoringInputs


def company_facts(opened: Installation, run: Run, members: list[list[str]]) -> CompanyFacts:
    """Read the facts of a run once and deal them out to its shards."""
    everybody = [customer for own in members for customer in own]
    wanted = pl.DataFrame({"customer_id": everybody}, schema={"customer_id": pl.String()})
    facts = read_facts(opened, run, wanted)
    with opened.store.read() as tx:
        past = _reference(tx, everybody, facts)
    shard = _shard_of([own[0] for own in members if own])
    owners = facts.invoices.select("invoice_id", shard=shard)
    frames, empty = _frames(facts), [frame.clear() for frame in _frames(facts)]
    late, disputes = facts.late_sources, facts.disputes
    del facts  # each frame is let go of once it is dealt out: together they are gigabytes
    dealt = []
    while frames:
        dealt.append(_dealt(frames.pop(0), shard, owners))
    names = [column.name for column in fields(Facts)]
    by_shard = [
        Facts(
            **{n: own.get(number, none) for n, own, none in zip(names, dealt, empty, strict=False)},
            late_sources=late,
            disputes=disputes,
        )
        for number in range(len(members))
    ]
    return CompanyFacts(by_shard, past)


def _reference(tx: Tx, customers: list[str], facts: Facts) -> ScoringInputs:
    """The history of enough customers to say what is ordinary in the company.

    Parameters
    ----------
    tx : Tx
        For who they are.
    customers : list of str
        Everybody of the run, sorted.
    facts : Facts
        Of everybody.
    """
    known = pl.DataFrame({"customer_id": pl.Series(customers, dtype=pl.String)})
    billed = facts.invoices.select("customer_id")
    chosen = reference_customers(known if billed.is_empty() else billed)
    ids = chosen["customer_id"].to_list()
    invoices = facts.invoices.join(chosen, on="customer_id", how="semi")
    known = invoices.select("invoice_id")
    lines, paid, credited = (
        frame.join(known, on="invoice_id", how="semi")
        for frame in (facts.invoice_lines, facts.payments, facts.credit_notes)
    )
    return ScoringInputs(
        history=Books(invoices, lines),
        drafts=Books(),
        customers=customers_named(tx, ids),
        payments=paid,
        credit_notes=credited,
        usage_days=facts.earlier_days.join(chosen, on="customer_id", how="semi"),
    )


def _frames(facts: Facts) -> list[pl.DataFrame]:
    """The frames that are dealt out, in the order of the fields."""
    first = [facts.events, facts.earlier_days, facts.invoices]
    return [*first, facts.invoice_lines, facts.payments, facts.credit_notes]


def _shard_of(firsts: list[str]) -> pl.Expr:
    """The shard of a customer: each shard has the customers from its first to the next one's."""
    is_later = [(pl.col("customer_id") >= first).cast(pl.Int64) for first in firsts[1:]]
    return pl.sum_horizontal(pl.lit(0, dtype=pl.Int64), *is_later)


def _dealt(frame: pl.DataFrame, shard: pl.Expr, owners: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """Parts of a frame by shard; rows of invoices go to the shard of the invoice's customer."""
    if "customer_id" in frame.columns:
        placed = frame.with_columns(shard=shard)
    else:
        placed = frame.join(owners, on="invoice_id")
    parts = placed.partition_by("shard", as_dict=True, include_key=False)
    return {int(key[0]): part for key, part in parts.items()}


def read_facts(opened: Installation, run: Run, customers: pl.DataFrame) -> Facts:
    """Read the facts of some customers (``customer_id``, sorted) from the frozen batches.

    Raises
    ------
    StorageError
        The lake lacks one of them, or a file of it is damaged.
    """
    with opened.lake.reading():
        return _read_facts(opened, run, customers)


def _read_facts(opened: Installation, run: Run, customers: pl.DataFrame) -> Facts:
    since_on = month_period(run.period).start_on - SLACK
    start_at, end_at = usage_bounds(month_period(run.period))
    lake, batches = opened.lake, run.lake_batches
    lake.require(batches)
    wanted = customers.lazy()
    invoices = (
        lake.scan("invoices", batches["invoices"])
        .filter(pl.col("issued_on") >= since_on)
        .join(wanted, on="customer_id", how="semi")
        .select(INVOICES.names)
        .collect()
    )
    with opened.store.read() as tx:
        issued = _issued_before(tx, run, customers["customer_id"].to_list())
    invoices = pl.concat([invoices, issued.invoices])
    if run.entity_id is not None:
        invoices = invoices.filter(pl.col("legal_entity") == run.entity_id)
    known = invoices.lazy().select("invoice_id")
    own = {
        frame.name: lake.scan(frame.name, batches[frame.name])
        .join(known, on="invoice_id", how="semi")
        .select(frame.names)
        .collect()
        for frame in (INVOICE_LINES, PAYMENTS, CREDIT_NOTES)
    }
    return Facts(
        events=_events(opened, run, wanted, start_at, end_at=end_at),
        earlier_days=_earlier_days(opened, run, wanted, start_at),
        invoices=invoices,
        invoice_lines=pl.concat(
            [
                own["invoice_lines"],
                issued.lines.join(invoices.select("invoice_id"), on="invoice_id", how="semi"),
            ]
        ),
        payments=own["payments"],
        credit_notes=own["credit_notes"],
        late_sources=_late_sources(opened, run),
        disputes=lake.scan("disputes", batches["disputes"]).select(DISPUTES.names).collect(),
    )


def _late_sources(opened: Installation, run: Run) -> pl.DataFrame:
    """Sources of the whole company that have not delivered up to the period's last day."""
    period = month_period(run.period)
    start_at, end_at = usage_bounds(period)
    batches = run.lake_batches["usage_events"]
    events = opened.lake.scan_between("usage_events", batches, start_at - RETIRED_AFTER, end_at)
    delivered = events.group_by("meter", "source").agg(
        watermark_on=pl.col("occurred_at").max().dt.date(),
        days=pl.col("occurred_at").dt.date().n_unique(),
    )
    return late_sources(delivered.collect(), period)


def usage_bounds(period: Period) -> tuple[datetime, datetime]:
    """The instants between which an event may belong to the period in some time zone."""
    start_at = datetime(
        period.start_on.year, period.start_on.month, period.start_on.day, tzinfo=UTC
    )
    end_at = datetime(period.end_on.year, period.end_on.month, period.end_on.day, tzinfo=UTC)
    return start_at - WIDEST_OFFSET, end_at + WIDEST_OFFSET


def _events(
    opened: Installation,
    run: Run,
    wanted: pl.LazyFrame,
    start_at: datetime,
    *,
    end_at: datetime,
) -> pl.DataFrame:
    batches = run.lake_batches["usage_events"]
    events = opened.lake.scan_between("usage_events", batches, start_at, end_at)
    return events.join(wanted, on="customer_id", how="semi").select(USAGE_EVENTS.names).collect()


def _earlier_days(
    opened: Installation, run: Run, wanted: pl.LazyFrame, before_at: datetime
) -> pl.DataFrame:
    """Usage by day before the period's events, a month at a time: events are many, days few."""
    parts = [USAGE_DAYS.empty()]
    end_at = before_at
    while end_at > before_at - USAGE_HISTORY:
        start_at = end_at - timedelta(days=30)
        events = _events(opened, run, wanted, start_at, end_at=end_at)
        parts.append(usage_days(dedupe(events).events))
        end_at = start_at
    return pl.concat(parts)


def gather(tx: Tx, run: Run, members: list[str], facts: Facts, norms: Norms | None) -> ShardInputs:
    """Put together what a shard is judged on.

    Raises
    ------
    ConflictError
        Prices or other shared reference data changed since the run started.
    """
    shared = shared_frames(tx)
    if reference_hash(shared) != run.reference_hash:
        message = (
            f"price books or other reference data changed while {run.run_id} ran: "
            "run the period again, so that all of it uses the same prices"
        )
        raise ConflictError(message, run_id=run.run_id)
    owned = owned_frames(tx, members, run.as_of_at)
    if run.entity_id is not None:
        contracts = owned["contracts"].filter(pl.col("entity_id") == run.entity_id)
        owned["contracts"] = contracts
        owned["subscriptions"] = owned["subscriptions"].join(
            contracts, on="contract_id", how="semi"
        )
        owned["contract_terms"] = owned["contract_terms"].join(
            contracts, on="contract_id", how="semi"
        )
    period = month_period(run.period)
    first, last = (members[0], members[-1]) if members else ("", "")
    return ShardInputs(
        period=period,
        as_of_at=run.as_of_at,
        billing=_billing(shared, owned),
        contract_terms=owned["contract_terms"],
        entitlements=owned["entitlements"],
        accounting_periods=shared["accounting_periods"],
        ledger=Ledger(
            shared["legal_entities"], shared["account_mappings"], shared["exchange_rates"]
        ),
        events=facts.events,
        late_sources=facts.late_sources,
        earlier_days=facts.earlier_days,
        history=Books(facts.invoices, facts.invoice_lines),
        payments=facts.payments,
        credit_notes=facts.credit_notes,
        disputes=facts.disputes,
        norms=norms,
        snoozes=snoozed_at_start(tx, run.run_id, first, last),
        corrections=corrections_of(corrections_on(tx, run.period, first, last)),
    )


def _billing(shared: dict[str, pl.DataFrame], owned: dict[str, pl.DataFrame]) -> BillingInputs:
    return BillingInputs(
        entities=shared["legal_entities"],
        customers=owned["customers"],
        meters=shared["meters"],
        price_books=shared["price_books"],
        plans=shared["plans"],
        charges=shared["charges"],
        tiers=shared["tiers"],
        contracts=owned["contracts"],
        subscriptions=owned["subscriptions"],
        phases=owned["subscription_phases"],
        tax_rates=bundled_tax_rates(),
    )


def _issued_before(tx: Tx, run: Run, customers: list[str]) -> Books:
    """What we issued to some customers for earlier periods, in the shape of the gate."""
    start_on = month_period(run.period).start_on
    own = own_history(
        tx,
        customers,
        issued_before=run.as_of_at.date() + timedelta(days=1),
        since_on=start_on - SLACK,
        # What this period issued already is no history of it: a later run would see duplicates.
        period_before_on=start_on,
    )
    return Books(own.invoices, INVOICE_LINES.conform(gate_lines(own.lines)))
