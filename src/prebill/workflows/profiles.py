"""Prepare profiles: what the hook reads instead of history, one row a customer, and a sample.

The rows are made again when facts came in since (:func:`is_stale`). The hook itself opens no lake.
"""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES
from prebill.core.scoring.company import company_of
from prebill.core.scoring.frames import LOOK_BACK_DAYS, Books, ScoringInputs
from prebill.lake.tables import TABLES
from prebill.store.documents import own_history
from prebill.store.engine import Tx
from prebill.store.lake_index import named_batches
from prebill.store.profiles import COMPANY, FRAMES, MARK, PORTFOLIO, payloads, replace_profiles
from prebill.workflows.shard import gate_lines

#: What features look back on, and payments of the invoices before that.
KEPT: Final = timedelta(days=LOOK_BACK_DAYS + 120)
#: Customers of the sample: enough invoices for tails, few enough to be judged beside one draft.
SAMPLE_CUSTOMERS: Final = 120
#: A customer of the sample has this much history.
SAMPLE_INVOICES: Final = 4


def is_stale(opened: Installation) -> bool:
    """Whether facts came in since the profiles were prepared."""
    with opened.store.read() as tx:
        present = tx.scalar("SELECT payload FROM profiles WHERE customer_id = :id", {"id": MARK})
        return bool(present != _mark(tx, opened))


def prepare_profiles(opened: Installation) -> int:
    """Make every profile anew; return how many customers have one."""
    with opened.store.read() as tx:
        mark = _mark(tx, opened)
        customers = tx.table_frame("customers", columns=CUSTOMERS.names)
        batches = {frame.name: named_batches(tx, frame.name) for frame in FRAMES}
        own = own_history(
            tx,
            None,
            issued_before=datetime.now(UTC).date() + timedelta(days=2),
            since_on=date.min,
        )
    with opened.lake.reading():
        facts = {
            frame.name: opened.lake.scan(frame.name, batches[frame.name])
            .select(frame.names)
            .collect()
            for frame in FRAMES
        }
    own_lines = INVOICE_LINES.conform(gate_lines(own.lines))
    facts["invoices"] = pl.concat([facts["invoices"], INVOICES.conform(own.invoices)])
    facts["invoice_lines"] = pl.concat([facts["invoice_lines"], own_lines])
    kept = _recent(facts["invoices"]).unique("invoice_id", keep="last", maintain_order=True)
    facts = {
        name: frame.join(kept.select("invoice_id"), on="invoice_id", how="semi")
        for name, frame in facts.items()
        if name != "invoices"
    } | {"invoices": kept}
    rows = payloads(facts, kept.select("invoice_id", "customer_id"), by="customer_id")
    as_of_on = kept["issued_on"].max() if kept.height else date.min
    every = pl.concat([rows, _portfolio(facts, kept), _company(opened, facts, customers)])
    with opened.store.transaction() as tx:
        replace_profiles(tx, every, as_of_on=as_of_on, mark=mark)  # type: ignore[arg-type]
    return rows.height


def _recent(invoices: pl.DataFrame) -> pl.DataFrame:
    return invoices.filter(pl.col("issued_on") >= pl.col("issued_on").max() - KEPT)


def _portfolio(facts: dict[str, pl.DataFrame], kept: pl.DataFrame) -> pl.DataFrame:
    """Evenly chosen customers with history: the same ones for the same facts."""
    known = kept.group_by("customer_id").len().filter(pl.col("len") >= SAMPLE_INVOICES)
    customers = known.sort("customer_id").select("customer_id")
    step = max(1, customers.height // SAMPLE_CUSTOMERS)
    chosen = kept.join(customers.gather_every(step), on="customer_id", how="semi")
    owners = chosen.select("invoice_id", customer_id=pl.lit(PORTFOLIO))
    return payloads(facts, owners, by="customer_id").select("customer_id", "payload")


def _company(
    opened: Installation, facts: dict[str, pl.DataFrame], customers: pl.DataFrame
) -> pl.DataFrame:
    """What is ordinary in the company, for the models in use."""
    inputs = ScoringInputs(
        history=Books(facts["invoices"], facts["invoice_lines"]),
        drafts=Books(),
        customers=customers,
        payments=facts["payments"],
        credit_notes=facts["credit_notes"],
    )
    company = company_of(inputs, opened.load_judges().models.forest)
    return pl.DataFrame({"customer_id": [COMPANY], "payload": [company.to_json()]})


def _mark(tx: Tx, opened: Installation) -> str:
    """A digest of which facts exist and which models are in use."""
    batches = {table: named_batches(tx, table) for table in TABLES if table != "usage_events"}
    documents = tx.scalar("SELECT count(*) FROM documents")
    models = opened.load_judges().models.versions
    text = json.dumps([batches, documents, models], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
