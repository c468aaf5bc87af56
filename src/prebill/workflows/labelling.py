"""Labels that arrive by themselves: credit notes, disputes and payments of what was issued here."""

from typing import Final

import polars as pl

from prebill.contracts import DataContract
from prebill.core.schemas.inbound import CREDIT_NOTES, DISPUTES, PAYMENTS
from prebill.core.scoring.labels import Arrived, outcome_labels
from prebill.lake import LakeBatch
from prebill.store.lake_index import named_batches
from prebill.store.outcomes import issued_invoices
from prebill.workflows.ingest_checks import Judged, World

_TELLING: Final = (CREDIT_NOTES, DISPUTES, PAYMENTS)


def labels_of_facts(
    world: World, contract: DataContract, judged: Judged, batches: list[LakeBatch]
) -> pl.DataFrame:
    """Say what imported facts mean for the drafts that were issued here.

    Facts that are known already say it again, so that a label that is absent comes back.

    Parameters
    ----------
    world : World
        Store and lake.
    contract : DataContract
        What the rows are.
    judged : Judged
        The rows.
    batches : list of LakeBatch
        Where they were written; nothing names them yet.

    Returns
    -------
    pl.DataFrame
        ``LABELS`` without ``entered_by, entered_at``; no row where the facts tell nothing.
    """
    nothing = Arrived(*(frame.empty() for frame in _TELLING))
    if contract.name not in {frame.name for frame in _TELLING} or judged.good.is_empty():
        return outcome_labels(_NO_INVOICE, nothing)
    with world.store.read() as tx:
        issued = issued_invoices(tx, judged.good["invoice_id"].unique().to_list())
        named = {frame.name: named_batches(tx, frame.name) for frame in _TELLING}
    if issued.is_empty():
        return outcome_labels(_NO_INVOICE, nothing)
    named[contract.name] += [one.batch_id for one in batches]
    wanted = pl.col("invoice_id").is_in(issued["invoice_id"].implode())
    known = [
        world.lake.scan(frame.name, named[frame.name]).select(frame.names).filter(wanted).collect()
        for frame in _TELLING
    ]
    return outcome_labels(issued, Arrived(*known))


_NO_INVOICE: Final = pl.DataFrame(
    schema={
        "invoice_id": pl.String(),
        "draft_id": pl.String(),
        "draft_version": pl.String(),
        "issued_on": pl.Date(),
        "total_minor": pl.Int64(),
    }
)
