"""Members and apps of an organization with working tokens, made by the services that everybody uses.

    token = member_token(org_a, role="admin")
    client = signed_in(http_a, token)

Each call enters the organization itself, so it can be made from anywhere in a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rest_framework.test import APIClient

from engine.ids import uuid7
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import services as accounts
from tenants.access import services as access

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Member:
    """A member who has signed in."""

    principal: Principal
    email: str
    token: str


def member(org: OrganizationContext, role: str | None = "owner", *, email: str | None = None) -> Member:
    """A member with a role over the whole organization (None: without any), signed in."""
    email = email or f"{role or 'nobody'}-{uuid7().hex[-12:]}@example.com"
    with organization(org):
        invited = access.invite_member(email=email, role=role, by=SYSTEM)
        user = accounts.accept_invitation(token=invited.token, password=PASSWORD)
        _, token = accounts.sign_in(email=email, password=PASSWORD, address=None)
        return Member(principal=user.principal, email=email, token=token)


def member_token(org: OrganizationContext, role: str | None = "owner") -> str:
    """The bearer token of a new member with the role."""
    return member(org, role).token


@dataclass(frozen=True, slots=True)
class App:
    """An app with its secret and an access token."""

    principal: Principal
    client_id: str
    secret: str
    token: str
    host: str

    def client(self) -> APIClient:
        """An anonymous client of the app's organization."""
        return APIClient(HTTP_HOST=self.host, raise_request_exception=False)


def app(org: OrganizationContext, role: str | None = "admin", *, scopes: Sequence[str] | None = None) -> App:
    """An app with a role over the whole organization, and a token confined to `scopes` (None: all)."""
    with organization(org):
        access.ensure_signing_key()
        made = access.create_app(name=f"test {role}", roles=[role] if role else [], by=SYSTEM)
    assert made.secret is not None
    client = APIClient(HTTP_HOST=org.issuer.partition("://")[2])
    form = {
        "grant_type": "client_credentials",
        "client_id": made.app.client_id,
        "client_secret": made.secret,
        **({"scope": " ".join(scopes)} if scopes is not None else {}),
    }
    answer = client.post(
        "/oauth/token",
        "&".join(f"{name}={value.replace(' ', '+')}" for name, value in form.items()),
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 200, answer.content
    return App(
        principal=Principal(kind="app", id=made.app.id),
        client_id=made.app.client_id,
        secret=made.secret,
        token=answer.json()["access_token"],
        host=org.issuer.partition("://")[2],
    )


def app_token(org: OrganizationContext, role: str | None = "admin", *, scopes: Sequence[str] | None = None) -> str:
    """The access token of a new app with the role, confined to `scopes`."""
    return app(org, role, scopes=scopes).token


def signed_in(client: APIClient, token: str) -> APIClient:
    """The same client, now sending the token."""
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client
