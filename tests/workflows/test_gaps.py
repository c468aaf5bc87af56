from datetime import UTC, datetime
from pathlib import Path

import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.store.runs import run_summary
from prebill.workflows import resolve
from tests.workflows import world

LATER = datetime(2026, 11, 6, 12, tzinfo=UTC)


@pytest.fixture
def opened(sqlite_url: str, home: Path) -> Installation:
    """Account 2 has a contract and a history, but nobody told billing about it."""
    installation = world.install(sqlite_url, home, accounts=6, events=120)
    with installation.store.transaction() as tx:
        tx.execute(
            "UPDATE subscriptions SET started_on = '2027-01-01' WHERE subscription_id = 'S0000002'"
        )
    world.run(installation)
    return installation


def gap_cases(opened: Installation) -> list[dict[str, object]]:
    return world.rows(opened, "SELECT * FROM cases WHERE kind = 'gap'")


def test_an_invoice_that_was_never_drafted_becomes_a_case(opened: Installation) -> None:
    (case,) = gap_cases(opened)
    assert str(case["draft_id"]).startswith("gap:2026-10:C0000002:")
    (decision,) = world.rows(
        opened, f"SELECT * FROM decisions WHERE draft_id = '{case['draft_id']}'"
    )
    assert "invoice_missing" in str(decision["reasons"])
    assert int(str(decision["expected_loss_minor"])) > 0


def test_the_case_lapses_once_the_invoice_is_drafted(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        tx.execute(
            "UPDATE subscriptions SET started_on = '2025-01-01' WHERE subscription_id = 'S0000002'"
        )
    world.run(opened, as_of_at=LATER)
    (case,) = gap_cases(opened)
    assert case["status"] == "lapsed"


def test_an_answered_gap_is_not_asked_again(opened: Installation) -> None:
    (case,) = gap_cases(opened)
    case_id = str(case["case_id"])
    correction = {"kind": "phase", "phase_id": "1", "quantity": "1"}
    with pytest.raises(InputError, match="source"):
        resolve.correct(opened, case_id, "ann", 1, correction=correction)
    resolve.release(opened, case_id, "ann", 1, "paused until January")
    world.run(opened, as_of_at=LATER)
    (case,) = gap_cases(opened)
    assert case["status"] == "released"


def test_a_draft_that_the_inputs_no_longer_give_lapses(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=6, events=120)
    world.run(opened, as_of_at=world.EARLY_AT)
    with opened.store.transaction() as tx:
        tx.execute(
            "UPDATE subscriptions SET ended_on = '2026-10-01' WHERE subscription_id = 'S0000002'"
        )
    summary = run_summary(opened.store, world.run(opened))
    assert summary.counts["lapsed"] == 1
    states = world.rows(opened, "SELECT state FROM drafts WHERE subscription_id = 'S0000002'")
    assert [row["state"] for row in states] == ["lapsed"]
