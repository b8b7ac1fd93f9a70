"""A decision of the past, walked back from what stands now by the audit log alone."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from engine.clock import utc_now
from engine.errors import InvalidInput
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext
from tenants.access import deciding, explaining, replay, selectors, services
from tenants.access.models import Grant, GroupMembership
from tenants.audit import services as audit
from tenants.devices import services as devices
from tenants.sites import services as sites
from tenants.sites.rules import Location
from tests.factories import access as factory
from tests.factories.devices import enrolled

WATCHED = ("sites.read", "sites.write", "members.read")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20_261_124)


def _answers(who: Principal, site_ids: list[Any], *, at: datetime | None = None) -> dict[Any, Any]:
    found = {}
    for permission in WATCHED:
        for site_id in site_ids:
            where = Location(site_path=sites.parent_site(site_id).path)  # type: ignore[union-attr]
            if at is None:
                question = deciding.Question(who, permission, where)
                (decision,) = deciding.check_all(questions=[question])
            else:
                decision = explaining.explain(principal=who, permission=permission, where=where, at=at).decision
            found[permission, site_id] = (decision.allowed, decision.reason, decision.grant_id)
    return found


def test_every_moment_of_a_random_history_is_found_again(in_org_a: OrganizationContext, chance: random.Random) -> None:
    who = factory.member(in_org_a, None).principal
    tree = [sites.create(name=f"{n} {uuid4().hex}", by=SYSTEM) for n in range(4)]
    site_ids = [one.id for one in tree]
    group = services.create_group(name=uuid4().hex, kind="member", by=SYSTEM)
    role = services.create_role(name="look", permissions=["sites.read"], by=SYSTEM)
    assert role.row is not None

    def give() -> None:
        whom = chance.choice([who, group.grantee])
        name, site_id = chance.choice(["look", "auditor", "admin"]), chance.choice(site_ids)
        limits = chance.choice([None, {"mfa_max_age_s": 900}])
        given = Grant.objects.filter(principal_id=whom.id, role=name, site_id=site_id)
        if not given.exists():
            services.grant_role(principal=whom, role=name, scope="site", site_id=site_id, limits=limits)

    def take() -> None:
        for grant in list(selectors.grants().filter(principal_id__in=[who.id, group.id]))[:1]:
            services.revoke_grant(grant_id=grant.id, by=SYSTEM)

    def join_or_leave() -> None:
        membership = GroupMembership.objects.filter(group=group).first()
        if membership is None:
            services.add_to_group(group_id=group.id, principal=who, by=SYSTEM)
        else:
            services.remove_from_group(group_id=group.id, membership_id=membership.id, by=SYSTEM)

    def change_role() -> None:
        wanted = chance.sample(WATCHED, chance.randint(1, 3))
        services.update_role(role_id=role.row.id, permissions=wanted, by=SYSTEM)  # type: ignore[union-attr]

    def move() -> None:
        site_id, parent_id = chance.choice(site_ids), chance.choice([None, *site_ids])
        try:
            sites.update(site_id=site_id, parent_id=parent_id, by=SYSTEM)
        except sites.SiteCycle:
            return

    history = []
    for _ in range(25):
        chance.choice([give, give, take, join_or_leave, change_role, move])()
        history.append((utc_now(), _answers(who, site_ids)))

    assert len({str(answers) for _, answers in history}) > 4
    for at, answers in history:
        assert _answers(who, site_ids, at=at) == answers


def test_what_was_not_there_yet_is_said(in_org_a: OrganizationContext) -> None:
    who, before = factory.member(in_org_a, "owner").principal, utc_now()
    site = sites.create(name=uuid4().hex, by=SYSTEM)

    with pytest.raises(InvalidInput) as refused:
        explaining.explain(principal=who, permission="sites.read", where=site.location, at=before)

    assert refused.value.field == "resource"


def test_a_change_that_the_log_does_not_tell_enough_of_is_not_guessed(in_org_a: OrganizationContext) -> None:
    who, site = factory.member(in_org_a, "owner").principal, sites.create(name=uuid4().hex, by=SYSTEM)
    before = utc_now()
    audit.write(action="site.updated", actor=SYSTEM, resource=site.public_id, detail={"changed": ["parent_id"]})

    with pytest.raises(replay.NotReplayable):
        explaining.explain(principal=who, permission="sites.read", where=site.location, at=before)


def test_the_number_of_queries_does_not_grow(in_org_a: OrganizationContext, django_assert_num_queries: Any) -> None:
    who, site, at = factory.member(in_org_a, "owner").principal, sites.create(name="One", by=SYSTEM), utc_now()

    def ask() -> None:
        explaining.explain(principal=who, permission="sites.read", where=site.location, at=at)

    # What is held now, roles, sites, grants, groups, the log.
    with django_assert_num_queries(6):
        ask()
    for number in range(4):
        other = sites.create(name=f"Other {number}", by=SYSTEM)
        services.grant_role(principal=who, role="auditor", scope="site", site_id=other.id)
    with django_assert_num_queries(6):
        ask()


def test_a_device_stands_where_it_stood(in_org_a: OrganizationContext) -> None:
    who = factory.member(in_org_a, None).principal
    device = enrolled(in_org_a)
    services.grant_role(principal=who, role="auditor", scope="site", site_id=device.site_id)
    before = utc_now()
    elsewhere = sites.create(name=uuid4().hex, by=SYSTEM)
    devices.transfer(device_id=device.id, site_id=elsewhere.id, by=SYSTEM)
    now = selectors.places([("dev", device.id)])["dev", device.id]

    asked: dict[str, Any] = {"principal": who, "permission": "devices.read", "where": now}

    assert not explaining.explain(**asked).decision.allowed
    assert explaining.explain(**asked, at=before).decision.allowed
