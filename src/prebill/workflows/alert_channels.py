"""How alerts reach people: mail to their owner, a signed webhook; opened for one pass."""

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from prebill.connectors.notify.smtp import Mail, Server, Smtp
from prebill.connectors.notify.webhook import Webhook
from prebill.core.errors import InputError, PermanentError
from prebill.core.triage.alerts import AlertRules
from prebill.settings import Settings
from prebill.store.codec import canonical_json

MAIL = "mail"
WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told on one channel; ``payload`` is the body of the webhook and makes the mail."""

    message_id: str
    channel: str
    recipient: str
    payload: dict[str, Any]


def targets(settings: Settings, recipient: str) -> list[tuple[str, str]]:
    """Return the channels that are set up, each with whom it reaches."""
    found = []
    if settings.smtp_url and recipient:
        found.append((MAIL, recipient))
    if settings.alert_webhook_url and settings.alert_webhook_secret:
        found.append((WEBHOOK, ""))
    return found


def described(settings: Settings, rules: AlertRules) -> list[tuple[str, str]]:
    """Say of each channel whether it is set up (ok), not (note), or half (missing)."""
    return [_mail(settings, rules), _webhook(settings), _escalation(rules)]


def _mail(settings: Settings, rules: AlertRules) -> tuple[str, str]:
    if not settings.smtp_url:
        return "note", "no mail (no PREBILL_SMTP_URL)"
    try:
        server = Server.of(settings.smtp_url)
    except InputError as error:
        return "missing", str(error)
    if bool(settings.smtp_user) is not bool(settings.smtp_password):
        return "missing", "set both PREBILL_SMTP_USER and PREBILL_SMTP_PASSWORD, or neither"
    named = len(rules.recipients())
    if not named:
        return "missing", "no mail: the file of PREBILL_ALERTS_PATH names no owner"
    return "ok", f"mail through {server.host}:{server.port} to {named} addresses"


def _webhook(settings: Settings) -> tuple[str, str]:
    if not settings.alert_webhook_url:
        return "note", "no webhook (no PREBILL_ALERT_WEBHOOK_URL)"
    if not settings.alert_webhook_secret:
        return "missing", "PREBILL_ALERT_WEBHOOK_SECRET is not set: a webhook must be signed"
    return "ok", "signed webhook"


def _escalation(rules: AlertRules) -> tuple[str, str]:
    if not rules.escalate_to:
        return "note", "nobody is told of what nobody acknowledges (no escalation.to)"
    minutes = int(rules.escalate_after.total_seconds() // 60)
    return "ok", f"escalated after {minutes} minutes without acknowledgement"


class Channels:
    """The channels of an installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: Webhook | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._opened:
            self._opened.close()

    def deliver(self, message: Message, now_at: datetime) -> None:
        """Hand a message over.

        Raises
        ------
        TransientError, PermanentError
            It was not taken.
        """
        if message.channel == MAIL:
            self._send_mail(message, now_at)
            return
        body = canonical_json(message.payload).encode()
        self._webhook().deliver(message.message_id, body, timestamp=int(now_at.timestamp()))

    def _send_mail(self, message: Message, now_at: datetime) -> None:
        settings = self._settings
        if not settings.smtp_url:
            lacking = "mail is not configured: set PREBILL_SMTP_URL, then `prebill alerts retry`"
            raise PermanentError(lacking)
        password = settings.smtp_password
        try:
            smtp = Smtp(
                settings.smtp_url,
                settings.smtp_from,
                user=settings.smtp_user,
                password=password.get_secret_value() if password else None,
            )
        except InputError as error:
            raise PermanentError(str(error)) from None
        data = message.payload["data"]
        subject, text = subject_of(data), text_of(data)
        smtp.deliver(Mail(message.message_id, message.recipient, subject, text, now_at))

    def _webhook(self) -> Webhook:
        url, secret = self._settings.alert_webhook_url, self._settings.alert_webhook_secret
        if not url or not secret:
            lacking = "the webhook of alerts is not configured: set its URL and secret"
            raise PermanentError(lacking)
        if self._opened is None:
            self._opened = Webhook(url, secret.get_secret_value())
        return self._opened


#: Event → how the subject begins; one that opened begins with its severity alone.
_BEGINNINGS = {"escalated": "escalated, ", "worse": "now "}


def subject_of(data: dict[str, Any]) -> str:
    """Write the subject of an alert's mail.

    Examples
    --------
    >>> subject_of({"event": "escalated", "severity": "warning", "title": "A run takes too long"})
    '[Prebill] escalated, warning: A run takes too long'
    """
    beginning = _BEGINNINGS.get(data["event"], "")
    return f"[Prebill] {beginning}{data['severity']}: {data['title']}"


def text_of(data: dict[str, Any]) -> str:
    """Write the text of an alert's mail."""
    lines = [data["text"], "", f"Seen since {data['first_seen_at']}. Alert {data['alert_id']}."]
    if data["event"] == "escalated":
        lines.insert(0, "Nobody acknowledged this alert; it is handed to you.\n")
    if data["url"]:
        lines += ["", data["url"], f"Acknowledge: {data['acknowledge_url']}"]
    else:
        lines.append(f"Acknowledge: prebill alerts acknowledge {data['alert_id']}")
    return "\n".join(lines) + "\n"
