"""Every background message, forged: sent in one organization's name about another's objects."""

from __future__ import annotations

import contextlib

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction

from engine import ids
from engine.clock import utc_now
from engine.errors import DomainError
from engine.outbox import registry
from engine.outbox.messages import Message
from engine.tenancy.context import organization
from tests.isolation.conftest import Worlds
from tests.isolation.world import World, untouched

pytestmark = pytest.mark.xdist_group("isolation")

# What each message carries: a kind of id as a bare UUID (`per`) or as text (`text:dlv`), or a value.
PAYLOADS: dict[str, dict[str, str]] = {
    "audit.seal": {},
    "events.seal": {},
    "identity.finish_erasure": {"person_id": "per"},
    "payments.advance": {"payment": "pay"},
    "payments.forget_person": {"person": "text:per"},
    "payments.provider_event": {"event": "evt"},
    "payments.sweep": {},
    "accounts.mail": {"kind": "=password_changed", "about": "mem"},
    "webhooks.deliver": {"delivery": "text:dlv", "attempt": "=1"},
    "checkouts.advance": {"checkout": "chk"},
    "provisioning.release_audit": {"generation": "=1"},
}
# The platform's own: they take no organization's word. The first runs in the public schema only; the second
# writes what the platform's row says, once, whoever asks (tests/provisioning/test_impersonation.py).
OF_THE_PLATFORM = {"provisioning.advance", "provisioning.advance_long", "provisioning.impersonation_over"}


def test_every_message_is_covered() -> None:
    # Other suites register handlers of their own, to watch the outbox at work.
    ours = {name for name in registry.names() if not registry.find(name).function.__module__.startswith("tests.")}
    assert ours - OF_THE_PLATFORM == set(PAYLOADS)


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_message_in_ones_own_name_reaches_nobody_else(worlds: Worlds, name: str) -> None:
    handler = registry.find(name)
    message = Message(ids.uuid7(), name, _payload(name, worlds.b), created_at=utc_now(), attempt=1)
    with untouched(worlds.b, worlds.database.owner_url), organization(worlds.a.organization):
        # Not found, or nothing to do: either is right, as long as b is left alone.
        with contextlib.suppress(ObjectDoesNotExist, DomainError, LookupError):
            with transaction.atomic() if handler.transactional else contextlib.nullcontext():
                handler.function(message=message)


def test_planted_a_handler_that_works_in_the_wrong_organization_is_noticed(worlds: Worlds) -> None:
    with pytest.raises(AssertionError), untouched(worlds.b, worlds.database.owner_url):
        with organization(worlds.b.organization), transaction.atomic():
            from tenants.identity.models import Person

            Person.objects.filter(id=ids.decode("per", worlds.b.ids["per"])).update(display_name="changed")


def _payload(name: str, victim: World) -> dict[str, str]:
    found = {}
    for key, kind in PAYLOADS[name].items():
        if kind.startswith("="):
            found[key] = kind[1:]
        elif kind.startswith("text:"):
            found[key] = victim.ids[kind[5:]]
        else:
            found[key] = str(ids.decode(kind, victim.ids[kind]))
    return found
