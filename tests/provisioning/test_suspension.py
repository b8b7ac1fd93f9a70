"""Suspending and resuming through the doors: the operators' API, the organization's host, its hooks, its messages."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from engine import ids, outbox
from engine.outbox import claims
from engine.outbox.execution import Outcome, execute
from engine.outbox.options import Options
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization, public_schema
from provisioning import flows, suspension
from provisioning.models import Flow, FlowKind
from tests.conftest import client_of
from tests.e2e.targets import PLATFORM_HOST, operator_token
from tests.harness.live import LiveDatabase

BECAUSE = {"reason": "unpaid since May"}


@pytest.fixture
def operator(db: None) -> APIClient:
    return APIClient(HTTP_HOST=PLATFORM_HOST, HTTP_AUTHORIZATION=f"Bearer {operator_token()}")


def path_of(org: OrganizationContext, verb: str = "") -> str:
    return f"/v1/organizations/{ids.encode('org', org.id)}{verb and '/'}{verb}"


def test_every_path_of_a_suspended_organization_says_so_and_no_other(
    operator: APIClient, org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    answer = operator.post(path_of(org_a, "suspend"), BECAUSE)
    assert (answer.status_code, answer.json()["status"]) == (200, "suspended")
    suspended, neighbour = client_of(org_a), client_of(org_b)
    for method, path in (
        ("get", "/v1/people"),
        ("get", "/.well-known/jwks.json"),
        ("post", "/oauth/token"),
        ("post", "/v1/devices/claim"),
        ("get", "/nothing/here"),
    ):
        refused = getattr(suspended, method)(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended"), path
    assert neighbour.get("/.well-known/jwks.json").status_code == 200
    assert operator.post(path_of(org_a, "suspend"), BECAUSE).json()["code"] == "organization_not_active"
    assert operator.post(path_of(org_a, "resume"), {"reason": "paid"}).json()["status"] == "active"
    assert suspended.get("/.well-known/jwks.json").status_code == 200
    assert operator.post(path_of(org_a, "resume"), BECAUSE).json()["code"] == "organization_not_suspended"


def test_who_did_it_and_why_stands_in_the_operators_log(operator: APIClient, org_a: OrganizationContext) -> None:
    assert operator.post(path_of(org_a, "suspend"), {"reason": "  "}).status_code == 400
    operator.post(path_of(org_a, "suspend"), BECAUSE)
    operator.post(path_of(org_a, "resume"), {"reason": "paid"})
    newest, oldest = operator.get("/v1/operator-acts", {"organization": ids.encode("org", org_a.id)}).json()["data"]
    assert (oldest["action"], oldest["reason"]) == ("organization.suspended", BECAUSE["reason"])
    assert (newest["action"], newest["reason"]) == ("organization.resumed", "paid")
    assert oldest["actor"]["id"].startswith("opr_")


def test_messages_are_held_without_counting_as_failed_and_due_at_once_afterwards(
    live_db: LiveDatabase, org_a: OrganizationContext
) -> None:
    with organization(org_a), transaction.atomic():
        message_id = outbox.send(name="audit.seal", payload={})
    with public_schema():
        suspension.suspend(organization_id=org_a.id, reason="x", by=SYSTEM)
    options = Options()
    claims.claim(batch=10, visibility_seconds=5, organization_cap=10, in_flight_cap=10)
    assert execute(message_id, options=options) == Outcome.POSTPONED
    assert _due(org_a) == []
    with public_schema():
        resuming = suspension.resume(organization_id=org_a.id, reason="x", by=SYSTEM)
        # The suspension still waited for its matcher: it was overtaken.
        assert Flow.objects.get(kind=FlowKind.SUSPEND).status == "cancelled"
    with live_db.as_owner():
        flows.advance(flow_id=resuming.id)
    assert _due(org_a) == [message_id]
    assert execute(message_id, options=options) == Outcome.DONE
    assert claims.last_error(message_id) == ""


def _due(org: OrganizationContext) -> list[Any]:
    claimed = claims.claim(batch=10, visibility_seconds=5, organization_cap=10, in_flight_cap=10)
    return [one.id for one in claimed if one.org_role == org.role_name]
