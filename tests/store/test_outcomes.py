"""What became of drafts, read from both engines."""

from datetime import date

import polars as pl
import pytest

from prebill.core.schemas.inbound import INVOICES
from prebill.store import outcomes
from prebill.store.documents import judged_wrong
from prebill.store.engine import Store
from tests.store.test_rules import AT, add, case, document, draft
from tests.workflows.world import engine_draft


def label(**given: object) -> dict[str, object]:
    row = {"label_id": "l1", "draft_id": "d1", "draft_version": "v1", "is_error": True}
    row |= {"source": "verdict", "reason_code": "wrong_price", "entered_by": "ada"}
    row |= {"was_shown": True, "propensity": None}
    return row | {"entered_at": AT, "matures_on": date(2026, 11, 1)} | given


def sampled(**given: object) -> dict[str, object]:
    row = {"is_error": False, "source": "sample", "was_shown": False, "propensity": 0.02}
    return label(**(row | given))


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
        ("labels", sampled(label_id="l3", draft_id="d3")),
        ("cases", case(case_id="s3", draft_id="d3", kind="sample", action="release")),
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


def test_labels_are_one_a_draft_version_and_gaps_have_none(told: Store) -> None:
    late = date(2027, 2, 1)
    add(
        told,
        ("labels", label(label_id="p3", draft_id="d3", source="payment", matures_on=late)),
        ("labels", label(label_id="c3", draft_id="d3", source="credit_note", matures_on=late)),
        ("labels", label(label_id="g", draft_id="gap:2026-10:C1:S1", draft_version="gap")),
    )
    with told.read() as tx:
        early = outcomes.error_labels(tx, date(2026, 11, 1))
        later = outcomes.error_labels(tx, late)
    columns = ["draft_id", "draft_version", "is_error", "source", "weight", "propensity"]
    columns += ["was_shown", "matures_on"]
    assert columns == early.columns
    assert ("d3", "v1", False, "sample", 1.0, 0.02, False, date(2026, 11, 1)) == early.row(2)
    assert ("d3", "v1", True, "credit_note", 1.0, 0.02, True, late) == later.row(2)
    assert ["d1", "d2", "d3"] == early["draft_id"].to_list() == later["draft_id"].to_list()
    assert set(early.filter(pl.col("source") == "verdict")["was_shown"]) == {True}


def test_invoices_issued_here_are_found_under_their_number_or_that_of_the_engine(
    told: Store,
) -> None:
    add(told, ("engine_drafts", engine_draft("E1", version="7", state="released")))
    with told.read() as tx:
        found = outcomes.issued_invoices(tx, ["i3", "E1", "unknown"])
    assert found.sort("invoice_id").select("invoice_id", "draft_id", "draft_version").rows() == [
        ("E1", "E1", "7"),
        ("i3", "d3", "v1"),
    ]


def test_untouched_invoices_never_had_a_case(told: Store) -> None:
    with told.read() as tx:
        found = outcomes.untouched_invoices(tx)
    assert found.select("draft_id", "invoice_id").rows() == [("d3", "i3")]
    assert found.select(INVOICES.names).schema == INVOICES.schema
    assert found["due_on"].dtype == pl.Date
