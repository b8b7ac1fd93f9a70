"""Every operation x two organizations x every kind of principal: nothing of the other's is shown or changed.

The world is filled in once; each operation is tried in both directions, and afterwards the victim's
schema has the same checksum as before.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import path
from rest_framework import serializers
from rest_framework.response import Response

from config import urls_organization
from engine.api.access import AUTHENTICATED
from engine.api.fields import OutputSerializer
from engine.api.openapi import document
from engine.api.paths import typeid
from engine.api.views import APIView, Request, operation
from tests.isolation.conftest import Worlds
from tests.isolation.walk import Operation, Uncovered, all_operations, attack
from tests.isolation.world import untouched

OPERATIONS = all_operations()
pytestmark = pytest.mark.xdist_group("isolation")


def test_the_worlds_have_something_to_steal(worlds: Worlds) -> None:
    wanted = {prefix for one in OPERATIONS for _, prefix in one.named_prefixes}
    assert wanted <= set(worlds.b.ids)
    assert len(OPERATIONS) > 50
    shown = worlds.b.client("owner").get(f"/v1/people/{worlds.b.ids['per']}")
    assert worlds.b.mark in shown.content.decode()


@pytest.mark.parametrize("one", OPERATIONS, ids=str)
def test_another_organizations_objects_are_out_of_reach(worlds: Worlds, one: Operation) -> None:
    for attacker, victim in ((worlds.a, worlds.b), (worlds.b, worlds.a)):
        attacker.renew_tokens()
        victim.renew_tokens()
        with untouched(victim, worlds.database.owner_url):
            leaks = list(attack(one, attacker=attacker, victim=victim))
        assert leaks == []


class _Person(OutputSerializer):
    id = serializers.CharField()
    display_name = serializers.CharField()


_forgotten_prefix: dict[str, Any] = {}


class LeakyPerson(APIView):
    """A cache whose key names no organization: the classic."""

    permission = AUTHENTICATED

    @operation(id="leaky_person", response=_Person)
    def get(self, request: Request, person_id: Any) -> Response:
        from tenants.identity.models import Person

        if person_id not in _forgotten_prefix:
            row = Person.objects.filter(id=person_id).first()
            if row is None:
                return Response(status=404)
            _forgotten_prefix[person_id] = {"id": row.public_id, "display_name": row.display_name}
        return Response(_forgotten_prefix[person_id])


class UntriedThing(APIView):
    permission = AUTHENTICATED

    @operation(id="untried_thing", response=_Person)
    def get(self, request: Request, thing_id: Any) -> Response:
        return Response(status=404)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Any:
    def plant(route: Any) -> Operation:
        from django.urls import clear_url_caches

        monkeypatch.setattr(urls_organization, "urlpatterns", [*urls_organization.urlpatterns, route])
        clear_url_caches()
        _forget_documents()
        known = {str(one) for one in OPERATIONS}
        (found,) = [one for one in all_operations() if str(one) not in known]
        return found

    yield plant
    monkeypatch.undo()
    from django.urls import clear_url_caches

    clear_url_caches()
    _forget_documents()


def _forget_documents() -> None:
    clear = getattr(document, "cache_clear", None)
    if clear:
        clear()


def test_planted_an_endpoint_that_leaks_is_noticed(worlds: Worlds, planted: Any) -> None:
    worlds.a.renew_tokens()
    worlds.b.renew_tokens()
    found = planted(path(f"v1/leaky/{typeid('per', 'person_id')}", LeakyPerson.as_view()))
    assert worlds.b.client("owner").get(found.url(worlds.b)).status_code == 200
    leaks = list(attack(found, attacker=worlds.a, victim=worlds.b))
    assert any(worlds.b.mark in leak.what for leak in leaks)


def test_planted_an_endpoint_that_nobody_covers_is_noticed(worlds: Worlds, planted: Any) -> None:
    found = planted(path(f"v1/untried/{typeid('zzz', 'thing_id')}", UntriedThing.as_view()))
    with pytest.raises(Uncovered, match="zzz_"):
        list(attack(found, attacker=worlds.a, victim=worlds.b))
