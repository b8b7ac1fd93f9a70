"""The two APIs with something in them: hosts, documents, tokens, and objects that exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from rest_framework.test import APIClient

from engine.api import openapi
from engine.tenancy import directory
from shared.operators.rules import Role
from tests.e2e.examples import ID_SUFFIX
from tests.factories import access, operators
from tests.harness import environment

ORGANIZATION_HOST = f"org-a.{environment.BASE_DOMAIN}"
PLATFORM_HOST = f"platform.{environment.BASE_DOMAIN}"

_PERSON = f"per_{ID_SUFFIX}"
_FACE = {"modality": "face", "model": "m1", "vector": [0.1, -0.2, 0.3, 0.4] * 32}
# Each with the ids of those before it.
_OF_THE_ORGANIZATION: list[tuple[str, dict[str, Any]]] = [
    ("/v1/sites", {"name": "Harbour"}),
    ("/v1/people", {"external_reference": "p-1", "display_name": "Ada"}),
    ("/v1/consents", {"person": _PERSON, "purpose": "identify", "evidence": "doc-1"}),
    ("/v1/consents", {"person": _PERSON, "purpose": "pay", "evidence": "doc-1"}),
    ("/v1/templates", {"person": _PERSON, **_FACE}),
    ("/v1/verifications", {"person": _PERSON, **_FACE}),
    ("/v1/identifications", _FACE),
    ("/v1/provider-accounts", {"name": "A", "provider": "stripe", "secret_key": "sk_test_not_a_key"}),
    (
        "/v1/payment-methods",
        {"person": _PERSON, "tokens": [{"provider_account": f"pacc_{ID_SUFFIX}", "token": "pm_card_visa"}]},
    ),
    ("/v1/enrolment-codes", {"site": f"site_{ID_SUFFIX}", "name": "Till 1"}),
    ("/v1/members", {"email": "ada@example.com", "role": "analyst"}),
    ("/v1/apps", {"name": "Till", "roles": ["operator"]}),
    ("/v1/grants", {"principal": f"app_{ID_SUFFIX}", "role": "auditor"}),
    ("/v1/webhook-endpoints", {"url": "https://example.com/hook", "event_types": ["*"]}),
]
_OF_THE_PLATFORM: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/organizations",
        {"slug": "harbour", "name": "Harbour", "plan": "standard", "admin_email": "ada@example.com"},
    ),
]


def member_token() -> str:
    """The token of a new owner of organization a."""
    found = directory.by_host(ORGANIZATION_HOST)
    assert found is not None
    return access.member_token(found)


def operator_token() -> str:
    """The token of a new admin of the platform."""
    return operators.operator(Role.ADMIN).token


OAUTH_FORMS = frozenset({"/oauth/token", "/oauth/device_authorization", "/oauth/introspect", "/oauth/revoke"})
"""Endpoints whose errors are as RFC 6749, section 5.2 says."""


@dataclass
class Target:
    """One API. ``ids`` holds an object that exists for each prefix, once `fill` was called."""

    document_name: str
    host: str
    token: Callable[[], str]
    objects: list[tuple[str, dict[str, Any]]]
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return openapi.document(self.document_name)

    def fill(self) -> None:
        """Make the objects through the API itself."""
        client = APIClient(HTTP_HOST=self.host, HTTP_AUTHORIZATION=f"Bearer {self.token()}")
        for path, body in self.objects:
            answer = client.post(path, self.with_known(body), headers={"Idempotency-Key": str(uuid4())})
            assert answer.status_code in {200, 201, 202}, (path, answer.content)
            self._remember(answer.json())

    def with_known(self, value: Any) -> Any:
        """The value with its ids replaced by those of objects that exist."""
        if isinstance(value, dict):
            return {key: self.with_known(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.with_known(item) for item in value]
        if isinstance(value, str):
            return self.ids.get(value.rpartition("_")[0], value)
        return value

    def _remember(self, value: Any) -> None:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                self._remember(item)
        elif isinstance(value, str):
            prefix, _, suffix = value.rpartition("_")
            if len(suffix) == len(ID_SUFFIX) and prefix.isalpha():
                self.ids.setdefault(prefix, value)


def organization() -> Target:
    """Organization a's API."""
    return Target(openapi.ORGANIZATION, ORGANIZATION_HOST, member_token, _OF_THE_ORGANIZATION)


def platform() -> Target:
    """The operators' API."""
    return Target(openapi.PLATFORM, PLATFORM_HOST, operator_token, _OF_THE_PLATFORM)
