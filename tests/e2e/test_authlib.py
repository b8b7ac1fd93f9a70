"""Authlib's OAuth 2.0 client against us over a socket, from discovery alone: nothing of ours in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import KeySet
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext
from tests.factories import access as factory
from tests.factories import oauth
from tests.harness import environment
from tests.harness.live import live_database
from tests.harness.server import serving

pytestmark = pytest.mark.processes
DISCOVERY = "/.well-known/openid-configuration"
# OpenID Connect Discovery wants RS256 there; we sign with ES256 (docs/adr/0090).
OURS_ALONE = "id_token_signing_alg_values_supported"


class ToThisMachine(HTTPAdapter):
    """What a name server would do: the organization's host is a server of ours."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        parts = urlsplit(request.url or "")
        request.headers["Host"] = parts.netloc
        request.url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{self.port}"))
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def port(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[int]:
    log = tmp_path_factory.mktemp("server") / "log"
    with django_db_blocker.unblock(), live_database() as database, serving(database, log=log) as number:
        yield number


@pytest.fixture
def org(port: int, monkeypatch: pytest.MonkeyPatch) -> OrganizationContext:
    # The issuer of tests speaks http.
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    found = directory.by_host(f"org-a.{environment.BASE_DOMAIN}")
    assert found is not None
    return found


def _session(org: OrganizationContext, port: int, client_id: str, secret: Any = None, **more: Any) -> OAuth2Session:
    session = OAuth2Session(client_id, secret, **more)
    session.mount(org.issuer, ToThisMachine(port))
    return session


def _discovered(session: OAuth2Session, org: OrganizationContext) -> OpenIDProviderMetadata:
    document = session.get(f"{org.issuer}{DISCOVERY}", withhold_token=True).json()
    metadata = OpenIDProviderMetadata(document)
    for name in set(OpenIDProviderMetadata.REGISTRY_KEYS) & set(document) - {OURS_ALONE}:
        getattr(metadata, f"validate_{name}")()
    return metadata


def test_client_credentials_with_a_secret_and_with_a_key(org: OrganizationContext, port: int) -> None:
    with_secret = factory.app(org, "admin")
    signer = oauth.member_app(org, auth_method="private_key_jwt", grant_types=("client_credentials",))
    for session in (
        _session(org, port, with_secret.client_id, with_secret.secret),
        _session(org, port, signer.client_id, signer.key, token_endpoint_auth_method=PrivateKeyJWT(alg="ES256")),
    ):
        found = _discovered(session, org)
        session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        assert session.get(f"{org.issuer}/v1/me").json()["kind"] == "app"


@pytest.mark.parametrize("auth_method", ["client_secret", "none", "private_key_jwt"])
def test_code_with_pkce_then_refresh_then_revoke(auth_method: str, org: OrganizationContext, port: int) -> None:
    app = oauth.member_app(org, auth_method=auth_method)
    method: Any = {"client_secret": "client_secret_basic", "private_key_jwt": PrivateKeyJWT(alg="ES256")}
    session = _session(
        org,
        port,
        app.client_id,
        app.key or app.secret or None,
        redirect_uri=app.redirect_uri,
        scope="openid profile email offline_access sites.read",
        code_challenge_method="S256",
        token_endpoint_auth_method=method.get(auth_method, "none"),
        revocation_endpoint_auth_method=method.get(auth_method, "none"),
    )
    found, verifier, nonce = _discovered(session, org), generate_token(48), generate_token()
    url, state = session.create_authorization_url(found["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    member = factory.member(org, "admin")
    browser = oauth.signed_in_browser(oauth.over_http(org, port=port), member)
    path = url.removeprefix(org.issuer)
    answer = browser.submit(path, browser.get(path), {"decision": "allow"}).headers["Location"]

    first = dict(
        session.fetch_token(found["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier)
    )

    keys = KeySet.import_key_set(session.get(found["jwks_uri"], withhold_token=True).json())
    claims = jwt.decode(first["id_token"], keys, found["id_token_signing_alg_values_supported"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (found["issuer"], app.client_id, nonce)
    assert session.get(found["userinfo_endpoint"]).json()["sub"] == claims["sub"] == member.principal.public_id
    assert session.get(f"{org.issuer}/v1/sites").status_code == 200
    second = session.refresh_token(found["token_endpoint"])
    assert second["refresh_token"] != first["refresh_token"]
    assert session.get(f"{org.issuer}/v1/sites").status_code == 200
    assert session.revoke_token(found["revocation_endpoint"], second["refresh_token"]).status_code == 200
    assert session.get(f"{org.issuer}/v1/sites").status_code == 401
