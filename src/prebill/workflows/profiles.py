"""Prepare profiles: what the hook reads instead of history, one row a customer, one of the company.

The rows are made again when facts came in since (:func:`is_stale`). The hook itself opens no lake.
"""

import hashlib
import json
import logging
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from prebill.bootstrap import Installation, Judges
from prebill.core.schemas.inbound import CREDIT_NOTES, CUSTOMERS, INVOICE_LINES, INVOICES, PAYMENTS
from prebill.core.scoring.company import company_of
from prebill.core.scoring.frames import LOOK_BACK_DAYS, Books, ScoringInputs
from prebill.core.scoring.prepared import prepare
from prebill.lake.tables import TABLES
from prebill.store.documents import own_history
from prebill.store.engine import Tx
from prebill.store.lake_index import named_batches
from prebill.store.profiles import CHALLENGER, COMPANY, FORM, MARK, payloads, replace_profiles
from prebill.workflows.shard import gate_lines

_log = logging.getLogger(__name__)

FRAMES: Final = (INVOICES, INVOICE_LINES, PAYMENTS, CREDIT_NOTES)
#: What features look back on, and payments of the invoices before that.
KEPT: Final = timedelta(days=LOOK_BACK_DAYS + 120)


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
    inputs = ScoringInputs(
        history=Books(facts["invoices"], facts["invoice_lines"]),
        drafts=Books(),
        customers=customers,
        payments=facts["payments"],
        credit_notes=facts["credit_notes"],
    )
    judges = opened.load_judges()
    company = company_of(inputs, judges.models.forest)
    learnt = {COMPANY: company.to_json(), **_as_challenged(inputs, judges)}
    lines = facts["invoice_lines"].join(kept.select("invoice_id", "customer_id"), on="invoice_id")
    books = {"invoices": kept, "invoice_lines": lines}
    rows = payloads(books, prepare(inputs, company.everybody).frames)
    as_of_on = kept["issued_on"].max() if kept.height else date.min
    named = pl.DataFrame({"customer_id": list(learnt), "payload": list(learnt.values())})
    every = pl.concat([rows, named])
    with opened.store.transaction() as tx:
        replace_profiles(tx, every, as_of_on=as_of_on, mark=mark)  # type: ignore[arg-type]
    return rows.height


def _as_challenged(inputs: ScoringInputs, judges: Judges) -> dict[str, str]:
    """What is ordinary as the challenger's forest sees it, where that is another one."""
    challenger = judges.challenger
    if challenger is None or not judges.has_other_forest:
        return {}
    try:
        return {CHALLENGER: company_of(inputs, challenger.forest).to_json()}
    except Exception:  # a challenger costs the hook nothing but its shadow scores
        _log.exception("what is ordinary can't be learnt with the challenger's forest: no shadow")
        return {}


def _recent(invoices: pl.DataFrame) -> pl.DataFrame:
    return invoices.filter(pl.col("issued_on") >= pl.col("issued_on").max() - KEPT)


def _mark(tx: Tx, opened: Installation) -> str:
    """A digest of which facts exist and which models are in use."""
    batches = {table: named_batches(tx, table) for table in TABLES if table != "usage_events"}
    documents = tx.scalar("SELECT count(*) FROM documents")
    judges = opened.load_judges()
    models = [judges.models.versions, judges.challenger and judges.challenger.versions]
    text = json.dumps([batches, documents, models], sort_keys=True)
    return FORM + hashlib.sha256(text.encode()).hexdigest()
