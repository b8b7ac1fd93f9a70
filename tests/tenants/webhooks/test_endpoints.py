from __future__ import annotations

import pytest
from django.test import override_settings

from engine import ids
from engine.errors import NotFound
from engine.principals import Principal
from engine.tenancy.context import organization
from tenants.audit.models import Entry
from tenants.webhooks import selectors, services
from tenants.webhooks.models import Endpoint, Secret
from tenants.webhooks.services import endpoints

MEMBER = Principal(kind="member", id=ids.uuid7(), display="Ada")


def make(**fields):
    given = {"url": "https://shop.example/hooks", "event_types": ["*"], "by": MEMBER, **fields}
    return services.create_endpoint(**given)


def test_a_secret_is_sealed_and_opens_to_what_was_shown(org_a):
    with organization(org_a):
        made = make()
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made)
        secret = Secret.objects.get()
        assert made.secret.encode() not in bytes(secret.sealed)
        (opened,) = endpoints.valid_secrets(made.endpoint)
        assert len(opened) == 32
        assert made.secret.encode().split(b"_", 1)[1] not in bytes(secret.sealed)


def test_a_sealed_secret_is_useless_elsewhere(org_a):
    """A secret moved to another row does not open: its ciphertext is bound to its record."""
    from engine.keys.envelope import EnvelopeBroken

    with organization(org_a):
        first, second = make(), make()
        stolen = Secret.objects.get(endpoint=first.endpoint).sealed
        Secret.objects.filter(endpoint=second.endpoint).update(sealed=stolen)
        with pytest.raises(EnvelopeBroken):
            endpoints.valid_secrets(second.endpoint)


def test_acts_on_endpoints_are_audited(org_a):
    with organization(org_a):
        made = make()
        services.update_endpoint(endpoint_id=made.endpoint.id, by=MEMBER, description="shop")
        services.rotate_secret(endpoint_id=made.endpoint.id, by=MEMBER)
        services.delete_endpoint(endpoint_id=made.endpoint.id, by=MEMBER)
        actions = list(Entry.objects.order_by("id").values_list("action", "actor_id"))
    verbs = ("create", "update", "rotate_secret", "delete")
    assert actions == [(f"webhook_endpoint.{verb}", MEMBER.id) for verb in verbs]


def test_rotating_clears_away_what_has_expired(org_a):
    from datetime import timedelta

    with organization(org_a):
        made = make()
        for _ in range(3):
            services.rotate_secret(endpoint_id=made.endpoint.id, by=MEMBER, overlap=timedelta(0))
        assert Secret.objects.count() == 2
        assert len(endpoints.valid_secrets(made.endpoint)) == 1


def test_a_deleted_endpoint_is_not_found_and_its_secrets_are_gone(org_a):
    with organization(org_a):
        made = make()
        services.delete_endpoint(endpoint_id=made.endpoint.id, by=MEMBER)
        assert Secret.objects.count() == 0
        assert list(selectors.endpoints()) == []
        for act in (services.delete_endpoint, services.rotate_secret, services.update_endpoint):
            with pytest.raises(NotFound):
                act(endpoint_id=made.endpoint.id, by=MEMBER)


def test_an_endpoint_of_another_organization_is_not_found(org_a, org_b):
    with organization(org_a):
        made = make()
    with organization(org_b), pytest.raises(NotFound):
        selectors.endpoint(endpoint_id=made.endpoint.id)


def test_there_is_a_limit(org_a, monkeypatch):
    monkeypatch.setattr(endpoints, "ENDPOINTS_MAX", 2)
    with organization(org_a):
        make()
        made = make()
        with pytest.raises(services.TooManyEndpoints):
            make()
        services.delete_endpoint(endpoint_id=made.endpoint.id, by=MEMBER)
        make()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://shop.example"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["payment.captured", "Nonsense"]}, "event_types.1"),
        ({"event_types": ["*"] * 101}, "event_types"),
        ({"api_version": "1999-01-01"}, "api_version"),
    ],
)
@override_settings(WEBHOOK_ALLOW_PRIVATE=False)
def test_nonsense_is_refused_by_field(org_a, fields, field):
    with organization(org_a):
        with pytest.raises(services.InvalidEndpoint) as caught:
            make(**fields)
        assert caught.value.field == field
        assert Endpoint.objects.count() == 0
