"""A case counts more the nearer its deadline is, by steps, and says why."""

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from prebill.bootstrap import Installation
from prebill.core.triage import priority
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.codec import instant_text
from prebill.store.console import CaseFilter, list_cases
from prebill.store.engine import Store
from prebill.workflows import urgency
from prebill.workflows.urgency import raise_due
from tests.api.builders import add_waiting

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def opened(store: Store, settings: Settings, lake: Lake) -> Installation:
    """Four cases worth 10, due in 20, 10, 3 and -1 hours."""
    with store.transaction() as tx:
        for number, hours in enumerate((20, 10, 3, -1), 1):
            case_id = add_waiting(tx, number, priority=10.0)
            due = instant_text(NOW + timedelta(hours=hours))
            tx.update("cases", {"due_at": due}, where={"case_id": case_id})
            where = {"draft_id": f"DE:2026-10:SUB-0000{number}"}
            tx.update("decisions", {"priority": 10.0}, where=where)
    return Installation(settings, store, lake)


def order(opened: Installation) -> list[tuple[int, float, float, float]]:
    """Number, priority and its parts, as the queue has them."""
    with opened.store.read() as tx:
        rows = list_cases(tx, CaseFilter())
    return [
        (int(row["draft_id"][-1]), row["priority"], row["worth"], row["urgency"]) for row in rows
    ]


def test_examples_run() -> None:
    assert doctest.testmod(priority).failed == 0


def test_near_deadlines_come_first(opened: Installation) -> None:
    assert 3 == raise_due(opened, NOW)
    expected = [
        (4, 40.0, 10.0, 4.0),
        (3, 20.0, 10.0, 2.0),
        (2, 15.0, 10.0, 1.5),
        (1, 10.0, 10.0, 1),
    ]
    assert expected == order(opened)
    assert 0 == raise_due(opened, NOW)


def test_time_goes_on_and_a_priority_is_raised_from_what_it_was(opened: Installation) -> None:
    raise_due(opened, NOW)
    assert 3 == raise_due(opened, NOW + timedelta(hours=9))
    raised = {number: (value, times) for number, value, _, times in order(opened)}
    assert {1: (15.0, 1.5), 2: (20.0, 2.0), 3: (40.0, 4.0), 4: (40.0, 4.0)} == raised


def test_many_are_raised_a_few_at_a_time(
    opened: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urgency, "CHUNK", 1)
    assert 3 == raise_due(opened, NOW)
    assert [4, 3, 2, 1] == [number for number, *_ in order(opened)]


def test_what_is_only_looked_at_is_never_urgent(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        tx.execute("UPDATE cases SET kind = 'sample', priority = 0.0")
    assert 0 == raise_due(opened, NOW + timedelta(days=30))
