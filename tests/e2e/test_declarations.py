"""Every view says who may call it, what it takes and answers, and whether it may be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, path
from rest_framework.test import APIClient
from rest_framework.views import APIView as AnyAPIView

from engine.api import access, openapi
from engine.api.access import PUBLIC, Marker
from engine.api.compatibility import operations
from engine.api.views import APIView, operation_of
from engine.tenancy import directory
from tenants.access.permissions import PERMISSIONS
from tests.e2e.targets import ORGANIZATION_HOST
from tests.factories.access import member_token, signed_in

URLCONFS = ("config.urls_organization", "config.urls_platform", "config.urls_hooks")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Their answer is a token that nothing keeps, and the one-time code that they take works once.
UNREPEATABLE = {"impersonations_start"}
# Pages and documents that anybody may read; everything else is a view of the API.
PLAIN = {"docs", "docs/openapi.json", "healthz", "readyz"}
# Where people answer in a browser; tests/tenants/access/test_oauth_members.py tries what could go wrong there.
PAGES = {"oauth/authorize", "oauth/sign-in", "oauth/device"}


@dataclass(frozen=True)
class Handler:
    route: str
    method: str
    view: Any

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield prefix + str(pattern.pattern), pattern.callback


def handlers(patterns: list[Any]) -> Iterator[Handler]:
    for route, callback in routes(patterns):
        view = getattr(callback, "cls", None)
        if isinstance(view, type) and issubclass(view, AnyAPIView):
            for method in METHODS:
                if hasattr(view, method.lower()):
                    yield Handler(route, method, view)


ALL = [handler for name in URLCONFS for handler in handlers(get_resolver(name).url_patterns)]


def faults(handler: Handler) -> list[str]:
    found = []
    permission = access.declared(handler.view, handler.method)
    if permission is None:
        found.append("declares no permission")
    elif not isinstance(permission, Marker) and permission not in PERMISSIONS:
        found.append(f"declares {permission}, which no role can hold")
    described = operation_of(handler.view, handler.method)
    if described is None:
        found.append("has no @operation")
        return found
    answers = described.response if isinstance(described.response, dict) else {}
    creates = handler.method == "POST" and {201, 202} & set(answers)
    handler_function = getattr(handler.view, handler.method.lower())
    # Keys belong to a principal: an anonymous caller has none of its own.
    may_be_repeated = permission is not PUBLIC and described.id not in UNREPEATABLE
    if creates and may_be_repeated and not hasattr(handler_function, "idempotency"):
        found.append("creates and honours no Idempotency-Key")
    if not described.summary:
        found.append("has no summary")
    return found


@pytest.mark.parametrize("handler", ALL, ids=str)
def test_a_handler_is_declared(handler: Handler) -> None:
    assert issubclass(handler.view, APIView)
    assert faults(handler) == []


@pytest.mark.parametrize("name", URLCONFS)
def test_nothing_answers_that_is_neither_a_view_of_ours_nor_a_known_page(name: str) -> None:
    for route, callback in routes(get_resolver(name).url_patterns):
        view = getattr(callback, "cls", None)
        is_ours = isinstance(view, type) and issubclass(view, APIView)
        # Django's admin, whose own tests say who may see what.
        is_admin = name == "config.urls_platform" and route.split("/")[0] == "admin"
        assert is_ours or is_admin or route in PLAIN | PAGES or route in HOOKS, route


# Providers sign what they send: the view checks the signature over the raw bytes.
HOOKS = {route for route, _ in routes(get_resolver("config.urls_hooks").url_patterns)}


def test_money_is_never_moved_without_a_key() -> None:
    document = openapi.document(openapi.ORGANIZATION)
    money = ("/v1/payments", "/v1/refunds", "/v1/checkouts", "/v1/payments/{payment_id}/capture")
    for (method, path_), operation in operations(document).items():
        if method == "POST" and path_.startswith(money):
            keys = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
            assert [key["required"] for key in keys] == [True], path_


def test_operation_ids_are_unique() -> None:
    for name in (openapi.ORGANIZATION, openapi.PLATFORM):
        found = [operation["operationId"] for operation in operations(openapi.document(name)).values()]
        assert len(found) == len(set(found))


def test_public_operations_are_few_and_known() -> None:
    public = {
        f"{method} {path_}"
        for name in (openapi.ORGANIZATION, openapi.PLATFORM)
        for (method, path_), operation in operations(openapi.document(name)).items()
        if operation.get("x-permission") == PUBLIC.value
    }
    assert public <= {
        "POST /v1/sessions",
        "POST /v1/sessions/second-factor",
        "POST /v1/sessions/passkey",
        "POST /v1/sessions/passkey/options",
        "GET /v1/sessions/federated",
        "POST /v1/sessions/federated",
        "POST /v1/sessions/federated/answer",
        "POST /v1/password-resets",
        "POST /v1/password-resets/confirm",
        "POST /v1/invitations/accept",
        "POST /v1/devices/claim",
        "POST /oauth/token",
        "POST /oauth/device_authorization",
        "POST /oauth/introspect",
        "POST /oauth/revoke",
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-authorization-server",
        "GET /.well-known/openid-configuration",
    }


class Undeclared(APIView):
    def get(self, request: Any) -> None:
        """Nobody said who may call it."""


class Misspelt(APIView):
    permission = "peple.read"

    def get(self, request: Any) -> None:
        """No role holds this."""


@pytest.mark.parametrize(
    ("view", "fault"),
    [(Undeclared, "declares no permission"), (Misspelt, "declares peple.read, which no role can hold")],
)
def test_a_planted_view_is_noticed(view: Any, fault: str) -> None:
    planted = list(handlers([path("v1/planted", view.as_view())]))
    assert [fault in faults(handler) for handler in planted] == [True]


@pytest.mark.parametrize(
    ("path_", "change"), [("/v1/people", {"display_name": "Bea"}), ("/v1/sites", {"name": "Quay"})]
)
def test_an_update_that_saw_an_old_body_is_refused(http_a: APIClient, path_: str, change: dict[str, str]) -> None:
    found = directory.by_host(ORGANIZATION_HOST)
    assert found is not None
    client: Any = signed_in(http_a, member_token(found))
    made = client.post(path_, {"name": "Pier"} if path_ == "/v1/sites" else {"display_name": "Ada"}).json()
    url = f"{path_}/{made['id']}"
    seen = client.get(url)["ETag"]
    assert client.get(url, HTTP_IF_NONE_MATCH=seen).status_code == 304
    updated = client.patch(url, change, HTTP_IF_MATCH=seen)
    assert updated.status_code == 200
    assert updated["ETag"] != seen
    late = client.patch(url, change, HTTP_IF_MATCH=seen)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert client.patch(url, change, HTTP_IF_MATCH=updated["ETag"]).status_code == 200
