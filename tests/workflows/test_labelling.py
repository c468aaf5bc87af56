"""Credit notes, disputes and payments that are imported become labels of what was issued here."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prebill.bootstrap import Installation
from prebill.store.outcomes import error_labels
from prebill.workflows import quarantine
from tests.workflows import ingest_company, world

LATER = date(2999, 1, 1)


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    """Four invoices issued on 2026-11-05, and a draft of another engine that was released."""
    installation = world.install(database_url, home, accounts=4, events=200)
    world.run(installation)
    draft = world.engine_draft("E1", version="7", state="released")
    with installation.store.transaction() as tx:
        tx.insert("engine_drafts", draft)
    return installation


def issued(opened: Installation) -> list[dict[str, Any]]:
    return world.rows(opened, "SELECT * FROM documents ORDER BY document_id")


def bring(opened: Installation, folder: Path, **rows: list[dict[str, Any]]) -> None:
    given = ingest_company.write(folder, rows)
    report = ingest_company.run(opened.store, opened.lake, given)
    assert not report.errors, report


def credit(invoice: str, reason: str, number: str = "1") -> dict[str, Any]:
    row = {"credit_note_id": f"CN{number}", "invoice_id": invoice, "issued_on": "2026-11-20"}
    return row | {"amount_minor": "100", "reason": reason}


def payment(invoice: str, amount_minor: int, number: str) -> dict[str, Any]:
    row = {"payment_id": f"P{number}", "invoice_id": invoice, "paid_on": "2026-11-30"}
    return row | {"amount_minor": str(amount_minor)}


def told(opened: Installation, mature_on: date = LATER) -> dict[str, tuple[bool, str]]:
    with opened.store.read() as tx:
        rows = error_labels(tx, mature_on).iter_rows(named=True)
    return {row["draft_id"]: (row["is_error"], row["source"]) for row in rows}


def test_correction_is_an_error_once_it_is_mature_and_goodwill_is_not(
    opened: Installation, tmp_path: Path
) -> None:
    first, second = issued(opened)[:2]
    notes = [credit(first["document_id"], "tax"), credit(second["document_id"], "goodwill", "2")]
    bring(opened, tmp_path / "a", credit_notes=notes)
    assert {first["draft_id"]: (True, "credit_note")} == told(opened)
    issued_on = date.fromisoformat(first["issued_on"])
    early = date.fromordinal(issued_on.toordinal() + 89)
    assert {} == told(opened, early)
    assert {first["draft_id"]} == set(told(opened, date.fromordinal(early.toordinal() + 1)))
    versions = world.rows(opened, "SELECT draft_version FROM labels")
    assert [first["draft_version"]] == [one["draft_version"] for one in versions]


def test_instalments_are_summed_over_files_and_a_file_again_changes_nothing(
    opened: Installation, tmp_path: Path
) -> None:
    one = issued(opened)[0]
    total = int(one["total_minor"])
    first, second = payment(one["document_id"], 1, "1"), payment(one["document_id"], total - 1, "2")
    bring(opened, tmp_path / "a", payments=[first])
    assert {} == told(opened)
    bring(opened, tmp_path / "b", payments=[second])
    assert {one["draft_id"]: (False, "payment")} == told(opened)
    bring(opened, tmp_path / "b", payments=[second])
    assert 1 == len(world.rows(opened, "SELECT * FROM labels"))


def test_dispute_that_is_closed_later_changes_its_label(
    opened: Installation, tmp_path: Path
) -> None:
    one = issued(opened)[0]
    row = {"dispute_id": "D1", "invoice_id": one["document_id"], "opened_on": "2026-11-10"}
    row |= {"reason": "too much", "amount_minor": None}
    bring(opened, tmp_path / "a", disputes=[row | {"closed_on": None}])
    assert {one["draft_id"]: (True, "dispute")} == told(opened)
    bring(opened, tmp_path / "b", disputes=[row | {"closed_on": "2026-11-25"}])
    assert {one["draft_id"]: (False, "dispute")} == told(opened)


def test_credit_note_of_another_engine_labels_its_draft(
    opened: Installation, tmp_path: Path
) -> None:
    bring(opened, tmp_path / "a", credit_notes=[credit("E1", "amount")])
    assert {} == told(opened)  # the invoice is not known yet: it waits
    invoice = {"invoice_id": "E1", "customer_id": "C0000001", "currency": "EUR"}
    invoice |= {"issued_on": "2026-11-01", "due_on": "2026-11-15", "total_minor": "1000"}
    bring(opened, tmp_path / "b", invoices=[invoice])
    at = world.FINAL_AT
    ready = ingest_company.world(opened.store, opened.lake, at)
    quarantine.retry(ready, actor="ann")
    assert {"E1": (True, "credit_note")} == told(opened)
