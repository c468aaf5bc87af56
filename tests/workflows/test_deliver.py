import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prebill.bootstrap import Installation
from prebill.cli import app
from prebill.connectors.notify.webhook import signature
from prebill.core.errors import ConflictError, InputError
from prebill.settings import Settings
from prebill.workflows import deliver
from prebill.workflows.deliver import deliver_due
from tests.connectors.notify.receiver import Receiver, receiving
from tests.workflows import world

SECRET = "a secret of the test"
NOW = world.FINAL_AT


@pytest.fixture
def opened(sqlite_url: str, home: Path) -> Installation:
    installation = world.install(sqlite_url, home, accounts=4, events=80)
    world.run(installation)
    return installation


def hooked(opened: Installation, receiver: Receiver) -> Installation:
    """The same installation with a webhook, and one delivery for it."""
    given = {"webhook_url": receiver.url, "webhook_secret": SECRET}
    settings = Settings.load(opened.settings.home, **given)
    with opened.store.transaction() as tx:
        tx.execute("UPDATE outbox SET channel = 'webhook'")
        tx.execute("UPDATE outbox SET next_attempt_at = '2026-11-05T00:00:00.000000Z'")
    return Installation(settings, opened.store, opened.lake)


def outbox(opened: Installation) -> list[dict[str, object]]:
    return world.rows(opened, "SELECT * FROM outbox ORDER BY delivery_id")


def test_every_document_becomes_one_file(opened: Installation) -> None:
    first = deliver_due(opened)
    assert (first.delivered, first.failed) == (4, 0)
    files = sorted(opened.settings.delivery_dir.glob("*.json"))
    assert len(files) == 4
    document = json.loads(files[0].read_text(encoding="utf-8"))
    assert document["document_id"] == "DE1-0000001"
    assert len(document["lines"]) == 5
    assert document["subtotal_minor"] == sum(line["amount_minor"] for line in document["lines"])
    assert deliver_due(opened).delivered == 0


def test_a_crash_after_handing_over_delivers_the_same_file_once(opened: Installation) -> None:
    deliver_due(opened)
    before = {p: p.read_bytes() for p in opened.settings.delivery_dir.iterdir()}
    with opened.store.transaction() as tx:
        tx.execute("UPDATE outbox SET status = 'pending'")
    later = NOW.replace(year=2027)
    assert deliver_due(opened, clock=lambda: later).delivered == 4
    assert {p: p.read_bytes() for p in opened.settings.delivery_dir.iterdir()} == before


def test_a_file_with_other_content_is_a_work_item(opened: Installation) -> None:
    opened.settings.delivery_dir.mkdir(parents=True)
    (opened.settings.delivery_dir / "DE1-0000001-files.json").write_text("{}")
    done = deliver_due(opened)
    assert (done.delivered, done.failed) == (3, 1)
    assert "move it away" in done.errors[0]
    assert outbox(opened)[0]["status"] == "failed"


def test_a_webhook_gets_every_document_signed(opened: Installation) -> None:
    with receiving() as receiver:
        done = deliver_due(hooked(opened, receiver))
    assert done.delivered == 4
    got = receiver.requests[0]
    name = outbox(opened)[0]["delivery_id"]
    timestamp = int(got.headers["webhook-timestamp"])
    assert got.headers["webhook-signature"] == signature(SECRET, name, timestamp, got.body)
    assert got.headers["webhook-id"] == name


def test_an_answer_that_may_mend_is_retried_later_under_the_same_id(opened: Installation) -> None:
    with receiving(statuses=[503, 200, 200, 200, 200]) as receiver:
        used = hooked(opened, receiver)
        first = deliver_due(used, clock=lambda: NOW)
        assert (first.delivered, first.postponed) == (3, 1)
        assert deliver_due(used, clock=lambda: NOW).delivered == 0
        assert deliver_due(used, clock=lambda: NOW + timedelta(minutes=1)).delivered == 1
    ids = [one.headers["webhook-id"] for one in receiver.requests]
    assert len(ids) == 5
    assert len(set(ids)) == 4
    assert {row["status"] for row in outbox(opened)} == {"delivered"}


def test_a_refusal_is_a_work_item_and_not_retried(opened: Installation) -> None:
    with receiving(statuses=[422, 200, 200, 200]) as receiver:
        used = hooked(opened, receiver)
        assert deliver_due(used, clock=lambda: NOW).failed == 1
        deliver_due(used, clock=lambda: NOW + timedelta(days=1))
    assert len(receiver.requests) == 4
    failed = [row for row in outbox(opened) if row["status"] == "failed"]
    assert "422" in str(failed[0]["last_error"])


def test_a_failed_delivery_is_listed_and_tried_again_by_a_command(
    opened: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", opened.settings.database_url)
    with receiving(statuses=[422, 200]) as receiver:
        used = hooked(opened, receiver)
        assert deliver_due(used, clock=lambda: NOW).failed == 1
        (failed,) = [row for row in outbox(opened) if row["status"] == "failed"]
        name = str(failed["delivery_id"])
        listed = CliRunner().invoke(app, ["delivery", "list"])
        assert name in listed.output
        assert "refused with 422" in listed.output
        assert CliRunner().invoke(app, ["delivery", "retry", name]).exit_code == 0
        assert deliver_due(used).delivered == 1
    again = CliRunner().invoke(app, ["delivery", "retry", name])
    assert isinstance(again.exception, ConflictError)


def test_every_failed_delivery_is_tried_again_at_once(
    opened: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", opened.settings.database_url)
    assert isinstance(CliRunner().invoke(app, ["delivery", "retry"]).exception, InputError)
    with opened.store.transaction() as tx:
        failed = tx.execute("UPDATE outbox SET status = 'failed', last_error = 'refused'")
    done = CliRunner().invoke(app, ["delivery", "retry", "--all"])
    assert f"{failed} deliveries are tried again" in done.output
    assert deliver_due(opened).delivered == failed
    with opened.store.read() as tx:
        detail = tx.scalar("SELECT detail FROM audit_entries WHERE action = 'delivery.retried'")
    assert f'"count":{failed}' in detail


def test_no_answer_is_retried(opened: Installation) -> None:
    with receiving() as receiver:
        used = hooked(opened, receiver)
    done = deliver_due(used, clock=lambda: NOW)
    assert done.postponed == 4


def test_a_leased_delivery_is_left_to_its_worker(opened: Installation) -> None:
    from prebill.store.outbox import due_deliveries

    clock = NOW.replace(year=2027)
    with opened.store.transaction() as tx:
        leased = due_deliveries(tx, clock, limit=3, lease_until_at=clock + deliver.LEASE)
    assert len(leased) == 3
    assert deliver_due(opened, clock=lambda: clock).delivered == 1
    assert deliver_due(opened, clock=lambda: clock + deliver.LEASE).delivered == 3
