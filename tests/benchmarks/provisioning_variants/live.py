"""From the operator's POST to the first 200 on the new host, through every process of the platform."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from base64 import b32decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django_otp.oath import TOTP

from devkit.stack import Stack

PROCESSES = ("matcher", "relay", "provisioner", "api")
# Reads the organization's schema: its signing keys.
PATH = "/.well-known/jwks.json"
POLL_SECONDS = 0.005
GIVE_UP_SECONDS = 60.0


@dataclass(slots=True)
class Platform:
    """An operator, signed in at a running platform."""

    stack: Stack
    _token: str = field(init=False, default="")

    def sign_in(self) -> None:
        """Make a plan and an operator, and sign in."""
        self.stack.cli("plan", "create", "bench")
        email, password = "operator@bench.example", secrets.token_urlsafe(24)
        otpauth = self.stack.cli(
            "operator", "create", "--role", "admin", "--email", email, secrets={"KEYSTEAD_OPERATOR_PASSWORD": password}
        ).strip()
        code = TOTP(b32decode(parse_qs(urlsplit(otpauth).query)["secret"][0]))
        code.time = time.time()
        body = {"email": email, "password": password, "otp": f"{code.token():06d}"}
        status, answer = self._send("POST", self.stack.platform_url, "/v1/sessions", body)
        if status >= 400:
            raise SystemExit(f"the operator could not sign in: {status} {answer}")
        self._token = answer["token"]

    def fill(self, count: int) -> None:
        """Make that many schemas ready."""
        self.stack.cli("pool", "fill", "--size", str(count))

    def seconds_to_first_200(self) -> float:
        """One organization, from the POST on."""
        slug = f"b{secrets.token_hex(8)}"
        began = time.perf_counter()
        body = {"slug": slug, "name": slug, "plan": "bench", "admin_email": f"owner@{slug}.example"}
        status, answer = self._send("POST", self.stack.platform_url, "/v1/organizations", body)
        if status != 202:
            raise SystemExit(f"the organization was refused: {status} {answer}")
        while time.perf_counter() - began < GIVE_UP_SECONDS:
            status, answer = self._send("GET", self.stack.url(slug), PATH)
            if status == 200:
                if not answer["keys"]:
                    raise SystemExit(f"{slug} answers without a signing key")
                return time.perf_counter() - began
            time.sleep(POLL_SECONDS)
        raise SystemExit(f"{slug} did not answer: {status} {answer}")

    def _send(
        self, method: str, origin: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Host": urlsplit(origin).netloc, "Content-Type": "application/json"}
        if self._token and body is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.stack.ports.api, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()
