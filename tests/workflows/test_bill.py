from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.core.money import DECIMAL
from prebill.store.runs import run_summary
from prebill.workflows import plan
from tests.workflows import world

LATER = datetime(2026, 11, 6, 12, tzinfo=UTC)


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    return world.install(database_url, home)


def counted(opened: Installation, table: str) -> int:
    return int(world.rows(opened, f"SELECT count(*) AS n FROM {table}")[0]["n"])


def test_a_run_issues_every_clean_draft_once(opened: Installation) -> None:
    run_id = world.run(opened)
    summary = run_summary(opened.store, run_id)
    assert summary.status == "finished"
    assert summary.states == {"issued": 12}
    assert summary.counts["metered_events"] == 600
    assert counted(opened, "documents") == counted(opened, "outbox") == 12
    numbers = world.rows(
        opened, "SELECT entity_id, sequence FROM documents ORDER BY entity_id, sequence"
    )
    assert [row["sequence"] for row in numbers] == [1, 2, 3, 4, 5, 6] * 2
    sums = world.rows(
        opened,
        "SELECT entry_id FROM postings GROUP BY entry_id HAVING sum(amount_minor) <> 0 "
        "OR sum(functional_minor) <> 0",
    )
    assert sums == []


def test_the_same_run_twice_gives_the_same(opened: Installation) -> None:
    world.run(opened)
    before = world.rows(opened, "SELECT * FROM documents ORDER BY document_id")
    postings = world.rows(opened, "SELECT * FROM postings ORDER BY entry_id, line")
    world.run(opened)
    world.run(opened, as_of_at=LATER)
    assert world.rows(opened, "SELECT * FROM documents ORDER BY document_id") == before
    assert world.rows(opened, "SELECT * FROM postings ORDER BY entry_id, line") == postings
    assert counted(opened, "drafts") == 12


def test_drafts_within_grace_wait_and_become_final(opened: Installation) -> None:
    run_id = world.run(opened, as_of_at=world.EARLY_AT)
    assert run_summary(opened.store, run_id).states == {"draft": 12}
    assert counted(opened, "documents") == counted(opened, "cases") == 0
    run_id = world.run(opened)
    assert run_summary(opened.store, run_id).states == {"issued": 12}
    changes = world.rows(
        opened,
        "SELECT from_state, to_state, count(*) AS n FROM state_changes "
        "WHERE object_type = 'draft' GROUP BY from_state, to_state ORDER BY n, to_state",
    )
    assert [(c["from_state"], c["to_state"]) for c in changes] == [
        (None, "draft"),
        ("draft", "issued"),
    ]


def test_changed_inputs_make_a_new_version_of_an_unissued_draft(opened: Installation) -> None:
    world.run(opened, as_of_at=world.EARLY_AT)
    world.amend(opened, 3, quantity=Decimal(99))
    run_id = world.run(opened, as_of_at=datetime(2026, 11, 2, 12, tzinfo=UTC))
    versions = world.rows(
        opened,
        "SELECT state FROM drafts WHERE subscription_id = 'S0000003' ORDER BY entered_at",
    )
    assert [row["state"] for row in versions] == ["superseded", "draft"]
    assert run_summary(opened.store, run_id).counts["fate_equal"] == 11


def test_a_held_draft_gets_a_case_that_lapses_with_its_version(opened: Installation) -> None:
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    (case,) = world.rows(opened, "SELECT * FROM cases")
    assert (case["action"], case["status"], case["queue"]) == ("hold", "open", "contracts")
    world.amend(opened, 4, quantity=Decimal(98))
    world.amend(opened, 3, recorded_at=datetime(2026, 11, 6, tzinfo=UTC))
    run_id = world.run(opened, as_of_at=LATER)
    cases = world.rows(opened, "SELECT status FROM cases ORDER BY case_id")
    assert [row["status"] for row in cases] == ["lapsed"]
    states = world.rows(
        opened, "SELECT state FROM drafts WHERE subscription_id = 'S0000003' ORDER BY entered_at"
    )
    assert [row["state"] for row in states] == ["superseded", "issued"]
    (adjustment,) = run_summary(opened.store, run_id).adjustments
    assert adjustment["draft_id"].endswith("S0000004")
    assert adjustment["difference_minor"] > 0


def test_an_issued_document_is_never_touched(opened: Installation) -> None:
    world.run(opened)
    before = world.rows(opened, "SELECT * FROM documents ORDER BY document_id")
    world.amend(opened, 5, quantity=Decimal(50))
    world.run(opened, as_of_at=LATER)
    assert world.rows(opened, "SELECT * FROM documents ORDER BY document_id") == before
    assert counted(opened, "drafts") == 12


def test_one_entity_is_billed_alone(opened: Installation) -> None:
    run_id = world.run(opened, entity_id="GB1")
    assert run_summary(opened.store, run_id).totals_minor.keys() == {"GBP"}
    world.run(opened, as_of_at=LATER)
    assert counted(opened, "documents") == 12


