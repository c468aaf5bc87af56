"""An event id with two contents in the lake: never dropped silently, never billed untouched."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.store.lake_index import named_batches
from prebill.store.runs import run_summary
from prebill.workflows import resolve
from prebill.workflows.reconcile import reconcile_period
from tests.workflows import world


def usage(opened: Installation) -> pl.DataFrame:
    with opened.store.read() as tx:
        batches = named_batches(tx, "usage_events")
    lake: Lake = opened.lake
    return lake.scan("usage_events", batches).collect().sort("source", "id")


def of_october(events: pl.DataFrame, customer: str) -> pl.DataFrame:
    """An event of a metered charge in the middle of the month."""
    day = pl.col("occurred_at").dt.date()
    return events.filter(
        pl.col("customer_id") == customer,
        day.is_between(pl.date(2026, 10, 5), pl.date(2026, 10, 20)),
    ).head(1)


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    """Twelve accounts in two shards; one event of the second came twice and once differently."""
    installation = world.install(database_url, home, accounts=12, events=600)
    customers = usage(installation)["customer_id"].unique().sort()
    event = of_october(usage(installation), customers[1])
    other = event.with_columns(quantity=pl.col("quantity") + 7)
    world.add_batch(installation, "usage_events", pl.concat([event, other]), "again")
    return installation


def the_case(opened: Installation) -> dict[str, Any]:
    (case,) = world.rows(opened, "SELECT * FROM cases WHERE status = 'open'")
    return case


def test_conflict_is_counted_apart_and_reviewed(opened: Installation) -> None:
    summary = run_summary(opened.store, world.run(opened))
    assert summary.states == {"in_review": 1, "issued": 11}
    counts = summary.counts
    assert (counts["duplicate_events"], counts["conflicting_events"]) == (1, 1)
    assert counts["events"] == 602 == counts["metered_events"] + counts["unmatched_events"] + 2
    (decision,) = world.rows(opened, "SELECT * FROM decisions WHERE action = 'review'")
    reason = json.loads(str(decision["reasons"]))[0]
    assert reason["code"] == "event_ids_conflict"
    assert "find out which is true" in reason["text"]
    assert reason["lines"]
    assert the_case(opened)["queue"] == "metering"


def test_conflict_is_reconciled(opened: Installation) -> None:
    world.run(opened)
    result = reconcile_period(opened, world.PERIOD)
    assert result.differences == []
    assert "sent twice 1 + same id, other content 1;" in result.sides[1].text


def test_the_kept_content_is_released_by_a_person(opened: Installation) -> None:
    world.run(opened)
    assert resolve.release(opened, the_case(opened)["case_id"], "ann", 1, "asked").state == "issued"
    assert reconcile_period(opened, world.PERIOD).differences == []


def test_the_other_content_is_billed_by_a_correction(opened: Installation) -> None:
    world.run(opened)
    case = the_case(opened)
    (draft,) = world.rows(opened, "SELECT * FROM drafts WHERE state = 'in_review'")
    line = next(one for one in json.loads(str(draft["lines_json"])) if one["meter"])
    right = Decimal(line["quantity"]) + 7
    correction = {
        "kind": "usage_quantity",
        "charge_id": line["charge_id"],
        "quantity": str(right),
    }
    resolve.correct(opened, case["case_id"], "ann", 1, correction=correction, reason="it is true")
    again = the_case(opened)
    assert again["draft_version"] != case["draft_version"]
    resolve.release(opened, again["case_id"], "bob", 1, "agreed")
    (issued,) = world.rows(
        opened, f"SELECT * FROM drafts WHERE draft_id = '{draft['draft_id']}' AND state = 'issued'"
    )
    lines = json.loads(str(issued["lines_json"]))
    assert Decimal(next(o for o in lines if o["line_id"] == line["line_id"])["quantity"]) == right


def test_id_shared_by_customers_of_two_shards_is_found_by_reconciliation(
    sqlite_url: str, home: Path
) -> None:
    opened = world.install(sqlite_url, home, accounts=12, events=600)
    customers = usage(opened)["customer_id"].unique().sort()
    event = of_october(usage(opened), customers[1])
    world.add_batch(
        opened, "usage_events", event.with_columns(customer_id=pl.lit(customers[-1])), "shared"
    )
    assert event.height == 1
    world.run(opened)
    found = {one.code for one in reconcile_period(opened, world.PERIOD).differences}
    assert "event_ids_shared" in found
