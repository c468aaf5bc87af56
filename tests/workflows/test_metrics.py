from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from prebill.store.metrics import metrics_of
from prebill.workflows import resolve
from tests.workflows import world


def test_an_empty_installation_has_nothing_to_measure(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home, accounts=1, events=1)
    found = metrics_of(opened.store, None, now_at=datetime.now(UTC))
    assert (found.drafts, found.touchless_share, found.money_held_days_minor) == (0, None, {})
    assert "nothing to measure yet" in "\n".join(found.lines())


def test_shares_turnaround_and_money_held(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home, accounts=6, events=60)
    world.amend(opened, 2, quantity=Decimal(99))
    world.amend(opened, 4, quantity=Decimal(99))
    world.run(opened)
    first, second = world.rows(opened, "SELECT * FROM cases ORDER BY case_id")
    resolve.release(opened, str(first["case_id"]), "ann", 1)
    (waiting,) = world.rows(
        opened, f"SELECT total_minor, currency FROM drafts WHERE draft_id = '{second['draft_id']}'"
    )
    (answered,) = world.rows(
        opened, f"SELECT total_minor FROM drafts WHERE draft_id = '{first['draft_id']}'"
    )
    found = metrics_of(
        opened.store, world.PERIOD, now_at=datetime.now(UTC) + timedelta(days=2, minutes=-5)
    )
    assert (found.drafts, found.issued, found.open_cases) == (6, 5, 1)
    assert found.exception_rate == 2 / 6
    assert found.touchless_share == 4 / 5
    held = int(str(waiting["total_minor"])) * 2 + int(str(answered["total_minor"]))
    assert found.money_held_days_minor == {"EUR": held}
    assert found.approval_turnaround_p50_hours is not None
    assert metrics_of(opened.store, "2026-09", now_at=datetime.now(UTC)).drafts == 0
