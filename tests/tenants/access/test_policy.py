"""Grants: who gives and takes them, who may not, and what stays true while they change."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.utils import IntegrityError

from engine.api import access as engine_access
from engine.errors import InvalidInput, NotFound
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import selectors as accounts
from shared.accounts import services as accounts_services
from tenants.access import policy, selectors, services
from tenants.access.models import Grant, PolicyRevision
from tenants.audit.models import Entry
from tenants.sites import services as sites
from tenants.sites.rules import Location
from tests.factories import access as factory
from tests.harness.live import LiveDatabase


@pytest.fixture
def owner(in_org_a: OrganizationContext) -> Principal:
    return factory.member(in_org_a, "owner").principal


@pytest.fixture
def admin(in_org_a: OrganizationContext) -> Principal:
    return factory.member(in_org_a, "admin").principal


@pytest.fixture
def nobody(in_org_a: OrganizationContext) -> Principal:
    return factory.member(in_org_a, None).principal


@pytest.fixture
def till() -> Iterator[Location]:
    """A device that access can find, as the app of devices would tell it."""
    place = Location(site_path=None, device_id=uuid4())
    before = selectors._device_lookup
    services.register_device_lookup(lambda ids: {one: place for one in ids if one == place.device_id})
    yield place
    selectors._device_lookup = before


class TestGranting:
    def test_counts_at_once_and_is_written_down(self, owner: Principal, nobody: Principal) -> None:
        assert not services.check(principal=nobody, permission="people.read").allowed

        grant = services.grant_role(principal=nobody, role="auditor", by=owner)

        decision = services.check(principal=nobody, permission="people.read")
        assert (decision.allowed, decision.grant_id) == (True, grant.id)
        entry = Entry.objects.get(action="grant.created", resource=grant.public_id)
        assert (entry.actor_kind, entry.actor_id) == ("member", owner.id)

    def test_twice_is_one_grant(self, owner: Principal, nobody: Principal) -> None:
        first = services.grant_role(principal=nobody, role="auditor", by=owner)

        assert services.grant_role(principal=nobody, role="auditor", by=owner) == first
        with pytest.raises(IntegrityError):
            Grant.objects.create(
                principal_kind="member",
                principal_id=nobody.id,
                role="auditor",
                scope="organization",
                created_by="test",
            )

    @pytest.mark.parametrize("role", ["owner", "operator"])
    def test_nobody_gives_more_than_they_hold(self, role: str, admin: Principal, nobody: Principal) -> None:
        with pytest.raises(policy.CannotGrantMore) as refused:
            services.grant_role(principal=nobody, role=role, by=admin)

        assert "payments.write" in refused.value.extra["missing"]
        assert selectors.grants_of(nobody) == []

    def test_a_token_s_scopes_bound_what_its_app_gives(self, owner: Principal, nobody: Principal) -> None:
        app = services.create_app(name="bot", roles=["admin"], by=owner).app
        confined = Principal(kind="app", id=app.id, scopes=frozenset({"members.write", "people.read"}))

        with pytest.raises(policy.CannotGrantMore):
            services.grant_role(principal=nobody, role="auditor", by=confined)

    def test_a_site_s_admin_gives_there_and_not_elsewhere(self, owner: Principal, nobody: Principal) -> None:
        north = sites.create(name="North", by=owner)
        gate = sites.create(name="Gate", by=owner, parent_id=north.id)
        south = sites.create(name="South", by=owner)
        regional = factory.member(_here(), None).principal
        services.grant_role(principal=regional, role="admin", scope="site", site_id=north.id, by=owner)

        services.grant_role(principal=nobody, role="auditor", scope="site", site_id=gate.id, by=regional)

        for where in ({"scope": "site", "site_id": south.id}, {}):
            with pytest.raises(policy.CannotGrantMore):
                services.grant_role(principal=nobody, role="auditor", by=regional, **where)
        assert services.check(principal=nobody, permission="sites.read", resource=gate).allowed
        assert not services.check(principal=nobody, permission="sites.read", resource=north).allowed
        assert not services.check(principal=nobody, permission="sites.read").allowed
        anywhere = services.check(principal=nobody, permission="sites.read", resource=engine_access.SOMEWHERE)
        assert anywhere.allowed

    def test_the_terminal_s_role_is_for_devices_and_given_by_who_runs_them(
        self, owner: Principal, admin: Principal, nobody: Principal, till: Location
    ) -> None:
        device = Principal(kind="device", id=till.device_id or uuid4())
        with pytest.raises(policy.UnknownRole):
            services.grant_role(principal=nobody, role="terminal", by=owner)

        services.grant_role(principal=device, role="terminal", scope="device", device_id=till.device_id, by=admin)

        class Till:
            location = till

        assert services.check(principal=device, permission="checkout.create", resource=Till()).allowed
        assert not services.check(principal=device, permission="checkout.create").allowed
        auditor = factory.member(_here(), "auditor").principal
        with pytest.raises(policy.CannotGrantMore):
            services.grant_role(principal=device, role="terminal", by=auditor)

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"role": "emperor"}, "role"),
            ({"role": "terminal"}, "role"),
            ({"scope": "planet"}, "scope"),
            ({"scope": "site"}, "site_id"),
            ({"site_id": uuid4()}, "site_id"),
            ({"scope": "site", "site_id": uuid4()}, "site_id"),
            ({"scope": "device"}, "device_id"),
            ({"scope": "device", "device_id": uuid4()}, "device_id"),
        ],
    )
    def test_names_the_field_that_is_wrong(
        self, given: dict[str, Any], field: str, owner: Principal, nobody: Principal
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            services.grant_role(**{"principal": nobody, "role": "auditor", "by": owner, **given})

        assert refused.value.field == field

    def test_apps_own_nothing(self, owner: Principal) -> None:
        with pytest.raises(policy.UnknownRole):
            services.create_app(name="bot", roles=["owner"], by=owner)


class TestTakingAway:
    def test_counts_at_once_and_is_written_down(self, owner: Principal, nobody: Principal) -> None:
        grant = services.grant_role(principal=nobody, role="auditor", by=owner)

        services.revoke_grant(grant_id=grant.id, by=owner)

        assert not services.check(principal=nobody, permission="people.read").allowed
        entry = Entry.objects.get(action="grant.deleted")
        assert entry.detail["role"] == "auditor"

    def test_nobody_takes_what_they_could_not_give(self, owner: Principal, admin: Principal) -> None:
        grant = Grant.objects.get(principal_id=owner.id)

        with pytest.raises(policy.CannotGrantMore):
            services.revoke_grant(grant_id=grant.id, by=admin)

    def test_one_owner_always_stays(self, owner: Principal, in_org_a: OrganizationContext) -> None:
        own = Grant.objects.get(principal_id=owner.id)
        # An owner who has not accepted the invitation cannot rescue anybody.
        services.invite_member(email=f"late-{uuid4().hex}@example.com", role="owner", by=owner)
        with pytest.raises(policy.LastOwner):
            services.revoke_grant(grant_id=own.id, by=owner)
        with pytest.raises(policy.LastOwner):
            services.deactivate_member(member_id=owner.id, by=owner)
        assert accounts.user(user_id=owner.id).state == "active"

        second = factory.member(in_org_a, "owner").principal
        services.deactivate_member(member_id=owner.id, by=second)

        assert accounts.user(user_id=owner.id).state == "deactivated"
        assert selectors.grants_of(owner) == []

    def test_what_is_not_there(self, owner: Principal, org_b: OrganizationContext) -> None:
        with organization(org_b):
            foreign = services.grant_role(principal=factory.member(org_b, None).principal, role="auditor")

        with pytest.raises(NotFound):
            services.revoke_grant(grant_id=foreign.id, by=owner)


class TestMovingASite:
    """Whoever holds something over the new surroundings gets it over the site: moving is giving."""

    def test_nobody_moves_a_site_under_what_they_hold_alone(self, owner: Principal) -> None:
        mine, theirs = sites.create(name="Mine", by=owner), sites.create(name="Theirs", by=owner)
        mover = factory.member(_here(), None).principal
        services.create_role(name="planner", permissions=["sites.read", "sites.write"], by=owner)
        services.grant_role(principal=mover, role="planner", by=owner)
        services.grant_role(principal=mover, role="admin", scope="site", site_id=mine.id, by=owner)

        with pytest.raises(policy.CannotGrantMore):
            sites.update(site_id=theirs.id, parent_id=mine.id, by=mover)

        assert not services.check(principal=mover, permission="members.write", resource=theirs).allowed
        sites.update(site_id=theirs.id, parent_id=mine.id, by=owner)
        moved = sites.parent_site(theirs.id)
        assert services.check(principal=mover, permission="members.write", resource=moved).allowed


class TestTakingOver:
    """Whoever gets hold of an account has what it has: so these need as much as granting it."""

    def test_a_new_invitation_for_an_owner(self, owner: Principal, admin: Principal) -> None:
        email = f"late-{uuid4().hex}@example.com"
        first = services.invite_member(email=email, role="owner", by=owner)

        with pytest.raises(policy.CannotGrantMore):
            services.invite_member(email=email, by=admin)

        # What was refused changed nothing: the owner's own invitation is still good.
        factory.accounts.accept_invitation(token=first.token, password=factory.PASSWORD)

    def test_a_new_secret_for_an_app_that_moves_money(self, owner: Principal, admin: Principal) -> None:
        app = services.create_app(name="till", roles=["operator"], by=owner).app

        with pytest.raises(policy.CannotGrantMore):
            services.rotate_secret(app_id=app.id, by=admin)
        with pytest.raises(policy.CannotGrantMore):
            services.deactivate_app(app_id=app.id, by=admin)

    def test_deactivating_an_owner(self, owner: Principal, admin: Principal) -> None:
        with pytest.raises(policy.CannotGrantMore):
            services.deactivate_member(member_id=owner.id, by=admin)


class TestProvisioning:
    def test_the_first_owner_is_made_once(self, in_org_a: OrganizationContext) -> None:
        email = f"first-{uuid4().hex}@example.com"
        first = services.ensure_owner(email=email)

        assert services.ensure_owner(email=email.upper()) == first
        assert [one.role for one in selectors.grants_of(first.principal)] == ["owner"]

        token = services.renew_invitation(email=email)
        factory.accounts.accept_invitation(token=token, password=factory.PASSWORD)
        with pytest.raises(factory.accounts.MemberExists):
            services.renew_invitation(email=email)

    def test_nobody_is_invited_by_renewing(self, in_org_a: OrganizationContext) -> None:
        with pytest.raises(InvalidInput):
            services.renew_invitation(email="never-heard-of@example.com")


def test_a_check_is_one_query_however_many_grants(
    owner: Principal, nobody: Principal, django_assert_num_queries: Any
) -> None:
    top = sites.create(name="Top", by=owner)
    low = sites.create(name="Low", by=owner, parent_id=top.id)
    for role in ("auditor", "analyst", "operator"):
        for site in (top, low):
            services.grant_role(principal=nobody, role=role, scope="site", site_id=site.id, by=SYSTEM)

    with django_assert_num_queries(1):
        assert services.check(principal=nobody, permission="sites.read", resource=low).allowed
    with django_assert_num_queries(1):
        assert services.reach(principal=nobody, permission="sites.read").site_paths == (top.path,)


def test_every_change_counts_in_the_policy_s_revision(owner: Principal, nobody: Principal) -> None:
    before = PolicyRevision.objects.get().revision
    grant = services.grant_role(principal=nobody, role="auditor", by=owner)
    services.revoke_grant(grant_id=grant.id, by=owner)

    assert PolicyRevision.objects.get().revision == before + 2


def test_two_owners_cannot_throw_each_other_out(
    live_db: LiveDatabase, org_a: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sees the other as the owner who stays; only one of them may be right."""
    both_inside = threading.Barrier(2)
    deactivate = accounts_services.deactivate

    def slowly(**given: Any) -> None:
        # Without a lock both get here, and then both look for the owner who stays.
        with contextlib.suppress(threading.BrokenBarrierError):
            both_inside.wait(timeout=2)
        deactivate(**given)

    monkeypatch.setattr(accounts_services, "deactivate", slowly)
    owners = [factory.member(org_a, "owner").principal for _ in range(2)]
    with organization(org_a):
        # The template's own owners would hide the race.
        others = Grant.objects.filter(role="owner").exclude(principal_id__in=[one.id for one in owners])
        for grant in others:
            services.revoke_grant(grant_id=grant.id, by=owners[0])
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def throw_out(by: Principal, whom: Principal) -> None:
        try:
            with organization(org_a):
                barrier.wait()
                services.deactivate_member(member_id=whom.id, by=by)
            outcomes.append("done")
        except (policy.LastOwner, policy.CannotGrantMore) as refused:
            outcomes.append(refused.code)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=throw_out, args=pair) for pair in ((owners[0], owners[1]), (owners[1], owners[0]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("done") == 1
    with organization(org_a):
        policy.require_an_owner()


def _here() -> OrganizationContext:
    from engine.tenancy.context import current_organization

    return current_organization()
