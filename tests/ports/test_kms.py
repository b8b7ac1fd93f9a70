"""The contract of a key management service over every adapter.

`aws` speaks over the wire to a moto server of its own. moto decrypts with keys that are disabled or
pending deletion, which AWS does not: what depends on that runs against a server that answers as AWS
documents (`refusing_endpoint`), so that the adapter's side of it is held all the same.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import boto3
import pytest

from engine.keys.adapters import file
from engine.keys.kms import (
    Kms,
    KmsKeyNotFound,
    KmsKeyUnusable,
    KmsRefused,
    KmsUnreachable,
    open_kms,
)

CONTEXT = {"organization": "a", "purpose": "biometric"}


@dataclass(frozen=True)
class Service:
    """A KMS with two enabled keys, and the means to change the state of a third."""

    kms: Kms
    keys: tuple[str, str]
    missing: str
    in_state: Callable[[str], str]
    enforces_states_on_unwrap: bool


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """A moto server on a port that it chose itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        endpoint = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        for _ in range(100):
            try:
                urlopen(f"{endpoint}/moto-api/", timeout=2).close()
                break
            except OSError:
                time.sleep(0.05)
        yield endpoint
    finally:
        process.kill()
        process.wait()


_MOTO = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
server._thread.join()
"""


@pytest.fixture(params=["file", "aws"])
def service(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    return _file(tmp_path) if request.param == "file" else _aws(request, monkeypatch)


def _file(folder: Path) -> Service:
    file.create_key(folder, "one")
    file.create_key(folder, "two")

    def in_state(state: str) -> str:
        file.create_key(folder, "third")
        due = datetime.now(UTC) + timedelta(days=7) if state == "pending_deletion" else None
        file.set_state(folder, "third", state, deletion_at=due)
        return "third"

    return Service(open_kms(f"file://{folder}?key_id=one"), ("one", "two"), "none", in_state, True)


def _aws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    endpoint = request.getfixturevalue("moto_endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.client("kms", region_name="eu-central-1", endpoint_url=endpoint)

    def create() -> str:
        return client.create_key()["KeyMetadata"]["Arn"]

    def in_state(state: str) -> str:
        arn = create()
        # moto's own administration takes the bare id only.
        key_id = arn.rsplit("/", 1)[1]
        if state == "disabled":
            client.disable_key(KeyId=key_id)
        else:
            client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
        return arn

    one, two = create(), create()
    missing = one.rsplit("/", 1)[0] + "/00000000-0000-0000-0000-000000000000"
    kms = open_kms(f"aws://eu-central-1?key_id={one}&endpoint={endpoint}")
    return Service(kms, (one, two), missing, in_state, False)


def test_a_data_key_is_what_its_wrapping_opens_to(service: Service) -> None:
    one, _ = service.keys
    key = service.kms.generate_data_key(key_id=one, context=CONTEXT)
    assert len(key.plaintext) == 32
    assert isinstance(key.plaintext, bytearray)
    assert key.kms_key_id == one
    opened = service.kms.unwrap(key_id=one, wrapped=key.wrapped, context=CONTEXT)
    assert isinstance(opened, bytearray)
    assert opened == key.plaintext
    assert bytes(key.plaintext) not in key.wrapped
    assert repr(bytes(key.plaintext)) not in repr(key)


def test_keys_are_new_each_time(service: Service) -> None:
    one, _ = service.keys
    keys = [service.kms.generate_data_key(key_id=one, context=CONTEXT) for _ in range(3)]
    assert len({bytes(key.plaintext) for key in keys}) == 3


def test_a_wrapped_key_opens_later(service: Service) -> None:
    one, _ = service.keys
    key = service.kms.generate_wrapped_key(key_id=one, context=CONTEXT)
    assert key.kms_key_id == one
    assert len(service.kms.unwrap(key_id=one, wrapped=key.wrapped, context=CONTEXT)) == 32


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"organization": "b", "purpose": "biometric"},
        {"organization": "a", "purpose": "documents"},
        {"organization": "a"},
        {"organization": "a", "purpose": "biometric", "more": "x"},
    ],
)
def test_another_context_is_refused(service: Service, context: dict[str, str]) -> None:
    one, _ = service.keys
    key = service.kms.generate_wrapped_key(key_id=one, context=CONTEXT)
    with pytest.raises(KmsRefused):
        service.kms.unwrap(key_id=one, wrapped=key.wrapped, context=context)


def test_another_key_is_refused(service: Service) -> None:
    one, two = service.keys
    key = service.kms.generate_wrapped_key(key_id=one, context=CONTEXT)
    with pytest.raises(KmsRefused):
        service.kms.unwrap(key_id=two, wrapped=key.wrapped, context=CONTEXT)


def test_changed_bytes_are_refused(service: Service) -> None:
    one, _ = service.keys
    wrapped = service.kms.generate_wrapped_key(key_id=one, context=CONTEXT).wrapped
    for changed in (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:-1], b"\x00" * 100):
        with pytest.raises((KmsRefused, KmsKeyNotFound)):
            service.kms.unwrap(key_id=one, wrapped=changed, context=CONTEXT)


def test_a_key_that_is_not_there_is_not_found(service: Service) -> None:
    with pytest.raises(KmsKeyNotFound):
        service.kms.generate_data_key(key_id=service.missing, context=CONTEXT)
    with pytest.raises(KmsKeyNotFound):
        service.kms.generate_wrapped_key(key_id=service.missing, context=CONTEXT)
    with pytest.raises(KmsKeyNotFound):
        service.kms.state(key_id=service.missing)


def test_rewrapping_keeps_the_key_and_moves_it(service: Service) -> None:
    one, two = service.keys
    key = service.kms.generate_data_key(key_id=one, context=CONTEXT)
    moved = service.kms.rewrap(key_id=one, wrapped=key.wrapped, context=CONTEXT, new_key_id=two)
    assert moved.kms_key_id == two
    opened = service.kms.unwrap(key_id=two, wrapped=moved.wrapped, context=CONTEXT)
    assert opened == key.plaintext
    with pytest.raises(KmsRefused):
        service.kms.unwrap(key_id=one, wrapped=moved.wrapped, context=CONTEXT)


@pytest.mark.parametrize("state", ["disabled", "pending_deletion"])
def test_a_key_that_is_not_enabled_makes_no_keys(service: Service, state: str) -> None:
    key_id = service.in_state(state)
    assert service.kms.state(key_id=key_id) == state
    if not service.enforces_states_on_unwrap:
        return
    with pytest.raises(KmsKeyUnusable) as refused:
        service.kms.generate_data_key(key_id=key_id, context=CONTEXT)
    assert refused.value.state == state


def test_an_enabled_key_says_so(service: Service) -> None:
    assert service.kms.state(key_id=service.kms.default_key_id) == "enabled"


@pytest.mark.parametrize("state", ["disabled", "pending_deletion"])
def test_a_key_that_was_disabled_unwraps_nothing(tmp_path: Path, state: str) -> None:
    service = _file(tmp_path)
    one, two = service.keys
    key = service.kms.generate_wrapped_key(key_id=one, context=CONTEXT)
    due = datetime.now(UTC) + timedelta(days=7) if state == "pending_deletion" else None
    file.set_state(tmp_path, "one", state, deletion_at=due)
    with pytest.raises(KmsKeyUnusable):
        service.kms.unwrap(key_id=one, wrapped=key.wrapped, context=CONTEXT)
    with pytest.raises(KmsKeyUnusable):
        service.kms.rewrap(key_id=one, wrapped=key.wrapped, context=CONTEXT, new_key_id=two)
    file.set_state(tmp_path, "one", "enabled")
    assert len(service.kms.unwrap(key_id=one, wrapped=key.wrapped, context=CONTEXT)) == 32


@contextmanager
def refusing_endpoint(code: str, key_state: str = "Enabled", status: int = 400) -> Iterator[str]:
    """A KMS endpoint that answers DescribeKey with a state and everything else with an error."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            describing = self.headers["X-Amz-Target"].endswith("DescribeKey")
            answer = (
                {"KeyMetadata": {"KeyId": "k", "KeyState": key_state}}
                if describing
                else {"__type": code, "message": "refused"}
            )
            body = json.dumps(answer).encode()
            self.send_response(200 if describing else status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("code", "key_state", "state"),
    [
        ("DisabledException", "Disabled", "disabled"),
        ("KMSInvalidStateException", "Disabled", "disabled"),
        ("KMSInvalidStateException", "PendingDeletion", "pending_deletion"),
        ("KMSInvalidStateException", "PendingImport", "unavailable"),
    ],
)
def test_aws_states_are_told_apart(monkeypatch: pytest.MonkeyPatch, code: str, key_state: str, state: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with refusing_endpoint(code, key_state) as endpoint:
        kms = open_kms(f"aws://eu-central-1?key_id=k&endpoint={endpoint}")
        for call in (
            lambda: kms.unwrap(key_id="k", wrapped=b"w", context=CONTEXT),
            lambda: kms.generate_data_key(key_id="k", context=CONTEXT),
            lambda: kms.generate_wrapped_key(key_id="k", context=CONTEXT),
            lambda: kms.rewrap(key_id="k", wrapped=b"w", context=CONTEXT, new_key_id="l"),
        ):
            with pytest.raises(KmsKeyUnusable) as refused:
                call()
            assert refused.value.state == state


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", KmsRefused),
        ("IncorrectKeyException", KmsRefused),
        ("InvalidCiphertextException", KmsRefused),
        ("NotFoundException", KmsKeyNotFound),
        ("DependencyTimeoutException", KmsUnreachable),
        ("UnrecognizedClientException", KmsUnreachable),
    ],
)
def test_aws_errors_are_told_apart(monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with refusing_endpoint(code) as endpoint:
        kms = open_kms(f"aws://eu-central-1?key_id=k&endpoint={endpoint}")
        with pytest.raises(error):
            kms.unwrap(key_id="k", wrapped=b"w", context=CONTEXT)


def test_an_aws_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    kms = open_kms("aws://eu-central-1?key_id=k&endpoint=http://127.0.0.1:9")
    with pytest.raises(KmsUnreachable):
        kms.state(key_id="k")
