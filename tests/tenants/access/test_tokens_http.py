"""Tokens over HTTP: from a secret to a call, and everything that is not one."""

from __future__ import annotations

from rest_framework.test import APIClient

from engine.tenancy.context import OrganizationContext
from tests.factories import access as factory


def test_a_member_signs_in_and_reads_roles(org_a: OrganizationContext, http_a: APIClient) -> None:
    client = factory.signed_in(http_a, factory.member_token(org_a, "auditor"))

    answer = client.get("/v1/roles")

    assert answer.status_code == 200
    assert {role["name"] for role in answer.json()["data"]} >= {"owner", "admin", "terminal"}


def test_an_app_turns_its_secret_into_a_token_that_works(org_a: OrganizationContext, http_a: APIClient) -> None:
    client = factory.signed_in(http_a, factory.app_token(org_a, "admin"))

    assert client.get("/v1/members").status_code == 200
