"""An organization at work, made as outsiders would make it: people who can pay, terminals, a back office."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import httpx2

from devkit.demo.faces import MODALITY, MODEL, Face
from devkit.demo.receiver import Receiver
from devkit.stack import Stack
from keystead import Device, DeviceKey, Keystead

PLAN = "standard"
LIVENESS = {"method": "passive-v1", "score": 0.98}


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    face: Face


@dataclass(frozen=True, slots=True)
class Shop:
    """Everything that a checkout needs."""

    slug: str
    app: Keystead
    owner: Keystead
    devices: list[Device]
    people: list[Person]
    secret: str

    def close(self) -> None:
        self.app.close()
        self.owner.close()


def open_shop(stack: Stack, *, slug: str, people: int, devices: int, back_office: Receiver) -> Shop:
    """Provision an organization and furnish it."""
    stack.cli("plan", "create", PLAN)
    email, password = f"owner@{slug}.example", secrets.token_urlsafe(12)
    stack.cli("org", "create", slug, "--plan", PLAN, "--admin-email", email)
    invitation = stack.cli("org", "invite", slug, "--email", email).strip().rpartition("#")[2]
    url = stack.url(slug)
    Keystead.accept_invitation(url, token=invitation, password=password)
    owner = Keystead.sign_in(url, email=email, password=password)
    made = owner.apps.create(name="Back office", roles=["admin"])
    app = Keystead(url, client_id=made.client_id, client_secret=made.client_secret)
    accounts = [
        owner.provider_accounts.create(
            name=f"Account {number}",
            provider="stripe",
            secret_key=f"sk_test_{slug.replace('-', '')}{number}",
            base_url=stack.sandbox_url,
            priority=number,
        ).id
        for number in range(2)
    ]
    endpoint = owner.webhook_endpoints.create(url=back_office.url, event_types=["payment.*", "checkout.*"])
    site = owner.sites.create(name="Canteen").id
    return Shop(
        slug=slug,
        app=app,
        owner=owner,
        devices=[_device(owner, url, site, number) for number in range(devices)],
        people=[_person(app, accounts, f"{slug} {number}") for number in range(people)],
        secret=endpoint.secret or "",
    )


def _device(owner: Keystead, url: str, site: str, number: int) -> Device:
    code = owner.enrolment_codes.create(site=site, name=f"Till {number}")
    return Device.claim(url, code=code.code, key=DeviceKey.generate())


def _person(app: Keystead, accounts: list[str], name: str) -> Person:
    face = Face(name)
    person = app.people.create(display_name=name)
    for purpose in ("identify", "pay"):
        app.consents.grant(person=person.id, purpose=purpose, evidence="form")
    app.templates.enroll(person=person.id, modality=MODALITY, model=MODEL, vector=face.reference())
    app.payment_methods.create(person=person.id, tokens=dict.fromkeys(accounts, "pm_card_visa"))
    return Person(person.id, face)


def sign_checkout(device: Device, person: Person, *, sequence: int, amount_minor: int) -> dict[str, object]:
    """A frame of `person` standing before `device`."""
    return device.sign_checkout(
        sequence=sequence,
        amount_minor=amount_minor,
        currency="EUR",
        modality=MODALITY,
        model=MODEL,
        probe=person.face.probe(),
        liveness=LIVENESS,
    )


def set_faults(stack: Stack, *, slug: str, account: int, faults: list[dict[str, object]]) -> None:
    """Let one of the shop's provider accounts misbehave."""
    key = f"sk_test_{slug.replace('-', '')}{account}"
    httpx2.put(f"{stack.sandbox_url}/_control/accounts/{key}/faults", json={"faults": faults}).raise_for_status()
