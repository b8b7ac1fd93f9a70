"""The whole document against the real application: nothing fails, nothing is outside the document.

Schemathesis makes requests that fit the document and requests that do not, from a fixed seed. Half
of them name objects that exist. An organization with real members and a committed database answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.wsgi import application
from engine.api import openapi
from engine.api.compatibility import operations
from engine.tenancy import directory
from tests.e2e.examples import ID_SUFFIX
from tests.factories import access
from tests.harness import environment
from tests.harness.live import live_database
from tests.harness.matcher import running_matcher

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 15
DOCUMENT = openapi.document(openapi.ORGANIZATION)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
HOST = f"org-a.{environment.BASE_DOMAIN}"
OPERATIONS = sorted(operations(DOCUMENT))


VECTOR = [0.1, -0.2, 0.3, 0.4] * 32
FACE = {"modality": "face", "model": "m1", "vector": VECTOR}
PERSON = f"per_{ID_SUFFIX}"
OBJECTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/sites", {"name": "Harbour"}),
    ("/v1/people", {"external_reference": "p-1", "display_name": "Ada"}),
    ("/v1/consents", {"person": PERSON, "purpose": "identify", "evidence": "doc-1"}),
    ("/v1/consents", {"person": PERSON, "purpose": "pay", "evidence": "doc-1"}),
    ("/v1/templates", {"person": PERSON, **FACE}),
    ("/v1/verifications", {"person": PERSON, **FACE}),
    ("/v1/identifications", FACE),
    ("/v1/members", {"email": "ada@example.com", "role": "analyst"}),
    ("/v1/apps", {"name": "Till", "roles": ["operator"]}),
    ("/v1/grants", {"principal": f"app_{ID_SUFFIX}", "role": "auditor"}),
    ("/v1/webhook-endpoints", {"url": "https://example.com/hook", "event_types": ["*"]}),
]


class Pool:
    """Ids of objects that exist, by prefix, and a token of the owner."""

    def __init__(self) -> None:
        found = directory.by_host(HOST)
        assert found is not None
        self.organization = found
        self.ids: dict[str, str] = {}
        self.token = access.member_token(found)

    def fill(self) -> None:
        """Make the objects, each with the ids of those before it."""
        client = APIClient(HTTP_HOST=HOST, HTTP_AUTHORIZATION=f"Bearer {self.token}")
        for path, body in OBJECTS:
            key = str(uuid4())
            answer = client.post(path, self.with_known(body), headers={"Idempotency-Key": key})
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
            for item in value.values():
                self._remember(item)
        elif isinstance(value, str):
            prefix, _, suffix = value.rpartition("_")
            if len(suffix) == 26 and prefix.isalpha():
                self.ids.setdefault(prefix, value)


@pytest.fixture(scope="module")
def pool(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Pool]:
    log = tmp_path_factory.mktemp("matcher") / "log"
    with (
        django_db_blocker.unblock(),
        live_database() as database,
        running_matcher(database_url=database.app_url, log=log) as matcher,
        override_settings(MATCHER_URL=matcher.url),
    ):
        made = Pool()
        made.fill()
        yield made


def test_the_pool_holds_objects_to_play_with(pool: Pool) -> None:
    assert {"per", "con", "tpl", "site", "app", "mem", "grant", "we"} <= set(pool.ids)


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_answers_are_in_the_document(pool: Pool, method: str, path: str) -> None:
    operation = SCHEMA[path][method]
    token = access.member_token(pool.organization)
    base = f"http://{HOST}"

    @seed(20_301)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        fitting = data.draw(st.booleans())
        mode = GenerationMode.POSITIVE if fitting else GenerationMode.NEGATIVE
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if data.draw(st.booleans()):
            case.path_parameters = pool.with_known(dict(case.path_parameters or {}))
            case.body = pool.with_known(case.body)
        response = case.call(base_url=base, headers={"Authorization": f"Bearer {token}"}, app=application)
        _check(case, response)

    run()


def _check(case: Any, response: Response) -> None:
    case.validate_response(response, checks=CHECKS)
    assert response.headers["request-id"]
    if response.status_code >= 400 and case.path != "/oauth/token":
        assert json.loads(response.content)["status"] == response.status_code
