from pathlib import Path

import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import NotFoundError
from prebill.workflows.reconcile import reconcile_period
from tests.workflows import world


@pytest.fixture
def opened(sqlite_url: str, home: Path) -> Installation:
    installation = world.install(sqlite_url, home, accounts=6, events=300)
    world.run(installation)
    return installation


def codes(opened: Installation) -> set[str]:
    return {one.code for one in reconcile_period(opened, world.PERIOD).differences}


def plant(opened: Installation, *statements: str) -> None:
    """Change the database as nobody should."""
    with opened.store.transaction() as tx:
        for statement in statements:
            tx.execute(statement)


def test_a_clean_period_agrees_on_every_side(opened: Installation) -> None:
    result = reconcile_period(opened, world.PERIOD)
    assert result.differences == []
    assert len(result.sides) == 5


def test_both_engines_agree(database_url: str, home: Path) -> None:
    installation = world.install(database_url, home, accounts=4, events=100)
    world.run(installation)
    assert reconcile_period(installation, world.PERIOD).differences == []


def test_a_period_that_was_not_billed_is_named(sqlite_url: str, home: Path) -> None:
    installation = world.install(sqlite_url, home, accounts=2, events=10)
    with pytest.raises(NotFoundError, match="not billed yet"):
        reconcile_period(installation, world.PERIOD)


LOSE_LINE = (
    "UPDATE drafts SET lines_json = '[' || substr(lines_json, instr(lines_json, '},{') + 2) "
    "WHERE subscription_id = 'S0000001'"
)
FALSIFY_QUANTITY = (
    'UPDATE drafts SET lines_json = replace(lines_json, \'"meter":"api_calls"\', '
    "'\"meter\":\"storage_gb\"') WHERE subscription_id = 'S0000001'"
)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (LOSE_LINE, "charge_lost"),
        ("DELETE FROM contracts WHERE contract_id = 'K0000001'", "charge_not_active"),
        (FALSIFY_QUANTITY, "quantity_differs"),
        ("UPDATE drafts SET state = 'held' WHERE subscription_id = 'S0000001'", "draft_misplaced"),
        (
            "UPDATE drafts SET state = 'superseded' WHERE subscription_id = 'S0000001'",
            "document_without_draft",
        ),
        (
            "UPDATE drafts SET state = 'superseded' WHERE subscription_id = 'S0000001'",
            "draft_lost",
        ),
        (
            (
                "UPDATE postings SET amount_minor = amount_minor + 1 WHERE purpose = 'receivable' "
                "AND entry_id = (SELECT min(entry_id) FROM postings)"
            ),
            "receivable_differs",
        ),
        (
            (
                "UPDATE postings SET amount_minor = amount_minor + 1 WHERE purpose = 'revenue' "
                "AND entry_id = (SELECT min(entry_id) FROM postings)"
            ),
            "entry_unbalanced",
        ),
        ("UPDATE number_series SET next_number = next_number + 1", "numbers_not_gap_free"),
        (
            "UPDATE run_shards SET counts = json_set(counts, '$.metered_events', 1)",
            "events_lost",
        ),
        (
            "INSERT INTO imports VALUES ('i', 'f', 'usage_events', 'd', 10, 5, 0, 4, '', '')",
            "import_rows_lost",
        ),
        (
            "INSERT INTO imports VALUES ('i', 'f', 'usage_events', 'd', 10, 5, 0, 5, '', '')",
            "quarantine_lost",
        ),
        (
            "UPDATE lake_batches SET checksum = 'x' WHERE table_name = 'usage_events'",
            "batch_damaged",
        ),
    ],
)
def test_a_planted_difference_is_found(opened: Installation, statement: str, code: str) -> None:
    plant(opened, "PRAGMA defer_foreign_keys = ON", statement)
    found = reconcile_period(opened, world.PERIOD)
    assert code in {one.code for one in found.differences}
    assert all(one.text and one.advice for one in found.differences)


def test_a_late_event_is_counted_as_late_and_is_no_difference(opened: Installation) -> None:
    from tests.benchmarks import company

    more = company.frames(6, 12, seed=2)["usage_events"]
    late = more.with_columns(source=more["source"] + "-late")
    world.add_batch(opened, "usage_events", late, "late")
    result = reconcile_period(opened, world.PERIOD)
    assert result.differences == []
    assert "late 12" in result.sides[1].text
