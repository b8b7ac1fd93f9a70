"""A small API of its own, mounted on the organization's host for these tests only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.urls import clear_url_caches
from rest_framework.test import APIClient

from config import urls_organization
from engine.api import access
from engine.tenancy.context import OrganizationContext
from tests.conftest import client_of
from tests.engine.api import sample


@dataclass(frozen=True)
class Answer:
    allowed: bool
    reason: str
    step_up: bool = False


@pytest.fixture
def api(org_a: OrganizationContext) -> Iterator[APIClient]:
    """A client of organization a's host, which answers the sample API too."""
    patterns = list(urls_organization.urlpatterns)
    urls_organization.urlpatterns[:] = [*sample.urlpatterns, *patterns]
    clear_url_caches()
    previous = access.set_checker(
        lambda *, principal, permission, resource=None: Answer(
            allowed=permission in sample.GRANTED and resource not in sample.HIDDEN,
            reason="no_grant",
        )
    )
    previous_of_operators = access.set_operator_checker(lambda *, principal, write: not write)
    yield client_of(org_a)
    access.set_checker(previous)
    access.set_operator_checker(previous_of_operators)
    urls_organization.urlpatterns[:] = patterns
    clear_url_caches()


@pytest.fixture
def signed_in(api: APIClient) -> APIClient:
    """The same client with a member's token."""
    api.credentials(HTTP_AUTHORIZATION="Bearer member")
    return api
