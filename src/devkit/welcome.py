"""Something to look at in a platform that was just brought up: an organization, its owner and an app.

Made once per state folder, in the way anybody would: with the command line and over HTTP.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from devkit.configuration import kept_secret
from devkit.errors import CannotRun
from devkit.servers import write_private
from devkit.stack import Stack
from devkit.supervisor import ProcessFailed

SLUG = "acme"
PLAN = "standard"
OWNER = "owner@acme.example"
OPERATOR = "operator@keystead.example"


class WelcomeFailed(CannotRun):
    """The first organization could not be prepared."""


@dataclass(frozen=True)
class Welcome:
    """How to sign in to the first organization, and as an operator."""

    slug: str
    email: str
    password: str
    client_id: str
    client_secret: str
    operator_email: str
    operator_password: str
    operator_otpauth: str
    """For an authenticator app."""


def prepare(stack: Stack) -> Welcome:
    """The first organization, made when it is not there yet. Interrupted, it goes on at the next call.

    Raises WelcomeFailed or ProcessFailed.
    """
    kept = stack.state_dir / "secrets" / "welcome.json"
    if kept.exists():
        return Welcome(**json.loads(kept.read_text()))
    status = _status(stack)
    if not status:
        stack.cli("plan", "create", PLAN, "--title", "Standard")
    # Creating goes on where an interrupted creation stopped, and refuses a slug that is complete.
    if status != "active":
        stack.cli("org", "create", SLUG, "--plan", PLAN, "--name", "Acme", "--admin-email", OWNER)
    password = kept_secret(stack.state_dir, f"{SLUG}-owner.password")
    try:
        invitation = stack.cli("org", "invite", SLUG, "--email", OWNER).strip().rpartition("#")[2]
    except ProcessFailed:
        invitation = ""  # Accepted before the interruption; signing in will show it.
    if invitation:
        _post(stack, "/v1/invitations/accept", {"token": invitation, "password": password})
    token = sign_in(stack, email=OWNER, password=password)
    app = _post(stack, "/v1/apps", {"name": "Back office", "roles": ["admin"]}, token=token)
    operator_password = kept_secret(stack.state_dir, "operator.password")
    operator_email, operator_otpauth = _operator(stack, operator_password)
    made = Welcome(
        slug=SLUG,
        email=OWNER,
        password=password,
        client_id=app["client_id"],
        client_secret=app["client_secret"],
        operator_email=operator_email,
        operator_password=operator_password,
        operator_otpauth=operator_otpauth,
    )
    write_private(kept, json.dumps(asdict(made)))
    return made


def _operator(stack: Stack, password: str) -> tuple[str, str]:
    """E-mail address and authenticator secret of an operator."""
    words = {"KEYSTEAD_OPERATOR_PASSWORD": password}
    try:
        return OPERATOR, _made(stack, OPERATOR, words)
    except ProcessFailed:
        # Made before an interruption, or for another state folder: the secret was shown once, to nobody.
        another = OPERATOR.replace("@", f"-{secrets.token_hex(3)}@")
        return another, _made(stack, another, words)


def _made(stack: Stack, email: str, words: dict[str, str]) -> str:
    """The authenticator secret of a new admin; recovery codes follow it."""
    shown = stack.cli("operator", "create", "--email", email, "--role", "admin", secrets=words)
    return shown.partition("\n")[0].strip()


def sign_in(stack: Stack, *, email: str, password: str) -> str:
    """A member's bearer token, from a sign-in at the first organization."""
    token: str = _post(stack, "/v1/sessions", {"email": email, "password": password})["token"]
    return token


def _status(stack: Stack) -> str:
    """The organization's status; empty when there is none."""
    try:
        status: str = json.loads(stack.cli("org", "show", SLUG))["status"]
    except ProcessFailed:
        return ""
    return status


def _post(stack: Stack, path: str, body: Mapping[str, Any], *, token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return _send(stack, "POST", path, json.dumps(body), headers)


def _send(stack: Stack, method: str, path: str, body: str, headers: Mapping[str, str]) -> dict[str, Any]:
    host = urlsplit(stack.url(SLUG)).netloc
    # Python's resolver does not know *.localhost, so the connection goes to loopback by number.
    connection = http.client.HTTPConnection("127.0.0.1", stack.ports.api, timeout=30)
    try:
        connection.request(method, path, body, {**headers, "Host": host})
        response = connection.getresponse()
        answer = json.loads(response.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WelcomeFailed(f"{method} {path} at {host}: {error} (log: {stack.log('api')})") from None
    finally:
        connection.close()
    if response.status >= 400:
        raise WelcomeFailed(f"{method} {path} at {host}: {response.status} {answer.get('detail') or answer}")
    found: dict[str, Any] = answer
    return found
