"""The contract of a mailer, over the console and over SMTP against a real server on loopback."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.accounts.adapters.base import Mail, Mailer, MailNotSent, MailRefused
from shared.accounts.adapters.console import ConsoleMailer
from shared.accounts.adapters.smtp import SmtpMailer

SENDER = "no-reply@keystead.test"
MAIL = Mail(to="ada@example.com", subject="Grüße", text="Set your password: https://acme.test/#kin_token\n")


@dataclass
class Server:
    """What aiosmtpd was given, and how it is told to answer."""

    received: list[Any] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.received.append((session, envelope))
        return "250 OK"


@dataclass
class Tried:
    mailer: Mailer
    texts: Any


def _controller(server: Server, **more: Any) -> Controller:
    controller = Controller(server, hostname="127.0.0.1", port=0, **more)
    controller.start()
    return controller


def _port(controller: Controller) -> int:
    assert controller.server is not None
    return int(controller.server.sockets[0].getsockname()[1])


class _FreePort(Controller):
    """aiosmtpd knocks at the port that it was asked for: at 0 that is nobody's."""

    def _trigger_server(self) -> None:
        self.port = _port(self)
        super()._trigger_server()


@pytest.fixture
def smtp() -> Iterator[tuple[Server, int]]:
    server = Server()
    controller = _FreePort(server, hostname="127.0.0.1", port=0)
    controller.start()
    yield server, _port(controller)
    controller.stop()


@pytest.fixture(params=["console", "smtp"])
def tried(request: pytest.FixtureRequest) -> Tried:
    if request.param == "console":
        stream = io.StringIO()
        return Tried(ConsoleMailer(shows_text=True, stream=stream), lambda: [stream.getvalue()])
    server, port = request.getfixturevalue("smtp")

    def texts() -> list[str]:
        parsed = [message_from_bytes(envelope.content, policy=default) for _, envelope in server.received]
        return [f"{one['To']} {one['Subject']}\n{one.get_content()}" for one in parsed]

    return Tried(SmtpMailer(urlsplit(f"smtp://127.0.0.1:{port}?tls=off"), sender=SENDER), texts)


def test_a_mail_arrives_whole_and_once(tried: Tried) -> None:
    tried.mailer.send(MAIL)
    (text,) = tried.texts()
    assert all(part in text for part in (MAIL.to, MAIL.subject, MAIL.text.strip()))


@pytest.mark.parametrize(
    "change",
    [{"to": "ada@example.com\nBcc: eve@example.com"}, {"subject": "Hello\r\nBcc: eve@example.com"}, {"to": "nobody"}],
)
def test_what_would_become_a_header_is_refused(tried: Tried, change: dict[str, str]) -> None:
    with pytest.raises(MailRefused):
        tried.mailer.send(Mail(**{"to": MAIL.to, "subject": MAIL.subject, "text": MAIL.text, **change}))
    assert all(text == "" for text in tried.texts())


def test_the_text_is_in_no_representation() -> None:
    assert "kin_token" not in repr(MAIL)


def test_in_production_the_console_keeps_the_text_to_itself() -> None:
    stream = io.StringIO()
    ConsoleMailer(shows_text=False, stream=stream).send(MAIL)
    assert "kin_token" not in stream.getvalue()
    assert MAIL.to in stream.getvalue()


@pytest.mark.parametrize(("answer", "error"), [("550 no such user", MailRefused), ("451 try again later", MailNotSent)])
def test_smtp_tells_for_good_from_for_now(smtp: tuple[Server, int], answer: str, error: type[Exception]) -> None:
    server, port = smtp
    server.answers.append(answer)
    with pytest.raises(error):
        SmtpMailer(urlsplit(f"smtp://127.0.0.1:{port}?tls=off"), sender=SENDER).send(MAIL)
    assert server.received == []


def test_smtp_that_nobody_answers_is_for_now() -> None:
    with pytest.raises(MailNotSent):
        SmtpMailer(urlsplit("smtp://127.0.0.1:1?tls=off"), sender=SENDER).send(MAIL)


def test_smtp_says_nothing_in_clear_to_a_server_without_tls(smtp: tuple[Server, int]) -> None:
    server, port = smtp
    with pytest.raises(MailNotSent):
        SmtpMailer(urlsplit(f"smtp://user:secret@127.0.0.1:{port}"), sender=SENDER).send(MAIL)
    assert server.received == []


def test_smtp_signs_in_under_tls_and_trusts_no_stranger(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    seen: list[tuple[bytes, bytes]] = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"sec/ret")

    server = Server()
    controller = _FreePort(
        server,
        hostname="127.0.0.1",
        port=0,
        tls_context=theirs,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
    )
    controller.start()
    try:
        url = urlsplit(f"smtp://keystead:sec%2Fret@127.0.0.1:{_port(controller)}")
        ours = ssl.create_default_context(cafile=str(certificate))
        SmtpMailer(url, sender=SENDER, context=ours).send(MAIL)
        assert seen == [(b"keystead", b"sec/ret")]
        assert server.received[0][0].ssl is not None
        with pytest.raises(MailNotSent):
            SmtpMailer(url, sender=SENDER).send(MAIL)
    finally:
        controller.stop()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    import ipaddress

    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "loopback.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return pem
