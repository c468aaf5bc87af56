"""Mail against a real SMTP server."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prebill.connectors.notify.smtp import Mail, Server, Smtp
from prebill.core.errors import InputError, PermanentError, TransientError
from tests.connectors.notify.mail_server import MailServer, mailing, make_certificate

PASSWORD = "a password of the test"
SENDER = "Prebill <prebill@example.com>"


def mail(**given: str) -> Mail:
    usual = {
        "message_id": "alert-7-opened-ab",
        "recipient": "ops@example.com",
        "subject": "[Prebill] critical: Größe geändert",
        "text": "3 cases wait.\n.\nA line with a point alone stays.\n",
    }
    return Mail(**{**usual, **given}, sent_at=datetime(2026, 11, 2, 8, tzinfo=UTC))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path)


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's certificate, which the client trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


def test_a_mail_arrives_as_it_was_written() -> None:
    with mailing() as server:
        Smtp(server.url, SENDER).deliver(mail())
    (got,) = server.mails
    assert "[Prebill] critical: Größe geändert" == got["Subject"]
    assert "3 cases wait.\n.\nA line with a point alone stays.\n" == got.get_content()
    assert "<alert-7-opened-ab@example.com>" == got["Message-ID"]
    assert ("auto-generated", "ops@example.com") == (got["Auto-Submitted"], got["To"])
    assert [["ops@example.com"]] == server.recipients


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as another machine."""
    monkeypatch.setattr("prebill.connectors.notify.smtp.LOOPBACK", frozenset())


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("is_tls", [True, False])
def test_sign_in_and_mail_go_over_tls(trusted: Path, is_tls: bool) -> None:
    described = MailServer(trusted, is_tls, not is_tls, {"prebill": PASSWORD})
    with mailing(described) as server:
        Smtp(server.url, SENDER, user="prebill", password=PASSWORD).deliver(mail())
    assert ([True], ["prebill"]) == (server.were_safe, server.signed_in)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("is_tls", [True, False])
def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(
    certificate: Path, is_tls: bool
) -> None:
    described = MailServer(certificate, is_tls, not is_tls, {"prebill": PASSWORD})
    with mailing(described) as server:
        smtp = Smtp(server.url, SENDER, user="prebill", password=PASSWORD)
        with pytest.raises(PermanentError, match="CERTIFICATE_VERIFY_FAILED"):
            smtp.deliver(mail())
    assert [] == server.mails


def test_a_wrong_password_is_permanent_and_stands_in_no_message() -> None:
    with mailing(MailServer(users={"prebill": "another"})) as server:
        smtp = Smtp(server.url, SENDER, user="prebill", password=PASSWORD)
        with pytest.raises(PermanentError, match=r"refused the sign-in \(535\)") as told:
            smtp.deliver(mail())
    assert PASSWORD not in f"{told.value!r} {told.value.facts} {smtp!r}"
    assert told.value.__cause__ is None


@pytest.mark.parametrize(
    ("command", "code", "kind", "words"),
    [
        ("RCPT", 550, PermanentError, "refused the recipient"),
        ("RCPT", 450, TransientError, "postponed the recipient"),
        ("MAIL", 553, PermanentError, "refused the sender"),
        ("DATA", 554, PermanentError, "refused the mail"),
        ("DATA", 451, TransientError, "postponed the mail"),
        ("DATA", 0, TransientError, "ended the session|no answer"),
    ],
)
def test_codes_say_whether_a_retry_may_help(
    command: str, code: int, kind: type[Exception], words: str
) -> None:
    described = MailServer(codes={command: [code]})
    with mailing(described) as server, pytest.raises(kind, match=words) as told:
        Smtp(server.url, SENDER).deliver(mail())
    assert "ops@example.com" not in str(told.value)


def test_no_server_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"smtp://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(TransientError, match="ConnectionRefusedError"):
        Smtp(url, SENDER).deliver(mail())


@pytest.mark.usefixtures("elsewhere")
def test_a_server_elsewhere_without_tls_gets_nothing() -> None:
    with mailing() as server, pytest.raises(PermanentError, match="offers no TLS"):
        Smtp(server.url, SENDER).deliver(mail())
    assert [] == server.mails


def test_a_line_break_reaches_no_head() -> None:
    with mailing() as server, pytest.raises(PermanentError, match="can't be written"):
        Smtp(server.url, SENDER).deliver(mail(recipient="a@b.c\r\nBcc: x@y.z"))
    assert [] == server.mails


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example.com", "http://mail", "smtp://", "smtp://h:x", "smtp://h/path"),
        *("smtp://user:secret@h", "smtp://h:99999", "smtps://[::1"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError) as told:
        Server.of(url)
    assert "secret" not in str(told.value)
