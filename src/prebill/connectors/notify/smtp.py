"""Plain-text mail by SMTP: TLS always, but to the own machine; one connection a mail.

Certificates are checked against those of the system, or the file that SSL_CERT_FILE names.
What a server answers may hold addresses: only its codes enter our messages.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import urlsplit

from prebill.core.errors import InputError, PermanentError, PrebillError, TransientError

TIMEOUT_SECONDS: Final = 10.0
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person. ``message_id`` is the same in every attempt."""

    message_id: str
    recipient: str
    subject: str
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed over."""

    host: str
    port: int
    is_tls: bool

    @classmethod
    def of(cls, url: str) -> "Server":
        """Read ``smtp://host:port`` or ``smtps://host:port``.

        Raises
        ------
        InputError
            It is something else; the message doesn't repeat it, for it may hold a password.

        Examples
        --------
        >>> Server.of("smtps://mail.example.com")
        Server(host='mail.example.com', port=465, is_tls=True)
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        is_bare = not (parts.username or parts.password or parts.query or parts.fragment)
        if parts.scheme not in _PORTS or not host or not is_bare or parts.path not in {"", "/"}:
            message = (
                "PREBILL_SMTP_URL is no address like smtp://host:587 or smtps://host:465; "
                "user and password have settings of their own"
            )
            raise InputError(message)
        return cls(host, port or _PORTS[parts.scheme], parts.scheme == "smtps")


class Smtp:
    """Hands mails to one server."""

    name = "mail"

    def __init__(
        self,
        url: str,
        sender: str,
        *,
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        self._server = Server.of(url)
        self._sender = sender
        self._domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
        self._user = user
        self._password = password

    def deliver(self, mail: Mail) -> None:
        """Hand a mail over.

        Raises
        ------
        TransientError
            The server is away, busy, or says that a later attempt may succeed.
        PermanentError
            It refuses sign-in, sender, recipient or content, or TLS fails: a person must look.
        """
        with _told():
            message = self._message(mail)
            with self._opened() as session:
                session.send_message(message, self._sender, [mail.recipient])

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._sender
        message["To"] = mail.recipient
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.sent_at)
        message["Message-ID"] = f"<{mail.message_id}@{self._domain}>"
        # Nobody's holiday reply is wanted (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message

    @contextmanager
    def _opened(self) -> Iterator[smtplib.SMTP]:
        """A session over TLS, signed in where a user is set; closed in any case."""
        server, trusted = self._server, ssl.create_default_context()
        session = (
            smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=trusted)
            if server.is_tls
            else smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
        )
        try:
            session.ehlo_or_helo_if_needed()
            if not server.is_tls and server.host not in LOOPBACK:
                _start_tls(session, trusted)
            if self._user and self._password:
                session.login(self._user, self._password)
            yield session
            # The mail is accepted: how the session ends changes nothing.
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
        finally:
            session.close()


def _start_tls(session: smtplib.SMTP, trusted: ssl.SSLContext) -> None:
    if not session.has_extn("starttls"):
        message = "the mail server offers no TLS: nothing is sent to it in the clear"
        raise PermanentError(message)
    session.starttls(context=trusted)
    session.ehlo()


@contextmanager
def _told() -> Iterator[None]:
    """Turn what smtplib raises into what may leave a connector; never the server's own words."""
    try:
        yield
    except PrebillError:
        raise
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise _in_our_words(error) from None


def _in_our_words(error: Exception) -> PrebillError:
    match error:
        case smtplib.SMTPRecipientsRefused():
            codes = sorted(code for code, _ in error.recipients.values())
            return _refused("the recipient", codes[0])
        case smtplib.SMTPAuthenticationError():
            return _refused("the sign-in", error.smtp_code)
        case smtplib.SMTPSenderRefused():
            return _refused("the sender", error.smtp_code)
        case smtplib.SMTPResponseException():
            return _refused("the mail", error.smtp_code)
        case smtplib.SMTPNotSupportedError():
            return PermanentError("the mail server lacks sign-in or international addresses")
        case ssl.SSLError():
            why = error.reason or type(error).__name__
            return PermanentError(f"TLS with the mail server failed: {why}")
        case ValueError():
            return PermanentError("the mail can't be written: look at sender and recipient")
    return TransientError(f"the mail server gave no answer: {type(error).__name__}")


def _refused(what: str, code: int) -> PrebillError:
    """Codes from 500 on are final (RFC 5321, section 4.2.1); others may succeed later."""
    if code >= 500:
        return PermanentError(f"the mail server refused {what} ({code})", status=code)
    return TransientError(f"the mail server postponed {what} ({code})", status=code)
