"""Every operation of the platform's host x every principal of an organization: none gets in."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from engine.api import openapi
from engine.api.compatibility import operations
from engine.tenancy.context import OrganizationContext
from tests.e2e.examples import ID_SUFFIX
from tests.factories import access, operators
from tests.isolation.walk import Operation

OPERATIONS = [
    Operation(method, path, body)
    for (method, path), body in sorted(operations(openapi.document(openapi.PLATFORM)).items())
]


def _url(operation: Operation) -> str:
    path = operation.path
    for name, prefix in operation.named_prefixes:
        path = path.replace(f"{{{name}}}", f"{prefix}_{ID_SUFFIX}")
    return path


def _status(operation: Operation, token: str | None) -> int:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
    client = APIClient(HTTP_HOST=settings.PLATFORM_HOST, raise_request_exception=False, **headers)
    send = getattr(client, operation.method.lower())
    answer = (
        send(_url(operation))
        if operation.method == "GET"
        else send(_url(operation), {}, headers={"Idempotency-Key": str(uuid4())})
    )
    return int(answer.status_code)


@pytest.mark.usefixtures("db")
def test_nobody_of_an_organization_gets_in(org_a: OrganizationContext) -> None:
    closed = [one for one in OPERATIONS if not one.is_public]
    assert len(closed) > 20
    tokens = {
        "anonymous": None,
        "owner": access.member_token(org_a),
        "app": access.app_token(org_a),
        "impersonator": operators.impersonation_token(org_a),
    }
    let_in = [
        f"{one} as {who}: {status}"
        for one in closed
        for who, token in tokens.items()
        if (status := _status(one, token)) != 401
    ]
    assert let_in == []


@pytest.mark.usefixtures("db")
def test_support_changes_nothing(org_a: OrganizationContext) -> None:
    support = operators.operator("support").token
    changing = [one for one in OPERATIONS if one.body["x-permission"] == "operator_write"]
    assert len(changing) > 8
    assert {str(one): status for one in changing if (status := _status(one, support)) != 403} == {}
