"""OpenID Connect through the engine's client: discovery, the token endpoint, the provider's keys."""

from __future__ import annotations

import base64
import json
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from engine.calls.client import Policy, ProviderClient, ProviderRequest, patient_with_nobody
from engine.calls.outcomes import Refused, Reply, Succeeded
from engine.calls.public_network import PublicTransport
from engine.tenancy.context import key_prefix
from tenants.signin.adapters.base import Client, CodeRefused, Metadata, ProviderUnavailable, SignatureInvalid
from tenants.signin.rules import ALGORITHMS

_FRESH_S = 600.0
# A token whose key is unknown has the keys fetched anew, but not by everybody who makes tokens up.
_REFETCH_S = 30.0
_ENTRIES_MAX = 1_000
_TOKEN_CHARACTERS_MAX = 16_384
_WELL_KNOWN = "/.well-known/openid-configuration"
_POLICY = Policy(connect_s=3.0, read_s=5.0, tries=2, total_s=6.0, response_bytes_max=262_144)


class Oidc:
    """Speaks OpenID Connect. What was fetched is remembered for ten minutes, by organization and provider."""

    def __init__(self, http: ProviderClient) -> None:
        self._http = http
        self._remembered: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        self._lock = Lock()

    def metadata(self, client: Client) -> Metadata:
        found = self._fetched(client, "discovery", client.issuer.rstrip("/") + _WELL_KNOWN)
        # Section 4.3: exactly the same, or somebody else answers for it.
        if found.get("issuer") != client.issuer:
            raise ProviderUnavailable("discovery names another issuer")
        endpoints = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if not all(isinstance(url, str) and acceptable(url) for url in endpoints):
            raise ProviderUnavailable("discovery lacks an endpoint")
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Metadata(
            authorization_endpoint=str(endpoints[0]),
            token_endpoint=str(endpoints[1]),
            jwks_uri=str(endpoints[2]),
            sends_issuer=found.get("authorization_response_iss_parameter_supported") is True,
            token_auth_methods=tuple(str(one) for one in methods) if isinstance(methods, list) else (),
        )

    def redeem(self, client: Client, *, code: str, verifier: str, redirect_uri: str) -> str:
        metadata = self.metadata(client)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if client.client_secret is None:
            form["client_id"] = client.client_id
        elif "client_secret_basic" in metadata.token_auth_methods:
            # RFC 6749, section 2.3.1: both are form-encoded first.
            pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client.client_id, "client_secret": client.client_secret}
        request = self._request(client, "token", "POST", metadata.token_endpoint)
        outcome = self._http.send(
            ProviderRequest(
                provider=request.provider,
                account=request.account,
                operation=request.operation,
                method="POST",
                url=request.url,
                headers=headers,
                content=urlencode(form).encode(),
            )
        )
        match outcome:
            case Succeeded(reply=reply):
                token = _object(reply).get("id_token")
            case Refused():
                raise CodeRefused
            case _:
                raise ProviderUnavailable(type(outcome).__name__)
        if not isinstance(token, str) or len(token) > _TOKEN_CHARACTERS_MAX:
            raise ProviderUnavailable("the answer has no ID token")
        return token

    def claims(self, client: Client, id_token: str) -> Mapping[str, Any]:
        url = self.metadata(client).jwks_uri
        for fresh_s in (_FRESH_S, _REFETCH_S):
            document = self._fetched(client, "keys", url, fresh_s=fresh_s)
            try:
                keys = KeySet.import_key_set(document)  # type: ignore[arg-type]  # checked by the library
                claims: Mapping[str, Any] = jwt.decode(id_token, keys, algorithms=list(ALGORITHMS)).claims
            except (InvalidKeyIdError, JoseError, ValueError, TypeError, KeyError) as error:
                failed: Exception = error
            else:
                return claims
        raise SignatureInvalid(type(failed).__name__) from failed

    def _fetched(self, client: Client, what: str, url: str, *, fresh_s: float = _FRESH_S) -> dict[str, Any]:
        key, now = f"{key_prefix()}{client.provider_id}:{what}:{url}", time.monotonic()
        entry = self._remembered.get(key)
        if entry and now - entry[0] < fresh_s:
            return entry[1]
        outcome = self._http.send(self._request(client, what, "GET", url))
        if not isinstance(outcome, Succeeded):
            raise ProviderUnavailable(type(outcome).__name__)
        found = _object(outcome.reply)
        with self._lock:
            self._remembered[key] = (now, found)
            while len(self._remembered) > _ENTRIES_MAX:
                self._remembered.popitem(last=False)
        return found

    def _request(self, client: Client, operation: str, method: str, url: str) -> ProviderRequest:
        return ProviderRequest(
            provider="oidc",
            account=client.provider_id,
            operation=operation,
            method=method,
            url=url,
            headers={"Accept": "application/json"},
            repeatable=method == "GET",
        )


def acceptable(url: str) -> bool:
    """Whether a URL of a provider may be used: https, or in development http."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    schemes = ("https", "http") if settings.IS_DEVELOPMENT else ("https",)
    return parts.scheme in schemes and bool(host) and parts.username is None and not parts.fragment


def _object(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.body)
    except ValueError as error:
        raise ProviderUnavailable("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise ProviderUnavailable("the answer is no JSON object")
    return found


def shared() -> Oidc:
    """This process's; one per process, because connections do not survive a fork."""
    return _of(os.getpid(), settings.REDIS_URL, settings.IDENTITY_PROVIDER_ALLOW_PRIVATE)


@lru_cache(maxsize=2)
def _of(_pid: int, redis_url: str, allow_private: bool) -> Oidc:
    transport = PublicTransport(allow_private=allow_private)
    return Oidc(ProviderClient(patient_with_nobody(redis_url), _POLICY, transport=transport))
