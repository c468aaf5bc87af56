"""A real SMTP server on a loopback port that keeps what it was sent: TLS, STARTTLS, sign-in."""

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class MailServer:
    """What it does, and what came in. ``codes``: command → answers, the last again and again."""

    certificate: Path | None = None
    is_tls: bool = False
    offers_starttls: bool = False
    users: dict[str, str] = field(default_factory=dict)
    codes: dict[str, list[int]] = field(default_factory=dict)
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    #: Whether each mail came over TLS, and who was signed in.
    were_safe: list[bool] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{'smtps' if self.is_tls else 'smtp'}://localhost:{self.port}"

    def answer(self, command: str, usual: int) -> int:
        with self.lock:
            listed = self.codes.get(command)
            if not listed:
                return usual
            return listed.pop(0) if len(listed) > 1 else listed[0]


class _Session(socketserver.StreamRequestHandler):
    """One session: as much of RFC 5321, 3207 and 4954 as a client needs."""

    mail_server: MailServer

    def handle(self) -> None:
        self.is_safe, self.user, self.to = False, "", []
        try:
            if self.mail_server.is_tls:
                self._wrap()
            self._say(220, "a test")
            while line := self.rfile.readline():
                command, _, rest = line.decode().strip().partition(" ")
                if not self._obey(command.upper(), rest):
                    return
        except OSError:  # the client went, or did not like our certificate
            return

    def finish(self) -> None:
        super().finish()
        self.rfile.close()
        self.connection.close()

    def _wrap(self) -> None:
        assert self.mail_server.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.mail_server.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile.close()
        self.rfile = self.connection.makefile("rb")
        self.is_safe = True

    def _say(self, code: int, *texts: str) -> None:
        lines = [f"{code}{'-' if text != texts[-1] else ' '}{text}\r\n" for text in texts]
        self.connection.sendall("".join(lines).encode())

    def _obey(self, command: str, rest: str) -> bool:
        server = self.mail_server
        if command in {"EHLO", "HELO"}:
            more = ["STARTTLS"] if server.offers_starttls and not self.is_safe else []
            self._say(
                250, "localhost", *more, *(["AUTH PLAIN"] if server.users else []), "8BITMIME"
            )
        elif command == "STARTTLS":
            self._say(220, "go")
            self._wrap()
        elif command == "AUTH":
            _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
            is_known = server.users.get(user) == password
            self.user = user if is_known else ""
            self._say(*((235, "yes") if is_known else (535, f"no {user} with {password}")))
        elif command == "RCPT":
            code = server.answer("RCPT", 250)
            self.to.append(rest.removeprefix("TO:<").split(">")[0])
            self._say(code, f"about {rest}")
        elif command == "DATA":
            return self._take()
        elif command == "QUIT":
            self._say(221, "bye")
            return False
        else:
            self._say(server.answer(command, 250), "well")
        return True

    def _take(self) -> bool:
        self._say(354, "send it")
        lines = iter(self.rfile.readline, b".\r\n")
        body = b"".join(line.removeprefix(b".") for line in lines)
        code = self.mail_server.answer("DATA", 250)
        if code == 0:  # it falls over before it answers
            return False
        if code < 300:
            with self.mail_server.lock:
                mail = message_from_bytes(body.replace(b"\r\n", b"\n"), policy=policy.default)
                assert isinstance(mail, EmailMessage)
                self.mail_server.mails.append(mail)
                self.mail_server.recipients.append(self.to)
                self.mail_server.were_safe.append(self.is_safe)
                self.mail_server.signed_in.append(self.user)
        self.to = []
        self._say(code, "done")
        return True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mailing(server: MailServer | None = None) -> Iterator[MailServer]:
    """Run a server; the port is given by the system, or one that ran on it before."""
    described = server or MailServer()
    handler = type("Session", (_Session,), {"mail_server": described})
    with _Server(("127.0.0.1", described.port), handler) as running:
        described.port = running.server_address[1]
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield described
        finally:
            running.shutdown()
            thread.join()


def make_certificate(folder: Path) -> Path:
    """Write key and certificate of localhost, signed by itself, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now_at = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now_at - timedelta(days=1))
        .not_valid_after(now_at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
