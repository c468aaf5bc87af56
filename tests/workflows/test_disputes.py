"""A run knows of disputes what was recorded when it started, whatever shard a customer is in."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from prebill.bootstrap import Judges
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import DISPUTES, PAYMENTS
from prebill.core.scoring.models import Models
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.store.runs import load_run, members_of
from prebill.workflows import plan
from prebill.workflows.gather import company_facts, gather, read_facts
from prebill.workflows.shard import judge
from tests.workflows import world

DECEMBER = datetime(2026, 12, 5, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SeenRisk(PaymentRisk):
    """Answers by the prior and keeps what it was asked."""

    seen: list[pl.DataFrame] = field(default_factory=list)

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        self.seen.append(features)
        return PaymentRisk.predict(self, features)


def disputed(invoice: object, opened_on: date, closed_on: date | None = None) -> dict:
    return {
        "dispute_id": f"X-{invoice}",
        "invoice_id": invoice,
        "opened_on": opened_on,
        "closed_on": closed_on,
    }


def rows_of(*rows: dict) -> pl.DataFrame:
    schema = {name: DISPUTES.schema[name] for name in rows[0]}
    return DISPUTES.conform(pl.DataFrame(list(rows), schema=schema))


def test_run_reads_disputes_as_of_its_instant(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    world.run(opened)
    issued = world.rows(
        opened, "SELECT document_id, customer_id, total_minor FROM documents ORDER BY customer_id"
    )
    invoices = [one["document_id"] for one in issued]
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
    known = rows_of(
        disputed(invoices[0], date(2026, 11, 20)),
        disputed(invoices[1], date(2026, 11, 10), date(2026, 11, 25)),
        disputed(invoices[2], date(2026, 12, 5)),
    )
    world.add_batch(opened, "disputes", known, "disputes-1")
    run_id = plan.open_run(
        opened,
        "2026-11",
        as_of_at=DECEMBER,
        now_at=DECEMBER,
        entity_id=None,
        actor="tester",
        shard_customers=6,
    )
    later = rows_of(disputed(invoices[3], date(2026, 11, 20)))
    world.add_batch(opened, "disputes", later, "disputes-2")

    with opened.store.read() as tx:
        run, members = load_run(tx, run_id), members_of(tx, run_id)
    dealt = company_facts(opened, run, members)
    risk = SeenRisk(Rung.PRIOR, 0.0)
    judges = Judges(Policy.default(), Models(payment_risk=risk))
    for own, facts in zip(members, dealt.by_shard, strict=True):
        with opened.store.read() as tx:
            inputs = gather(tx, run, own, facts, None)
        judge(inputs, judges)
        # What a worker reads for one shard alone, after a crash, is the same.
        alone = read_facts(opened, run, pl.DataFrame({"customer_id": own}))
        assert alone.disputes.equals(facts.disputes)
        without = replace(inputs, disputes=DISPUTES.empty())
        judge(without, judges)
    seen = [one["open_dispute_count"].to_list() for one in risk.seen]
    assert [[1, 0, 0, 0, 0, 0], [None] * 6, [0] * 6, [None] * 6] == seen
    shares = [one["dispute_share"].to_list() for one in risk.seen]
    # Of seven invoices; drafts are in the order of their entities, which take turns.
    assert [1 / 7, 0, 0, 1 / 7, 0, 0] == shares[0]
