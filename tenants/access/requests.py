"""Authorization requests as they arrive in a browser's address: read, checked, or refused in the right place.

What is wrong with the app or with where the answer would go is shown to the member, since an answer could be sent
anywhere; everything else is told to the app.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from oauthlib.common import Request
from oauthlib.oauth2.rfc6749 import errors

from engine.tenancy.context import current_organization
from tenants.access.models import App
from tenants.access.oauth import AccessValidator, S256Only

PARAMETERS = frozenset(
    {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "response_mode",
        "resource",
        "request",
        "request_uri",
    }
)
CHARACTERS_MAX = 2048
NONCE_CHARACTERS_MAX = 255
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})


class Unanswerable(Exception):
    """The request is wrong in a way that forbids to answer the app. The text is for the member."""


class Refused(Exception):
    """The app is told what is wrong with its request."""

    def __init__(self, *, redirect_uri: str, parameters: dict[str, str]) -> None:
        super().__init__(parameters["error"])
        self.redirect_uri = redirect_uri
        self.parameters = parameters


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request that is in order."""

    app: App
    scopes: tuple[str, ...]
    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str
    prompt: frozenset[str]
    max_age_s: int | None
    fingerprint: str
    """Equal for equal requests."""


def read(given: Iterable[tuple[str, Iterable[str]]]) -> Asked:
    """The request of a query string, as names with their values. Raises Unanswerable, Refused."""
    fields = _single(given)
    request = Request(f"/oauth/authorize?{urlencode(fields)}", "GET", None, {})
    try:
        S256Only(AccessValidator()).validate_authorization_request(request)
    except errors.FatalClientError as error:
        raise Unanswerable(_told(error)) from error
    except errors.OAuth2Error as error:
        raise _refused(request, error.error, error.description) from error
    except ValueError as error:
        raise Unanswerable("The address is damaged.") from error
    return _finished(request, fields)


def _finished(request: Any, fields: dict[str, str]) -> Asked:
    unsupported = {"request": "request_not_supported", "request_uri": "request_uri_not_supported"}
    for name, error in unsupported.items():
        if name in fields:
            raise _refused(request, error, "")
    prompt = frozenset(fields.get("prompt", "").split())
    if not prompt <= _PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise _refused(request, "invalid_request", "prompt is none alone, or of login, consent, select_account.")
    if fields.get("response_mode", "query") != "query":
        raise _refused(request, "invalid_request", "response_mode is query.")
    if not _CHALLENGE.match(request.code_challenge):
        raise _refused(request, "invalid_request", "code_challenge is a SHA-256 in base64url, 43 characters.")
    if len(fields.get("nonce", "")) > NONCE_CHARACTERS_MAX:
        raise _refused(request, "invalid_request", f"nonce has at most {NONCE_CHARACTERS_MAX} characters.")
    max_age = fields.get("max_age", "")
    if max_age and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        raise _refused(request, "invalid_request", "max_age is a number of seconds.")
    if fields.get("resource", current_organization().issuer) != current_organization().issuer:
        raise _refused(request, "invalid_target", "Tokens are for this organization's API only.")
    return Asked(
        app=request.client,
        scopes=tuple(request.scopes),
        redirect_uri=request.redirect_uri,
        state=fields.get("state", ""),
        nonce=fields.get("nonce", ""),
        code_challenge=request.code_challenge,
        prompt=prompt,
        max_age_s=int(max_age) if max_age else None,
        fingerprint=hashlib.sha256(urlencode(sorted(fields.items())).encode()).hexdigest(),
    )


def _single(given: Iterable[tuple[str, Iterable[str]]]) -> dict[str, str]:
    """The parameters that we know, each given once. Others are ignored (RFC 6749, section 3.1)."""
    fields = {}
    for name, values in given:
        if name not in PARAMETERS:
            continue
        first, *others = values
        if others:
            raise Unanswerable(f"The parameter {name} is there twice.")
        if len(first) > CHARACTERS_MAX or not first.isprintable():
            raise Unanswerable(f"The parameter {name} is too long, or has characters that cannot be there.")
        if first:
            fields[name] = first
    return fields


def _refused(request: Any, error: str, description: str) -> Refused:
    return Refused(
        redirect_uri=request.redirect_uri,
        parameters={"error": error, "error_description": description, "state": request.state or ""},
    )


def _told(error: errors.FatalClientError) -> str:
    told = {
        errors.MissingClientIdError: "It does not say which app it comes from.",
        errors.InvalidClientIdError: "No such app is known here.",
        errors.MissingRedirectURIError: "It does not say where the app waits for the answer.",
    }
    return told.get(type(error), "The app is not registered at the address where it waits for the answer.")
