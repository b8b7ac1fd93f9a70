"""Where a request ends up: by its host, exactly."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from engine.tenancy import directory
from engine.tenancy.context import NoOrganization, OrganizationContext, current_scope, public_schema
from engine.tenancy.routing import host_name
from shared.organizations.models import Organization
from tests.harness import environment


def get(host: str, path: str = "/v1/people"):
    return APIClient(HTTP_HOST=host).get(path)


@pytest.mark.parametrize(
    "host",
    [
        "nobody.keystead.test",
        "keystead.test",
        "org-a.keystead.test.evil.example",
        "evil-org-a.keystead.test",
        "org-a.keystead.test@evil.example",
        "127.0.0.1",
        "org-a.keystead.test:80:80",
        "org-a.keystead.test:x",
        "*.keystead.test",
        "",
    ],
)
@pytest.mark.commits_nothing
def test_a_host_that_nobody_has_is_404_with_its_own_problem(db: None, host: str) -> None:
    answer = get(host)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unknown_host"
    assert answer.json()["request_id"]


@pytest.mark.parametrize("host", ["ORG-A.keystead.test", "org-a.keystead.test.", "org-a.keystead.test:8000"])
@pytest.mark.commits_nothing
def test_case_port_and_final_dot_do_not_matter(db: None, host: str) -> None:
    assert get(host).status_code == 401


def test_a_suspended_organization_is_403_with_its_own_problem(db: None, org_a: OrganizationContext) -> None:
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="suspended")
    directory.forget()
    for path in ("/v1/people", "/docs", "/oauth/token", "/nowhere"):
        answer = get(f"org-a.{environment.BASE_DOMAIN}", path)
        assert answer.status_code == 403
        assert answer.json()["code"] == "organization_suspended"
    assert get(f"org-b.{environment.BASE_DOMAIN}").status_code == 401


def test_absence_is_remembered_for_a_moment_and_presence_for_longer(
    db: None, org_a: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(directory, "monotonic", lambda: now)
    status = Organization.objects.filter(id=org_a.id)

    def seen_after(seconds: float, *, became: str) -> int:
        nonlocal now
        with public_schema():
            status.update(status=became)
        now += seconds
        return get(f"org-a.{environment.BASE_DOMAIN}").status_code

    directory.forget()
    assert seen_after(0, became="provisioning") == 404
    assert seen_after(directory._UNKNOWN_FRESH_S / 2, became="active") == 404
    assert seen_after(directory._UNKNOWN_FRESH_S, became="active") == 401
    assert seen_after(directory._FRESH_S / 2, became="suspended") == 401
    assert seen_after(directory._FRESH_S, became="suspended") == 403


def test_one_that_is_being_made_does_not_answer_yet(db: None, org_a: OrganizationContext) -> None:
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="provisioning")
    directory.forget()
    assert get(f"org-a.{environment.BASE_DOMAIN}").status_code == 404


@pytest.mark.commits_nothing
def test_the_operators_api_is_on_its_own_host_only(db: None, org_a: OrganizationContext) -> None:
    assert get(f"platform.{environment.BASE_DOMAIN}", "/v1/organizations").status_code == 401
    assert get(f"org-a.{environment.BASE_DOMAIN}", "/v1/organizations").status_code == 404
    assert get(f"platform.{environment.BASE_DOMAIN}", "/v1/people").status_code == 404


@pytest.mark.commits_nothing
def test_the_context_is_left_also_after_an_error(db: None, org_a: OrganizationContext) -> None:
    get(f"org-a.{environment.BASE_DOMAIN}", "/v1/people/per_nonsense")
    with pytest.raises(NoOrganization):
        current_scope()


@pytest.mark.commits_nothing
def test_what_is_remembered_of_hosts_is_bounded(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_ENTRIES_MAX", 10)
    for number in range(30):
        assert directory.by_host(f"scan-{number}.{environment.BASE_DOMAIN}") is None
    assert len(directory._cache) == 10


@pytest.mark.parametrize(
    ("header", "name"),
    [("Acme.Example:443", "acme.example"), ("acme.example.", "acme.example"), ("acme:x", ""), ("[::1]:80", "")],
)
def test_host_headers(header: str, name: str) -> None:
    assert host_name(header) == name


def test_hosts_in_use_are_read_together(
    db: None, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = [f"org-{letter}.{environment.BASE_DOMAIN}" for letter in "ab"]
    directory.forget()
    with django_assert_num_queries(2):
        first = [directory.by_host(host) for host in (*hosts, *hosts)]
    monkeypatch.setattr(directory, "_FRESH_S", 0.0)
    with django_assert_num_queries(1):
        assert directory.by_host(hosts[0]) == first[0]
    monkeypatch.undo()
    with django_assert_num_queries(0):
        assert directory.by_host(hosts[1]) == first[1]


def test_a_host_that_ended_while_others_were_read_ends_with_them(
    db: None, org_b: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (f"org-{letter}.{environment.BASE_DOMAIN}" for letter in "ab")
    directory.forget()
    for host in (a, b, a, b):
        assert directory.by_host(host)
    with public_schema():
        Organization.objects.filter(id=org_b.id).update(status="provisioning")
    monkeypatch.setattr(directory, "_FRESH_S", 0.0)
    assert directory.by_host(a)
    monkeypatch.undo()
    assert directory.by_host(b) is None
