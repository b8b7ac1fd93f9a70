"""New slugs, domains of their own, and plans: what answers where, and what nobody else is ever given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from engine import ids
from engine.clock import utc_now
from engine.errors import DomainError
from engine.principals import SYSTEM
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, organization, public_schema
from provisioning import domains, naming, services
from provisioning.adapters.dns import DnsResolver, DnsUnavailableError
from shared.organizations import limits
from shared.organizations.models import Domain, DomainClaim, HostUse, Organization
from shared.plans.models import Plan
from tenants.identity import services as identity
from tests.conftest import client_of
from tests.e2e.targets import PLATFORM_HOST, operator_token
from tests.factories.access import member_token
from tests.factories.devices import enrolled
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.provisioning.nameserver import NameServer, running_name_server

BASE = environment.BASE_DOMAIN
JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"


def at(host: str, **headers: str) -> APIClient:
    directory.forget()
    return APIClient(HTTP_HOST=host, raise_request_exception=False, **headers)


def operator() -> APIClient:
    return at(PLATFORM_HOST, HTTP_AUTHORIZATION=f"Bearer {operator_token()}")


def path_of(org: OrganizationContext, verb: str) -> str:
    return f"/v1/organizations/{ids.encode('org', org.id)}/{verb}"


# --- Another slug ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old_host", "status"), [("redirect", 308), ("gone", 404)])
def test_the_new_host_serves_and_the_issuer_stays(
    db: None, org_a: OrganizationContext, old_host: str, status: int
) -> None:
    token = member_token(org_a)
    answer = operator().post(path_of(org_a, "rename"), {"slug": "harbour", "old_host": old_host})
    assert (answer.json()["slug"], answer.json()["issuer"]) == ("harbour", org_a.issuer)
    new, old = at(f"harbour.{BASE}"), at(f"org-a.{BASE}")
    for host in (new, old):
        assert host.get(METADATA).json()["issuer"] == org_a.issuer
        assert host.get(JWKS).status_code == 200
        # The codes that are being read out name the issuer: whatever this answers, it answers here.
        assert host.post("/v1/devices/claim", {}, format="json").status_code == 400
    assert new.get("/v1/people", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    for method in ("get", "post"):
        moved = getattr(old, method)("/v1/people?limit=2", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert moved.status_code == status
        assert moved.headers.get("Location") == (f"http://harbour.{BASE}/v1/people?limit=2" if status == 308 else None)
    assert directory.by_host(f"org-a.{BASE}") is not None
    assert operator().post(path_of(org_a, "rename"), {"slug": "harbour"}).json()["code"] == "same_slug"


def test_a_slug_that_was_left_is_its_own_to_take_up_again_and_nobody_elses(
    db: None, org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    with public_schema():
        naming.rename(organization_id=org_a.id, slug="harbour", old_host="gone", by=SYSTEM)
        naming.rename(organization_id=org_a.id, slug="haven", old_host="redirect", by=SYSTEM)
        for slug in ("org-a", "harbour", "haven", "org-a"):
            with pytest.raises(services.SlugTakenError):
                naming.rename(organization_id=org_b.id, slug=slug, old_host="gone", by=SYSTEM)
            with pytest.raises(services.SlugTakenError):
                services.request_organization(
                    birth=services.Birth(slug=slug, name="x", plan_code="standard", admin_email="a@b.example")
                )
        naming.rename(organization_id=org_a.id, slug="harbour", old_host="gone", by=SYSTEM)
        uses = dict(Domain.objects.filter(organization_id=org_a.id).values_list("host", "use"))
    assert uses == {
        f"org-a.{BASE}": HostUse.RETIRED,
        f"harbour.{BASE}": HostUse.SERVES,
        f"haven.{BASE}": HostUse.RETIRED,
    }


def test_no_role_of_ours_moves_or_deletes_a_host(live_db: LiveDatabase, org_a: OrganizationContext) -> None:
    for act in (lambda rows: rows.update(organization_id=ids.uuid7()), lambda rows: rows.delete()):
        with public_schema(), pytest.raises(Exception, match="permission denied"):
            act(Domain.objects.all())


def together(*acts: Callable[[], Any]) -> list[str]:
    """Do all at one instant; what came of each."""

    def outcome(act: Callable[[], Any]) -> str:
        try:
            act()
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(acts)) as threads:
        return sorted(threads.map(outcome, acts))


def in_public(verb: Callable[..., Any], **arguments: Any) -> Callable[[], Any]:
    def act() -> Any:
        with public_schema():
            return verb(**arguments)

    return act


def test_of_two_who_want_one_slug_at_one_instant_one_gets_it(
    live_db: LiveDatabase, org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    wish = {"slug": "harbour", "old_host": "redirect", "by": SYSTEM}
    birth = services.Birth(slug="harbour", name="x", plan_code="standard", admin_email="a@b.example")
    outcomes = together(
        in_public(naming.rename, organization_id=org_a.id, **wish),
        in_public(naming.rename, organization_id=org_b.id, **wish),
        in_public(services.request_organization, birth=birth),
    )
    assert outcomes == ["done", "slug_taken", "slug_taken"]
    with public_schema():
        assert Organization.objects.filter(slug="harbour").count() == 1
        assert Domain.objects.filter(is_canonical=True).count() == Organization.objects.count()


# --- Domains of their own -------------------------------------------------------------------------------


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    with running_name_server() as server, override_settings(DNS_SERVERS=(server.address,)):
        yield server


def test_a_domain_answers_once_dns_shows_the_challenge(
    db: None, org_a: OrganizationContext, org_b: OrganizationContext, name_server: NameServer
) -> None:
    staff = operator()
    claimed = staff.post(path_of(org_a, "domains"), {"host": "id.example.com"}).json()
    verify = f"/v1/domains/{claimed['id']}/verify"
    assert claimed["record_name"] == "_keystead-challenge.id.example.com"
    for texts in ([], ["something else"]):
        name_server.texts = {claimed["record_name"]: texts} if texts else {}
        refused = staff.post(verify).json()
        assert (refused["code"], refused["challenge"]) == ("domain_challenge_not_found", claimed["challenge"])
        assert at("id.example.com").get(JWKS).json()["code"] == "unknown_host"
    name_server.texts = {claimed["record_name"]: ["v=spf1 -all", claimed["challenge"]]}
    name_server.broken = True
    assert staff.post(verify).json()["code"] == "dns_unavailable"
    name_server.broken = False
    assert staff.post(verify).json()["verified_at"] is not None
    assert at("id.example.com").get(METADATA).json()["issuer"] == org_a.issuer
    taken = staff.post(path_of(org_b, "domains"), {"host": "id.example.com"}).json()
    assert taken["code"] == "host_taken"
    name_server.texts = {}
    again = staff.post(verify).json()
    assert (bool(again["finding"]), again["verified_at"] is not None) == (True, True)
    assert at("id.example.com").get(JWKS).status_code == 200
    assert staff.post(f"/v1/domains/{claimed['id']}/remove").json()["removed_at"] is not None
    assert at("id.example.com").get(JWKS).json()["code"] == "unknown_host"
    assert staff.post(path_of(org_b, "domains"), {"host": "id.example.com"}).json()["code"] == "host_taken"
    with CaptureQueriesContext(connection) as queries:
        (listed,) = staff.get(path_of(org_a, "domains")).json()["data"]
    assert listed["host"] == "id.example.com"
    assert len([one for one in queries if "domainclaim" in one["sql"]]) == 1


@pytest.mark.parametrize(
    "host",
    [
        "org-b.keystead.test",
        "keystead.test",
        "EXAMPLE.com",
        "exämple.com",
        "localhost",
        "10.0.0.1",
        "a..b",
        "-a.com",
        "x",
    ],
)
def test_hosts_that_cannot_be_are_refused(db: None, org_a: OrganizationContext, host: str) -> None:
    with public_schema(), pytest.raises(domains.InvalidHostError):
        domains.claim(organization_id=org_a.id, host=host, by=SYSTEM)


def test_a_claim_expires_and_its_challenge_with_it(db: None, org_a: OrganizationContext) -> None:
    with public_schema():
        first = domains.claim(organization_id=org_a.id, host="id.example.com", by=SYSTEM)
        assert domains.claim(organization_id=org_a.id, host="id.example.com", by=SYSTEM).challenge == first.challenge
        DomainClaim.objects.update(expires_at=utc_now() - timedelta(seconds=1))
        with pytest.raises(domains.ClaimExpiredError):
            domains.verify(claim_id=first.id, by=SYSTEM, look_up=lambda _: [first.challenge])
        renewed = domains.claim(organization_id=org_a.id, host="id.example.com", by=SYSTEM)
        assert renewed.challenge != first.challenge
        with pytest.raises(domains.ChallengeNotFoundError):
            domains.verify(claim_id=first.id, by=SYSTEM, look_up=lambda _: [first.challenge])


def test_what_is_removed_while_dns_is_asked_does_not_answer(db: None, org_a: OrganizationContext) -> None:
    host = f"{'a' * 60}.{'b' * 60}.{'c' * 60}.example.com"
    with public_schema():
        claimed = domains.claim(organization_id=org_a.id, host=host, by=SYSTEM)
        with pytest.raises(domains.ChallengeNotFoundError):
            domains.verify(claim_id=claimed.id, by=SYSTEM, look_up=lambda _: [])

        def meanwhile(_: str) -> list[str]:
            domains.remove(claim_id=claimed.id, by=SYSTEM)
            return [claimed.challenge]

        with pytest.raises(domains.UnknownClaimError):
            domains.verify(claim_id=claimed.id, by=SYSTEM, look_up=meanwhile)
        assert not Domain.objects.filter(host=host).exists()
    assert operator().get(f"/v1/organizations/{ids.encode('org', ids.uuid7())}/domains").status_code == 404


def test_of_two_who_prove_one_domain_at_one_instant_one_gets_it(
    live_db: LiveDatabase, org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    with public_schema():
        claims = [domains.claim(organization_id=one.id, host="id.example.com", by=SYSTEM) for one in (org_a, org_b)]
    shown = [one.challenge for one in claims]
    outcomes = together(
        *(in_public(domains.verify, claim_id=one.id, by=SYSTEM, look_up=lambda _: shown) for one in claims)
    )
    assert outcomes == ["done", "host_taken"]
    with public_schema():
        (domain,) = Domain.objects.filter(host="id.example.com")
        (won,) = DomainClaim.objects.filter(verified_at__isnull=False)
    assert domain.organization_id == won.organization_id


def test_the_resolver_speaks_dns(name_server: NameServer) -> None:
    look_up = DnsResolver((name_server.address,))
    name_server.texts = {"_keystead-challenge.a.example": ["x" * 40, "y"]}
    assert sorted(look_up("_keystead-challenge.a.example")) == ["x" * 40, "y"]
    assert look_up("_keystead-challenge.b.example") == []
    assert name_server.asked == ["_keystead-challenge.a.example", "_keystead-challenge.b.example"]
    name_server.broken = True
    with pytest.raises(DnsUnavailableError):
        look_up("_keystead-challenge.a.example")


# --- Plans ----------------------------------------------------------------------------------------------


@pytest.fixture
def small_plan(request: pytest.FixtureRequest) -> Plan:
    with public_schema():
        return Plan.objects.create(code="small", title="S", requests_per_minute_max=500, people_max=3, devices_max=0)


def test_a_smaller_plan_refuses_more_and_takes_nothing_away(
    db: None, org_a: OrganizationContext, small_plan: Plan
) -> None:
    staff, host = operator(), client_of(org_a)
    host.credentials(HTTP_AUTHORIZATION=f"Bearer {member_token(org_a)}")
    people = [host.post("/v1/people", {"external_reference": f"p-{n}"}, format="json") for n in range(4)]
    assert {one.status_code for one in people} == {201}
    assert staff.post(path_of(org_a, "plan"), {"plan": "small"}).json()["plan"] == "small"
    assert staff.post(path_of(org_a, "plan"), {"plan": "small"}).json()["code"] == "same_plan"
    assert staff.post(path_of(org_a, "plan"), {"plan": "none"}).json()["code"] == "unknown_plan"
    limits._cache.clear()
    refused = host.post("/v1/people", {"external_reference": "p-9"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_limit_reached")
    assert (refused.json()["limit"], refused.json()["maximum"]) == ("people", 3)
    assert len(host.get("/v1/people").json()["data"]) == 4
    staff.post(path_of(org_a, "plan"), {"plan": "standard"})
    limits._cache.clear()
    assert host.post("/v1/people", {"external_reference": "p-9"}, format="json").status_code == 201


def test_a_plan_without_devices_enrols_none(db: None, org_a: OrganizationContext, small_plan: Plan) -> None:
    with public_schema():
        naming.change_plan(organization_id=org_a.id, plan_code="small", by=SYSTEM)
    limits._cache.clear()
    with pytest.raises(limits.PlanLimitReached, match="0 devices"):
        enrolled(org_a)
    limits._cache.clear()


def test_the_last_place_goes_to_one_of_many_who_come_at_one_instant(
    live_db: LiveDatabase, org_a: OrganizationContext
) -> None:
    with public_schema():
        plan = Plan.objects.create(code="tiny", title="T", requests_per_minute_max=500, people_max=3, devices_max=0)
        Organization.objects.filter(id=org_a.id).update(plan=plan)
    limits._cache.clear()

    def arrival(number: int) -> Callable[[], Any]:
        def act() -> Any:
            with organization(org_a):
                return identity.create_person(external_reference=f"p-{number}", by=SYSTEM)

        return act

    outcomes = together(*(arrival(number) for number in range(8)))
    limits._cache.clear()
    assert outcomes.count("done") == 3
    assert set(outcomes) == {"done", "plan_limit_reached"}
