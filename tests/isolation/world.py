"""An organization with one object of every kind, each carrying a mark that nobody else's may show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
from rest_framework.test import APIClient

from engine import ids
from engine.outbox.inline import drain
from engine.tenancy.context import OrganizationContext, organization
from tests.devkit.sandbox.server import SandboxProcess
from tests.e2e.examples import ID_SUFFIX
from tests.factories import access, oauth, operators
from tests.factories.checkouts import Terminal, seen
from tests.factories.devices import Enrolled, enrolled
from tests.factories.passkeys import Authenticator

# The same in both organizations: what must not cross is not told apart by its content.
FACE: dict[str, Any] = {"modality": "face", "model": "m1", "vector": [0.1, -0.2, 0.3, 0.4] * 32}

LENT = "app for a member"
"""Who acts with a token that a member has lent to an app."""


@dataclass
class World:
    """One organization's objects by prefix, its principals, and the texts that are its own."""

    organization: OrganizationContext
    mark: str
    ids: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    device: Enrolled | None = None

    @property
    def host(self) -> str:
        return self.organization.issuer.partition("://")[2]

    def client(self, principal: str | None, *, at: World | None = None) -> APIClient:
        """A client of this world's principal (None: anonymous), at its own host or another's."""
        headers = {"HTTP_AUTHORIZATION": f"Bearer {self.tokens[principal]}"} if principal else {}
        return APIClient(HTTP_HOST=(at or self).host, raise_request_exception=False, **headers)

    def renew_tokens(self) -> None:
        """Sign in again where an attack, or time, has ended a session of the attacker's own."""
        if self.client("owner").get("/v1/sessions").status_code != 200:
            self.tokens["owner"] = access.member_token(self.organization)
        if self.client("app").get("/v1/people").status_code != 200:
            self.tokens["app"] = access.app_token(self.organization, "admin")
        if self.client("operator").get("/v1/people").status_code != 200:
            self.tokens["operator"] = operators.impersonation_token(self.organization)
        if self.client(LENT).get("/v1/people").status_code != 200:
            _let_an_app_act(self)

    def secrets(self) -> set[str]:
        """What nobody else may be shown: every id, as text and as UUID, and the mark."""
        suffixes = {one.rpartition("_")[2] for one in self.ids.values()}
        raw = {str(ids.decode(prefix, one)) for prefix, one in self.ids.items()}
        return suffixes | raw | {self.mark}

    def remember(self, value: Any) -> None:
        """Keep the first id of each kind in an answer."""
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                self.remember(item)
        elif isinstance(value, str):
            prefix, _, suffix = value.rpartition("_")
            # The platform itself, as an actor, has the id of zeros in every organization.
            if prefix != "sys" and prefix.isalpha() and len(suffix) == len(ID_SUFFIX) and _is_id(prefix, value):
                self.ids.setdefault(prefix, value)


