"""Both documents against the real application: nothing fails, nothing is outside the document.

Schemathesis makes requests that fit the document and requests that do not, from a fixed seed. Half
of them name objects that exist. The database is committed to, the matcher is a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.http import HttpResponse
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.wsgi import application
from engine.api.compatibility import operations
from tests.e2e import targets
from tests.e2e.targets import Target
from tests.harness.live import live_database
from tests.harness.matcher import running_matcher

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 15
TARGETS = [targets.organization(), targets.platform()]
SCHEMAS = {target.host: schemathesis.openapi.from_dict(target.document) for target in TARGETS}
CASES = [(target, *key) for target in TARGETS for key in sorted(operations(target.document))]


@pytest.fixture(scope="module", autouse=True)
def filled(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[None]:
    log = tmp_path_factory.mktemp("matcher") / "log"
    with (
        django_db_blocker.unblock(),
        live_database() as database,
        running_matcher(database_url=database.app_url, log=log) as matcher,
        override_settings(MATCHER_URL=matcher.url),
    ):
        for target in TARGETS:
            target.fill()
        yield


def test_there_is_something_to_play_with() -> None:
    organization, platform = TARGETS
    assert {"per", "con", "tpl", "site", "app", "mem", "grant", "we"} <= set(organization.ids)
    assert {"org", "flow"} <= set(platform.ids)


@pytest.mark.parametrize("status", [200, 418, 500])
def test_an_answer_outside_the_document_is_noticed(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    target = TARGETS[0]
    planted = HttpResponse('{"no": "person"}', status=status, content_type="application/json")
    monkeypatch.setattr("tenants.identity.api.views.PersonList.post", lambda *_: planted)
    case = SCHEMAS[target.host]["/v1/people"]["POST"].Case(body={}, media_type="application/json")
    headers = {"Authorization": f"Bearer {target.token()}"}
    response = case.call(base_url=f"http://{target.host}", headers=headers, app=application)
    assert response.status_code == status
    with pytest.raises(FailureGroup):
        check(case, response)


@pytest.mark.parametrize(("target", "method", "path"), CASES, ids=[f"{m} {p}" for _, m, p in CASES])
def test_answers_are_in_the_document(target: Target, method: str, path: str) -> None:
    operation = SCHEMAS[target.host][path][method]
    token = target.token()

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
        fits = data.draw(st.booleans())
        mode = GenerationMode.POSITIVE if fits else GenerationMode.NEGATIVE
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if data.draw(st.booleans()):
            case.path_parameters = target.with_known(dict(case.path_parameters or {}))
            case.body = target.with_known(case.body)
        response = case.call(
            base_url=f"http://{target.host}",
            headers={"Authorization": f"Bearer {token}"},
            app=application,
        )
        check(case, response)

    run()


def check(case: Any, response: Response) -> None:
    case.validate_response(response, checks=CHECKS)
    assert response.headers["request-id"]
    if response.status_code >= 400 and case.path not in targets.OAUTH_FORMS:
        assert json.loads(response.content)["status"] == response.status_code
