"""Alerts over a real store: what opens them, what ends them, who is told how often."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError
from prebill.core.triage.alert_kinds import KINDS
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import alerts, checks
from prebill.store.alert_facts import facts
from prebill.store.engine import Store
from prebill.workflows import alert_life, alerting
from prebill.workflows.alerting import look
from tests.workflows.alarmed import CAUSES, DAY, ENGINE, HOUR, NOW, Cause, delivery, late_case
from tests.workflows.alarmed import with_settings as changed

LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def opened(store: Store, settings: Settings, lake: Lake) -> Installation:
    url = store.url.render_as_string(hide_password=False)
    return Installation(Settings.load(settings.home, database_url=url), store, lake)


def ruled(opened: Installation, text: str = "", **given: Any) -> Installation:
    """The installation with an ``alerts.toml``, mail and a webhook that nobody listens to."""
    path: Path = opened.settings.home / "alerts.toml"
    path.write_text(text or '[owners]\ndefault = "ops@example.com"\n', encoding="utf-8")
    channels = {"smtp_url": "smtp://127.0.0.1:9", "alert_webhook_url": "http://127.0.0.1:9/x"}
    return changed(opened, alerts_path=path, alert_webhook_secret="s", **channels, **given)


def causes(opened: Installation) -> list[str]:
    with opened.store.read() as tx:
        return sorted(row["cause"] for row in alerts.open_alerts(tx))


def the_alert(opened: Installation) -> dict[str, Any]:
    with opened.store.read() as tx:
        rows = tx.rows("SELECT * FROM alerts")
    assert 1 == len(rows)
    return rows[0]


def messages(opened: Installation) -> list[tuple[str, str, str]]:
    with opened.store.read() as tx:
        rows = tx.rows("SELECT event, channel, recipient FROM alert_messages")
    return sorted((row["event"], row["channel"], row["recipient"]) for row in rows)


def late(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        late_case(tx)


def test_nothing_beyond_its_limit_alerts_nobody(opened: Installation) -> None:
    look(opened, NOW)
    assert [] == causes(opened)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_cause_opens_one_alert_that_ends_with_it(opened: Installation, cause: Cause) -> None:
    cause.make(opened)
    look(opened, NOW)
    assert [cause.name] == causes(opened)
    cause.mend(opened)
    look(opened, LATER)
    assert [] == causes(opened)


def test_every_kind_of_cause_is_tested() -> None:
    here = {cause.name.split(":")[0] for cause in CAUSES}
    assert set(KINDS) == here | {"version_ending", "rules_unreadable"}


def test_the_end_of_an_interface_version_is_told_in_time(opened: Installation) -> None:
    used = changed(opened, engines=ENGINE)
    look(used, datetime(2027, 11, 1, tzinfo=UTC))
    assert [] == causes(used)
    look(used, datetime(2027, 12, 10, tzinfo=UTC))
    assert ["version_ending:zoo"] == causes(used)
    look(opened, datetime(2027, 12, 11, tzinfo=UTC))
    assert [] == causes(used)


def test_a_thousand_cases_are_one_alert_and_one_message_a_channel(opened: Installation) -> None:
    used = ruled(opened)
    late(used)
    with used.store.transaction() as tx:
        (row,) = tx.rows("SELECT * FROM cases")
        tx.insert_rows("cases", [row | {"case_id": f"case:{n}"} for n in range(1, 1000)])
    for minutes in range(5):
        look(used, NOW + timedelta(minutes=minutes))
    assert 1000 == the_alert(used)["count"]
    assert [("opened", "mail", "ops@example.com"), ("opened", "webhook", "")] == messages(used)


def test_the_sample_waits_for_nobody(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        late_case(tx, kind="sample", action="release", queue="sample")
    look(opened, NOW)
    assert [] == causes(opened)


def test_what_comes_and_goes_is_one_alert(opened: Installation) -> None:
    late(opened)
    for minute, due_at in enumerate((NOW - HOUR, NOW + DAY, NOW - HOUR)):
        with opened.store.transaction() as tx:
            tx.execute("UPDATE cases SET due_at = :due", {"due": due_at})
        look(opened, NOW + timedelta(minutes=minute))
    assert None is the_alert(opened)["gone_at"]


def test_a_cause_that_returns_is_a_new_alert(opened: Installation) -> None:
    cause = CAUSES[0]
    cause.make(opened)
    look(opened, NOW)
    cause.mend(opened)
    look(opened, LATER)
    with opened.store.transaction() as tx:
        tx.execute("UPDATE cases SET due_at = :due", {"due": NOW})
    look(opened, LATER)
    with opened.store.read() as tx:
        assert 2 == tx.scalar("SELECT count(*) FROM alerts")
        assert 1 == len(alerts.open_alerts(tx))


ESCALATING = """
owners = {default = "ops@example.com", run_late = "runs@example.com"}
escalation = {to = "head@example.com", after_minutes = 30}
"""


def test_what_nobody_acknowledges_is_escalated_once(opened: Installation) -> None:
    used = ruled(opened, ESCALATING)
    late(used)
    for minutes in (0, 29, 30, 31, 90):
        look(used, NOW + timedelta(minutes=minutes))
    escalated = [one for one in messages(used) if one[0] == "escalated"]
    assert [("escalated", "mail", "head@example.com"), ("escalated", "webhook", "")] == escalated
    assert "head@example.com" == the_alert(used)["owner"]
    with used.store.read() as tx:
        actions = [row["action"] for row in tx.rows("SELECT action FROM audit_entries")]
    assert ["alert.escalated"] == actions


def test_what_is_acknowledged_is_not_escalated(opened: Installation) -> None:
    used = ruled(opened, ESCALATING)
    late(used)
    look(used, NOW)
    alert_life.acknowledge(used, the_alert(used)["alert_id"], "ann", NOW)
    look(used, NOW + 2 * HOUR)
    assert {"opened"} == {event for event, _, _ in messages(used)}
    with pytest.raises(ConflictError, match="acknowledged it before"):
        alert_life.acknowledge(used, the_alert(used)["alert_id"], "ben", NOW)


def test_what_gets_worse_is_told_again_and_wants_somebody_again(opened: Installation) -> None:
    used = ruled(opened, ESCALATING)
    late(used)
    look(used, NOW)
    alert_life.acknowledge(used, the_alert(used)["alert_id"], "ann", NOW)
    for days in (1, 2):
        look(used, NOW + days * DAY)
    assert ("critical", None) == (the_alert(used)["severity"], the_alert(used)["acknowledged_by"])
    events = [event for event, channel, _ in messages(used) if channel == "mail"]
    assert ["escalated", "opened", "worse"] == events


def test_what_a_person_resolved_stays_silent_while_it_stands(opened: Installation) -> None:
    used = ruled(opened, ESCALATING)
    late(used)
    look(used, NOW)
    alert_id = the_alert(used)["alert_id"]
    alert_life.resolve(used, alert_id, "ann", NOW, reason="agreed with the customer")
    look(used, NOW + 2 * HOUR)
    assert ([], alert_id) == (causes(used), the_alert(used)["alert_id"])
    with pytest.raises(ConflictError, match="over already"):
        alert_life.resolve(used, alert_id, "ann", NOW, reason="again")
    with used.store.read() as tx:
        detail = tx.scalar("SELECT detail FROM audit_entries WHERE action = 'alert.resolved'")
    assert "agreed with the customer" in detail
    look(used, NOW + DAY)
    assert [the_alert(used)["cause"]] == causes(used)


def test_that_a_cause_is_gone_is_told_to_programs_alone(opened: Installation) -> None:
    used = ruled(opened)
    CAUSES[0].make(used)
    look(used, NOW)
    CAUSES[0].mend(used)
    look(used, LATER)
    assert [("gone", "webhook", "")] == [one for one in messages(used) if one[0] == "gone"]


def test_each_kind_goes_to_its_owner(opened: Installation) -> None:
    used = ruled(opened, ESCALATING)
    next(one for one in CAUSES if one.name.startswith("run_late")).make(used)
    look(used, NOW)
    assert ("opened", "mail", "runs@example.com") in messages(used)


def test_eight_processes_at_once_open_one_alert_and_tell_it_once(opened: Installation) -> None:
    used = ruled(opened, ESCALATING)
    late(used)
    for at in (NOW, NOW + HOUR):
        together(lambda at=at: look(used, at))
    expected = ["escalated", "escalated", "opened", "opened"]
    assert expected == [event for event, _, _ in messages(used)]
    assert 1 == len(causes(used))


def test_one_process_looks_at_a_time(opened: Installation) -> None:
    turns: list[bool] = []

    def take() -> None:
        turns.append(checks.take_turn(opened.store, "alerts", NOW, alerting.EVERY))

    together(take)
    assert 1 == sum(turns)
    assert not checks.take_turn(opened.store, "alerts", NOW, alerting.EVERY)
    assert checks.take_turn(opened.store, "alerts", NOW + alerting.EVERY, alerting.EVERY)


def together(work: Any) -> None:
    barrier, failures = Barrier(8), []

    def one() -> None:
        barrier.wait()
        try:
            work()
        except Exception as error:
            failures.append(error)

    threads = [Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures


def test_a_source_that_always_pauses_long_is_not_silent(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        for days in (70, 40, 10):
            checks.heard(tx, ["monthly file"], NOW - timedelta(days=days))
    look(opened, NOW)
    assert [] == causes(opened)
    look(opened, NOW + timedelta(days=55))
    assert ["feed_silent:monthly file"] == causes(opened)


def test_a_token_that_was_replaced_or_is_short_on_purpose_alerts_nobody(
    opened: Installation,
) -> None:
    cause = next(one for one in CAUSES if one.name.startswith("credential_ending"))
    cause.make(opened)
    with opened.store.transaction() as tx:
        row = tx.get("tokens", token_id="tok")
        tx.insert("tokens", row | {"token_id": "short", "digest": "1", "name": "other"})
        tx.execute("UPDATE tokens SET created_at = :at WHERE token_id = 'short'", {"at": NOW})
        newer = {"token_id": "new", "digest": "2", "expires_at": NOW + 365 * DAY}
        tx.insert("tokens", row | newer)
    look(opened, NOW)
    assert [] == causes(opened)


def test_a_kind_that_is_off_and_another_limit_count(opened: Installation) -> None:
    used = ruled(opened, 'off = ["case_past_due"]\n[limits.run_late]\nwarn_minutes = 180\n')
    late(used)
    next(one for one in CAUSES if one.name.startswith("run_late")).make(used)
    look(used, NOW)
    assert [] == causes(used)
    look(used, NOW + HOUR)
    assert ["run_late:run-1"] == causes(used)


def test_a_file_that_cannot_be_used_is_an_alert_and_stops_no_other(opened: Installation) -> None:
    used = ruled(opened, "[limits]\nnonsense = 1\n")
    late(used)
    look(used, NOW)
    assert ["case_past_due:billing", "rules_unreadable"] == causes(used)
    assert {"webhook"} == {channel for _, channel, _ in messages(used)}
    with used.store.read() as tx:
        assert "the unknown nonsense" in alerts.open_alerts(tx)[0]["text"]
    ruled(opened)
    look(used, LATER)
    assert ["case_past_due:billing"] == causes(used)


def test_limits_are_those_of_the_facts(opened: Installation) -> None:
    """What is within its limit is not even counted."""
    with opened.store.transaction() as tx:
        delivery(tx, next_attempt_at=NOW - timedelta(minutes=14))
    with opened.store.read() as tx:
        assert [] == facts(tx, alerting.load_rules(opened.settings), NOW)


def test_the_audit_log_is_verified_once_a_day(opened: Installation) -> None:
    next(one for one in CAUSES if one.name == "audit_unsealed:books").make(opened)
    alerting.check_audit(opened, lambda: NOW)
    look(opened, NOW)
    assert ["audit_broken", "audit_unsealed:books"] == causes(opened)  # its time was changed
    with opened.store.transaction() as tx:
        tx.execute("DELETE FROM audit_entries")
    alerting.check_audit(opened, lambda: NOW + HOUR)
    look(opened, LATER)
    assert ["audit_broken"] == causes(opened)
    alerting.check_audit(opened, lambda: NOW + DAY)
    look(opened, NOW + DAY)
    assert [] == causes(opened)
