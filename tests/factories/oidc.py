"""OpenID Connect providers on loopback: npm's certified oidc-provider where Node is, and one of our own that can lie.

Both are driven alike: `authorize` is the browser, which arrives already signed in as an account there.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from tests.harness import environment

CLIENT_ID, CLIENT_SECRET = "keystead", "s3cret/with:odd characters"
_SOURCE = environment.ROOT / "tests" / "harness" / "oidc"


@dataclass
class Provider:
    """A provider that runs, and the accounts that it knows by `sub`."""

    issuer: str
    accounts: dict[str, dict[str, Any]]

    def authorize(self, url: str, *, account: str) -> dict[str, str]:
        """What the callback is told after the browser went to `url`."""
        with httpx2.Client(headers={"x-account": account}) as browser:
            for _ in range(8):
                answer = browser.get(url)
                assert answer.status_code in {302, 303}, answer.text
                url = str(answer.url.join(answer.headers["location"]))
                if not url.startswith(self.issuer):
                    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        raise AssertionError("the provider never sent the browser back")


@dataclass
class Liar(Provider):
    """Ours: right unless told otherwise. `claims` replace those of the ID token (None: left out)."""

    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, str | None] = field(default_factory=dict)
    signs_with: str = "own"
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", parameters={"kid": "one"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        """Another key, and the old one is gone."""
        self.key = ECKey.generate_key("P-256", parameters={"kid": secrets.token_hex(4)})

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        self.asked.append(parts.path)
        match parts.path:
            case "/.well-known/openid-configuration":
                return _json(self._metadata() | self.discovery)
            case "/jwks":
                return _json(KeySet([self.key]).as_dict(private=False))
            case "/auth":
                return self._authorized({k: v[0] for k, v in parse_qs(parts.query).items()}, headers["x-account"])
            case "/token":
                return self._token({k: v[0] for k, v in parse_qs(body.decode()).items()}, headers)
        return 404, {}, b""

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }

    def _authorized(self, query: dict[str, str], account: str) -> tuple[int, dict[str, str], bytes]:
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "account": account}
        told: dict[str, str | None] = {"code": code, "state": query["state"], "iss": self.issuer, **self.callback}
        kept = {name: value for name, value in told.items() if value is not None}
        return 302, {"Location": f"{query['redirect_uri']}?{urlencode(kept)}"}, b""

    def _token(self, form: dict[str, str], headers: Any) -> tuple[int, dict[str, str], bytes]:
        given = self.codes.pop(form.get("code", ""), None)
        pair = base64.b64decode(headers.get("Authorization", "").removeprefix("Basic ")).decode()
        client_id, _, secret = (unquote(part) for part in pair.partition(":"))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            given is None
            or (client_id, secret) != (CLIENT_ID, CLIENT_SECRET)
            or challenge.rstrip(b"=").decode() != given["code_challenge"]
            or form["redirect_uri"] != given["redirect_uri"]
        ):
            return _json({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": given["account"],
            "nonce": given["nonce"],
            "iat": now,
            "exp": now + 300,
            "amr": ["pwd", "otp"],
            "email_verified": True,
            **self.accounts[given["account"]],
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return _json({"access_token": "x", "token_type": "Bearer", "id_token": self._signed(kept)})

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": "ES256", "kid": self.key.kid, **self.header}
        match self.signs_with:
            case "none":
                parts = ({**header, "alg": "none"}, claims)
                return ".".join(_base64(json.dumps(one).encode()) for one in parts) + "."
            case "public key":
                return _hs256(header, claims, self.key.as_pem(private=False))
            case "client secret":
                return _hs256(header, claims, CLIENT_SECRET.encode())
            case "another key":
                return jwt.encode(header, claims, ECKey.generate_key("P-256"))
        return jwt.encode(header, claims, self.key)


@contextmanager
def liar() -> Iterator[Liar]:
    """Our own provider on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    provider = Liar(issuer=f"http://127.0.0.1:{server.server_port}", accounts={})
    server.provider = provider
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def certified(redirect_uri: str, accounts: dict[str, dict[str, Any]]) -> Iterator[Provider]:
    """npm's oidc-provider on loopback. It is told its accounts when it starts."""
    folder = node_folder()
    assert folder is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [redirect_uri],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
    }
    given = json.dumps({"port": port, "clients": [client], "accounts": accounts})
    with subprocess.Popen(
        ["node", "server.mjs", given], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == "ready"
            yield Provider(issuer=f"http://127.0.0.1:{port}", accounts=accounts)
        finally:
            process.kill()


@lru_cache(maxsize=1)
def node_folder() -> Path | None:
    """Where oidc-provider is installed, from the lock beside its server; None where Node or a registry is not."""
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    environment.STATE.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(_SOURCE.iterdir()))).hexdigest()[:16]
    folder = environment.STATE / f"oidc-{digest}"
    with (environment.STATE / "oidc.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(_SOURCE, folder)
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                capture_output=True,
                timeout=120,
                check=False,
            )
            if done.returncode:
                return None
            (folder / "installed").touch()
    return folder


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body: bytes) -> None:
        status, headers, content = self.server.provider.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests say what they saw."""


def _json(value: Any, *, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _hs256(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """By hand: libraries refuse to take a public key for a shared one, and attackers do not."""
    signed = ".".join(_base64(json.dumps(one).encode()) for one in ({**header, "alg": "HS256"}, claims))
    return f"{signed}.{_base64(hmac.digest(key, signed.encode(), 'sha256'))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
