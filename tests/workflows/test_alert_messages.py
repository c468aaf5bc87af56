"""Messages of alerts on their way: a real mail server, a real receiver of webhooks."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from prebill.bootstrap import Installation
from prebill.connectors.notify.webhook import signature
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.workflows import alert_life, alerting
from prebill.workflows.alerting import look, send_due, try_channels
from tests.connectors.notify.mail_server import MailServer, mailing
from tests.connectors.notify.receiver import Receiver, receiving
from tests.workflows.alarmed import NOW, late_case
from tests.workflows.alarmed import with_settings as changed

SECRET = "a secret of the test"
PASSWORD = "a password of the test"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def opened(store: Store, settings: Settings, lake: Lake) -> Installation:
    """An installation with a case that is late, an owner, and no channel."""
    url = store.url.render_as_string(hide_password=False)
    with store.transaction() as tx:
        late_case(tx)
    path: Path = settings.home / "alerts.toml"
    text = 'owners = {default = "ops@example.com"}\nescalation = {to = "head@example.com"}\n'
    path.write_text(text, encoding="utf-8")
    plain = Installation(Settings.load(settings.home, database_url=url), store, lake)
    return changed(plain, alerts_path=path)


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def mailed(opened: Installation, server: MailServer, **given: Any) -> Installation:
    usual = {"alerts_path": opened.settings.alerts_path, "smtp_url": server.url}
    return changed(opened, **usual, **given)


def hooked(opened: Installation, receiver: Receiver) -> Installation:
    given = {"alert_webhook_url": receiver.url, "alert_webhook_secret": SECRET}
    return changed(opened, alerts_path=opened.settings.alerts_path, **given)


def stored(opened: Installation) -> list[dict[str, Any]]:
    with opened.store.read() as tx:
        return tx.rows("SELECT * FROM alert_messages ORDER BY message_id")


def test_without_a_channel_an_alert_stands_and_nothing_is_sent(opened: Installation) -> None:
    assert 1 == look(opened, NOW).opened
    assert ([], 0) == (stored(opened), send_due(opened))


def test_the_mail_says_what_stands_and_what_to_do(opened: Installation, servers: ExitStack) -> None:
    server = servers.enter_context(mailing())
    used = mailed(opened, server, public_url="https://prebill.example.com/")
    look(used, NOW)
    assert 1 == send_due(used, lambda: NOW)
    (mail,) = server.mails
    text = mail.get_content()
    subject = "[Prebill] warning: Cases are past their deadline: queue billing"
    assert (subject, "ops@example.com") == (mail["Subject"], mail["To"])
    assert "Open cases past due: 1, since 2 Nov 2026, 07:00 UTC." in text
    assert "https://prebill.example.com/queue?queue=billing" in text
    assert "https://prebill.example.com/alerts" in text
    assert "ACME" not in text
    assert 0 == send_due(used, lambda: NOW + timedelta(days=9))


def test_the_webhook_is_signed_and_says_the_same(opened: Installation, servers: ExitStack) -> None:
    receiver = servers.enter_context(receiving())
    used = hooked(opened, receiver)
    look(used, NOW)
    send_due(used, lambda: NOW)
    (got,) = receiver.requests
    name, timestamp = got.headers["webhook-id"], int(got.headers["webhook-timestamp"])
    assert got.headers["webhook-signature"] == signature(SECRET, name, timestamp, got.body)
    body = json.loads(got.body)
    assert ("alert.opened", "case_past_due") == (body["type"], body["data"]["kind"])
    told = tuple(body["data"][name] for name in ("url", "count", "owner"))
    assert ("", 1, "ops@example.com") == told


def test_a_server_that_is_down_loses_nothing(opened: Installation, servers: ExitStack) -> None:
    with mailing() as server:
        used = mailed(opened, server)
    look(used, NOW)
    assert 0 == send_due(used, lambda: NOW)
    assert 0 == send_due(used, lambda: NOW + 5 * MINUTE)
    (waiting,) = stored(used)
    assert ("pending", 2) == (waiting["status"], waiting["attempts"])
    assert "gave no answer" in waiting["last_error"]
    servers.enter_context(mailing(server))
    assert 1 == send_due(used, lambda: NOW + 10 * MINUTE)
    (mail,) = server.mails
    assert f"<{waiting['message_id']}@localhost>" == mail["Message-ID"]


def test_a_server_that_is_down_is_tried_once_a_pass(opened: Installation) -> None:
    with mailing() as server:
        used = mailed(opened, server)
    look(used, NOW)
    look(used, NOW + timedelta(days=2))  # it is critical by then
    for expected in ([0, 1], [1, 1]):
        send_due(used, lambda: NOW + timedelta(days=2))
        assert expected == sorted(row["attempts"] for row in stored(used))


def test_a_server_that_falls_over_gets_the_mail_again_under_its_id(
    opened: Installation, servers: ExitStack
) -> None:
    server = servers.enter_context(mailing(MailServer(codes={"DATA": [451, 0, 250]})))
    used = mailed(opened, server)
    look(used, NOW)
    for minutes in (0, 1, 2, 3):
        send_due(used, lambda at=NOW + minutes * MINUTE: at)  # type: ignore[misc]
    assert (1, "delivered") == (len(server.mails), stored(used)[0]["status"])


def test_a_wrong_password_becomes_an_alert_and_is_mended(
    opened: Installation, servers: ExitStack
) -> None:
    server = servers.enter_context(mailing(MailServer(users={"prebill": PASSWORD})))
    wrong = mailed(opened, server, smtp_user="prebill", smtp_password="another password")
    look(wrong, NOW)
    send_due(wrong, lambda: NOW)
    (failed,) = stored(wrong)
    assert ("failed", "the mail server refused the sign-in (535)") == (
        failed["status"],
        failed["last_error"],
    )
    look(wrong, NOW + MINUTE)
    with opened.store.read() as tx:
        found = tx.rows("SELECT cause FROM alerts ORDER BY cause")
    assert ["case_past_due:billing", "message_failed:mail"] == [row["cause"] for row in found]
    right = mailed(opened, server, smtp_user="prebill", smtp_password=PASSWORD)
    assert 1 == alert_life.retry(right, "ann", NOW + MINUTE)
    assert 2 == send_due(right, lambda: NOW + MINUTE)
    assert {"prebill"} == set(server.signed_in)
    look(right, NOW + 10 * MINUTE)
    with opened.store.read() as tx:
        gone = tx.scalar("SELECT gone_at FROM alerts WHERE kind = 'message_failed'")
    assert gone is not None


def test_a_failing_channel_does_not_alert_about_itself_for_ever(
    opened: Installation, servers: ExitStack
) -> None:
    server = servers.enter_context(mailing(MailServer(codes={"RCPT": [550]})))
    used = mailed(opened, server)
    for minutes in range(8):
        look(used, NOW + minutes * MINUTE)
        send_due(used, lambda at=NOW + minutes * MINUTE: at)  # type: ignore[misc]
    assert 2 == len(stored(used))


def test_one_channel_that_fails_does_not_keep_the_other(
    opened: Installation, servers: ExitStack
) -> None:
    receiver = servers.enter_context(receiving())
    with mailing() as server:
        given = {"alert_webhook_url": receiver.url, "alert_webhook_secret": SECRET}
    used = mailed(opened, server, **given)
    look(used, NOW)
    assert 1 == send_due(used, lambda: NOW)
    assert 1 == len(receiver.requests)


def test_two_workers_at_once_send_one_mail(opened: Installation, servers: ExitStack) -> None:
    server = servers.enter_context(mailing())
    used = mailed(opened, server)
    look(used, NOW)
    barrier = Barrier(4)

    def work() -> None:
        barrier.wait()
        send_due(used, lambda: NOW)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(server.mails)
    assert ["delivered"] == [row["status"] for row in stored(used)]


def test_a_crash_after_the_mail_sends_it_again_under_the_same_id(
    opened: Installation, servers: ExitStack
) -> None:
    server = servers.enter_context(mailing())
    used = mailed(opened, server)
    look(used, NOW)
    send_due(used, lambda: NOW)
    with used.store.transaction() as tx:  # as if it had died before it wrote that down
        tx.execute(
            "UPDATE alert_messages SET status = 'pending', next_attempt_at = :at",
            {"at": NOW + alerting.LEASE},
        )
    assert 0 == send_due(used, lambda: NOW + MINUTE)
    assert 1 == send_due(used, lambda: NOW + alerting.LEASE)
    assert 1 == len({mail["Message-ID"] for mail in server.mails})


def test_keep_watch_looks_and_sends(opened: Installation, servers: ExitStack) -> None:
    server = servers.enter_context(mailing())
    used = mailed(opened, server)
    alerting.keep_watch(used, lambda: NOW)
    alerting.keep_watch(used, lambda: NOW)
    assert 1 == len(server.mails)


def test_the_test_message_reaches_everybody_and_says_what_failed(
    opened: Installation, servers: ExitStack
) -> None:
    server = servers.enter_context(mailing())
    receiver = servers.enter_context(receiving(statuses=[410]))
    given = {"alert_webhook_url": receiver.url, "alert_webhook_secret": SECRET}
    found = dict(try_channels(mailed(opened, server, **given).settings, NOW))
    assert {"mail ops@example.com": "", "mail head@example.com": ""} == {
        name: error for name, error in found.items() if not error
    }
    assert "410" in found["webhook"]
    assert [] == stored(opened)
    assert {"[Prebill] warning: This is a test"} == {mail["Subject"] for mail in server.mails}


def test_no_secret_is_shown(opened: Installation) -> None:
    given = {"smtp_password": PASSWORD, "alert_webhook_secret": SECRET}
    settings = changed(opened, **given).settings
    assert PASSWORD not in repr(settings)
    assert SECRET not in repr(settings)
