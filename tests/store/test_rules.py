"""What the database itself refuses, on both engines."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from prebill.core.errors import ConflictError
from prebill.store.engine import Store, Tx

AT = datetime(2026, 11, 1, tzinfo=UTC)
ON = date(2026, 11, 1)


def draft(**given: object) -> dict[str, Any]:
    row = dict.fromkeys(("run_id", "entity_id", "customer_id", "contract_id"), "x")
    row |= {"draft_id": "d1", "version": "v1", "subscription_id": "s", "period": "2026-10"}
    row |= {"currency": "EUR", "period_start_on": ON, "period_end_on": ON, "tax_point_on": ON}
    row |= dict.fromkeys(("subtotal_minor", "tax_minor", "total_minor", "lines"), 0)
    row |= {"payment_terms_days": 30, "state": "held", "lines_json": "[]"}
    return row | {"entered_at": AT, "entered_by": "run"} | given


def document(**given: object) -> dict[str, Any]:
    row = {"document_id": "i1", "entity_id": "e", "series": "R", "sequence": 1, "kind": "invoice"}
    row |= {"draft_id": "d1", "draft_version": "v1", "customer_id": "c", "contract_id": "k"}
    row |= {"currency": "EUR", "subtotal_minor": 100, "tax_minor": 19, "total_minor": 119}
    days = ("issued_on", "due_on", "tax_point_on", "period_start_on", "period_end_on")
    return row | dict.fromkeys(days, ON) | {"entered_at": AT, "entered_by": "run"} | given


def case(**given: object) -> dict[str, Any]:
    row = {"case_id": "c1", "kind": "draft", "draft_id": "d1", "draft_version": "v1"}
    row |= {"action": "hold", "status": "open", "queue": "q", "priority": 1.0}
    row |= {"expected_loss_minor": 1, "currency": "EUR", "lock_version": 1}
    return row | {"opened_at": AT, "due_at": AT} | given


def verdict(**given: object) -> dict[str, Any]:
    row = {"verdict_id": "v1", "case_id": "c1", "draft_id": "d1", "draft_version": "v1"}
    row |= {"verdict": "release", "reason_code": "r", "entered_at": AT, "entered_by": "ada"}
    return row | given


def add(store: Store, *rows: tuple[str, dict[str, Any]]) -> None:
    with store.transaction() as tx:
        insert(tx, *rows)


def insert(tx: Tx, *rows: tuple[str, dict[str, Any]]) -> None:
    for table, row in rows:
        tx.insert(table, row)


def test_draft_has_one_live_version(store: Store) -> None:
    add(store, ("drafts", draft()))
    with pytest.raises(ConflictError):
        add(store, ("drafts", draft(version="v2")))
    with store.transaction() as tx:
        tx.update("drafts", {"state": "superseded"}, where={"draft_id": "d1", "version": "v1"})
        tx.insert("drafts", draft(version="v2"))
        tx.insert("drafts", draft(version="v3", state="lapsed"))


def test_draft_is_issued_once(store: Store) -> None:
    add(store, ("documents", document()))
    with pytest.raises(ConflictError):
        add(store, ("documents", document(document_id="i2", sequence=2)))


def test_number_is_given_once_in_a_series(store: Store) -> None:
    add(store, ("documents", document()))
    with pytest.raises(ConflictError):
        add(store, ("documents", document(document_id="i2", draft_id="d2")))
    other = document(document_id="i2", draft_id="d2", entity_id="other")
    add(store, ("documents", other))


def test_document_that_does_not_add_up_is_refused(store: Store) -> None:
    with pytest.raises(ConflictError, match="adds_up"):
        add(store, ("documents", document(total_minor=120)))


def test_case_is_decided_once(store: Store) -> None:
    add(store, ("cases", case()), ("verdicts", verdict()))
    with pytest.raises(ConflictError):
        add(store, ("verdicts", verdict(verdict_id="v2", entered_by="bob")))


def test_who_corrected_a_draft_can_not_release_it(store: Store) -> None:
    corrected = verdict(verdict="correct")
    add(store, ("cases", case()), ("cases", case(case_id="c2")), ("verdicts", corrected))
    release = verdict(verdict_id="v2", case_id="c2", draft_version="v2")
    with pytest.raises(ConflictError, match="may not release"):
        add(store, ("verdicts", release))
    add(store, ("verdicts", release | {"entered_by": "bob"}))


def test_delivery_needs_its_document(store: Store) -> None:
    row = {"delivery_id": "x", "document_id": "none", "channel": "files", "payload": "{}"}
    row |= {"status": "pending", "attempts": 0, "next_attempt_at": AT}
    with pytest.raises(ConflictError):
        add(store, ("outbox", row))


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("drafts", draft(state="lost")),
        ("cases", case(status="lost")),
        ("verdicts", verdict(verdict="maybe")),
    ],
)
def test_unknown_states_are_refused(store: Store, table: str, row: dict[str, Any]) -> None:
    with pytest.raises(ConflictError, match="is_known"):
        add(store, (table, row))


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            "SELECT * FROM cases WHERE status = 'open' ORDER BY priority DESC, case_id LIMIT 50",
            "ix_cases_open",
        ),
        (
            (
                "SELECT * FROM outbox WHERE status = 'pending' AND next_attempt_at <= 'x'"
                " ORDER BY next_attempt_at, delivery_id LIMIT 50"
            ),
            "ix_outbox_pending",
        ),
        ("SELECT * FROM drafts WHERE run_id = 'r' AND state = 'held'", "ix_drafts_run_id"),
    ],
)
def test_hot_questions_use_their_index(sqlite_store: Store, statement: str, index: str) -> None:
    with sqlite_store.read() as tx:
        plan = " ".join(row["detail"] for row in tx.rows(f"EXPLAIN QUERY PLAN {statement}"))
    assert index in plan
    assert "TEMP B-TREE" not in plan
