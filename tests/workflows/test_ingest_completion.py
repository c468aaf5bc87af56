"""Facts that are completed later: which columns, how it is kept, what an older file can't undo."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prebill.lake import COMPLETES, Lake
from prebill.store.engine import Store
from prebill.store.lake_index import named_batches
from prebill.store.reference import LAKE_FRAMES
from prebill.workflows import quarantine
from tests.workflows.ingest_company import CATALOG, bring, facts, run, waiting, world, write


def dispute(dispute_id: str = "d1", **changed: Any) -> dict[str, Any]:
    return {
        "dispute_id": dispute_id,
        "invoice_id": "i1",
        "opened_on": "2026-10-05",
        "closed_on": None,
        "reason": None,
        "amount_minor": None,
        **changed,
    }


def disputes(store: Store, lake: Lake) -> list[tuple[Any, ...]]:
    rows = facts(store, lake, "disputes").sort("dispute_id")
    return rows.select(
        "dispute_id", pl.col("closed_on").cast(pl.String), "reason", "amount_minor"
    ).rows()


def hand_in(store: Store, lake: Lake, tmp_path: Path, *rows: dict[str, Any]) -> Any:
    """Import a file of disputes; return what became of it."""
    (report,) = run(store, lake, write(tmp_path / "more", {"disputes": list(rows)})).files
    return report


@pytest.fixture
def opened(store: Store, lake: Lake, tmp_path: Path) -> Store:
    """A company with one open dispute."""
    assert bring(store, lake, tmp_path / "in", disputes=[dispute()]).is_clean
    return store


def test_dispute_that_is_closed_later_is_completed_once(
    opened: Store, lake: Lake, tmp_path: Path
) -> None:
    closed = dispute(closed_on="2026-10-20")
    first = hand_in(opened, lake, tmp_path, closed)
    assert (first.good, first.completed, first.known, first.rejected) == (1, 1, 0, 0)
    second = hand_in(opened, lake, tmp_path, closed)
    assert (second.good, second.completed, second.known, second.rejected) == (0, 0, 1, 0)
    assert disputes(opened, lake) == [("d1", "2026-10-20", None, None)]


def test_older_file_does_not_undo_a_newer_one(opened: Store, lake: Lake, tmp_path: Path) -> None:
    hand_in(opened, lake, tmp_path, dispute(closed_on="2026-10-20", reason="price"))
    again = hand_in(opened, lake, tmp_path, dispute())
    assert (again.known, again.rejected) == (1, 0)
    assert disputes(opened, lake) == [("d1", "2026-10-20", "price", None)]


def test_columns_are_completed_one_after_the_other_in_any_order(
    opened: Store, lake: Lake, tmp_path: Path
) -> None:
    hand_in(opened, lake, tmp_path, dispute(amount_minor="500"))
    hand_in(opened, lake, tmp_path, dispute(closed_on="2026-10-20"))
    hand_in(opened, lake, tmp_path, dispute(reason="price"), dispute("d2"))
    assert disputes(opened, lake) == [
        ("d1", "2026-10-20", "price", 500),
        ("d2", None, None, None),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"opened_on": "2026-10-06", "closed_on": "2026-10-20"},
        {"closed_on": "2026-10-21"},
        {"closed_on": "2026-10-20", "reason": "price", "amount_minor": "6"},
    ],
)
def test_what_contradicts_the_known_fact_goes_to_quarantine(
    opened: Store, lake: Lake, tmp_path: Path, other: dict[str, Any]
) -> None:
    hand_in(opened, lake, tmp_path, dispute(closed_on="2026-10-20", amount_minor="5"))
    report = hand_in(opened, lake, tmp_path, dispute(**other))
    assert (report.good, report.known, report.rejected) == (0, 0, 1)
    assert waiting(opened, "rule") == [("same_id_other_content",)]
    assert disputes(opened, lake) == [("d1", "2026-10-20", None, 5)]


def test_both_states_in_one_file_make_one_fact(opened: Store, lake: Lake, tmp_path: Path) -> None:
    report = hand_in(
        *(opened, lake, tmp_path),
        dispute("d2"),
        dispute("d2", closed_on="2026-10-20"),
        dispute("d2", amount_minor="5"),
        dispute("d2", closed_on="2026-10-22"),
        dispute("d1", amount_minor="7"),
    )
    assert (report.good, report.completed, report.known, report.rejected) == (2, 1, 2, 1)
    assert waiting(opened, "line", "rule") == [(5, "same_id_other_content")]
    assert disputes(opened, lake) == [("d1", None, None, 7), ("d2", "2026-10-20", None, 5)]


def test_completion_is_audited_and_an_earlier_view_stays(
    opened: Store, lake: Lake, tmp_path: Path
) -> None:
    with opened.read() as tx:
        before = named_batches(tx, "disputes")
    hand_in(opened, lake, tmp_path, dispute(closed_on="2026-10-20"))
    with opened.read() as tx:
        after = named_batches(tx, "disputes")
        (entry,) = tx.rows("SELECT * FROM audit_entries WHERE action = 'facts.completed'")
    assert lake.scan("disputes", before).collect()["closed_on"].to_list() == [None]
    (added,) = {*after} - {*before}
    assert added.startswith(COMPLETES)
    assert (entry["actor"], entry["object_id"]) == ("ana", "disputes")
    assert '"ids":["d1"]' in entry["detail"]
    assert "2026-10-20" not in entry["detail"]


def test_completed_row_must_keep_the_rules_of_its_contract(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in")  # without the optional columns
    (known,) = facts(store, lake, "invoices").to_dicts()
    invoice = {name: str(known[name]) for name, value in known.items() if value is not None}
    half = {**invoice, "period_start_on": "2026-10-01"}
    report = run(store, lake, write(tmp_path / "a", {"invoices": [half]}))
    assert report.files[0].completed == 1
    wrong = {**invoice, "period_end_on": "2026-09-01"}
    report = run(store, lake, write(tmp_path / "b", {"invoices": [wrong]}))
    assert report.rejected == 1
    assert waiting(store, "rule") == [("period_ends_after_start",)]


def test_export_with_more_columns_completes_what_came_with_fewer(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in")
    (known,) = facts(store, lake, "invoices").to_dicts()
    invoice = {name: str(known[name]) for name, value in known.items() if value is not None}
    full = {**invoice, "legal_entity": "DE", "tax_minor": "1900", "subtotal_minor": "10000"}
    assert run(store, lake, write(tmp_path / "full", {"invoices": [full]})).is_clean
    (row,) = facts(store, lake, "invoices").to_dicts()
    assert (row["legal_entity"], row["tax_minor"], row["total_minor"]) == ("DE", 1900, 11900)
    assert facts(store, lake, "invoices").schema == CATALOG["invoices"].frame().schema


def test_row_that_waited_in_quarantine_completes_the_fact_by_retry(
    opened: Store, lake: Lake, tmp_path: Path
) -> None:
    later = dispute("d3", invoice_id="i2", closed_on="2026-10-20")
    assert hand_in(opened, lake, tmp_path, dispute("d1", closed_on="2026-10-20"), later).rejected
    invoice = {
        "invoice_id": "i2",
        "customer_id": "c1",
        "currency": "EUR",
        "issued_on": "2026-10-01",
        "due_on": "2026-10-15",
        "total_minor": "5",
    }
    first = {"invoices": [invoice], "disputes": [dispute("d3", invoice_id="i2")]}
    run(opened, lake, write(tmp_path / "i2", first))
    retried = quarantine.retry(world(opened, lake), actor="ana")
    assert retried.still_open == 0
    assert disputes(opened, lake) == [
        ("d1", "2026-10-20", None, None),
        ("d3", "2026-10-20", None, None),
    ]


def test_only_facts_have_completable_columns_and_usage_and_payments_none() -> None:
    completable = {one.name: one.completable for one in CATALOG.inbound() if one.completable}
    assert completable.keys() <= LAKE_FRAMES - {"usage_events", "payments"}
    assert completable["disputes"] == ["closed_on", "reason", "amount_minor"]
    assert completable["credit_notes"] == ["reason"]
