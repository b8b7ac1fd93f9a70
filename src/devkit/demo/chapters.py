"""The chapters of the demo. Each one goes on with what the one before has made."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx2
from django_otp.oath import TOTP

from devkit.demo import thief
from devkit.demo.faces import MODALITY, MODEL, Face
from devkit.demo.receiver import Receiver
from devkit.demo.story import Story
from devkit.stack import Stack
from keystead import (
    APIError,
    AuthenticationError,
    Device,
    DeviceKey,
    GatewayError,
    Keystead,
    KeysteadError,
    NotFoundError,
    Platform,
)

PLAN = "standard"
OPERATOR = "operator@platform.example"
PASSWORD_BYTES = 12
AMOUNT_MINOR = 450
LIVENESS = {"method": "passive-v1", "score": 0.98}
ACTIVE_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with everything that the story needs."""

    slug: str
    url: str
    owner: Keystead
    app: Keystead
    device: Device


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Somebody who can be recognised."""

    id: str
    face: Face
    consents: dict[str, str]


def tell(story: Story, *, stack: Stack, back_office: Receiver, run_id: str) -> None:
    """The whole story."""
    acme, globex = _two_organizations(story, stack, run_id)
    anna, globex_person = _people(story, acme, globex)
    account_a, account_b, endpoint_secret = _accounts(story, stack, acme, back_office, anna, run_id)
    payment = _checkout(story, stack, acme, anna, account_a, account_b)
    _webhook(story, back_office, endpoint_secret, payment)
    _strangers(story, acme, globex, anna, globex_person)
    _erasure(story, stack, acme, anna)
    for tenant in (acme, globex):
        tenant.owner.close()
        tenant.app.close()


def _two_organizations(story: Story, stack: Stack, run_id: str) -> tuple[Tenant, Tenant]:
    story.chapter("Two organizations", "each with a schema, a database role and keys of its own")
    stack.cli("plan", "create", PLAN, "--title", "Standard")
    platform = _operator(story, stack, run_id)
    tenants = [_organization(story, stack, platform, f"{name}-{run_id}") for name in ("acme", "globex")]
    platform.close()
    return tenants[0], tenants[1]


def _operator(story: Story, stack: Stack, run_id: str) -> Platform:
    email, password = f"{run_id}.{OPERATOR}", secrets.token_urlsafe(PASSWORD_BYTES)
    shown = stack.cli("operator", "create", "--email", email, "--role", "admin", "--password", password)
    # Recovery codes follow it.
    otpauth = shown.partition("\n")[0].strip()
    seed = parse_qs(urlsplit(otpauth).query)["secret"][0]
    return story.ask(
        "An operator signs in with password and one-time code (they always need both)",
        lambda: Platform.sign_in(stack.platform_url, email=email, password=password, otp=_one_time_code(seed)),
        show=lambda platform: f"signed in at {platform.url}",
    )


def _one_time_code(seed: str) -> str:
    from base64 import b32decode

    code = TOTP(b32decode(seed + "=" * (-len(seed) % 8)))
    code.time = time.time()
    return f"{code.token():06d}"


def _organization(story: Story, stack: Stack, platform: Platform, slug: str) -> Tenant:
    admin, password = f"admin@{slug}.example", secrets.token_urlsafe(PASSWORD_BYTES)

    def provision() -> str:
        made = platform.organizations.create(slug=slug, name=slug.title(), plan=PLAN, admin_email=admin)
        deadline = time.monotonic() + ACTIVE_WITHIN_S
        while platform.organizations.get(made.id).status != "active" and time.monotonic() < deadline:
            time.sleep(0.05)
        return platform.organizations.get(made.id).status

    story.ask(
        f"POST {platform.url}/v1/organizations {{slug: {slug}}}, until it is active",
        provision,
        show=lambda status: f"{status}; it answers at {stack.url(slug)}",
    )
    url = stack.url(slug)
    invitation = stack.cli("org", "invite", slug, "--email", admin).strip().rpartition("#")[2]
    Keystead.accept_invitation(url, token=invitation, password=password)
    owner = Keystead.sign_in(url, email=admin, password=password)
    secret = owner.apps.create(name="Back office", roles=["admin"])
    app = Keystead(url, client_id=secret.client_id, client_secret=secret.client_secret)
    site = owner.sites.create(name="Canteen")
    code = owner.enrolment_codes.create(site=site.id, name="Till 1")
    device = story.ask(
        f"A terminal makes its Ed25519 key and claims the code {code.code}",
        lambda: Device.claim(url, code=code.code, key=DeviceKey.generate()),
        show=lambda device: f"{device.id}, bound to {slug}",
    )
    return Tenant(slug, url, owner, app, device)


def _people(story: Story, acme: Tenant, globex: Tenant) -> tuple[Enrolled, Enrolled]:
    story.chapter("People", "consent first; the vector is sealed by the matcher before it is stored")
    refused = story.refused(
        f"{acme.slug} enrols somebody who has not agreed",
        lambda: _enroll(acme, acme.app.people.create(display_name="Nobody asked").id, Face("nobody")),
        by=APIError,
        because=lambda error: isinstance(error, APIError) and error.code == "consent_missing",
    )
    story.claim("Nobody is enrolled without a current consent", refused, seen="409 consent_missing")
    anna = story.ask(
        f"{acme.slug} enrols Anna, who agrees to be identified and to pay",
        lambda: _enrolled(acme, "Anna", Face("anna")),
        show=lambda person: f"{person.id} with a sealed {MODALITY} template",
    )
    for number in range(8):
        _enrolled(acme, f"Colleague {number}", Face(f"colleague {number}"))
    other = story.ask(
        f"{globex.slug} enrols Gustav",
        lambda: _enrolled(globex, "Gustav", Face("gustav")),
        show=lambda person: person.id,
    )
    return anna, other


def _enrolled(tenant: Tenant, name: str, face: Face) -> Enrolled:
    person = tenant.app.people.create(display_name=name)
    consents = {
        purpose: tenant.app.consents.grant(person=person.id, purpose=purpose, evidence="form 2026-11").id
        for purpose in ("identify", "pay")
    }
    _enroll(tenant, person.id, face)
    return Enrolled(person.id, face, consents)


def _enroll(tenant: Tenant, person: str, face: Face) -> None:
    tenant.app.templates.enroll(person=person, modality=MODALITY, model=MODEL, vector=face.reference())


def _accounts(
    story: Story, stack: Stack, acme: Tenant, back_office: Receiver, anna: Enrolled, run_id: str
) -> tuple[str, str, str]:
    story.chapter("Money and webhooks", "two accounts at the provider; the first will refuse")
    keys = {letter: f"sk_test_{run_id}{letter}" for letter in "ab"}
    accounts = {
        letter: acme.owner.provider_accounts.create(
            name=f"Account {letter.upper()}",
            provider="stripe",
            secret_key=key,
            base_url=stack.sandbox_url,
            priority=priority,
        ).id
        for priority, (letter, key) in enumerate(keys.items())
    }
    httpx2.put(
        f"{stack.sandbox_url}/_control/accounts/{keys['a']}/faults", json={"faults": [{"kind": "decline"}]}
    ).raise_for_status()
    story.ask(
        "Anna's card is a token at either account, never a number",
        lambda: acme.app.payment_methods.create(
            person=anna.id, tokens=dict.fromkeys(accounts.values(), "pm_card_visa")
        ),
        show=lambda method: method.id,
    )
    endpoint = story.ask(
        f"{acme.slug}'s back office subscribes to events",
        lambda: acme.owner.webhook_endpoints.create(url=back_office.url, event_types=["*"]),
        show=lambda endpoint: f"{endpoint.id}, with a secret that is shown once",
    )
    if endpoint.secret is None:
        raise KeysteadError("a new endpoint has to come with its secret")
    return accounts["a"], accounts["b"], endpoint.secret


def _checkout(story: Story, stack: Stack, acme: Tenant, anna: Enrolled, account_a: str, account_b: str) -> str:
    story.chapter("A checkout", "the terminal sees a face and asks for 4.50 EUR")
    frame = acme.device.sign_checkout(
        sequence=1,
        amount_minor=AMOUNT_MINOR,
        currency="EUR",
        modality=MODALITY,
        model=MODEL,
        probe=anna.face.probe(),
        liveness=LIVENESS,
    )
    with acme.device.connect() as session:
        first = story.ask(
            "The terminal proves its key, and sends a signed checkout frame",
            lambda: session.submit(frame),
            show=lambda result: f"{result.status}: person {result.person}, payment {result.payment}",
        )
    with acme.device.connect() as session:
        again = story.ask(
            "The connection is lost; a new one sends the same frame again",
            lambda: session.submit(frame),
            show=lambda result: f"{result.status}, the same checkout {result.checkout}",
        )
    story.claim("The right person was recognised", first.person == anna.id, seen=f"{first.person}")
    same = (first.checkout, first.payment, first.status) == (again.checkout, again.payment, again.status)
    story.claim("The frame was sent twice and answered once", same, seen=f"{first.checkout} both times")
    payment = acme.app.payments.get(str(first.payment))
    tries = [(one["provider_account"], one["status"]) for one in payment.attempts]
    refused_then_charged = [account for account, _ in tries] == [account_a, account_b]
    story.claim(
        "Account A refused, and account B charged",
        refused_then_charged and [status for _, status in tries] == ["refused", "captured"],
        seen=", then ".join(status for _, status in tries),
    )
    charges = httpx2.get(f"{stack.sandbox_url}/_control/charges").json()
    count = charges["by_metadata"].get(f"payment={payment.id}", 0)
    took = [row["amount"] for row in charges["data"] if row["metadata"].get("payment") == payment.id]
    story.claim(
        "The provider took the money once",
        count == 1 and took == [AMOUNT_MINOR],
        seen=f"{count} charge of {took} in the provider's own books",
    )
    balances = [account.balance for account in acme.app.ledger.accounts()]
    debits = sum(one["debits_posted_minor"] for one in balances)
    credits = sum(one["credits_posted_minor"] for one in balances)
    story.claim(
        "The ledger balances",
        debits == credits and debits >= AMOUNT_MINOR,
        seen=f"debits {debits}, credits {credits}",
    )
    usage = [one for one in acme.app.usage.list() if one.source_id == first.checkout]
    audited = list(acme.owner.audit.list(resource=first.checkout))
    story.claim(
        "The checkout left a usage record and an audit entry",
        len(usage) == 1 and len(audited) >= 1,
        seen=f"{[one.metric for one in usage]}, {[one.action for one in audited]}",
    )
    return payment.id


def _webhook(story: Story, back_office: Receiver, secret: str, payment: str) -> None:
    story.chapter("The back office is told", "signed as Standard Webhooks says")
    received = story.ask(
        "The back office waits for an event of this payment",
        lambda: back_office.wait_for(payment),
        show=lambda one: f"{len(one.body)} bytes, {one.headers.get('webhook-id')}" if one else "nothing came",
    )
    if received is None:
        story.claim("The webhook arrived", False, seen="nothing within 30 s")
        return
    event = received.verified(secret)
    story.claim(
        "The reference library accepts the webhook's signature",
        payment in str(event),
        seen=f"{event['type']}, number {event.get('sequence', 'in its order')}",
    )
    forged = _fails(lambda: type(received)(received.headers, received.body + b" ").verified(secret))
    story.claim("It does not accept a body that was changed", forged, seen="one byte more: refused")


def _strangers(story: Story, acme: Tenant, globex: Tenant, anna: Enrolled, gustav: Enrolled) -> None:
    story.chapter("Walls", f"what belongs to {globex.slug} means nothing at {acme.slug}")
    with acme.device.connect() as session:
        for sequence, (who, face) in enumerate((("a stranger", Face("stranger")), ("Gustav", gustav.face)), start=2):
            result = story.ask(
                f"{who} stands before {acme.slug}'s terminal",
                lambda sequence=sequence, face=face: session.checkout(  # type: ignore[misc]  # bound per turn
                    sequence=sequence,
                    amount_minor=AMOUNT_MINOR,
                    currency="EUR",
                    modality=MODALITY,
                    model=MODEL,
                    probe=face.probe(),
                    liveness=LIVENESS,
                ),
                show=lambda result: f"{result.status} ({result.reason})",
            )
            story.claim(
                f"{who[0].upper()}{who[1:]} is not recognised",
                result.status == "not_recognised" and result.person is None,
                seen=f"{result.status}",
            )
    token = story.refused(
        f"{globex.slug}'s app asks {acme.slug} for Anna with its own token",
        lambda: _with_token_of(globex, at=acme).people.get(anna.id),
        by=AuthenticationError,
        because=lambda error: isinstance(error, AuthenticationError),
    )
    story.claim("A token of one organization is nothing at another", token, seen="401")
    person = story.refused(
        f"{acme.slug}'s app asks for {globex.slug}'s person by id",
        lambda: acme.app.people.get(gustav.id),
        by=NotFoundError,
        because=lambda error: isinstance(error, NotFoundError),
    )
    story.claim("A person of one organization does not exist at another", person, seen="404")
    trespasser = Device(
        id=globex.device.id,
        credential=globex.device.credential,
        gateway_url=acme.device.gateway_url,
        key=globex.device.key,
    )
    device = story.refused(
        f"{globex.slug}'s terminal knocks at {acme.slug}'s gateway",
        trespasser.connect,
        by=GatewayError,
        because=lambda error: isinstance(error, GatewayError),
    )
    story.claim("A device of one organization cannot connect to another", device, seen="closed before `ready`")


def _with_token_of(tenant: Tenant, *, at: Tenant) -> Keystead:
    return Keystead(at.url, token=tenant.app.access_token(), retries=0)


def _erasure(story: Story, stack: Stack, acme: Tenant, anna: Enrolled) -> None:
    story.chapter("Erasure", "the person's key is deleted; what it sealed is noise, also in every backup")
    before = thief.loot(stack, slug=acme.slug, person=anna.id)
    opened = thief.opens(stack, before)
    story.console.print(
        f"   A thief copies the database, and bribes the key service. Before the erasure Anna's template "
        f"{'opens' if opened else 'does not open'}."
    )
    story.ask(
        f"{acme.slug} erases Anna",
        lambda: acme.app.people.erase(anna.id),
        show=lambda person: person.status,
    )
    after = thief.loot(stack, slug=acme.slug, person=anna.id)
    story.claim(
        "An erased person's template no longer decrypts",
        opened and after.sealed == before.sealed and not thief.opens(stack, after),
        seen=f"{len(after.sealed)} ciphertext, {len(after.person_keys)} keys left: none opens it",
    )
    found = acme.app.identifications.create(modality=MODALITY, model=MODEL, vector=anna.face.probe())
    story.claim("An erased person is not recognised", found.person is None, seen=found.outcome)


def _fails(call: Callable[[], object]) -> bool:
    import standardwebhooks

    try:
        call()
    except standardwebhooks.WebhookVerificationError:
        return True
    return False
