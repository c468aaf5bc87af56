"""Forecasts from an installation, on both databases; what comes later changes none."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.calendar import month_period
from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.store.cases import save_verdict
from prebill.workflows.forecast import (
    Ledger,
    cash_from,
    cash_of,
    daily_usage,
    read_ledger,
    usage_of,
    workload_of,
)
from tests.core.scoring.payers import TODAY, payers
from tests.workflows import world

NOVEMBER = month_period("2026-11")
AS_OF = date(2026, 11, 10)
PRIOR = PaymentRisk(Rung.PRIOR, 0.0)


def test_usage_by_day_follows_each_meters_aggregation(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    events = opened.lake.scan("usage_events", ["usage_events-1"]).collect()
    found = daily_usage(opened, date(2026, 1, 1), date(2027, 1, 1))
    meters = {
        row["meter"]: row["aggregation"] for row in world.rows(opened, "SELECT * FROM meters")
    }
    assert {"sum", "count", "max", "latest"} & {*meters.values()} == {*found["aggregation"]}
    for (meter,), rows in found.group_by("meter"):
        own = events.filter(pl.col("meter") == meter)
        whole = {
            "sum": float(own["quantity"].sum()),
            "count": float(own.height),
            "max": float(own["quantity"].max()),
        }
        reached = rows["value"].max() if meters[meter] == "max" else rows["value"].sum()
        assert reached == pytest.approx(whole[meters[meter]])


def test_later_events_change_no_expectation(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    before = usage_of(opened, NOVEMBER, as_of_on=date(2026, 10, 20))
    assert before.height > 0
    assert {"median", "last"} >= {*before["basis"]}
    later = USAGE_EVENTS.conform(opened.lake.scan("usage_events", ["usage_events-1"]).collect())
    moved = later.with_columns(
        id=pl.format("later-{}", "id"), occurred_at=pl.lit(datetime(2026, 10, 20, tzinfo=UTC))
    )
    world.add_batch(opened, "usage_events", moved, "usage_events-2")
    assert_frame_equal(before, usage_of(opened, NOVEMBER, as_of_on=date(2026, 10, 20)))
    assert usage_of(opened, NOVEMBER, as_of_on=date(2026, 10, 22)).height >= before.height


def test_cash_knows_own_documents_and_imported_invoices(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    world.run(opened)
    ledger = read_ledger(opened, AS_OF)
    issued = world.rows(opened, "SELECT document_id, total_minor FROM documents")
    assert {row["document_id"] for row in issued} <= {*ledger.invoices["invoice_id"]}
    imported = opened.lake.scan("invoices", ["invoices-1"]).collect()
    recent = imported.filter(pl.col("issued_on") >= AS_OF - timedelta(days=730))
    assert recent.height + len(issued) == ledger.invoices.height
    found = cash_of(opened, as_of_on=AS_OF, weeks=6)
    assert 6 * ledger.invoices["currency"].n_unique() == found.height
    assert found["from_open"].sum() > 0
    # Nobody can pay more than what is open; what is still to come is forecast apart.
    assert found["from_open"].sum() <= float(ledger.invoices["total_minor"].sum())


def test_workload_counts_drafts_cases_and_missing_invoices(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    world.amend(opened, 3, quantity=Decimal(99))
    now = datetime.now(UTC) + timedelta(minutes=5)
    assert workload_of(opened, before_at=now) is None
    world.run(opened)
    cases = world.rows(opened, "SELECT * FROM cases ORDER BY case_id")
    assert 1 == len(cases)
    drafts = world.rows(opened, "SELECT DISTINCT draft_id FROM drafts")
    found = workload_of(opened, before_at=now)
    assert found is not None
    assert (len(drafts), 1) == (found.drafts, round(found.cases))
    assert (6.0, False, 1) == (found.minutes, found.is_measured, found.cycles)
    with opened.store.transaction() as tx:
        gap = {**cases[0], "case_id": "gap-1", "kind": "gap", "draft_id": "gap:2026-10:C1:"}
        tx.insert("cases", gap)
        save_verdict(
            tx,
            cases[0],
            verdict="release",
            reason="right",
            note="",
            correction=None,
            actor="tester",
        )
        tx.insert_rows("engine_drafts", [world.engine_draft(f"E{number}") for number in range(2)])
        held = {**cases[0], "case_id": "gate-1", "kind": "gate", "draft_id": "E0"}
        tx.insert("cases", {**held, "draft_version": "1"})
    more = workload_of(opened, before_at=now)
    assert more is not None
    assert (len(drafts) + 2, 3) == (more.drafts, round(more.cases))
    assert workload_of(opened, before_at=datetime(2020, 1, 1, tzinfo=UTC)) is None


def test_later_payments_and_invoices_change_no_cash() -> None:
    books = payers(customers=30)
    ledger = Ledger(books.invoices, books.payments, books.credit_notes)
    morning = TODAY - timedelta(days=60)
    known = Ledger(
        books.invoices.filter(pl.col("issued_on") < morning),
        books.payments.filter(pl.col("paid_on") < morning),
        books.credit_notes.filter(pl.col("issued_on") < morning),
    )
    found = cash_from(ledger, PRIOR, as_of_on=morning, weeks=6)
    assert_frame_equal(found, cash_from(known, PRIOR, as_of_on=morning, weeks=6))
    assert (found["low"] <= found["middle"]).all()
    assert (found["middle"] <= found["high"]).all()
    assert found["from_new"].tail(1).item() > found["from_open"].tail(1).item()


def test_cash_is_near_what_steady_payers_pay() -> None:
    books = payers(customers=30)
    ledger = Ledger(books.invoices, books.payments, books.credit_notes)
    morning = TODAY - timedelta(days=60)
    found = cash_from(ledger, PRIOR, as_of_on=morning, weeks=6)
    paid = books.payments.filter(
        pl.col("paid_on").is_between(morning, morning + timedelta(weeks=6), closed="left")
    )
    assert found["expected"].sum() == pytest.approx(float(paid["amount_minor"].sum()), rel=0.15)
