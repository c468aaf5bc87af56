"""Deadlines: what is near counts more; what is past goes as the policy says."""

import doctest
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prebill.bootstrap import Installation, policy_text
from prebill.core.triage import priority
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import claims
from prebill.store.codec import instant_text
from prebill.store.console import CaseFilter, list_cases
from prebill.store.engine import Store
from prebill.workflows import deadlines
from prebill.workflows.deadlines import after_deadline, raise_due
from tests.api.builders import add_waiting

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)


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
    monkeypatch.setattr(deadlines, "CHUNK", 1)
    assert 3 == raise_due(opened, NOW)
    assert [4, 3, 2, 1] == [number for number, *_ in order(opened)]


def test_what_is_only_looked_at_is_never_urgent(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        tx.execute("UPDATE cases SET kind = 'sample', priority = 0.0")
    assert 0 == raise_due(opened, NOW + timedelta(days=30))


BREACH = """
on_breach:
  hold: escalate
  review: {release_below: {default: 500}, else: escalate}
"""


@pytest.fixture
def strict(opened: Installation, tmp_path: Path) -> Installation:
    """Four cases past their deadline: two held, two to review, one of these above 500 EUR."""
    path = tmp_path / "policy.yaml"
    path.write_text(policy_text(None) + BREACH)
    with opened.store.transaction() as tx:
        tx.execute("UPDATE cases SET due_at = :past", {"past": instant_text(NOW - DAY)})
        for number in (3, 4):
            where = {"draft_id": f"DE:2026-10:SUB-0000{number}"}
            tx.update("cases", {"action": "review"}, where=where)
            tx.update("drafts", {"state": "in_review"}, where=where)
        tx.execute(
            "UPDATE drafts SET total_minor = 60000, subtotal_minor = 60000 - tax_minor "
            "WHERE draft_id = 'DE:2026-10:SUB-00004'"
        )
    return replace(opened, settings=opened.settings.model_copy(update={"policy_path": path}))


def told(opened: Installation) -> dict[int, tuple[str, str]]:
    with opened.store.read() as tx:
        rows = tx.rows("SELECT draft_id, status, queue FROM cases")
    return {int(row["draft_id"][-1]): (row["status"], row["queue"]) for row in rows}


def test_past_deadline_goes_as_the_policy_says(strict: Installation) -> None:
    assert {"escalate": 3, "release": 1} == after_deadline(strict, NOW)
    escalated = ("open", "escalated")
    found = told(strict)
    assert [escalated, escalated, escalated] == [found[1], found[2], found[4]]
    assert "released" == found[3][0]
    with strict.store.read() as tx:
        assert 1 == tx.scalar("SELECT count(*) FROM documents")
        assert 0 == tx.scalar("SELECT count(*) FROM labels")
        verdict = tx.first("SELECT entered_by, reason_code FROM verdicts")
    assert {"entered_by": "policy", "reason_code": "deadline_passed"} == verdict
    assert {} == after_deadline(strict, NOW)


def test_what_somebody_works_on_is_not_released_by_time(strict: Installation) -> None:
    with strict.store.transaction() as tx:
        claims.claim(tx, "case:DE:2026-10:SUB-00003:v1", "ann", datetime.now(UTC))
    assert {"escalate": 3} == after_deadline(strict, NOW)
    assert "open" == told(strict)[3][0]


def test_without_the_section_nothing_happens(opened: Installation) -> None:
    assert {} == after_deadline(opened, NOW + 30 * DAY)