def build(org: OrganizationContext, *, sandbox: SandboxProcess) -> World:
    """Fill an organization through the doors that everybody uses. Needs a matcher at MATCHER_URL."""
    world = World(org, mark=f"mark-of-{org.slug}-{uuid4().hex[:8]}")
    world.tokens = {"owner": access.member_token(org), "app": access.app_token(org, "admin")}
    world.tokens["operator"] = operators.impersonation_token(org)
    owner = world.client("owner")

    def make(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = owner.post(path, body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code in {200, 201, 202}, (path, answer.content)
        made: dict[str, Any] = answer.json()
        world.remember(made)
        return made

    person = make("/v1/people", {"display_name": world.mark, "external_reference": world.mark})["id"]
    for purpose in ("identify", "pay"):
        make("/v1/consents", {"person": person, "purpose": purpose, "evidence": world.mark})
    make("/v1/templates", {"person": person, **FACE})
    make("/v1/verifications", {"person": person, **FACE})
    make("/v1/identifications", FACE)
    make("/v1/sites", {"name": world.mark})
    make("/v1/members", {"email": f"{world.mark}@example.com", "role": "analyst"})
    _add_passkey(world)
    provider = {"name": world.mark, "issuer": "https://idp.example", "client_id": world.mark}
    make("/v1/identity-providers", provider)
    _link_owner(world)
    app = make("/v1/apps", {"name": world.mark, "roles": ["operator"]})["id"]
    make("/v1/grants", {"principal": app, "role": "auditor"})
    _let_an_app_act(world)
    make("/v1/roles", {"name": "look", "meaning": world.mark, "permissions": ["sites.read"]})
    group = make("/v1/groups", {"name": world.mark, "kind": "member"})["id"]
    make(f"/v1/groups/{group}/memberships", {"principal": world.ids["mem"]})
    make("/v1/webhook-endpoints", {"url": f"https://example.com/{world.mark}", "event_types": ["*"]})
    account = make(
        "/v1/provider-accounts",
        {
            "name": world.mark,
            "provider": "stripe",
            "secret_key": sandbox.new_key(),
            "base_url": sandbox.url,
        },
    )["id"]
    method = make(
        "/v1/payment-methods",
        {"person": person, "tokens": [{"provider_account": account, "token": "pm_card_visa"}]},
    )["id"]
    paid = make(
        "/v1/payments",
        {
            "person": person,
            "payment_method": method,
            "amount_minor": 4242,
            "currency": org.currency,
            "reference": world.mark,
        },
    )
    make(f"/v1/payments/{paid['id']}/refunds", {"amount_minor": 42, "reason": world.mark})
    world.device = enrolled(org, name=world.mark)
    world.ids |= {"dev": world.device.public_id, "cred": ids.encode("cred", world.device.credential_id)}
    terminal = Terminal(world.device, model=FACE["model"])
    probe = np.array(FACE["vector"], dtype="<f4")
    with organization(org):
        world.ids["chk"] = terminal.send(terminal.frame(seen(probe))).checkout
    make("/v1/enrolment-codes", {"site": world.ids["site"], "name": world.mark})
    world.remember(owner.get("/v1/sessions").json())
    # Seals what happened so far: events get their numbers, and deliveries come to be.
    drain(rounds=20)
    for path in ("events", "webhook-deliveries", "audit-entries", "usage-records", "ledger/accounts", "ledger/entries"):
        world.remember(owner.get(f"/v1/{path}").json())
    return world


def _add_passkey(world: World) -> None:
    """A member of the world's own with a passkey."""
    org, phone = world.organization, Authenticator()
    client = access.signed_in(APIClient(HTTP_HOST=world.host), access.member_token(org, None))
    begun = client.post("/v1/passkeys/options").json()
    body = {"ceremony_token": begun["ceremony_token"], "name": world.mark}
    body["credential"] = phone.create(begun["public_key"], origin=org.issuer)
    world.remember(client.post("/v1/passkeys", body, format="json").json())


def _let_an_app_act(world: World) -> None:
    """The owner allows an app something: an authorization, and a member's token that was lent."""
    lent = oauth.member_app(world.organization, name=world.mark, delegated_scopes=("people.read",))
    owner = access.member(world.organization, "owner")
    browser = oauth.signed_in_browser(oauth.over_django(world.organization), owner)
    world.tokens[LENT] = lent.tokens(browser, scope="openid people.read")["access_token"]
    client = access.signed_in(APIClient(HTTP_HOST=world.host), owner.token)
    world.remember(client.get("/v1/authorizations").json())


def _link_owner(world: World) -> None:
    """The owner's link with the identity provider, which nobody runs."""
    from shared.accounts.models import Session
    from shared.accounts.rules import hash_token
    from tenants.signin.models import LinkedIdentity

    with organization(world.organization):
        row = LinkedIdentity.objects.create(
            provider_id=ids.decode("idp", world.ids["idp"]),
            subject=world.mark,
            user_id=Session.objects.get(token_hash=hash_token(world.tokens["owner"])).user_id,
        )
        world.remember(row.public_id)


@contextmanager
def untouched(world: World, database_url: str) -> Iterator[None]:
    """Nothing in the world's schema, nor any message in its name, changes inside the block."""
    before = _at_rest(world, database_url)
    yield
    after = fingerprint(world, database_url)
    assert {table for table in before if before[table] != after[table]} == set()


def _at_rest(world: World, database_url: str) -> dict[str, str]:
    """The fingerprint once the world's own sockets, closed a moment ago, have been written down."""
    deadline = time.monotonic() + 10
    found = fingerprint(world, database_url)
    while time.monotonic() < deadline:
        time.sleep(0.05)
        again = fingerprint(world, database_url)
        if again == found:
            break
        found = again
    return found


def fingerprint(world: World, database_url: str) -> dict[str, str]:
    """A checksum of each table of the organization, and of its messages in the outbox."""
    schema, role = world.organization.schema_name, world.organization.role_name
    with psycopg.connect(database_url) as owner:
        names = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema]).fetchall()
        found = {
            name: owner.execute(
                f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {schema}.{name} t"
            ).fetchone()
            for (name,) in names
        }
        found["outbox"] = owner.execute(
            "SELECT count(*)::text FROM public.outbox_message WHERE org_role = %s", [role]
        ).fetchone()
    return {table: str(row[0]) for table, row in found.items() if row is not None}


def _is_id(prefix: str, text: str) -> bool:
    try:
        ids.decode(prefix, text)
    except ids.InvalidId:
        return False
    return True
