"""What became of drafts, read from both engines."""

from datetime import date

import polars as pl
import pytest

from prebill.core.schemas.inbound import INVOICES
from prebill.store import outcomes
from prebill.store.documents import judged_wrong
from prebill.store.engine import Store
from tests.store.test_rules import AT, add, case, document, draft


def label(**given: object) -> dict[str, object]:
    row = {"label_id": "l1", "draft_id": "d1", "draft_version": "v1", "is_error": True}
    row |= {"source": "verdict", "reason_code": "wrong_price", "entered_by": "ada"}
    return row | {"entered_at": AT, "matures_on": date(2026, 11, 1)} | given


@pytest.fixture
def told(store: Store) -> Store:
    """d1 was corrected from 200 to 119 and issued, d2 rejected, d3 issued untouched."""
    add(
        store,
        ("drafts", draft(state="superseded", total_minor=200)),
        ("drafts", draft(version="v2", state="issued", total_minor=119)),
        ("documents", document(draft_version="v2")),
        ("cases", case(status="corrected")),
        ("labels", label()),
        ("drafts", draft(draft_id="d2", state="rejected", total_minor=70)),
        ("labels", label(label_id="l2", draft_id="d2")),
        ("drafts", draft(draft_id="d3", state="issued")),
        ("documents", document(document_id="i3", draft_id="d3", sequence=3)),
        ("labels", label(label_id="l3", draft_id="d3", is_error=False, source="sample")),
    )
    return store


def test_wrong_drafts_come_as_they_were_judged(told: Store) -> None:
    with told.read() as tx:
        wrong = judged_wrong(tx)
    shown = wrong.select("invoice_id", "total_minor", "error_minor").sort("invoice_id").rows()
    assert shown == [("d2", 70, 70), ("i1", 200, 81)]
    INVOICES.conform(wrong.drop("error_minor", "lines_json"))


def test_sampled_labels_are_mature_ones_of_the_sample_alone(told: Store) -> None:
    with told.read() as tx:
        found = outcomes.sampled_labels(tx, date(2026, 11, 1))
        early = outcomes.sampled_labels(tx, date(2026, 10, 31))
    assert found.select("draft_id", "is_error").rows() == [("d3", False)]
    assert early.is_empty()


def test_untouched_documents_never_had_a_case(told: Store) -> None:
    with told.read() as tx:
        found = outcomes.untouched_documents(tx)
    assert found.select("draft_id", "invoice_id").rows() == [("d3", "i3")]
    assert found.select(INVOICES.names).schema == INVOICES.schema
    assert found["due_on"].dtype == pl.Date
