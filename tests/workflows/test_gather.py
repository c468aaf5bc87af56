"""What a run knows of the past: the former engine's invoices and our own, both with payments."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from prebill.core.schemas.inbound import PAYMENTS
from prebill.store.runs import load_run
from prebill.workflows import plan
from prebill.workflows.gather import company_facts, read_facts
from tests.workflows import world

DECEMBER = datetime(2026, 12, 5, 12, tzinfo=UTC)


def test_what_we_issued_is_history_with_its_payments(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    world.run(opened)
    issued = world.rows(opened, "SELECT document_id, customer_id, total_minor FROM documents")
    paid = [
        {
            "payment_id": f"P-{one['document_id']}",
            "invoice_id": one["document_id"],
            "paid_on": date(2026, 11, 20),
            "amount_minor": one["total_minor"],
        }
        for one in issued
    ]
    world.add_batch(opened, "payments", pl.DataFrame(paid, schema=PAYMENTS.schema), "paid-2")
    run_id = plan.open_run(
        opened, "2026-11", as_of_at=DECEMBER, now_at=DECEMBER, entity_id=None, actor="tester"
    )
    with opened.store.read() as tx:
        run = load_run(tx, run_id)
    customers = sorted({str(one["customer_id"]) for one in issued})
    wanted = pl.DataFrame({"customer_id": customers})
    ours = {str(one["document_id"]) for one in issued}
    facts = read_facts(opened, run, wanted)
    assert len(ours) == 12
    assert ours <= set(facts.invoices["invoice_id"])
    assert ours <= set(facts.invoice_lines["invoice_id"])
    assert ours <= set(facts.payments["invoice_id"])
    assert facts.invoices["invoice_id"].is_unique().all()

    dealt = company_facts(opened, run, [customers[:5], customers[5:]])
    for part, members in zip(dealt.by_shard, (customers[:5], customers[5:]), strict=True):
        assert set(part.invoices["customer_id"]) == set(members)
        own = set(part.invoices["invoice_id"])
        assert set(part.payments["invoice_id"]) <= own
        assert ours & own <= set(part.payments["invoice_id"])
    assert ours <= set(dealt.past.payments["invoice_id"])
