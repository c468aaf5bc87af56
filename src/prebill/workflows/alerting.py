"""Watch what stands beyond its limit: measure, keep one alert a cause, tell its owner.

Any process may call :func:`keep_watch` as often as it likes: a row says whose turn it is to
measure, and the database refuses a second alert of a cause and a second message of an event.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from prebill import audit
from prebill.bootstrap import Installation
from prebill.connectors.billing_engines.registry import manifests_of
from prebill.core.errors import InputError, PrebillError, TransientError
from prebill.core.triage.alerts import AlertRules, Fact, alerts_of, parse_rules
from prebill.settings import Settings
from prebill.store import alert_messages, alerts, checks
from prebill.store.alert_facts import facts, tried_often
from prebill.store.codec import canonical_json, instant_text
from prebill.store.engine import Row, Tx
from prebill.store.outbox import Outcome
from prebill.workflows.alert_channels import MAIL, WEBHOOK, Channels, Message, targets
from prebill.workflows.deliver import MAX_ATTEMPTS, pause_after

EVERY: Final = timedelta(seconds=30)
#: How often the whole audit log is read and compared with its seals and exported heads.
AUDIT_EVERY: Final = timedelta(days=1)
LEASE: Final = timedelta(minutes=5)

WATCH: Final = "alerts"
AUDIT: Final = "audit_broken"
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Watched:
    """What one look changed."""

    opened: int = 0
    worse: int = 0
    escalated: int = 0
    gone: int = 0


def keep_watch(opened: Installation, clock: Clock = _now) -> None:
    """Look if it is time, and send what is due. Workers and the server call it."""
    if checks.take_turn(opened.store, WATCH, clock(), EVERY):
        look(opened, clock())
    send_due(opened, clock)


def look(opened: Installation, now_at: datetime) -> Watched:
    """Measure, and bring the alerts in line; each change is told in the same transaction."""
    found: list[Fact] = []
    try:
        rules = load_rules(opened.settings)
    except InputError as error:
        # Nobody would learn of it otherwise: the limits that come with Prebill count meanwhile.
        rules = AlertRules()
        found = [Fact("rules_unreadable", "", 1, now_at, str(error))]
    with opened.store.read() as tx:
        found += facts(tx, rules, now_at) + _failing(tx, rules, now_at)
    found += _ending_versions(opened.settings)
    seen = Watched()
    with opened.store.transaction() as tx:
        for alert in alerts_of(found, rules, now_at):
            event = alerts.keep(tx, alert, rules.owner(alert.kind), now_at)
            seen.opened += event == "opened"
            seen.worse += event == "worse"
            if event is not None and (row := alerts.standing(tx, alert.cause)) is not None:
                _tell(tx, opened.settings, row, event, now_at)
        for row in alerts.end_gone(tx, now_at, rules.gone_after):
            seen.gone += 1
            _tell(tx, opened.settings, row, "gone", now_at)
        if rules.escalate_to:
            after, to = rules.escalate_after, rules.escalate_to
            for row in alerts.escalate_due(tx, now_at, after, to):
                seen.escalated += 1
                audit.record(tx, "system", "alert.escalated", str(row["alert_id"]))
                _tell(tx, opened.settings, row, "escalated", now_at)
    return seen


def send_due(opened: Installation, clock: Clock = _now) -> int:
    """Send the messages that are due, and return how many arrived.

    What fails is tried again later; a channel that does not answer is left alone until then, so
    that this takes no longer than one patience a channel.
    """
    with opened.store.read() as tx:
        if not alert_messages.any_due(tx, clock()):
            return 0
    arrived, answering = 0, [MAIL, WEBHOOK]
    with Channels(opened.settings) as channels:
        while True:
            now_at = clock()
            with opened.store.transaction() as tx:
                row = alert_messages.lease_due(
                    tx, now_at, channels=answering, until_at=now_at + LEASE
                )
            if row is None:
                return arrived
            outcome = _attempt(channels, row, now_at)
            with opened.store.transaction() as tx:
                alert_messages.record(tx, outcome)
            arrived += outcome.status == "delivered"
            if outcome.status == "pending":
                answering.remove(row["channel"])


def check_audit(opened: Installation, clock: Clock = _now) -> None:
    """Verify the whole audit log if it is time; what it finds becomes an alert."""
    if checks.take_turn(opened.store, AUDIT, clock(), AUDIT_EVERY):
        seen = audit.verify(opened.store, opened.settings.audit_heads_path)
        with opened.store.transaction() as tx:
            record_audit(tx, seen, clock())


def record_audit(tx: Tx, seen: audit.Verification, now_at: datetime) -> None:
    """Keep what a verification found, for the next look."""
    first = seen.findings[0] if seen.findings else None
    detail = f"{first.code} in {first.stream}: {first.text}" if first else ""
    checks.record(tx, AUDIT, len(seen.findings), detail, now_at)


def try_channels(settings: Settings, now_at: datetime) -> list[tuple[str, str]]:
    """Send a test message over each channel to everybody who may be told something.

    Returns channel and recipient, and what came of it: empty means that it was taken.
    """
    rules = load_rules(settings)
    wanted = {
        target for recipient in ["", *rules.recipients()] for target in targets(settings, recipient)
    }
    results = []
    with Channels(settings) as channels:
        for channel, recipient in sorted(wanted):
            payload = _payload(settings, _TEST | {"first_seen_at": instant_text(now_at)}, "test")
            name = f"alert-test-{int(now_at.timestamp())}-{_short(channel, recipient)}"
            try:
                channels.deliver(Message(name, channel, recipient, payload), now_at)
                error = ""
            except PrebillError as failure:
                error = str(failure)
            results.append((f"{channel} {recipient}".strip(), error))
    return results


def load_rules(settings: Settings) -> AlertRules:
    """Read limits, owners and escalation.

    Raises
    ------
    InputError
        The file can't be read, or a value in it can't be used.
    """
    path = settings.alerts_path
    if path is None:
        return AlertRules()
    try:
        return parse_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"the file of alerts {path} can't be read: {error}"
        raise InputError(message, path=str(path)) from error


# ── What is measured outside SQL ─────────────────────────────────────────────────────────────


def _failing(tx: Tx, rules: AlertRules, now_at: datetime) -> list[Fact]:
    """Channels that are tried again and again; the pauses between tell for how long."""
    edge = rules.edge("integration_failing", now_at)
    if edge is None:
        return []
    attempts = next(n for n in range(1, MAX_ATTEMPTS + 1) if _tried_for(n) >= now_at - edge)
    return [
        Fact(
            "integration_failing",
            row["channel"],
            row["deliveries"],
            now_at - _tried_for(row["attempts"]),
        )
        for row in tried_often(tx, attempts)
    ]


def _tried_for(attempts: int) -> timedelta:
    """How long a delivery has been tried at least, after so many attempts."""
    return sum((pause_after(number) for number in range(attempts - 1)), timedelta())


def _ending_versions(settings: Settings) -> list[Fact]:
    """When the interface versions end that the connectors speak."""
    return [
        Fact(
            "version_ending",
            one.system,
            1,
            datetime.combine(one.version_ends_on, time(), UTC),
            f"It speaks {one.api_version}",
        )
        for one in manifests_of(settings)
    ]


# ── What is told ─────────────────────────────────────────────────────────────────────────────

#: What the console shows of an alert; the test message has the same form.
_TEST: Final[Row] = {
    "alert_id": 0,
    "kind": "test",
    "cause": "test",
    "severity": "warning",
    "title": "This is a test",
    "text": "Somebody tried `prebill alerts test`. Nothing is wrong and nothing is to be done.",
    "count": 0,
    "owner": "",
    "path": "/alerts",
}


def _tell(tx: Tx, settings: Settings, alert: Row, event: str, now_at: datetime) -> None:
    """Queue messages of an event, one a channel. That a cause is gone is told to programs alone."""
    payload = canonical_json(_payload(settings, alert, event, now_at))
    messages = [
        {
            "message_id": f"alert-{alert['alert_id']}-{event}-{_short(channel, recipient)}",
            "alert_id": alert["alert_id"],
            "event": event,
            "channel": channel,
            "recipient": recipient,
            "payload": payload,
        }
        for channel, recipient in targets(settings, alert["owner"])
        if event != "gone" or channel == WEBHOOK
    ]
    alert_messages.add(tx, messages, now_at)


def _payload(
    settings: Settings, alert: Row, event: str, now_at: datetime | None = None
) -> dict[str, Any]:
    """What a message says: nothing of a customer, and of people only who is to be told."""
    base = (settings.public_url or "").rstrip("/")
    names = (
        *("alert_id", "kind", "cause", "severity", "title", "text", "count", "owner"),
        "first_seen_at",
    )
    at = alert["first_seen_at"] if now_at is None else instant_text(now_at)
    return {
        "type": f"alert.{event}",
        "timestamp": at,
        "data": {
            **{name: alert[name] for name in names},
            "event": event,
            "url": f"{base}{alert['path']}" if base else "",
            "acknowledge_url": f"{base}/alerts" if base else "",
        },
    }


def _short(channel: str, recipient: str) -> str:
    """Names a target in an id that stands in logs: no address does."""
    return hashlib.sha256(f"{channel}:{recipient}".encode()).hexdigest()[:12]


def _attempt(channels: Channels, row: Row, now_at: datetime) -> Outcome:
    name = row["message_id"]
    message = Message(name, row["channel"], row["recipient"], json.loads(row["payload"]))
    try:
        channels.deliver(message, now_at)
    except TransientError as error:
        if row["attempts"] + 1 < MAX_ATTEMPTS:
            next_at = now_at + pause_after(row["attempts"])
            return Outcome(name, "pending", next_at, None, str(error))
        return Outcome(name, "failed", now_at, None, f"gave up: {error}")
    except PrebillError as error:
        return Outcome(name, "failed", now_at, None, str(error))
    return Outcome(name, "delivered", now_at, now_at, None)
