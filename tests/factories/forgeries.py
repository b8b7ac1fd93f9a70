"""Access tokens that nobody has given out: each is wrong in one thing, and signed with the real key where that helps.

`register` gives a forged token a row, so that the signature and the claims alone have to refuse it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from oauth2_provider.models import AccessToken

from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import signing
from tenants.access.models import SigningKey
from tests.factories.access import App


def kid_of(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


def _private(org: OrganizationContext) -> tuple[ECKey, str]:
    with organization(org):
        row = SigningKey.objects.filter(retired_at=None).latest("id")
        opened = signing.keyring.open_secret(
            purpose_name="oauth.signing_key", record_id=row.kid, sealed=bytes(row.sealed_private_jwk)
        )
        return ECKey.import_key(json.loads(opened)), row.kid


def resigned(
    app: App,
    org: OrganizationContext,
    *,
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    without: str = "",
) -> str:
    """The app's own token, changed, and signed again with the organization's real key."""
    key, kid = _private(org)
    own = json.loads(base64.urlsafe_b64decode(app.token.split(".")[1] + "=="))
    new_claims = {name: value for name, value in {**own, **(claims or {})}.items() if name != without}
    new_header = {"alg": "ES256", "typ": "at+jwt", "kid": kid, **(header or {})}
    return jwt.encode(new_header, new_claims, key, ["ES256"], default_type=None)


def register(token: str, app: App, org: OrganizationContext) -> None:
    """Let the row exist as well, so that the signature and the claims alone have to refuse."""
    with organization(org):
        row = AccessToken(
            application_id=app.principal.id,
            expires=utc_now() + timedelta(minutes=5),
            token="",
            scope="",
        )
        row._raw_token = token
        row.save()


def _none(app: App, org: OrganizationContext) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt", "kid": _private(org)[1]}).encode())
    return f"{header.decode().rstrip('=')}.{app.token.split('.')[1]}."


def _hmac_with_the_public_key(app: App, org: OrganizationContext) -> str:
    key, kid = _private(org)
    claims = json.loads(base64.urlsafe_b64decode(app.token.split(".")[1] + "=="))
    secret = OctKey.import_key(key.as_pem(private=False).decode().replace("-----", "").encode())
    return jwt.encode({"alg": "HS256", "typ": "at+jwt", "kid": kid}, claims, secret, ["HS256"])


def _another_key(app: App, org: OrganizationContext, *, extra: dict[str, Any] | None = None) -> str:
    claims = json.loads(base64.urlsafe_b64decode(app.token.split(".")[1] + "=="))
    key = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "typ": "at+jwt", "kid": _private(org)[1], **(extra or {})}
    if extra and "jwk" in extra:
        header["jwk"] = key.as_dict(private=False)
    return jwt.encode(header, claims, key, ["ES256"])


def _rsa(app: App, org: OrganizationContext) -> str:
    claims = json.loads(base64.urlsafe_b64decode(app.token.split(".")[1] + "=="))
    key = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": _private(org)[1]}, claims, key, ["RS256"])


def by_hand(app: App, org: OrganizationContext, *, header: dict[str, Any]) -> str:
    key, kid = _private(org)
    text = json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": kid, **header}).encode()
    signed = base64.urlsafe_b64encode(text).rstrip(b"=") + b"." + app.token.split(".")[1].encode()
    signature = jws.JWSRegistry.algorithms["ES256"].sign(signed, key)
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


FORGERIES: dict[str, Callable[[App, OrganizationContext], str]] = {
    "alg none": _none,
    "HMAC keyed with the public key": _hmac_with_the_public_key,
    "another key under our kid": _another_key,
    "its own key in the header": lambda app, org: _another_key(app, org, extra={"jwk": {}}),
    "a key to fetch": lambda app, org: _another_key(app, org, extra={"jku": "https://evil.example/jwks"}),
    "RS256": _rsa,
    "unknown kid": lambda app, org: resigned(app, org, header={"kid": "somebody"}),
    "kid with NUL": lambda app, org: resigned(app, org, header={"kid": "a\x00b"}),
    "kid that walks": lambda app, org: resigned(app, org, header={"kid": "../../etc/passwd"}),
    "kid that injects": lambda app, org: resigned(app, org, header={"kid": "' OR 1=1 --"}),
    "typ JWT": lambda app, org: resigned(app, org, header={"typ": "JWT"}),
    "typ of a gateway proof": lambda app, org: resigned(app, org, header={"typ": "keystead-gateway+jwt"}),
    "another issuer": lambda app, org: resigned(app, org, claims={"iss": "http://org-b.keystead.test"}),
    "another audience": lambda app, org: resigned(app, org, claims={"aud": "http://org-b.keystead.test"}),
    "no audience": lambda app, org: resigned(app, org, without="aud"),
    "no expiry": lambda app, org: resigned(app, org, without="exp"),
    "expired": lambda app, org: resigned(app, org, claims={"exp": 1_700_000_000}),
    "expiry as text": lambda app, org: resigned(app, org, claims={"exp": "never"}),
    "another app's name": lambda app, org: resigned(app, org, claims={"client_id": "app_0000000000000000000000000f"}),
    "tampered payload": lambda app, org: ".".join(
        (
            app.token.split(".")[0],
            resigned(app, org, claims={"scope": "payments.write"}).split(".")[1],
            app.token.split(".")[2],
        )
    ),
    "a critical header that we do not know": lambda app, org: by_hand(
        app, org, header={"crit": ["moon"], "moon": "full"}
    ),
}
