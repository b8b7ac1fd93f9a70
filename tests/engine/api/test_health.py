"""What a load balancer is told."""

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from tests.harness.environment import BASE_DOMAIN

PLATFORM = APIClient(HTTP_HOST=f"platform.{BASE_DOMAIN}")


@pytest.mark.usefixtures("db")
def test_a_process_that_reaches_its_database_is_well() -> None:
    response = PLATFORM.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_process_without_its_database_takes_no_traffic(
    monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    with django_db_blocker.unblock():
        response = PLATFORM.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "reason": "database"}


@pytest.mark.usefixtures("db")
def test_it_is_asked_and_not_told() -> None:
    assert PLATFORM.post("/healthz").status_code == 405


def test_a_stranger_host_learns_nothing(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        assert APIClient(HTTP_HOST=f"nobody.{BASE_DOMAIN}").get("/healthz").status_code == 404