def test_an_unknown_entity_is_refused(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    with pytest.raises(InputError, match="DE1, GB1"):
        plan.open_run(
            opened, "2026-10", as_of_at=LATER, now_at=LATER, entity_id="FR1", actor="tester"
        )


def test_nothing_posts_into_a_closed_month(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    with opened.store.transaction() as tx:
        where = {"entity_id": "DE1", "period": "2026-11"}
        tx.update("accounting_periods", {"status": "closed"}, where=where)
    run_id = world.run(opened)
    assert run_summary(opened.store, run_id).states == {"held": 6, "issued": 6}
    (reasons,) = world.rows(opened, "SELECT DISTINCT reasons FROM decisions WHERE action = 'hold'")
    assert "accounting_period_closed" in str(reasons["reasons"])


def test_a_missing_account_holds_instead_of_failing(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    with opened.store.transaction() as tx:
        tx.execute(
            "DELETE FROM account_mappings WHERE entity_id = 'GB1' AND purpose = 'tax_payable'"
        )
    run_id = world.run(opened)
    assert run_summary(opened.store, run_id).states == {"held": 6, "issued": 6}


def test_models_that_can_not_be_loaded_send_everything_to_review(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prebill import bootstrap
    from prebill.core.scoring.models import Models

    opened = world.install(sqlite_url, home)
    monkeypatch.setattr(bootstrap, "load_models", lambda _: (Models(), "digest differs"))
    run_id = world.run(opened)
    assert run_summary(opened.store, run_id).states == {"in_review": 12}
    (reasons,) = world.rows(opened, "SELECT DISTINCT reasons FROM decisions")
    assert "digest differs" in str(reasons["reasons"])


def test_a_price_change_during_a_run_fails_it_and_stores_nothing(
    sqlite_url: str, home: Path
) -> None:
    opened = world.install(sqlite_url, home)
    run_id = plan.open_run(
        opened, "2026-10", as_of_at=LATER, now_at=LATER, entity_id=None, actor="tester"
    )
    with opened.store.transaction() as tx:
        tx.execute("UPDATE charges SET unit_price = '50' WHERE charge_id = 'base'")
    assert world.run(opened, as_of_at=LATER) == run_id
    summary = run_summary(opened.store, run_id)
    assert summary.status == "failed"
    assert "changed while" in str(summary.error)
    assert counted(opened, "drafts") == 0
    # Once the price is back, the same run is tried again and succeeds.
    with opened.store.transaction() as tx:
        tx.execute("UPDATE charges SET unit_price = '49' WHERE charge_id = 'base'")
    assert run_summary(opened.store, world.run(opened, as_of_at=LATER)).status == "finished"


def test_an_empty_month_is_billed_to_nothing(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, events=0)
    with opened.store.transaction() as tx:
        for table in ("subscription_phases", "subscriptions", "contract_terms", "contracts"):
            tx.execute(f"DELETE FROM {table}")
    summary = run_summary(opened.store, world.run(opened))
    assert (summary.status, summary.counts) == ("finished", {})


def test_a_contract_without_subscription_is_skipped_with_a_reason(
    sqlite_url: str, home: Path
) -> None:
    opened = world.install(sqlite_url, home)
    with opened.store.transaction() as tx:
        tx.execute("DELETE FROM subscription_phases WHERE subscription_id = 'S0000002'")
        tx.execute("DELETE FROM subscriptions WHERE subscription_id = 'S0000002'")
    world.run(opened)
    skips = world.rows(opened, "SELECT contract_id, charge_id, reason FROM skips")
    assert {row["contract_id"] for row in skips} == {"K0000002"}
    assert {row["charge_id"] for row in skips} >= {"api", "base", "seats", "storage", "users"}


def test_the_lake_has_what_sql_names(opened: Installation) -> None:
    run_id = world.run(opened)
    ids = [f"{run_id}#{shard}" for shard in range(2)]
    lines = opened.lake.scan("draft_lines", ids).collect()
    decisions = opened.lake.scan("decisions", ids).collect()
    assert (lines.height, decisions.height) == (60, 12)
    named = world.rows(
        opened,
        "SELECT table_name, sum(rows) AS n FROM lake_batches "
        "WHERE batch_id LIKE '2026-10/%' GROUP BY table_name",
    )
    assert {row["table_name"]: int(row["n"]) for row in named} == {
        "draft_lines": 60,
        "feature_rows": 12,
        "decisions": 12,
    }


def test_a_late_batch_changes_the_next_run_only(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    world.run(opened, as_of_at=world.EARLY_AT)
    late = pl.DataFrame(
        {
            "source": ["late"],
            "id": ["late-1"],
            "customer_id": ["C0000001"],
            "meter": ["api_calls"],
            "occurred_at": [datetime(2026, 10, 20, tzinfo=UTC)],
            "quantity": pl.Series([Decimal(100_000)], dtype=DECIMAL),
            "unique_value": ["u"],
        }
    )
    world.add_batch(opened, "usage_events", late, "late")
    summary = run_summary(opened.store, world.run(opened))
    assert summary.counts["fate_replace"] == 1
    assert summary.counts["fate_promote"] == 11
